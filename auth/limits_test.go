package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

// What does not fit into one sealed value is refused by name, not found out by
// the Keeper.
func TestLargeRequests(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	long := strings.Repeat("<", 70_000)
	for name, row := range map[string]struct {
		req   auth.ConnectRequest
		field string
	}{
		"redirect address": {auth.ConnectRequest{RedirectURL: "https://app.example.com/" + strings.Repeat("a", 5000)}, "redirectUrl"},
		"hint":             {auth.ConnectRequest{LoginHint: long}, "loginHint"},
		"scope":            {auth.ConnectRequest{Scopes: []string{long}}, "scope"},
		"input":            {auth.ConnectRequest{Input: map[string]string{"x": long}}, "input"},
	} {
		row.req.Connector, row.req.Account = "acme", "a"
		_, _, err := f.URL(t.Context(), row.req)
		var bad *auth.RequestError
		if !errors.As(err, &bad) || bad.Field != row.field {
			t.Errorf("%s: %.200v", name, err)
		}
	}
	for name, app := range map[string]connector.App{
		"client_id":     {ClientID: long},
		"client_secret": {ClientID: "x", ClientSecret: long},
		"fields":        {ClientID: "x", Scopes: []string{long}},
	} {
		err := f.SetApp(t.Context(), "", "acme", app)
		var bad *auth.InputError
		if !errors.As(err, &bad) || bad.Invalid[name] == "" || len(err.Error()) > 300 {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

// Former Apps are kept for the Connections that live on them, as many as fit.
func TestManyFormerApps(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	var err error
	for n := 0; n < 20 && err == nil; n++ {
		name := fmt.Sprint("client-", n)
		if err = f.SetApp(t.Context(), "", "acme", connector.App{ClientID: name, ClientSecret: "secret of " + name, Fields: map[string]string{"signing_secret": strings.Repeat("s", 15_000)}}); err == nil {
			f.connectOwn(t, name)
		}
	}
	var bad *auth.InputError
	if !errors.As(err, &bad) || bad.Invalid["client_id"] == "" {
		t.Fatalf("%.300v", err)
	}
	if own, err := f.App(t.Context(), "", "acme"); err != nil || own.App.ClientID == "" {
		t.Errorf("the App is gone: %v", err)
	}
}

// Who may set an App must not get at the tokens that were given to it.
func TestAppCannotTakeTokensToAnotherServer(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) {
		d := &f.product.d
		d.AppFields = append(d.AppFields, connector.Field{Name: "url", Label: "Server", Pattern: "https?://.+", Optional: true})
		d.Endpoints = map[string]connector.Template{"api": connector.Template("{app.url}/api|" + f.p.URL + "/api")}
	})
	ctx := t.Context()
	app := func(client, server string) connector.App {
		return connector.App{ClientID: client, ClientSecret: "secret of " + client, Fields: map[string]string{"url": server}}
	}
	if err := f.SetApp(ctx, "", "acme", app("one", f.p.URL)); err != nil {
		t.Fatal(err)
	}
	conn := f.connectOwn(t, "user-42")
	evil := "https://evil.example"
	refused := func(what string) {
		t.Helper()
		err := f.SetApp(ctx, "", "acme", app("one", evil))
		var bad *auth.InputError
		if !errors.As(err, &bad) || bad.Invalid["url"] == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("moved")
	if err := f.DeleteApp(ctx, "", "acme"); err != nil {
		t.Fatal(err)
	}
	refused("moved after deleting")
	if err := f.SetApp(ctx, "", "acme", app("two", evil)); err != nil { // a registration of its own
		t.Fatal(err)
	}
	refused("moved by way of another client id")
	if s, err := f.Session(ctx, conn); err != nil || s.Endpoints["api"] != f.p.URL+"/api" {
		t.Errorf("Session: %v, %v", s, err)
	}
	if err := f.Disconnect(ctx, conn); err != nil {
		t.Fatal(err)
	}
	if err := f.FinishDisconnect(ctx, conn); err != nil {
		t.Fatal(err)
	}
	if err := f.SetApp(ctx, "", "acme", app("one", evil)); err != nil {
		t.Errorf("moved when nobody lives on it: %v", err)
	}
}

// RedirectURL's own query comes back as it was written.
func TestRedirectKeepsItsQuery(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	const query = "b=2;c&a=%2Fx+y&%73tatus=forged&account=&a=1"
	link := f.link(t, auth.ConnectRequest{RedirectURL: "https://app.example.com/done?" + query})
	b := f.browser(t)
	res := b.get(f.p.consent(t, b.press(t, link, nil).Header().Get("Location"), "alice"))
	u, err := url.Parse(res.Header().Get("Location"))
	if err != nil || !strings.HasPrefix(u.RawQuery, "b=2;c&a=%2Fx+y&a=1&account=user-42&connection=conn_") || !strings.HasSuffix(u.RawQuery, "&connector=acme&status=success") {
		t.Errorf("%d %s, %v", res.Code, u, err)
	}
}

// connectOwn plays the consent with an App of the Environment's own, which leads
// straight to the provider, and returns the Connection's id.
func (f *fixture) connectOwn(t *testing.T, account string) string {
	t.Helper()
	known := f.ids(t)
	res := f.browser(t).get(f.p.consent(t, f.link(t, auth.ConnectRequest{Account: account}), "alice"))
	if res.Code != http.StatusOK {
		t.Fatalf("callback: %d\n%s", res.Code, res.Body)
	}
	for id := range f.ids(t) {
		if !known[id] {
			return id
		}
	}
	t.Fatal("no new connection")
	return ""
}
