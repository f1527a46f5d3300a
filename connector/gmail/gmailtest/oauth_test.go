package gmailtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

const (
	alice     = "alice@example.com"
	readonly  = "https://www.googleapis.com/auth/gmail.readonly"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// app is an OAuth client that listens for its callback.
type app struct {
	t         *testing.T
	google    *gmailtest.Server
	redirect  string
	callbacks chan url.Values
}

func newApp(t *testing.T) *app {
	t.Helper()
	a := &app{t: t, google: gmailtest.NewServer(), callbacks: make(chan url.Values, 10)}
	t.Cleanup(a.google.Close)
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.callbacks <- r.URL.Query()
		if r.FormValue("error") != "" {
			http.Error(w, "not connected: "+r.FormValue("error"), http.StatusBadRequest)
		}
	}))
	t.Cleanup(callback.Close)
	a.redirect = callback.URL + "/oauth/callback"
	return a
}

// authURL is what a client sends a browser to; edit changes parameters, an empty value removes one.
func (a *app) authURL(edit map[string]string) string {
	cfg := a.google.Config()
	q := url.Values{
		"client_id": {cfg.ClientID}, "redirect_uri": {a.redirect}, "response_type": {"code"}, "scope": {readonly},
		"state": {"xyz"}, "access_type": {"offline"}, "prompt": {"consent"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for k, v := range edit {
		if q.Set(k, v); v == "" {
			q.Del(k)
		}
	}
	return cfg.Endpoints.Authorize + "?" + q.Encode()
}

func (a *app) code(edit map[string]string) string {
	a.t.Helper()
	if err := a.google.Consent(a.t.Context(), a.authURL(edit), alice); err != nil {
		a.t.Fatal(err)
	}
	q := <-a.callbacks
	if q.Get("state") != "xyz" || q.Get("code") == "" {
		a.t.Fatalf("callback got %v", q)
	}
	return q.Get("code")
}

type answer struct {
	Status    int    `json:"-"`
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
	Type      string `json:"token_type"`
	ID        string `json:"id_token"`
	Error     string `json:"error"`
}

func (a *app) post(address string, form url.Values) answer {
	a.t.Helper()
	resp, err := http.PostForm(address, form)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := answer{Status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		a.t.Fatal(err)
	}
	return out
}

func (a *app) exchange(code string, edit map[string]string) answer {
	a.t.Helper()
	cfg := a.google.Config()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.redirect},
		"client_id": {cfg.ClientID}, "client_secret": {cfg.ClientSecret}, "code_verifier": {verifier},
	}
	for k, v := range edit {
		if form.Set(k, v); v == "" {
			form.Del(k)
		}
	}
	return a.post(cfg.Endpoints.Token, form)
}

func (a *app) refresh(token string) answer {
	a.t.Helper()
	cfg := a.google.Config()
	return a.post(cfg.Endpoints.Token, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {cfg.ClientID}, "client_secret": {cfg.ClientSecret},
	})
}

// get calls the Gmail API.
func (a *app) get(token, path string) (status int, body string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.google.URL+"/gmail/v1/users/me/"+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.google.AddClient("strict", "secret", "http://127.0.0.1/registered")
	for _, tt := range []struct {
		name string
		edit map[string]string
		want string
	}{
		{"unknown client", map[string]string{"client_id": "nobody"}, "invalid_client"},
		{"redirect to the world", map[string]string{"redirect_uri": "https://evil.example.com/"}, "redirect_uri_mismatch"},
		{"redirect that is not registered", map[string]string{"client_id": "strict"}, "redirect_uri_mismatch"},
		{"other response type", map[string]string{"response_type": "token"}, "unsupported_response_type"},
		{"no scope", map[string]string{"scope": ""}, "invalid_request"},
		{"plain PKCE", map[string]string{"code_challenge_method": "plain"}, "S256"},
		{"PKCE method without challenge", map[string]string{"code_challenge": ""}, "code_challenge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := a.google.Consent(t.Context(), a.authURL(tt.edit), alice)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	if err := a.google.Consent(t.Context(), a.authURL(nil), "no address"); err == nil {
		t.Error("signed in without an address")
	}
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	code := a.code(nil)
	for _, tt := range []struct {
		name   string
		edit   map[string]string
		status int
		want   string
	}{
		{"wrong secret", map[string]string{"client_secret": "guess"}, 401, "invalid_client"},
		{"no secret", map[string]string{"client_secret": ""}, 401, "invalid_client"},
		{"unknown client", map[string]string{"client_id": "nobody"}, 401, "invalid_client"},
		{"unknown grant type", map[string]string{"grant_type": "password"}, 400, "unsupported_grant_type"},
		{"unknown code", map[string]string{"code": "4/guess"}, 400, "invalid_grant"},
	} {
		if got := a.exchange(code, tt.edit); got.Status != tt.status || got.Error != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	got := a.exchange(code, nil)
	if got.Status != 200 || got.Access == "" || got.Refresh == "" || got.ExpiresIn != 3599 || got.Scope != readonly || got.Type != "Bearer" || got.ID != "" {
		t.Fatalf("%+v", got)
	}
	if again := a.exchange(code, nil); again.Status != 400 || again.Error != "invalid_grant" {
		t.Errorf("the code works twice: %+v", again)
	}
	for name, edit := range map[string]map[string]string{
		"wrong verifier": {"code_verifier": verifier + "x"}, "no verifier": {"code_verifier": ""},
	} {
		if got := a.exchange(a.code(nil), edit); got.Error != "invalid_grant" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := a.exchange(a.code(nil), map[string]string{"redirect_uri": a.redirect + "x"}); got.Error != "redirect_uri_mismatch" {
		t.Errorf("other redirect: %+v", got)
	}
	if got := a.exchange(a.code(map[string]string{"scope": "openid " + readonly}), nil); strings.Count(got.ID, ".") != 2 {
		t.Errorf("openid: %+v", got)
	}

	// Refresh tokens do not rotate and are not repeated.
	for range 2 {
		fresh := a.refresh(got.Refresh)
		if fresh.Status != 200 || fresh.Access == "" || fresh.Access == got.Access || fresh.Refresh != "" {
			t.Errorf("refresh: %+v", fresh)
		}
	}
	if a.google.Refreshes(alice) != 2 {
		t.Errorf("%d refreshes", a.google.Refreshes(alice))
	}
	if bad := a.refresh("1//guess"); bad.Status != 400 || bad.Error != "invalid_grant" {
		t.Errorf("%+v", bad)
	}
}

func TestRefreshTokenOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                string
		edit                map[string]string
		first, second, none bool
	}{
		{"offline, consent", nil, true, true, false},
		{"offline", map[string]string{"prompt": ""}, true, false, false},
		{"online", map[string]string{"access_type": ""}, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			for i, want := range []bool{tt.first, tt.second} {
				if got := a.exchange(a.code(tt.edit), nil); (got.Refresh != "") != want {
					t.Errorf("consent %d: %+v", i+1, got)
				}
			}
		})
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"access", "refresh"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			first, second := a.exchange(a.code(nil), nil), a.exchange(a.code(nil), nil)
			token := map[string]string{"access": first.Access, "refresh": first.Refresh}[kind]
			revoke := a.google.Config().Endpoints.Revoke
			if got := a.post(revoke, url.Values{"token": {token}}); got.Status != 200 {
				t.Fatalf("%+v", got)
			}
			// The whole grant is gone, the second consent's tokens too.
			if got := a.refresh(second.Refresh); got.Error != "invalid_grant" {
				t.Errorf("%+v", got)
			}
			if status, _ := a.get(second.Access, "profile"); status != 401 || !a.google.Revoked(alice) {
				t.Errorf("status %d, revoked %v", status, a.google.Revoked(alice))
			}
			if got := a.post(revoke, url.Values{"token": {token}}); got.Status != 400 || got.Error != "invalid_token" {
				t.Errorf("again: %+v", got)
			}
			a.exchange(a.code(nil), nil)
			if a.google.Revoked(alice) {
				t.Error("still revoked after a new consent")
			}
		})
	}
}

