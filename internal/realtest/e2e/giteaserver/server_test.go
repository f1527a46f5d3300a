package giteaserver_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/realtest/e2e/browser"
	"github.com/interactorhq/interactor/internal/realtest/e2e/giteaserver"
)

// arrivalDeadline is generous: about 1 s is usual.
const arrivalDeadline = 20 * time.Second

// hook is a webhook request as it came in.
type hook struct {
	event, signature string
	body             []byte
}

// receiver is a loopback server that hands over each webhook it gets.
func receiver(t *testing.T) (address string, hooks <-chan hook) {
	t.Helper()
	arrived := make(chan hook, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- hook{r.Header.Get("X-Gitea-Event"), r.Header.Get("X-Gitea-Signature"), body}
	}))
	t.Cleanup(server.Close)
	return server.URL, arrived
}

// next waits for the next webhook of one kind; others that come before it are passed over.
func next(t *testing.T, hooks <-chan hook, event string) hook {
	t.Helper()
	deadline := time.After(arrivalDeadline)
	for {
		select {
		case h := <-hooks:
			if h.event == event {
				return h
			}
		case <-deadline:
			t.Fatalf("no %s webhook came within %v", event, arrivalDeadline)
		}
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	gitea := giteaserver.Start(t, giteaserver.Options{AccessTokenLifetime: 2 * time.Second})
	t.Run("webhooks", func(t *testing.T) {
		t.Parallel()
		testWebhooks(t, gitea)
	})
	t.Run("consent", func(t *testing.T) {
		t.Parallel()
		testConsent(t, gitea)
	})
	t.Run("browser", func(t *testing.T) {
		t.Parallel()
		testBrowser(t, gitea)
	})
	t.Run("login", func(t *testing.T) {
		t.Parallel()
		testLogin(t, gitea)
	})
}

func testWebhooks(t *testing.T, gitea *giteaserver.Server) {
	const secret = "only the two of us know"
	alice, bob := gitea.Alice, gitea.Bob
	address, hooks := receiver(t)
	repo := alice.CreateRepo(t, "garden")
	if repo != "alice/garden" {
		t.Fatalf("CreateRepo returned %q, want alice/garden", repo)
	}
	id := alice.CreateHook(t, repo, address, secret, "push", "issues", "issue_comment", "pull_request", "release", "fork")
	if listed := alice.ListHooks(t, repo); len(listed) != 1 || listed[0].ID != id || listed[0].Config.URL != address || !listed[0].Active {
		t.Fatalf("ListHooks returned %+v, want the hook %d to %s", listed, id, address)
	}

	var issue int64
	for _, step := range []struct {
		event string
		act   func()
		want  string // must stand in the body
	}{
		{"issues", func() { issue = bob.CreateIssue(t, repo, "The gate squeaks", "Oil it.") }, "The gate squeaks"},
		{"issue_comment", func() { alice.Comment(t, repo, issue, "Oiled.") }, "Oiled."},
		{"issues", func() { alice.CloseIssue(t, repo, issue) }, `"action":"closed"`},
		{"push", func() { alice.Push(t, repo, "main", "oil.txt", "5 ml", "Buy oil") }, "Buy oil"},
		{"push", func() { alice.Push(t, repo, "paint", "paint.txt", "green", "Buy paint") }, "refs/heads/paint"},
		{"pull_request", func() { alice.OpenPull(t, repo, "paint", "Paint the gate") }, "Paint the gate"},
		{"release", func() { alice.CreateRelease(t, repo, "v1.0", "Spring") }, "Spring"},
		{"fork", func() { bob.Fork(t, repo) }, "bob/garden"},
	} {
		step.act()
		got := next(t, hooks, step.event)
		if !strings.Contains(compact(t, got.body), step.want) {
			t.Errorf("%s: the body lacks %q", step.event, step.want)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(got.body)
		if want := hex.EncodeToString(mac.Sum(nil)); got.signature != want {
			t.Errorf("%s: the signature is %q, want %q", step.event, got.signature, want)
		}
	}
	bob.Star(t, repo) // there is no webhook for it, but the call has to work
	alice.DeleteHook(t, repo, id)
	if listed := alice.ListHooks(t, repo); len(listed) != 0 {
		t.Errorf("after DeleteHook ListHooks returned %+v, want none", listed)
	}
}

func compact(t *testing.T, body []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func testConsent(t *testing.T, gitea *giteaserver.Server) {
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Query().Encode())
	}))
	t.Cleanup(callback.Close)
	app := gitea.Bob.CreateOAuthApp(t, callback.URL+"/callback")
	client := oauthClient{gitea: gitea, app: app, redirect: callback.URL + "/callback"}

	visitor := gitea.NewVisitor(t)
	denied := answer(t, visitor.Deny, client.authURL("state-1"), gitea.Bob)
	if got := denied.Get("error"); got != "access_denied" {
		t.Errorf("after Deny the callback got %v, want error=access_denied", denied)
	}
	granted := answer(t, visitor.Consent, client.authURL("state-2"), gitea.Bob)
	if granted.Get("state") != "state-2" || granted.Get("code") == "" {
		t.Fatalf("after Consent the callback got %v, want a code and state-2", granted)
	}
	if _, err := visitor.Deny(t.Context(), client.authURL("state-3"), gitea.Bob); err == nil {
		t.Error("Deny of what stands granted returned no error, though Gitea never asks")
	}

	first := client.token(t, url.Values{"grant_type": {"authorization_code"}, "code": {granted.Get("code")}, "code_verifier": {verifier}})
	if status := client.whoami(t, first.Access); status != http.StatusOK {
		t.Fatalf("a fresh access token answered %d, want 200", status)
	}
	waitUntil(t, "the access token has expired", func() bool { return client.whoami(t, first.Access) == http.StatusUnauthorized })
	second := client.token(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}})
	if second.Refresh == first.Refresh || client.whoami(t, second.Access) != http.StatusOK {
		t.Error("the refresh did not bring a new refresh token and a working access token")
	}
	if replay := client.token(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}}); replay.Error == "" {
		t.Error("a used refresh token was accepted again")
	}

	if err := visitor.RevokeGrants(t.Context()); err != nil {
		t.Fatal(err)
	}
	if revoked := client.token(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {second.Refresh}}); revoked.Error == "" {
		t.Error("a refresh token still works after RevokeGrants")
	}
	gitea.Bob.DeleteOAuthApp(t, app)
}

