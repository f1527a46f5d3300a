package deployment_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
)

func TestSettingsInForceAnswersFromMemory(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{})
	ctx := t.Context()
	a := r.ensure(t, deployment.Spec{Organization: "A", Forwarding: settings(url, "a.b")})
	b := r.ensure(t, deployment.Spec{Organization: "B", Forwarding: settings(url, "a.b")})
	env := a.Environments[0].ID
	ask := func() string {
		t.Helper()
		f, err := r.SettingsInForce(ctx, env)
		if err != nil {
			t.Fatal(err)
		}
		return f.URL
	}
	ask()
	before := r.keeper.opens.Load()
	for range 100 {
		ask()
	}
	if n := r.keeper.opens.Load() - before; n != 0 {
		t.Errorf("100 questions opened %d secrets", n)
	}
	for i, change := range []func() error{
		func() error { return r.SetForwarding(ctx, a.ID, settings("https://1.example.com/", "a.b")) },
		func() error { return r.SetForwarding(ctx, env, settings("https://2.example.com/", "a.b")) },
		func() error { return r.SetForwarding(ctx, env, forward.Settings{}) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		want := []string{"https://1.example.com/", "https://2.example.com/", "https://1.example.com/"}[i]
		if got := ask(); got != want {
			t.Errorf("after change %d: %s, want %s", i+1, got, want)
		}
	}
	// Another Service over the same store, as the console may be one.
	other := roomOver(t, r.store, r.keeper, deployment.Config{})
	if err := other.SetForwarding(ctx, a.ID, settings("https://3.example.com/", "a.b")); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "https://3.example.com/" {
		t.Errorf("after a change by another Service: %s", got)
	}
	if err := r.SetForwarding(ctx, b.ID, settings("https://4.example.com/", "a.b")); err != nil {
		t.Fatal(err)
	}
	before = r.keeper.opens.Load()
	ask()
	if n := r.keeper.opens.Load() - before; n != 0 {
		t.Errorf("a change of other settings made %d secrets be opened again", n)
	}
}

func TestSettingsInForceWhileTheyChange(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := r.SettingsInForce(t.Context(), ""); err != nil { //nolint:contextcheck // ctx says when to stop
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 30 {
		want := url + "/" + strings.Repeat("x", i)
		if err := r.SetForwarding(t.Context(), "", settings(want, "a.b")); err != nil {
			t.Error(err)
		}
		if f, err := r.SettingsInForce(t.Context(), ""); err != nil || f.URL != want {
			t.Errorf("a change is not seen by the next question: %s, %v, want %s", f.URL, err, want)
		}
	}
	cancel()
	wg.Wait()
}

func BenchmarkSettingsInForce(b *testing.B) {
	r := newRoom(b, deployment.Config{Default: true})
	if err := r.SetForwarding(b.Context(), "", full(b)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.SettingsInForce(b.Context(), "env_default"); err != nil {
			b.Fatal(err)
		}
	}
}
