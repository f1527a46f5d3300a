package deployment_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/catest"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// full has a value in every field: whoever adds one to forward.Settings and not
// to what is stored sees it here.
func full(t testing.TB) forward.Settings {
	t.Helper()
	f := forward.Settings{
		URL: url, HeaderKey: "X-Acme-Token", HeaderValue: "s3cr3t",
		Triggers: []trigger.Filter{{Trigger: "gmail.email.sent"}, {Trigger: "gmail.email.labeled", Params: map[string]string{"label": "Invoices"}}},
		Secrets:  []string{webhook.NewSecret(), webhook.NewSecret()},
		OAuth2: &forward.OAuth2{
			TokenURL: "https://login.example.com/token", ClientID: "acme", ClientSecret: "0auth2-s3cr3t",
			Scopes: []string{"events.write", "x"}, Audience: "https://app.example.com",
		},
		Raw: true, Retry: []time.Duration{5 * time.Second, 5 * time.Minute}, Timeout: 7 * time.Second,
		RateLimit: 0.5, Concurrency: 3, Ordered: true, PauseAfter: 48 * time.Hour,
	}
	f.ClientCertificate, f.ClientKey = catest.New(t).ClientUntil("acme", newClock().Now().Add(time.Hour))
	for i, v := 0, reflect.ValueOf(f); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("forward.Settings.%s is new: give it a value here, and keep it in what is stored", v.Type().Field(i).Name)
		}
	}
	return f
}

