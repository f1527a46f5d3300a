package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

// Whatever a token endpoint answers: a token, or an *AnswerError.
func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{
		`{"access_token":"a","refresh_token":"r","expires_in":3600}`, `{"error":"invalid_grant"}`, `{"error":{"code":190}}`, `{"ok":false}`,
		`access_token=a&scope=b`, `[]`, `null`, `{"access_token":"a","id_token":"x.eyJ0aWQiOiIxIn0.y"}`, `{"access_token":["a"],"expires_in":-1e400}`, `{"data":[[{}]]}`,
	} {
		f.Add(200, "application/json", []byte(s))
		f.Add(400, "application/x-www-form-urlencoded", []byte(s))
	}
	o := &connector.OAuth{Answer: connector.Answer{
		Access: "a.b|access_token", ExpiresAt: "until", Keep: map[string]string{"x": "data.0.0.x|id_token.tid", "y": "id_token"},
	}}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		tok, err := auth.ParseAnswer(o, status, http.Header{"Content-Type": {kind}}, body, now)
		switch {
		case err == nil && (tok.Access == "" || status >= 400):
			t.Errorf("no token, no error: %+v", tok)
		case err == nil && tok.ExpiresAt.After(now.Add(20*365*24*time.Hour)) && !strings.Contains(string(body), "until"):
			t.Errorf("good until %v", tok.ExpiresAt)
		case err != nil && err.Error() == "":
			t.Error("an error without words")
		}
	})
}

// Whatever an end user enters: it stays in its place of the address.
func FuzzFillURL(f *testing.F) {
	for _, s := range []string{"acme", "evil.com/", "a@b", "..", "a?b#c", "evil.com:80", "%2e", "\\", "[::1]", "https://x", "{x}", "a|b", "é", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		values := map[string]string{"v": v}
		if u, err := auth.FillURL("https://{v}.example.com/fixed", values); err == nil {
			if !strings.HasSuffix(u.Hostname(), ".example.com") || u.User != nil || u.Port() != "" || u.Path != "/fixed" || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("host: %q made %q", v, u)
			}
		}
		if u, err := auth.FillURL("https://example.com/a/{v}/b", values); err == nil {
			if u.Host != "example.com" || u.User != nil || strings.Count(u.EscapedPath(), "/") != 3 || u.RawQuery != "" || u.Fragment != "" || u.Path != "/a/"+v+"/b" {
				t.Errorf("path: %q made %q", v, u)
			}
		}
		if u, err := auth.FillURL("https://example.com/?a={v}&b=1", values); err == nil {
			q, err := url.ParseQuery(u.RawQuery)
			if err != nil || u.Host != "example.com" || q.Get("a") != v || len(q) != 2 || u.Fragment != "" {
				t.Errorf("query: %q made %q", v, u)
			}
		}
		if u, err := auth.FillURL("{v}/fixed", values); err == nil {
			if u.User != nil || !strings.HasSuffix(u.Path, "/fixed") || u.RawQuery != "" || u.Fragment != "" ||
				u.Scheme != "https" && u.Hostname() != "localhost" && !strings.HasPrefix(u.Hostname(), "127.") && u.Hostname() != "::1" && !strings.HasPrefix(strings.ToLower(u.Hostname()), "::ffff:127.") && !strings.EqualFold(u.Hostname(), "localhost") {
				t.Errorf("beginning: %q made %q", v, u)
			}
			if again, err := url.Parse(u.String()); err != nil || auth.Origin(again) != auth.Origin(u) {
				t.Errorf("beginning: %q reads as %q and %v", v, u, again)
			}
		}
	})
}

// Whatever comes to the callback: a page or a redirect, never a Connection
// without a state of ours, never its text in the page.
func FuzzCallback(f *testing.F) {
	for _, s := range []string{"", "code=x&state=y", "error=access_denied&state=AAAA", "state=" + strings.Repeat("A", 43), "%zz", "state=a&state=b", "error=<script>&state=" + strings.Repeat("B", 43), ";;"} {
		f.Add(s)
	}
	fx := setUp(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, publicURL+"/oauth/callback", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		fx.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%q: %d\n%s", query, w.Code, w.Body)
		}
	})
}
