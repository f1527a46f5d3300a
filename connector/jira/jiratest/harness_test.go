package jiratest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

const (
	alice     = "alice@example.com"
	bob       = "bob@example.com"
	scopes    = "read:jira-work write:jira-work read:jira-user manage:jira-webhook read:me offline_access"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// app is an OAuth 2.0 app that listens for its callback and for webhooks.
type app struct {
	t         *testing.T
	atlassian *jiratest.Server
	acme      *jiratest.Site
	redirect  string
	hooks     string // address of the webhooks
	callbacks chan url.Values

	mu     sync.Mutex
	got    []hookCall
	answer func(n int) int // status of the nth webhook call; nil: 200
}

type hookCall struct {
	Header http.Header
	Body   []byte
}

func newApp(t *testing.T) *app {
	t.Helper()
	a := &app{t: t, atlassian: jiratest.NewServer(), callbacks: make(chan url.Values, 10)}
	t.Cleanup(a.atlassian.Close)
	a.acme = a.atlassian.AddSite("acme")
	a.acme.AddProject("ENG", "Engineering")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oauth/callback", func(w http.ResponseWriter, r *http.Request) {
		a.callbacks <- r.URL.Query()
		if r.FormValue("error") != "" {
			http.Error(w, "not connected: "+r.FormValue("error"), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("POST /hooks", a.hook)
	receiver := httptest.NewServer(mux)
	t.Cleanup(receiver.Close)
	a.redirect, a.hooks = receiver.URL+"/oauth/callback", receiver.URL+"/hooks"
	return a
}

func (a *app) hook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, hookCall{r.Header.Clone(), body})
	if a.answer != nil {
		w.WriteHeader(a.answer(len(a.got)))
	}
}

// calls waits until every delivery has come to its end and returns what came.
func (a *app) calls() []hookCall {
	a.t.Helper()
	if err := a.atlassian.Settled(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.got
}

// edit changes parameters, an empty value removes one.
func edited(v url.Values, edit map[string]string) url.Values {
	for k, s := range edit {
		if v.Set(k, s); s == "" {
			v.Del(k)
		}
	}
	return v
}

func (a *app) authURL(edit map[string]string) string {
	return a.atlassian.Endpoints().Authorize + "?" + edited(url.Values{
		"audience": {"api.atlassian.com"}, "client_id": {a.atlassian.App().ClientID}, "redirect_uri": {a.redirect},
		"response_type": {"code"}, "prompt": {"consent"}, "scope": {scopes}, "state": {"xyz"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}, edit).Encode()
}

func (a *app) code(email string, edit map[string]string, sites ...*jiratest.Site) string {
	a.t.Helper()
	if err := a.atlassian.Consent(a.t.Context(), a.authURL(edit), email, sites...); err != nil {
		a.t.Fatal(err)
	}
	q := <-a.callbacks
	if q.Get("state") != "xyz" || q.Get("code") == "" {
		a.t.Fatalf("callback got %v", q)
	}
	return q.Get("code")
}

type tokens struct {
	Status    int    `json:"-"`
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
	Type      string `json:"token_type"`
	Error     string `json:"error"`
}

// token asks the token endpoint, with a form, or with JSON as Atlassian documents it.
func (a *app) token(asJSON bool, params, edit map[string]string) tokens {
	a.t.Helper()
	form := url.Values{"client_id": {a.atlassian.App().ClientID}, "client_secret": {a.atlassian.App().ClientSecret}}
	form = edited(edited(form, params), edit)
	kind, body := "application/x-www-form-urlencoded", []byte(form.Encode())
	if asJSON {
		object := map[string]string{}
		for k := range form {
			object[k] = form.Get(k)
		}
		kind, body = "application/json", encode(a.t, object)
	}
	resp, err := http.Post(a.atlassian.Endpoints().Token, kind, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := tokens{Status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		a.t.Fatal(err)
	}
	return out
}

func (a *app) exchange(code string, edit map[string]string) tokens {
	a.t.Helper()
	return a.token(true, map[string]string{
		"grant_type": "authorization_code", "code": code, "redirect_uri": a.redirect, "code_verifier": verifier,
	}, edit)
}

func (a *app) refresh(token string) tokens {
	a.t.Helper()
	return a.token(false, map[string]string{"grant_type": "refresh_token", "refresh_token": token}, nil)
}

// signIn is a whole consent: the person's access token.
func (a *app) signIn(email string, sites ...*jiratest.Site) string {
	a.t.Helper()
	return a.exchange(a.code(email, nil, sites...), nil).Access
}

// do calls the API; path is relative to a site's gateway address, or absolute.
func (a *app) do(token, method, path string, in any) (status int, body string) {
	a.t.Helper()
	if path[0] != '/' {
		path = "/ex/jira/" + a.acme.CloudID() + "/rest/" + path
	}
	var reader io.Reader
	if in != nil {
		reader = bytes.NewReader(encode(a.t, in))
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.atlassian.URL+path, reader)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// get reads a JSON answer that must be 200.
func (a *app) get(token, path string, out any) {
	a.t.Helper()
	status, body := a.do(token, http.MethodGet, path, nil)
	if status != http.StatusOK {
		a.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	decode(a.t, []byte(body), out)
}

// register makes one dynamic webhook and returns its id, or what is wrong with it.
func (a *app) register(token, jql string, events ...string) (id int, wrong []string) {
	a.t.Helper()
	status, body := a.do(token, http.MethodPost, "api/3/webhook", map[string]any{
		"url": a.hooks, "webhooks": []any{map[string]any{"jqlFilter": jql, "events": events}},
	})
	var out struct {
		Results []struct {
			ID     int      `json:"createdWebhookId"`
			Errors []string `json:"errors"`
		} `json:"webhookRegistrationResult"`
	}
	decode(a.t, []byte(body), &out)
	if status != http.StatusOK || len(out.Results) != 1 {
		a.t.Fatalf("registering: %d %s", status, body)
	}
	return out.Results[0].ID, out.Results[0].Errors
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t *testing.T, b []byte, out any) {
	t.Helper()
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
}

func postForm(t *testing.T, address string, form url.Values) (status int, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
