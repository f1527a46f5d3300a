package interactor_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/gmail"
	hooks "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/seal"
)

// traffic is what goes on while keys rotate.
type traffic struct {
	w     *world
	clock func() int64 // numbers everything that is done

	posted, refreshed, settings, apps, accounts atomic.Int64 // how often

	mu       sync.Mutex
	sent     map[string]bool   // what webhooks said that were acknowledged
	header   string            // the latest header value
	app      string            // the latest client secret
	secrets  map[string]string // connection: secret of its sender
	problems []string
}

func newTraffic(w *world) *traffic {
	var n atomic.Int64
	return &traffic{
		w: w, clock: func() int64 { return n.Add(1) }, sent: make(map[string]bool), secrets: make(map[string]string),
		header: headerValue, app: appSecret,
	}
}

// run does all of it until stop is called, which waits for what is under way.
func (tr *traffic) run(t *testing.T, in *interactortest.Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	for _, do := range []func(context.Context, *interactortest.Server) error{
		tr.post, tr.post, tr.refresh, tr.set, tr.setApp, tr.connect,
	} {
		wg.Go(func() {
			for ctx.Err() == nil {
				// What has begun is finished, so that what was promised is known.
				if err := do(context.WithoutCancel(ctx), in); err != nil {
					tr.mu.Lock()
					tr.problems = append(tr.problems, err.Error())
					tr.mu.Unlock()
					return
				}
			}
		})
	}
	return func() {
		t.Helper()
		cancel()
		wg.Wait()
		for _, p := range tr.problems {
			t.Error(p)
		}
	}
}

// more waits until everything was done a few times more.
func (tr *traffic) more(t *testing.T) {
	t.Helper()
	counts := []*atomic.Int64{&tr.posted, &tr.refreshed, &tr.settings, &tr.apps, &tr.accounts}
	before := make([]int64, len(counts))
	for i, c := range counts {
		before[i] = c.Load()
	}
	until(t, "traffic goes on", func() bool {
		tr.mu.Lock()
		failed := len(tr.problems) > 0
		tr.mu.Unlock()
		for i, c := range counts {
			if !failed && c.Load() < before[i]+5 {
				return false
			}
		}
		return true
	})
}