func testLogin(t *testing.T, gitea *giteaserver.Server) {
	app := gitea.Bob.CreateOAuthApp(t, "http://127.0.0.1:9/never")
	client := oauthClient{gitea: gitea, app: app, redirect: "http://127.0.0.1:9/never"}
	stranger := &giteaserver.User{Name: "bob", Password: "wrong"}
	if page, err := gitea.NewVisitor(t).Consent(t.Context(), client.authURL("s"), stranger); err == nil {
		t.Errorf("a wrong password led to %s, want an error", page.URL)
	}
	client.redirect = "http://127.0.0.1:9/elsewhere"
	if page, err := gitea.NewVisitor(t).Consent(t.Context(), client.authURL("s"), gitea.Bob); err == nil {
		t.Errorf("an unregistered redirect address led to %s, want an error", page.URL)
	}
}

// A person's own browser has to get through Gitea's pages too.
func testBrowser(t *testing.T, gitea *giteaserver.Server) {
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>Back</title><p id="state">`+r.URL.Query().Get("state")+`</p>`)
	}))
	t.Cleanup(callback.Close)
	app := gitea.Alice.CreateOAuthApp(t, callback.URL)
	client := oauthClient{gitea: gitea, app: app, redirect: callback.URL}

	b := browser.New(t)
	b.Open(t, client.authURL("state-4"))
	b.Type(t, "#user_name", gitea.Alice.Name)
	b.Type(t, "#password", gitea.Alice.Password)
	b.Screenshot(t, "gitea-login")
	b.Follow(t, "form button.primary")
	b.Screenshot(t, "gitea-consent")
	address, status := b.Follow(t, "#authorize-app")
	if state := b.Text(t, "#state"); status != http.StatusOK || state != "state-4" {
		t.Errorf("the browser ended at %s with status %d and state %q, want state-4", address, status, state)
	}
}

// PKCE's example pair, RFC 7636 appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

type oauthClient struct {
	gitea    *giteaserver.Server
	app      giteaserver.OAuthApp
	redirect string
}

func (c oauthClient) authURL(state string) string {
	return c.gitea.URL + "/login/oauth/authorize?" + url.Values{
		"client_id": {c.app.ClientID}, "redirect_uri": {c.redirect}, "response_type": {"code"}, "state": {state},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
}

func (c oauthClient) token(t *testing.T, form url.Values) tokens {
	t.Helper()
	form.Set("client_id", c.app.ClientID)
	form.Set("client_secret", c.app.ClientSecret)
	form.Set("redirect_uri", c.redirect)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.gitea.URL+"/login/oauth/access_token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var out tokens
	status, body := send(t, req)
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("the token endpoint answered %d %s: %v", status, body, err)
	}
	return out
}

func (c oauthClient) whoami(t *testing.T, access string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.gitea.URL+"/api/v1/user", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	status, _ := send(t, req)
	return status
}

func send(t *testing.T, req *http.Request) (int, []byte) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// answer makes the visit and returns what the callback was called with.
func answer(t *testing.T, visit func(context.Context, string, *giteaserver.User) (*giteaserver.Page, error), address string, user *giteaserver.User) url.Values {
	t.Helper()
	page, err := visit(t.Context(), address, user)
	if err != nil {
		t.Fatal(err)
	}
	values, err := url.ParseQuery(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func waitUntil(t *testing.T, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(arrivalDeadline)
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", arrivalDeadline, what)
		}
	}
}
