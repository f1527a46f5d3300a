package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector/gitea"
	"github.com/interactorhq/interactor/internal/realtest/e2e/giteaserver"
)

// testRefusals: what can go wrong on the way to a connection, with examples/server as a process.
func testRefusals(t *testing.T, server *giteaserver.Server) {
	user := server.CreateUser(t, "dora")
	connectors := object{}
	s := newService(t, connectors, nil)
	connectors[gitea.Name] = giteaConfig(server, server.Bob.CreateOAuthApp(t, s.base+"/oauth/callback"))
	site := "https://app.example.com"
	s.config["redirect_origins"] = []string{site}
	s.start(t)

	for _, c := range []struct {
		name, path string
		status     int
		says       string
	}{
		{"no account", "/connector/interactor/gitea/auth-url", http.StatusBadRequest, "account"},
		{"unknown connector", "/connector/interactor/gitae/auth-url?account=u", http.StatusNotFound, "gitae"},
		{"foreign redirectUrl", "/connector/interactor/gitea/auth-url?account=u&redirectUrl=https://evil.example/", http.StatusBadRequest, "redirectUrl"},
		{"redirectUrl that begins like an allowed one", "/connector/interactor/gitea/auth-url?account=u&redirectUrl=https://app.example.com.evil.example/", http.StatusBadRequest, "redirectUrl"},
		{"redirectUrl with a user name", "/connector/interactor/gitea/auth-url?account=u&redirectUrl=" + url.QueryEscape("https://app.example.com@evil.example/"), http.StatusBadRequest, "redirectUrl"},
		{"redirectUrl of another scheme", "/connector/interactor/gitea/auth-url?account=u&redirectUrl=http://app.example.com/", http.StatusBadRequest, "redirectUrl"},
		{"allowed redirectUrl", "/connector/interactor/gitea/auth-url?account=u&redirectUrl=https://app.example.com/done", http.StatusOK, "/connect/"},
		{"the short form", "/connector/gitea/auth-url?account=u", http.StatusOK, "/connect/"},
	} {
		if got := s.call(t, http.MethodGet, c.path, nil); got.status != c.status || !strings.Contains(string(got.body), c.says) {
			t.Errorf("%s: answered %d %s, want %d and %q in it", c.name, got.status, got.body, c.status, c.says)
		}
	}

	visitor := server.NewVisitor(t)
	wantRefused := func(name string, page *giteaserver.Page, err error, says string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if page.Status != http.StatusBadRequest || !strings.Contains(page.Body, says) || page.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: answered %d (Cache-Control %q), want 400 and %q:\n%s", name, page.Status, page.Header.Get("Cache-Control"), says, shown(page))
		}
	}
	denied, err := visitor.DenyFrom(t.Context(), toGitea(t, visitor, s.base, s.authURL(t, gitea.Name, "user-9")), user)
	wantRefused("denied consent", denied, err, "You did not give access to Gitea")

	// Another browser than the one that pressed Continue must not end with somebody's connection.
	lured := server.NewVisitor(t)
	at := toGitea(t, visitor, s.base, s.authURL(t, gitea.Name, "user-9"))
	page, err := lured.Consent(t.Context(), authorizeOf(at).String(), server.Bob)
	wantRefused("another browser than that of the Continue page", page, err, "one browser")

	authURL := s.authURL(t, gitea.Name, "user-9")
	page = consent(t, visitor, s.base, authURL, user)
	wantConnected(t, page, s.base, user.Name)
	callback := page.URL
	page, err = visitor.Open(t.Context(), callback.String())
	wantRefused("replayed callback", page, err, "")
	for name, state := range map[string]string{
		"invented state": strings.Repeat("A", 43), "short state": "A", "no state": "",
	} {
		q := callback.Query()
		q.Set("state", state)
		forged := *callback
		forged.RawQuery = q.Encode()
		page, err = visitor.Open(t.Context(), forged.String())
		wantRefused(name, page, err, "")
	}
	if page, err = visitor.Open(t.Context(), authURL); err != nil || page.Status == http.StatusOK {
		t.Errorf("an auth URL that was used leads to a page with status %d (%v), want a refusal", page.Status, err)
	}
	if conn := s.connection(t, "user-9"); conn.Status != "active" || conn.Identity != user.Name {
		t.Errorf("the connection is %+v, want the active one of %s", conn, user.Name)
	}

	// With an own App there is no Continue page and no cookie: the state alone stands against a replay.
	s.useOwnApp(t, server.Bob.CreateOAuthApp(t, s.base+"/oauth/callback"))
	page, err = visitor.Consent(t.Context(), s.authURL(t, gitea.Name, "user-9"), user)
	if err != nil {
		t.Fatal(err)
	}
	wantConnected(t, page, s.base, user.Name)
	page, err = server.NewVisitor(t).Open(t.Context(), page.URL.String())
	wantRefused("replayed state", page, err, "")
	if conn := s.connection(t, "user-9"); conn.Status != "active" {
		t.Errorf("after the replay the connection is %+v", conn)
	}

	// With an allowed redirectUrl the outcome goes there. Nobody answers at that address: the way is what counts.
	target := s.call(t, http.MethodGet, "/connector/interactor/gitea/auth-url?account=user-9&redirectUrl="+url.QueryEscape(s.base+"/x"), nil)
	if target.status != http.StatusBadRequest {
		t.Errorf("the service's own origin is allowed beside redirect_origins: %d %s", target.status, target.body)
	}
	s.stop(t)
	wantSound(t, s)
}

// authorizeOf is the address of Gitea's authorize page on the way to a page.
func authorizeOf(page *giteaserver.Page) *url.URL {
	for _, address := range append(page.Via, page.URL) {
		if address.Path == "/login/oauth/authorize" {
			return address
		}
	}
	return page.URL
}