func (tr *traffic) post(ctx context.Context, in *interactortest.Server) error {
	text := fmt.Sprintf("number %d.", tr.clock())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, in.URL+tr.w.address, strings.NewReader(`{"text":"`+text+`"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+senderSecret)
	if err := expect(http.DefaultClient.Do(req)); err != nil {
		return fmt.Errorf("a webhook: %w", err)
	}
	tr.posted.Add(1)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.sent[text] = true
	return nil
}

func expect(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return err
}

func (tr *traffic) refresh(ctx context.Context, in *interactortest.Server) error {
	tr.w.google.ExpireTokens()
	client, err := in.Client(ctx, tr.w.token.ID)
	if err != nil {
		return fmt.Errorf("a client: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, tr.w.google.URL+"/gmail/v1/users/me/profile", nil)
	if err != nil {
		return err
	}
	if err := expect(client.Do(req)); err != nil {
		return fmt.Errorf("a refreshed token: %w", err)
	}
	tr.refreshed.Add(1)
	return nil
}

func (tr *traffic) set(ctx context.Context, in *interactortest.Server) error {
	value := fmt.Sprintf("%s-%d", headerValue, tr.clock())
	_, err := in.Deployments.EditForwarding(ctx, deployment.DefaultDeployment, func(f *forward.Settings) error {
		f.HeaderValue = value
		return nil
	})
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	tr.settings.Add(1)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.header = value
	return nil
}

func (tr *traffic) setApp(ctx context.Context, in *interactortest.Server) error {
	own, err := in.Auth.App(ctx, deployment.DefaultEnvironment, gmail.Name)
	if err != nil {
		return fmt.Errorf("an App: %w", err)
	}
	own.App.ClientSecret = fmt.Sprintf("%s-%d", appSecret, tr.clock())
	if err := in.Auth.SetApp(ctx, deployment.DefaultEnvironment, gmail.Name, own.App); err != nil {
		return fmt.Errorf("an App: %w", err)
	}
	tr.apps.Add(1)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.app = own.App.ClientSecret
	return nil
}

func (tr *traffic) connect(ctx context.Context, in *interactortest.Server) error {
	n := tr.clock()
	secret := fmt.Sprintf("%s-%d", senderSecret, n)
	conn, err := in.Auth.Connect(ctx, interactor.ConnectRequest{
		Connector: hooks.Name, Account: fmt.Sprintf("account-%d", n), Input: map[string]string{"scheme": "bearer", "secret": secret},
	})
	if err != nil {
		return fmt.Errorf("an account: %w", err)
	}
	tr.accounts.Add(1)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.secrets[conn.ID] = secret
	return nil
}

// check proves that nothing was lost.
func (tr *traffic) check(t *testing.T, in *interactortest.Server) {
	t.Helper()
	ctx := t.Context()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if s, err := in.Deployments.SettingsInForce(ctx, deployment.DefaultEnvironment); err != nil || s.HeaderValue != tr.header {
		t.Errorf("the settings are not the latest: %v", err)
	}
	if own, err := in.Auth.App(ctx, deployment.DefaultEnvironment, gmail.Name); err != nil || own.App.ClientSecret != tr.app {
		t.Errorf("the App is not the latest: %v", err)
	}
	for conn, secret := range tr.secrets {
		if fields, err := in.Auth.Secrets(ctx, conn); err != nil || fields["secret"] != secret {
			t.Errorf("the fields of %s are other ones, or none: %v", conn, err)
		}
	}
	if token, err := in.Auth.Token(ctx, tr.w.token.ID); err != nil || token.Access != tr.w.spy.secret("access_token") {
		t.Errorf("the token is not the latest: %v", err)
	}
	until(t, "every event was delivered", func() bool { return len(tr.w.inbox.missing(tr.sent)) == 0 })
	for rec, err := range in.Forwarder.Events(ctx, forward.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Forwarder.Event(ctx, rec.ID); err != nil {
			t.Errorf("event %s: %v", rec.ID, err)
		}
	}
}

// Keys rotate as an operator does it: [k1], [k2 k1] and Reseal, [k2]; and all the
// while tokens are refreshed, events delivered, and settings, Apps and accounts
// changed. One Reseal is enough, and nothing is lost.
func TestKeysRotateUnderLoad(t *testing.T) { //nolint:tparallel // its parts follow one another
	t.Parallel()
	w, path := newWorld(t), filepath.Join(t.TempDir(), "interactor.db")
	k1, k2 := seal.NewKey(), seal.NewKey()
	tr := newTraffic(w)
	phase := func(name string, keys []string, do func(t *testing.T, in *interactortest.Server)) {
		if !t.Run(name, func(t *testing.T) {
			in := w.start(t, path, keys...)
			if w.token == nil {
				w.fill(t, in)
			}
			stop := tr.run(t, in)
			tr.more(t)
			do(t, in)
			tr.more(t)
			stop()
		}) {
			t.FailNow()
		}
	}
	phase("k1", []string{k1}, func(*testing.T, *interactortest.Server) {})
	phase("k2 and k1", []string{k2, k1}, func(t *testing.T, in *interactortest.Server) {
		done, err := in.Reseal(t.Context())
		if err != nil || done.Failed() != 0 || done.Moved() == 0 {
			t.Errorf("%+v, %v", done, err)
		}
	})
	phase("k2", []string{k2}, func(t *testing.T, in *interactortest.Server) {
		done, err := in.Reseal(t.Context())
		if err != nil || done.Failed() != 0 || done.Moved() != 0 {
			t.Errorf("%+v, %v", done, err)
		}
	})
	t.Run("nothing is lost", func(t *testing.T) { tr.check(t, w.start(t, path, k2)) })
}

// turning is a Keeper whose keys change while the program runs.
type turning struct{ atomic.Pointer[seal.Ring] }

func (k *turning) turn(t *testing.T, keys ...string) {
	t.Helper()
	ring, err := seal.NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	k.Store(ring)
}

func (k *turning) Seal(ctx context.Context, plaintext, bind []byte) ([]byte, error) {
	return k.Load().Seal(ctx, plaintext, bind)
}

func (k *turning) Open(ctx context.Context, sealed, bind []byte) ([]byte, error) {
	return k.Load().Open(ctx, sealed, bind)
}

func (k *turning) Current(sealed []byte) bool { return k.Load().Current(sealed) }

// The same without a restart, by a Keeper of the program's own. What was sealed
// under the former key and was not stored yet is moved by the Reseal after.
func TestKeysRotateInOneProcess(t *testing.T) { //nolint:tparallel // its parts follow one another
	t.Parallel()
	w, path := newWorld(t), filepath.Join(t.TempDir(), "interactor.db")
	keeper, key := &turning{}, seal.NewKey()
	keeper.turn(t, key)
	w.edit = func(cfg *interactor.Config) { cfg.SealingKeys, cfg.Keeper = nil, keeper }
	tr := newTraffic(w)
	t.Run("load", func(t *testing.T) {
		in := w.start(t, path)
		w.fill(t, in)
		stop := tr.run(t, in)
		for range 3 {
			tr.more(t)
			next := seal.NewKey()
			keeper.turn(t, next, key)
			for quiet, round := 0, 0; quiet < 3; quiet, round = quiet+1, round+1 {
				if round == 50 {
					t.Fatal("something goes on being sealed under the former key")
				}
				done, err := in.Reseal(t.Context())
				if err != nil || done.Failed() != 0 {
					t.Fatalf("%+v, %v", done, err)
				}
				if done.Moved() > 0 {
					quiet = -1
				}
			}
			key = next
		}
		tr.more(t)
		stop()
	})
	keeper.turn(t, key)
	t.Run("nothing is lost", func(t *testing.T) { tr.check(t, w.start(t, path)) })
}