func TestTokensExpire(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	a.google.SetClock(func() time.Time { return now })
	a.google.SetTokenLifetime(5 * time.Second)
	got := a.exchange(a.code(nil), nil)
	if status, _ := a.get(got.Access, "profile"); status != 200 || got.ExpiresIn != 5 {
		t.Fatalf("status %d, %+v", status, got)
	}
	a.google.SetClock(func() time.Time { return now.Add(5 * time.Second) })
	status, body := a.get(got.Access, "profile")
	if status != 401 || !strings.Contains(body, `"UNAUTHENTICATED"`) {
		t.Errorf("%d %s", status, body)
	}
	code := a.code(nil)
	a.google.SetClock(func() time.Time { return now.Add(time.Hour) })
	if got := a.exchange(code, nil); got.Error != "invalid_grant" {
		t.Errorf("an old code: %+v", got)
	}
}

// The browser presses Continue on a page of ours first, with its cookie, and
// reports what the last page says.
func TestBrowser(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-csrf", Value: "c1", Path: "/", HttpOnly: true, Secure: true})
		fmt.Fprint(w, `<html><body><form method="get" action="/search"><input name="q"></form>
			<form method="post" action="/connect?id=7"><input type="hidden" name="token" value="t1"><button>Continue</button></form></body></html>`)
	})
	mux.HandleFunc("POST /connect", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("__Host-csrf"); err != nil || c.Value != "c1" || r.PostFormValue("token") != "t1" || r.FormValue("id") != "7" {
			http.Error(w, "forged", http.StatusForbidden)
			return
		}
		http.Redirect(w, r, a.authURL(nil), http.StatusSeeOther)
	})
	page := httptest.NewServer(mux)
	defer page.Close()
	if err := a.google.Consent(t.Context(), page.URL+"/connect", alice); err != nil {
		t.Fatal(err)
	}
	if q := <-a.callbacks; q.Get("code") == "" {
		t.Errorf("callback got %v", q)
	}
	if err := a.google.Deny(t.Context(), page.URL+"/connect", alice); err != nil {
		t.Fatal(err)
	}
	if q := <-a.callbacks; q.Get("error") != "access_denied" || q.Get("state") != "xyz" || q.Has("code") {
		t.Errorf("callback got %v", q)
	}
	if err := a.google.Consent(t.Context(), page.URL+"/nowhere", alice); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v", err)
	}
}

func TestBrowserReportsTheEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(w http.ResponseWriter, r *http.Request)
		want string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "connected") }, ""},
		{"an error page", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<h1>Not connected</h1><style>x{}</style><p>state expired</p>")
		}, "Not connected state expired"},
		{"out of loopback, well", redirectTo("https://app.example.com/done?status=success"), ""},
		{"out of loopback, with an error", redirectTo("https://app.example.com/done?status=error&reason=denied"), "reason=denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			google := gmailtest.NewServer()
			defer google.Close()
			callback := httptest.NewServer(http.HandlerFunc(tt.end))
			defer callback.Close()
			cfg := google.Config()
			q := url.Values{"client_id": {cfg.ClientID}, "redirect_uri": {callback.URL}, "response_type": {"code"}, "scope": {readonly}}
			err := google.Consent(t.Context(), cfg.Endpoints.Authorize+"?"+q.Encode(), alice)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func redirectTo(address string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, http.StatusSeeOther) }
}