func (r *room) forwarding(t testing.TB, id string) deployment.Forwarding {
	t.Helper()
	f, err := r.Forwarding(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSettingsAreKeptWhole(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	want := full(t)
	if err := r.SetForwarding(t.Context(), "", want); err != nil {
		t.Fatal(err)
	}
	if got := r.forwarding(t, "").Settings; !same(got, want) {
		t.Errorf("Forwarding does not return what SetForwarding got")
	}
	got, err := r.SettingsInForce(t.Context(), "env_default")
	if err != nil || !same(got, want) {
		t.Errorf("SettingsInForce does not return what SetForwarding got, %v", err)
	}
	// A process that starts later reads the same.
	again := roomOver(t, r.store, r.keeper, deployment.Config{Default: true})
	if got := again.forwarding(t, "dep_default").Settings; !same(got, want) {
		t.Errorf("after a restart the settings differ")
	}
}

// same compares everything, secrets included.
func same(a, b forward.Settings) bool {
	type plain forward.Settings // without methods that hide something
	return reflect.DeepEqual(plain(a), plain(b))
}

func TestEnvironmentSettingsReplaceAsAWhole(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	d := r.ensure(t, deployment.Spec{Organization: "Acme"})
	dev, prod := d.Environments[0].ID, d.Environments[2].ID
	if f := r.forwarding(t, dev); f.From != deployment.FromNowhere || !f.Settings.IsZero() {
		t.Errorf("without settings: %+v", f)
	}
	all := full(t)
	if err := r.SetForwarding(t.Context(), d.ID, all); err != nil {
		t.Fatal(err)
	}
	if err := r.SetForwarding(t.Context(), dev, settings("https://dev.example.com/", "gmail.*")); err != nil {
		t.Fatal(err)
	}
	own := r.forwarding(t, dev)
	if own.From != deployment.FromEnvironment || own.Settings.URL != "https://dev.example.com/" || own.Settings.HeaderKey != "" || own.Settings.HeaderValue != "" || own.Settings.Raw {
		t.Errorf("own settings took something over: %+v", own)
	}
	if len(own.Settings.Secrets) != 1 || slices.Contains(all.Secrets, own.Settings.Secrets[0]) {
		t.Errorf("own settings sign with the deployment's secret: what Development gets could be played to Production")
	}
	for _, id := range []string{d.ID, prod} {
		if f := r.forwarding(t, id); f.From != deployment.FromDeployment || !same(f.Settings, all) {
			t.Errorf("%s: settings changed: %+v", id, f)
		}
	}
	if err := r.SetForwarding(t.Context(), dev, forward.Settings{}); err != nil {
		t.Fatal(err)
	}
	if f := r.forwarding(t, dev); f.From != deployment.FromDeployment || !same(f.Settings, all) {
		t.Errorf("after removal: %+v", f)
	}
}

func TestSecretIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	if err := r.SetForwarding(t.Context(), "", settings(url, "a.b")); err != nil {
		t.Fatal(err)
	}
	made := r.forwarding(t, "").Settings.Secrets
	if len(made) != 1 || webhook.ValidateSecret(made[0]) != nil {
		t.Fatalf("%d secrets were made", len(made))
	}
	if err := r.SetForwarding(t.Context(), "", settings("https://other.example.com/", "a.b")); err != nil {
		t.Fatal(err)
	}
	if got := r.forwarding(t, "").Settings.Secrets; !slices.Equal(got, made) {
		t.Error("a change of the URL made another secret")
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	check := func(f forward.Settings) error {
		if len(f.Triggers) == 0 {
			return forward.Problems{{Field: "triggers", Err: errors.New("is empty")}}
		}
		return f.Validate()
	}
	r := newRoom(t, deployment.Config{Default: true, Check: check})
	for name, row := range map[string]struct {
		f    forward.Settings
		want []string
	}{
		"catalogue": {forward.Settings{URL: url}, []string{"triggers"}},
		"all at once": {
			forward.Settings{URL: "x", HeaderKey: "Webhook-Id", HeaderValue: "a\nb", Triggers: trigger.List("a.b"), Secrets: []string{"x"}},
			[]string{"url", "header_key", "header_value", "secrets[0]"},
		},
	} {
		var problems forward.Problems
		if err := r.SetForwarding(t.Context(), "", row.f); !errors.As(err, &problems) {
			t.Errorf("%s: %v, want forward.Problems", name, err)
		}
		var fields []string
		for _, p := range problems {
			fields = append(fields, p.Field)
		}
		for _, want := range row.want {
			if !slices.Contains(fields, want) {
				t.Errorf("%s: problems of %v, want %s", name, fields, want)
			}
		}
	}
	if f := r.forwarding(t, ""); f.From != deployment.FromNowhere {
		t.Errorf("refused settings were stored: %+v", f)
	}
}

func TestTriggerLists(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	ctx := t.Context()
	labeled := trigger.Filter{Trigger: "gmail.email.labeled", Params: map[string]string{"label": "Invoices"}}
	if err := r.AddTriggers(ctx, "env_default", labeled); !errors.Is(err, deployment.ErrInherits) {
		t.Errorf("AddTriggers to what inherits: %v, want ErrInherits", err)
	}
	if err := r.SetForwarding(ctx, "", full(t)); err != nil {
		t.Fatal(err)
	}
	if err := r.AddTriggers(ctx, "", labeled, trigger.Filter{Trigger: "gmail.email.sent"}, trigger.Filter{Trigger: "jira.*"}); err != nil {
		t.Fatal(err)
	}
	if got := r.forwarding(t, "").Settings.Triggers; len(got) != 3 || got[2].Trigger != "jira.*" {
		t.Errorf("after AddTriggers: %v", got)
	}
	if err := r.RemoveTriggers(ctx, "", trigger.Filter{Trigger: "gmail.email.labeled"}, trigger.Filter{Trigger: "jira.*"}); err != nil {
		t.Fatal(err)
	}
	if got := r.forwarding(t, "").Settings.Triggers; len(got) != 2 || got[1].Params["label"] != "Invoices" {
		t.Errorf("RemoveTriggers removes what equals, not what is like it: %v", got)
	}
}

func TestRotateSecret(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	ctx := t.Context()
	if _, err := r.RotateSecret(ctx, "", time.Hour); err == nil || !strings.Contains(err.Error(), "no forwarding settings") {
		t.Errorf("RotateSecret without settings: %v", err)
	}
	if err := r.SetForwarding(ctx, "", settings(url, "a.b")); err != nil {
		t.Fatal(err)
	}
	inForce := func() []string {
		t.Helper()
		f, err := r.SettingsInForce(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		return f.Secrets
	}
	first := inForce()[0]
	second, err := r.RotateSecret(ctx, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := inForce(); !slices.Equal(got, []string{second, first}) {
		t.Error("in the overlap both sign, the new one first")
	}
	// Settings that are read, changed and written keep the end of the old one.
	f := r.forwarding(t, "").Settings
	f.Raw = true
	if err := r.SetForwarding(ctx, "", f); err != nil {
		t.Fatal(err)
	}
	third, err := r.RotateSecret(ctx, "", 10*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Hour - time.Millisecond)
	if got := inForce(); !slices.Equal(got, []string{third, second, first}) {
		t.Errorf("%d secrets sign before the end of the first, want 3", len(got))
	}
	r.clock.advance(time.Millisecond)
	if got := inForce(); !slices.Equal(got, []string{third, second}) {
		t.Errorf("%d secrets sign after the end of the first, want 2", len(got))
	}
	fourth, err := r.RotateSecret(ctx, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := inForce(); !slices.Equal(got, []string{fourth}) {
		t.Errorf("%d secrets sign after a rotation without overlap, want 1", len(got))
	}
}

func TestManaged(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	ctx := t.Context()
	spec := deployment.Spec{Organization: "Acme", Managed: true, Forwarding: settings(url, "a.b"), OwnForwarding: map[string]forward.Settings{
		"Development": settings("https://dev.example.com/", "a.b"),
	}}
	d := r.ensure(t, spec)
	dev, prod := d.Environments[0].ID, d.Environments[2].ID
	secret := r.forwarding(t, prod).Settings.Secrets[0]
	for _, id := range []string{d.ID, dev, prod} {
		if f := r.forwarding(t, id); !f.Managed {
			t.Errorf("%s is not managed: %+v", id, f)
		}
		_, edit := r.EditForwarding(ctx, id, func(f *forward.Settings) error { f.Raw = true; return nil })
		for i, err := range []error{
			r.SetForwarding(ctx, id, settings("https://evil.example.com/", "a.b")), r.SetForwarding(ctx, id, forward.Settings{}),
			r.AddTriggers(ctx, id, trigger.List("c.d")...), r.RemoveTriggers(ctx, id, trigger.List("a.b")...), edit,
		} {
			if !errors.Is(err, deployment.ErrManaged) {
				t.Errorf("%s, call %d: %v, want ErrManaged", id, i+1, err)
			}
		}
	}
	if _, err := r.RotateSecret(ctx, d.ID, 0); err != nil {
		t.Errorf("a secret that was made here can be rotated: %v", err)
	}
	rotated := r.forwarding(t, prod).Settings.Secrets
	if slices.Contains(rotated, secret) {
		t.Error("RotateSecret kept the old one")
	}

	spec.Forwarding.URL = "https://new.example.com/"
	delete(spec.OwnForwarding, "Development")
	r.ensure(t, spec)
	for _, id := range []string{dev, prod} {
		if f := r.forwarding(t, id); f.Settings.URL != "https://new.example.com/" || f.From != deployment.FromDeployment || !slices.Equal(f.Settings.Secrets, rotated) {
			t.Errorf("%s after the program changed: %+v", id, f)
		}
	}
	spec.Forwarding.Secrets = []string{webhook.NewSecret()}
	r.ensure(t, spec)
	if _, err := r.RotateSecret(ctx, d.ID, 0); !errors.Is(err, deployment.ErrManaged) {
		t.Errorf("RotateSecret of what the program names: %v, want ErrManaged", err)
	}
	version, _ := r.store.ForwardingVersion(ctx)
	r.ensure(t, spec)
	if v, _ := r.store.ForwardingVersion(ctx); v != version {
		t.Error("Ensure of what is there wrote something")
	}

	r.ensure(t, deployment.Spec{Organization: "Acme"}) // no longer managed
	if f := r.forwarding(t, prod); f.Managed || f.Settings.URL != "https://new.example.com/" {
		t.Errorf("let go: %+v", f)
	}
	if err := r.SetForwarding(ctx, prod, settings(url, "a.b")); err != nil {
		t.Errorf("let go: %v", err)
	}
}

func TestManagedByTheConfig(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	ctx := t.Context()
	if err := r.SetForwarding(ctx, "env_default", settings("https://own.example.com/", "a.b")); err != nil {
		t.Fatal(err)
	}
	code := roomOver(t, r.store, r.keeper, deployment.Config{Default: true, Forwarding: settings(url, "a.b")})
	if f := code.forwarding(t, "env_default"); f.Settings.URL != url || !f.Managed || f.From != deployment.FromDeployment {
		t.Errorf("the program's settings are not in force: %+v", f)
	}
	if err := code.SetForwarding(ctx, "env_default", settings("https://evil.example.com/", "a.b")); !errors.Is(err, deployment.ErrManaged) {
		t.Errorf("SetForwarding = %v, want ErrManaged", err)
	}
	if d := code.ensure(t, deployment.Spec{Organization: "Default"}); len(d.Environments) != 3 {
		t.Errorf("Ensure of Default/Default = %+v", d)
	}
	if f := code.forwarding(t, "env_default"); f.Settings.URL != url || !f.Managed {
		t.Errorf("Ensure without settings let go of the Config's: %+v", f)
	}
	if _, err := code.Ensure(ctx, deployment.Spec{Organization: "Default", Managed: true, Forwarding: settings("https://x.example.com/", "a.b")}); !errors.Is(err, deployment.ErrManaged) {
		t.Errorf("two owners of the default settings: %v, want ErrManaged", err)
	}
	// The program without Config.Forwarding lets go of them.
	later := roomOver(t, r.store, r.keeper, deployment.Config{Default: true})
	if err := later.SetForwarding(ctx, "", settings("https://later.example.com/", "a.b")); err != nil {
		t.Error(err)
	}
}

func TestEditForwardingLosesNobodysChange(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	if err := r.SetForwarding(t.Context(), "", settings(url, "a.b")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := r.AddTriggers(t.Context(), "", trigger.Filter{Trigger: "x." + strings.Repeat("y", i+1)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := r.forwarding(t, "").Settings.Triggers; len(got) != 9 {
		t.Errorf("%d triggers after 8 were added to 1 at the same time", len(got))
	}
}

func TestSealedToItsRecord(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	a := r.ensure(t, deployment.Spec{Organization: "A", Forwarding: full(t)})
	b := r.ensure(t, deployment.Spec{Organization: "B"})
	stolen, err := r.store.OwnForwarding(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	stolen.Owner, stolen.Revision = b.ID, 0
	if err := r.store.PutForwarding(t.Context(), stolen, false, r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Forwarding(t.Context(), b.ID); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("secrets that were moved to another record: %v, want seal.ErrDamaged", err)
	}
}

// What is secret of a destination stands in the file only sealed, and what is
// read of it can be changed without changing what is in force.
func TestSecretsOfADestinationAreSealed(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	want := full(t)
	if err := r.SetForwarding(t.Context(), "", want); err != nil {
		t.Fatal(err)
	}
	stored, err := r.store.OwnForwarding(t.Context(), deployment.DefaultDeployment)
	if err != nil {
		t.Fatal(err)
	}
	file := string(stored.Public) + string(stored.Sealed)
	body := strings.Split(want.ClientKey, "\n")[1] // a line of the key itself
	for _, secret := range append(slices.Clone(want.Secrets), want.HeaderValue, want.OAuth2.ClientSecret, body, "PRIVATE KEY") {
		if strings.Contains(file, secret) {
			t.Errorf("%q is readable in what is stored", secret)
		}
	}
	if !strings.Contains(string(stored.Public), "BEGIN CERTIFICATE") || !strings.Contains(string(stored.Public), want.OAuth2.TokenURL) {
		t.Error("what is no secret is not in the public part")
	}
	got := r.forwarding(t, "").Settings
	got.OAuth2.ClientSecret, got.OAuth2.Scopes[0] = "changed", "changed"
	if again := r.forwarding(t, "").Settings; !same(again, want) {
		t.Error("changing what was returned changed what is in force")
	}
	if _, err := r.EditForwarding(t.Context(), "", func(f *forward.Settings) error { f.OAuth2.Scopes[0] = "other"; return nil }); err != nil {
		t.Fatal(err)
	}
	if again := r.forwarding(t, "").Settings; again.OAuth2.Scopes[0] != "other" || again.OAuth2.ClientSecret != want.OAuth2.ClientSecret || again.ClientKey != want.ClientKey {
		t.Error("editing a scope in place was lost, or the secrets with it")
	}
	f := r.forwarding(t, "").Settings
	f.OAuth2, f.ClientCertificate, f.ClientKey = nil, "", ""
	if err := r.SetForwarding(t.Context(), "", f); err != nil {
		t.Fatal(err)
	}
	if again := r.forwarding(t, "").Settings; !same(again, f) {
		t.Error("certificate and oauth2 could not be removed")
	}
}

// A certificate that is over cannot be set; one that ends later hinders nothing.
func TestExpiredClientCertificate(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	ca, ctx := catest.New(t), t.Context()
	f := settings(url, "a.b")
	f.ClientCertificate, f.ClientKey = ca.ClientUntil("acme", r.clock.Now().Add(-time.Second))
	refused := func(what string, err error) {
		t.Helper()
		var problems forward.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Field != "client_certificate" || !strings.Contains(err.Error(), "expired at ") {
			t.Errorf("%s with an expired certificate: %v", what, err)
		}
	}
	refused("SetForwarding", r.SetForwarding(ctx, "", f))
	_, err := r.Ensure(ctx, deployment.Spec{Organization: "Acme", Forwarding: f})
	refused("Ensure", err)
	f.ClientCertificate, f.ClientKey = ca.ClientUntil("acme", r.clock.Now().Add(time.Hour))
	if err := r.SetForwarding(ctx, "", f); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(2 * time.Hour)
	if err := r.AddTriggers(ctx, "", trigger.Filter{Trigger: "c.d"}); err != nil {
		t.Errorf("AddTriggers after the certificate expired: %v", err)
	}
	if _, err := r.RotateSecret(ctx, "", time.Hour); err != nil {
		t.Errorf("RotateSecret after the certificate expired: %v", err)
	}
}
