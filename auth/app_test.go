package auth_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

func TestApps(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	var bad *auth.InputError
	if err := f.SetApp(ctx, "", "acme", connector.App{ClientSecret: "x", Fields: map[string]string{"nope": "y"}}); !errors.As(err, &bad) ||
		!slices.Equal(bad.Missing, []string{"client_id"}) || bad.Invalid["nope"] == "" {
		t.Errorf("incomplete App: %v", err)
	}
	wantErr(t, f.SetApp(ctx, "", "nope", connector.App{ClientID: "x"}), auth.ErrUnknownConnector)
	_, err := f.App(ctx, "", "acme")
	wantErr(t, err, auth.ErrNoApp)
	if err := f.DeleteApp(ctx, "", "acme"); err != nil {
		t.Errorf("deleting none: %v", err)
	}
	set := func(client string) auth.OwnApp {
		t.Helper()
		if err := f.SetApp(ctx, "", "acme", connector.App{ClientID: client, ClientSecret: "secret of " + client, Fields: map[string]string{"signing_secret": "s-" + client}}); err != nil {
			t.Fatal(err)
		}
		own, err := f.App(ctx, "", "acme")
		if err != nil {
			t.Fatal(err)
		}
		return own
	}
	one := set("one")
	if text := strings.Join([]string{one.App.String(), one.ClientID}, " "); strings.Contains(text, "secret of") {
		t.Error("an App prints its secret")
	}
	connect := func(user string) string {
		t.Helper()
		if res := f.browser(t).get(f.p.consent(t, f.link(t, auth.ConnectRequest{Account: user}), user)); res.Code != 200 { //nolint:contextcheck // it takes t's
			t.Fatalf("callback: %d\n%s", res.Code, res.Body)
		}
		c, err := f.Find(ctx, auth.Query{Account: user})
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	alice := connect("alice")
	two := set("two")
	if two.ID != one.ID || len(two.Former) != 1 || two.Former[0].ClientID != "one" {
		t.Errorf("replaced: %+v, was %s", two.AppRecord, one.ID)
	}
	f.clock.advance(2 * time.Hour)
	get(t, f.client(t, alice), f.p.URL+"/api/me") // its refresh needs the former client's secret
	if r := f.record(t, alice); r.Status != auth.Active || r.ClientID != "one" || r.RefreshTries != 0 {
		t.Errorf("%+v", r)
	}
	if err := f.DeleteApp(ctx, "", "acme"); err != nil {
		t.Fatal(err)
	}
	_, err = f.App(ctx, "", "acme")
	wantErr(t, err, auth.ErrNoApp)
	f.clock.advance(2 * time.Hour)
	if status, _ := get(t, f.client(t, alice), f.p.URL+"/api/me"); status != 200 {
		t.Errorf("a deleted App still refreshes: %d", status)
	}
	if own, err := f.AppByID(ctx, one.ID); err != nil || !own.Deleted || own.App.ClientID != "two" {
		t.Errorf("%+v, %v", own.AppRecord, err)
	}
	if link := f.link(t, auth.ConnectRequest{}); !strings.Contains(link, "/connect/") {
		t.Errorf("after deleting: %s", link)
	}
	if three := set("three"); three.ID != one.ID || three.Deleted {
		t.Errorf("set again: %+v", three.AppRecord)
	}
	if err := f.SetApp(ctx, "", "acme", connector.App{}); err != nil {
		t.Fatal(err)
	}
	_, err = f.App(ctx, "", "acme")
	wantErr(t, err, auth.ErrNoApp)
}

func TestConfiguredApp(t *testing.T) {
	t.Parallel()
	asked := ""
	f := setUp(t, func(f *fixture) {
		f.cfg.App = func(_ context.Context, env, name string) (connector.App, error) {
			asked = env + " " + name
			if env == "env_own" {
				return connector.App{ClientID: "kms", ClientSecret: "secret of kms"}, nil
			}
			return connector.App{}, nil
		}
	})
	if link := f.link(t, auth.ConnectRequest{}); !strings.Contains(link, "/connect/") || asked != "env_default acme" {
		t.Errorf("zero App: %s, asked for %q", link, asked)
	}
	link := f.link(t, auth.ConnectRequest{Environment: "env_own"})
	if res := f.browser(t).get(f.p.consent(t, link, "alice")); res.Code != 200 {
		t.Fatalf("callback: %d", res.Code)
	}
	r := f.record(t, f.only(t))
	own, err := f.AppByID(t.Context(), r.App)
	if err != nil || !own.External || own.App.ClientID != "kms" || own.Sealed != nil {
		t.Errorf("%+v, %v", own.AppRecord, err)
	}
	f.clock.advance(2 * time.Hour)
	if status, _ := get(t, f.client(t, r.ID), f.p.URL+"/api/me"); status != 200 {
		t.Errorf("refresh: %d", status)
	}
}
