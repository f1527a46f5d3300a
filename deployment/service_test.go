package deployment_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

// clock stands still until it is moved.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(d.Milliseconds()) }

// room is a Service over SQLite, with what a test wants to look at.
type room struct {
	*deployment.Service
	store  *sqlite.Store
	keeper *keeper
	clock  *clock
}

// keeper counts, as a KMS would on its bill.
type keeper struct {
	seal.Keeper
	seals, opens atomic.Int64
}

func (k *keeper) Seal(ctx context.Context, plaintext, bind []byte) ([]byte, error) {
	k.seals.Add(1)
	return k.Keeper.Seal(ctx, plaintext, bind)
}

func (k *keeper) Open(ctx context.Context, sealed, bind []byte) ([]byte, error) {
	k.opens.Add(1)
	return k.Keeper.Open(ctx, sealed, bind)
}

func open(t testing.TB) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func newRoom(t testing.TB, cfg deployment.Config) *room {
	t.Helper()
	return roomOver(t, open(t), &keeper{Keeper: seal.Keyring{seal.NewKey()}}, cfg)
}

func roomOver(t testing.TB, store *sqlite.Store, k *keeper, cfg deployment.Config) *room {
	t.Helper()
	r := &room{store: store, keeper: k, clock: newClock()}
	cfg.Store, cfg.Keeper, cfg.Now = store, k, r.clock.Now
	var err error
	if r.Service, err = deployment.New(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *room) ensure(t testing.TB, spec deployment.Spec) deployment.Deployment {
	t.Helper()
	d, err := r.Ensure(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func settings(url string, triggers ...string) forward.Settings {
	return forward.Settings{URL: url, Triggers: trigger.List(triggers...)}
}

const url = "https://app.example.com/events"

func TestNewReportsAll(t *testing.T) {
	t.Parallel()
	_, err := deployment.New(deployment.Config{Forwarding: settings(url, "a.b")})
	for _, want := range []string{"Config.Store is missing", "Config.Keeper is missing", "Config.Forwarding is set without Default"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q in it", err, want)
		}
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	for range 2 {
		if err := r.EnsureDefault(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"", "dep_default", "env_default"} {
		d, err := r.Get(t.Context(), id)
		if err != nil || d.ID != "dep_default" || d.Organization != "org_default" || d.Name != "Default" {
			t.Errorf("Get(%q) = %+v, %v", id, d, err)
		}
	}
	e, err := r.Environment(t.Context(), "")
	if err != nil || e.ID != "env_default" || e.Name != "Production" || e.Deployment != "dep_default" {
		t.Errorf("Environment = %+v, %v", e, err)
	}
	d := r.ensure(t, deployment.Spec{Organization: "Default"})
	if d.ID != "dep_default" || len(d.Environments) != 3 {
		t.Errorf("Ensure of Default/Default = %+v", d)
	}
	for _, id := range []string{"org_default", "dep_default", "env_default"} {
		if err := r.Delete(t.Context(), id); !errors.Is(err, deployment.ErrDefault) {
			t.Errorf("Delete(%s) = %v, want ErrDefault", id, err)
		}
	}
	// It stays the default one under another name.
	if err := r.Rename(t.Context(), "dep_default", "CRM"); err != nil {
		t.Fatal(err)
	}
	if d := r.ensure(t, deployment.Spec{Organization: "Default"}); d.ID != "dep_default" || d.Name != "CRM" {
		t.Errorf("Ensure after Rename = %+v", d)
	}
}

func TestDefaultIsMadeWhenNeeded(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(ctx context.Context, s *deployment.Service) error{
		"SettingsInForce": func(ctx context.Context, s *deployment.Service) error {
			_, err := s.SettingsInForce(ctx, "env_default")
			return err
		},
		"IssueKey": func(ctx context.Context, s *deployment.Service) error {
			_, err := s.IssueKey(ctx, deployment.KeyRequest{})
			return err
		},
		"SetForwarding": func(ctx context.Context, s *deployment.Service) error {
			return s.SetForwarding(ctx, "", settings(url, "gmail.email.sent"))
		},
		"Rename": func(ctx context.Context, s *deployment.Service) error { return s.Rename(ctx, "org_default", "Acme") },
		"Organizations": func(ctx context.Context, s *deployment.Service) error {
			for o, err := range s.Organizations(ctx) {
				if err == nil && o.ID == "org_default" {
					return nil
				}
			}
			return errors.New("no default organization")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := call(t.Context(), newRoom(t, deployment.Config{Default: true}).Service); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWithoutDefault(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	ctx := t.Context()
	_, err1 := r.SettingsInForce(ctx, "")
	_, err2 := r.IssueKey(ctx, deployment.KeyRequest{})
	_, err3 := r.Get(ctx, "")
	_, err4 := r.Forwarding(ctx, "")
	for i, err := range []error{err1, err2, err3, err4, r.SetForwarding(ctx, "", settings(url, "a.b"))} {
		if err == nil || !strings.Contains(err.Error(), "is empty: with MultiTenant every call names") {
			t.Errorf("call %d with an empty id: %v", i+1, err)
		}
	}
	if _, err := r.SettingsInForce(ctx, "env_default"); !errors.Is(err, deployment.ErrNotFound) {
		t.Errorf("env_default: %v, want ErrNotFound", err)
	}
}

func TestEnsure(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	spec := deployment.Spec{Organization: "Acme", Forwarding: settings(url, "gmail.email.sent")}
	d := r.ensure(t, spec)
	var names []string
	for _, e := range d.Environments {
		names = append(names, e.Name)
	}
	if d.Name != "Default" || !slices.Equal(names, []string{"Development", "Testing", "Production"}) || d.ID == "dep_default" {
		t.Errorf("Ensure = %+v", d)
	}
	if _, err := d.Environment("Live"); !errors.Is(err, deployment.ErrNotFound) || !strings.Contains(err.Error(), `"Development", "Testing", "Production"`) {
		t.Errorf("Environment = %v", err)
	}

	// What the customer sets in the console survives the next start.
	if err := r.SetForwarding(t.Context(), d.ID, settings("https://new.example.com/", "gmail.email.sent")); err != nil {
		t.Fatal(err)
	}
	seals := r.keeper.seals.Load()
	if again := r.ensure(t, spec); again.ID != d.ID {
		t.Errorf("Ensure again made %s, first was %s", again.ID, d.ID)
	}
	if f, err := r.Forwarding(t.Context(), d.ID); err != nil || f.Settings.URL != "https://new.example.com/" || f.From != deployment.FromDeployment {
		t.Errorf("Forwarding = %+v, %v", f, err)
	}
	if n := r.keeper.seals.Load() - seals; n != 0 {
		t.Errorf("Ensure of what is there sealed %d times", n)
	}
}

func TestEnsureRefuses(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	for name, row := range map[string]struct {
		spec deployment.Spec
		want []string
	}{
		"no organization": {deployment.Spec{}, []string{"name of the organization is empty"}},
		"control characters": {
			deployment.Spec{Organization: "a\nb", Deployment: " x", Environments: []string{"a", "a", strings.Repeat("x", 201)}},
			[]string{"organization must be printable", "begins or ends with a space", `names "a" twice`, "longer than 200"},
		},
		"own settings of nobody": {
			deployment.Spec{Organization: "a", OwnForwarding: map[string]forward.Settings{"Live": settings(url, "a.b")}},
			[]string{`names the environment "Live"`},
		},
		"bad settings": {
			deployment.Spec{Organization: "a", Forwarding: forward.Settings{URL: "ftp://x", HeaderKey: "Host", HeaderValue: "a\r\nb"}},
			[]string{"url", "header_key", "header_value"},
		},
	} {
		_, err := r.Ensure(t.Context(), row.spec)
		for _, want := range row.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", name, err, want)
			}
		}
	}
	for o, err := range r.Organizations(t.Context()) {
		t.Errorf("a refused Spec left %+v, %v", o, err)
	}
}

func TestEnsureTogether(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			d, err := r.Ensure(t.Context(), deployment.Spec{Organization: "Acme", Managed: true, Forwarding: settings(url, "a.b")})
			if err != nil {
				t.Error(err)
			}
			ids[i] = d.ID
		})
	}
	wg.Wait()
	if slices.ContainsFunc(ids, func(id string) bool { return id != ids[0] }) {
		t.Errorf("together they got %v", ids)
	}
}

func TestDeleteAndErase(t *testing.T) {
	t.Parallel()
	var told []string
	r := newRoom(t, deployment.Config{Deleted: func(environment string) { told = append(told, environment) }})
	d := r.ensure(t, deployment.Spec{Organization: "Acme", Forwarding: settings(url, "a.b")})
	prod, _ := d.Environment(deployment.Production)
	key, err := r.IssueKey(t.Context(), deployment.KeyRequest{Environment: prod.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SettingsInForce(t.Context(), prod.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(t.Context(), d.Organization); err != nil {
		t.Fatal(err)
	}
	var want, left []string
	for _, e := range d.Environments {
		want = append(want, e.ID)
	}
	for id, err := range r.Deleted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, id)
	}
	slices.Sort(want)
	slices.Sort(told)
	if !slices.Equal(told, want) || !slices.Equal(left, want) {
		t.Errorf("told of %v, waiting %v, want %v", told, left, want)
	}
	if _, err := r.Authenticate(t.Context(), key); !errors.Is(err, deployment.ErrBadKey) {
		t.Errorf("the key of a deleted environment: %v, want ErrBadKey", err)
	}
	if _, err := r.SettingsInForce(t.Context(), prod.ID); !errors.Is(err, deployment.ErrNotFound) {
		t.Errorf("the settings of a deleted environment: %v, want ErrNotFound", err)
	}
	for _, id := range want {
		if err := r.Erase(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	for id, err := range r.Deleted(t.Context()) {
		t.Errorf("%s is still waiting, %v", id, err)
	}
	if err := r.Delete(t.Context(), d.ID); !errors.Is(err, deployment.ErrNotFound) {
		t.Errorf("Delete of what is gone: %v", err)
	}
}

func TestRename(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	d := r.ensure(t, deployment.Spec{Organization: "Acme", Deployment: "CRM"})
	r.ensure(t, deployment.Spec{Organization: "Acme", Deployment: "Shop"})
	for name, row := range map[string]struct {
		id, name string
		want     error
	}{
		"free":         {d.ID, "Sales", nil},
		"taken":        {d.ID, "Shop", deployment.ErrExists},
		"reserved":     {d.Organization, "Default", deployment.ErrExists},
		"unknown":      {"dep_01KATE9W1B6S0Z3YV8K5QH2T4G", "x", deployment.ErrNotFound},
		"no id at all": {"' OR 1=1", "x", deployment.ErrNotFound},
	} {
		if err := r.Rename(t.Context(), row.id, row.name); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	if err := r.Rename(t.Context(), d.ID, ""); err == nil {
		t.Error("an empty name was taken")
	}
}

func TestIteratorsReadInPages(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	const many = 230
	for i := range many {
		r.clock.advance(time.Duration(i%2) * time.Millisecond)
		r.ensure(t, deployment.Spec{Organization: fmt.Sprint("org ", i), Environments: []string{"Production"}})
	}
	seen := make(map[string]bool)
	for o, err := range r.Organizations(t.Context()) {
		if err != nil || seen[o.ID] {
			t.Fatalf("%+v again, %v", o, err)
		}
		seen[o.ID] = true
	}
	deployments := 0
	for _, err := range r.Deployments(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		deployments++
	}
	if len(seen) != many || deployments != many {
		t.Errorf("%d organizations and %d deployments, want %d", len(seen), deployments, many)
	}
}
