package auth_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	jwt := "x." + base64.RawURLEncoding.EncodeToString([]byte(`{"tid":"tenant-1"}`)) + ".y"
	for name, row := range map[string]struct {
		answer connector.Answer
		body   string
		kind   string
		want   connector.Token
	}{
		"RFC 6749": {connector.Answer{}, `{"access_token":"a","refresh_token":"r","expires_in":3600,"scope":"x y"}`, "",
			connector.Token{Access: "a", Refresh: "r", ExpiresAt: now.Add(time.Hour), Scopes: []string{"x", "y"}}},
		"numbers as text": {connector.Answer{}, `{"access_token":"a","expires_in":"3600"}`, "",
			connector.Token{Access: "a", ExpiresAt: now.Add(time.Hour)}},
		"expires_in 0":  {connector.Answer{}, `{"access_token":"a","expires_in":0}`, "", connector.Token{Access: "a"}},
		"forever":       {connector.Answer{}, `{"access_token":"a","expires_in":1e30}`, "", connector.Token{Access: "a", ExpiresAt: now.Add(10 * 365 * 24 * time.Hour)}},
		"known life":    {connector.Answer{Lifetime: time.Minute}, `{"access_token":"a"}`, "", connector.Token{Access: "a", ExpiresAt: now.Add(time.Minute)}},
		"end as a date": {connector.Answer{ExpiresAt: "expires_at"}, `{"access_token":"a","expires_at":"2026-11-23T13:00:00Z"}`, "", connector.Token{Access: "a", ExpiresAt: now.Add(time.Hour)}},
		"Slack's two places": {connector.Answer{Access: "authed_user.access_token|access_token", Scope: "authed_user.scope", Keep: map[string]string{"team": "team.id"}},
			`{"ok":true,"access_token":"bot","authed_user":{"access_token":"user","scope":"a,b"},"team":{"id":"T1"}}`, "",
			connector.Token{Access: "user", Scopes: []string{"a", "b"}, Values: map[string]string{"team": "T1"}}},
		"second alternative": {connector.Answer{Access: "authed_user.access_token|access_token"}, `{"access_token":"bot","authed_user":{"id":"U"}}`, "", connector.Token{Access: "bot"}},
		"claim of the id_token": {connector.Answer{Keep: map[string]string{"tenant": "id_token.tid", "raw": "nope"}}, `{"access_token":"a","id_token":"` + jwt + `"}`, "",
			connector.Token{Access: "a", Values: map[string]string{"tenant": "tenant-1"}}},
		"list, number and object": {connector.Answer{Keep: map[string]string{"first": "data.0.gid", "n": "hub_id", "owner": "owner"}},
			`{"access_token":"a","data":[{"gid":"g1"}],"hub_id":12345678901234567890,"owner":{"type":"user"},"scope":["x","y"]}`, "",
			connector.Token{Access: "a", Scopes: []string{"x", "y"}, Values: map[string]string{"first": "g1", "n": "12345678901234567890", "owner": `{"type":"user"}`}}},
		"a form, as GitHub's": {connector.Answer{}, `access_token=a&scope=repo%2Cuser&token_type=bearer`, "application/x-www-form-urlencoded",
			connector.Token{Access: "a", Scopes: []string{"repo", "user"}}},
		"empty error": {connector.Answer{}, `{"access_token":"a","error":""}`, "", connector.Token{Access: "a"}},
	} {
		got, err := auth.ParseAnswer(&connector.OAuth{Answer: row.answer}, 200, http.Header{"Content-Type": {row.kind}}, []byte(row.body), now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w := row.want
		if got.Access != w.Access || got.Refresh != w.Refresh || !got.ExpiresAt.Equal(w.ExpiresAt) || !slices.Equal(got.Scopes, w.Scopes) || len(got.Values) != len(w.Values) {
			t.Errorf("%s: %+v, want %+v", name, got, w)
		}
		for k, v := range w.Values {
			if got.Values[k] != v {
				t.Errorf("%s: %s = %q, want %q", name, k, got.Values[k], v)
			}
		}
	}
	for name, row := range map[string]struct {
		status          int
		body            string
		code            string
		dead, transient bool
	}{
		"token beside an error": {200, `{"access_token":"a","error":"bad"}`, "bad", false, false},
		"token in a 400":        {400, `{"access_token":"a"}`, "", false, false},
		"not ok":                {200, `{"ok":false,"access_token":"a"}`, "error", false, false},
		"GitHub":                {200, `{"error":"bad_refresh_token","error_description":"gone"}`, "bad_refresh_token", true, false},
		"error as object":       {400, `{"error":{"type":"OAuthException","code":190}}`, "OAuthException", false, false},
		"503":                   {503, ``, "", false, true},
		"dead wins over 500":    {500, `{"error":"invalid_grant"}`, "invalid_grant", true, false},
		"retry later":           {400, `{"error":"temporarily_unavailable"}`, "temporarily_unavailable", false, true},
		"an array":              {200, `[]`, "", false, false},
		"null":                  {200, `null`, "", false, false},
		"nothing":               {200, ``, "", false, false},
	} {
		_, err := auth.ParseAnswer(&connector.OAuth{Dead: []string{"bad_refresh_token"}}, row.status, http.Header{}, []byte(row.body), now)
		var e *auth.AnswerError
		if !errors.As(err, &e) || e.Status != row.status || e.Code != row.code || e.Dead != row.dead || e.Transient != row.transient {
			t.Errorf("%s: %+v", name, err)
		}
	}
}

