package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gitea"
	"github.com/interactorhq/interactor/internal/realtest/e2e/giteaserver"
)

// TestGitea runs what involves a provider against one real Gitea, whose access tokens live 5
// seconds. Each part has users of its own.
func TestGitea(t *testing.T) {
	t.Parallel()
	server := giteaserver.Start(t, giteaserver.Options{})
	for name, part := range map[string]func(*testing.T, *giteaserver.Server){
		"events":   testEvents,
		"account":  testAccount,
		"refusals": testRefusals,
		"browser":  testBrowser,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, server)
		})
	}
}

// endpoints are those of a Gitea.
func endpoints(server *giteaserver.Server) connector.Endpoints {
	return connector.Endpoints{
		Authorize: server.URL + "/login/oauth/authorize",
		Token:     server.URL + "/login/oauth/access_token",
		API:       server.URL + "/api/v1",
	}
}

// giteaConfig is the connector's part of the service's config file.
func giteaConfig(server *giteaserver.Server, app giteaserver.OAuthApp) object {
	return object{"client_id": app.ClientID, "client_secret": app.ClientSecret, "endpoints": endpoints(server)}
}

// consent goes through the whole consent as a person does, without a screen: the auth URL, the
// Continue page, Gitea's login and consent pages, the callback. It checks the way, and returns the
// page on which it ends.
func consent(t *testing.T, visitor *giteaserver.Visitor, base, authURL string, user *giteaserver.User) *giteaserver.Page {
	t.Helper()
	page := toGitea(t, visitor, base, authURL)
	page, err := visitor.ConsentFrom(t.Context(), page, user)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// toGitea goes from an auth URL through the Continue page to Gitea.
func toGitea(t *testing.T, visitor *giteaserver.Visitor, base, authURL string) *giteaserver.Page {
	t.Helper()
	if !strings.HasPrefix(authURL, base+"/connect/") {
		t.Fatalf("with the default App the auth URL is %s, want the Continue page below %s/connect/", authURL, base)
	}
	page, err := visitor.Open(t.Context(), authURL)
	if err != nil {
		t.Fatal(err)
	}
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "Continue to Gitea") {
		t.Fatalf("the Continue page answered %d:\n%s", page.Status, shown(page))
	}
	page, err = visitor.Press(t.Context(), page)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range append(page.Via, page.URL) {
		if address.Path == "/login/oauth/authorize" {
			wantAuthorize(t, address, base)
			return page
		}
	}
	t.Fatalf("Continue led by %v to %s, not to Gitea's authorize page", page.Via, page.URL)
	return nil
}

// wantAuthorize checks what Gitea is asked: PKCE with S256, a state, the callback, scopes.
func wantAuthorize(t *testing.T, address *url.URL, base string) {
	t.Helper()
	q := address.Query()
	for name, ok := range map[string]bool{
		"response_type=code":         q.Get("response_type") == "code",
		"code_challenge_method=S256": q.Get("code_challenge_method") == "S256",
		"code_challenge":             len(q.Get("code_challenge")) == 43,
		"state":                      len(q.Get("state")) >= 43,
		"redirect_uri":               q.Get("redirect_uri") == base+"/oauth/callback",
		"scope":                      strings.Contains(q.Get("scope"), "write:repository"),
	} {
		if !ok {
			t.Errorf("the authorize address lacks a sound %s: %s", name, address)
		}
	}
}

// wantConnected checks the page on which a consent ended.
func wantConnected(t *testing.T, page *giteaserver.Page, base, login string) {
	t.Helper()
	if page.Status != http.StatusOK || page.URL.Path != "/oauth/callback" || !strings.HasPrefix(page.URL.String(), base) ||
		!strings.Contains(page.Body, "Gitea is connected") || !strings.Contains(page.Body, login) {
		t.Fatalf("the consent ended at %s with status %d:\n%s", page.URL, page.Status, shown(page))
	}
}

// shown is a page without its head.
func shown(page *giteaserver.Page) string {
	_, body, found := strings.Cut(page.Body, "<body>")
	if !found {
		return page.Body
	}
	return body
}

// wantHook waits until Gitea holds exactly one webhook of a user that leads to the service, with these events.
func wantHook(t *testing.T, user *giteaserver.User, base string, events ...string) giteaserver.Hook {
	t.Helper()
	var hooks []giteaserver.Hook
	defer func() {
		if t.Failed() {
			t.Logf("Gitea's webhooks: %+v, want one with the events %v", hooks, events)
		}
	}()
	waitUntil(t, arrivalDeadline, "the webhook is in Gitea", func() bool {
		hooks = user.ListOwnHooks(t)
		return len(hooks) == 1 && sameSet(hooks[0].Events, events)
	})
	if h := hooks[0]; !strings.HasPrefix(h.Config.URL, base+"/webhooks/"+gitea.Name+"/sub_") || !h.Active || h.Config.ContentType != "json" {
		t.Fatalf("the webhook in Gitea is %+v", h)
	}
	return hooks[0]
}

// wantNoHook waits until Gitea holds no webhook of a user.
func wantNoHook(t *testing.T, user *giteaserver.User) {
	t.Helper()
	waitUntil(t, arrivalDeadline, "the webhook is gone from Gitea", func() bool { return len(user.ListOwnHooks(t)) == 0 })
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	in := make(map[string]bool, len(a))
	for _, s := range a {
		in[s] = true
	}
	for _, s := range b {
		if !in[s] {
			return false
		}
	}
	return true
}