func TestFillURL(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		template string
		values   map[string]string
		want     string // empty: refused
	}{
		"plain":                   {"https://example.com/a?b=c", nil, "https://example.com/a?b=c"},
		"shop":                    {"https://{shop}.myshopify.com/admin", map[string]string{"shop": "acme"}, "https://acme.myshopify.com/admin"},
		"shop with a path":        {"https://{shop}.myshopify.com/admin", map[string]string{"shop": "evil.com/x"}, ""},
		"shop with a user":        {"https://{shop}.myshopify.com/admin", map[string]string{"shop": "a@evil.com"}, ""},
		"shop with a query":       {"https://{shop}.myshopify.com/admin", map[string]string{"shop": "evil.com?"}, ""},
		"shop with a port":        {"https://{shop}.myshopify.com/admin", map[string]string{"shop": "evil.com:443"}, ""},
		"shop with a fragment":    {"https://{shop}.myshopify.com/admin", map[string]string{"shop": "evil.com#"}, ""},
		"shop with a backslash":   {"https://{shop}.myshopify.com/admin", map[string]string{"shop": `evil.com\`}, ""},
		"shop with a newline":     {"https://{shop}.myshopify.com/admin", map[string]string{"shop": "a\n"}, ""},
		"shop, percent":           {"https://{shop}.myshopify.com/admin", map[string]string{"shop": "evil%2ecom"}, ""},
		"no value":                {"https://{shop}.myshopify.com/admin", nil, ""},
		"App's host with a port":  {"https://{app.host}/x", map[string]string{"app.host": "git.example.com:3000"}, "https://git.example.com:3000/x"},
		"path segment":            {"https://example.com/{tenant}/token", map[string]string{"tenant": "a/../b?c#d"}, "https://example.com/a%2F..%2Fb%3Fc%23d/token"},
		"path of dots":            {"https://example.com/{tenant}/token", map[string]string{"tenant": ".."}, ""},
		"query value":             {"https://example.com/?t={tenant}&x=1", map[string]string{"tenant": "a&b=c"}, "https://example.com/?t=a%26b%3Dc&x=1"},
		"fragment":                {"https://example.com/#{tenant}", map[string]string{"tenant": "a"}, ""},
		"whole beginning":         {"{instance_url}/services", map[string]string{"instance_url": "https://na1.example.com/"}, "https://na1.example.com/services"},
		"whole beginning, http":   {"{instance_url}/services", map[string]string{"instance_url": "http://na1.example.com"}, ""},
		"whole, http loopback":    {"{instance_url}/services", map[string]string{"instance_url": "http://127.0.0.1:9"}, "http://127.0.0.1:9/services"},
		"whole, user":             {"{instance_url}/services", map[string]string{"instance_url": "https://u@na1.example.com"}, ""},
		"whole, query":            {"{instance_url}/services", map[string]string{"instance_url": "https://na1.example.com?x="}, ""},
		"whole, script":           {"{instance_url}/services", map[string]string{"instance_url": "javascript:alert(1)"}, ""},
		"App's address over http": {"{app.url}/login", map[string]string{"app.url": "http://gitea:3000/sub"}, "http://gitea:3000/sub/login"},
		"alternatives":            {"https://{region}.example.com|https://example.com", nil, "https://example.com"},
		"no address":              {"example.com", nil, ""},
		"user in the template":    {"https://u:p@example.com", nil, ""},
		"unclosed":                {"https://example.com/{x", nil, ""},
	} {
		u, err := auth.FillURL(connector.Template(row.template), row.values)
		switch {
		case row.want == "" && err == nil:
			t.Errorf("%s: %q was accepted", name, u)
		case row.want != "" && (err != nil || u.String() != row.want):
			t.Errorf("%s: %v, %v, want %q", name, u, err, row.want)
		}
	}
}

func TestURLBuilder(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	product := p.product()
	product.d.OAuth.Separator = ","
	product.d.OAuth.Params["response_mode"] = "query"
	product.d.Triggers[0].Scopes = []string{"notes.read", "user_scope=im:history"}
	b := auth.URLBuilder{Connector: product, RedirectURL: "https://app.example.com/oauth/callback", LoginHint: "a+b@example.com"}
	c, err := b.Build("acme.note.added")
	if err != nil {
		t.Fatal(err)
	}
	q := mustURL(t, c.URL).Query()
	for name, want := range map[string]string{
		"scope": "profile,notes.read", "user_scope": "im:history", "state": c.State, "login_hint": "a+b@example.com", "response_mode": "query",
	} {
		if q.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, q.Get(name), want)
		}
	}
	if strings.Contains(c.URL, "+") || len(c.Verifier) != 43 || len(c.State) != 43 {
		t.Errorf("%+v", c)
	}
	if again, _ := b.Build(); again.State == c.State || again.Verifier == c.Verifier {
		t.Error("state and verifier are used twice")
	}
	code := mustURL(t, p.consent(t, c.URL, "alice")).Query().Get("code")
	if tok, err := b.Exchange(t.Context(), code, c); err != nil || tok.Access == "" || tok.Refresh == "" {
		t.Errorf("exchange: %+v, %v", tok, err)
	}
	var e *auth.AnswerError
	if _, err := b.Exchange(t.Context(), code, c); !errors.As(err, &e) || !e.Dead {
		t.Errorf("code replay: %v", err)
	}
	if _, err := b.Build("acme.nope"); err == nil {
		t.Error("unknown trigger")
	}
	for name, bad := range map[string]auth.URLBuilder{
		"no connector": {RedirectURL: b.RedirectURL},
		"no address":   {Connector: product},
		"no OAuth":     {Connector: p.keyed(), RedirectURL: b.RedirectURL},
	} {
		if _, err := bad.Build(); err == nil {
			t.Error(name)
		}
	}
	product.app = connector.App{}
	_, err = b.Build()
	wantErr(t, err, auth.ErrNoApp)
	product.d.OAuth.NoPKCE = true
	product.d.OAuth.Params["response_type"] = ""
	b.App = connector.App{ClientID: "own"}
	if c, err = b.Build(); err != nil || c.Verifier != "" || strings.Contains(c.URL, "code_challenge") || strings.Contains(c.URL, "response_type") {
		t.Errorf("%+v, %v", c, err)
	}
}

// Requests as data: encodings, client authentication, other calls for refresh.
func TestTokenRequests(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		token connector.Request
		want  func(r *http.Request, body string) bool
	}{
		"form": {connector.Request{}, func(r *http.Request, _ string) bool {
			return r.PostForm.Get("client_id") == "default" && r.PostForm.Get("code") != "" && r.Header.Get("Accept") == "application/json"
		}},
		"JSON, Basic, header": {connector.Request{Encoding: connector.JSON, Auth: connector.Basic, Header: map[string]connector.Template{"X-Version": "{app.client_id}-1"}}, func(r *http.Request, body string) bool {
			u, p, ok := r.BasicAuth()
			return ok && u == "default" && p == url.QueryEscape("secret of default") && strings.Contains(body, `"grant_type":"authorization_code"`) &&
				!strings.Contains(body, "client_secret") && r.Header.Get("X-Version") == "default-1"
		}},
		"query, GET": {connector.Request{Encoding: connector.Query, Method: "get"}, func(r *http.Request, body string) bool {
			return r.Method == http.MethodGet && r.URL.Query().Get("client_secret") == "secret of default" && body == ""
		}},
		"own parameters": {connector.Request{Auth: connector.NoAuth, Params: map[string]connector.Template{"redirect_uri": "", "app_key": "{app.client_id}"}}, func(r *http.Request, _ string) bool {
			return !r.PostForm.Has("redirect_uri") && !r.PostForm.Has("client_id") && r.PostForm.Get("app_key") == "default"
		}},
	} {
		p := newProvider(t)
		product := p.product()
		row.token.URL = product.d.OAuth.Token.URL
		product.d.OAuth.Token = row.token
		right := false
		p.set(func() {
			p.before = func(w http.ResponseWriter, r *http.Request) bool {
				body := new(strings.Builder)
				_, _ = io.Copy(body, r.Body)
				right = row.want(r, body.String())
				_, _ = w.Write([]byte(`{"access_token":"a"}`))
				return true
			}
		})
		b := auth.URLBuilder{Connector: product, RedirectURL: "https://app.example.com/cb"}
		c, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Exchange(t.Context(), "code", c); err != nil || !right {
			t.Errorf("%s: %v, right: %v", name, err, right)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ needed, granted, want []string }{
		"all":          {[]string{"a", "b"}, []string{"b", "a"}, nil},
		"one":          {[]string{"a", "b"}, []string{"a"}, []string{"b"}},
		"unsaid":       {[]string{"a"}, nil, nil},
		"long name":    {[]string{"Mail.Read"}, []string{"https://graph.microsoft.com/Mail.Read"}, nil},
		"of parameter": {[]string{"user_scope=im:history"}, []string{"im:history"}, nil},
		"part of one":  {[]string{"ead"}, []string{"read"}, []string{"ead"}},
	} {
		if got := auth.Missing(row.needed, row.granted); !slices.Equal(got, row.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
