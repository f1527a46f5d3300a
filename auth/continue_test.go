package auth_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
)

func TestContinuePage(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	link := f.link(t, auth.ConnectRequest{})
	res := f.browser(t).get(link)
	h := res.Header()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Content-Type": "text/html; charset=utf-8",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q", name, h.Get(name))
		}
	}
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-", "form-action 'self' https: http:"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %q", csp, want)
		}
	}
	cookies := res.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || !strings.HasPrefix(cookies[0].Path, "/integrations/connect/") || cookies[0].Secure {
		t.Errorf("cookies %+v", cookies)
	}
	if strings.Contains(res.Body.String(), "user-42") {
		t.Error("the page shows the account")
	}
	secure := setUp(t, func(f *fixture) { f.cfg.PublicURL = "https://hooks.example.com" })
	address, _, err := secure.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if c := secure.browser(t).get(address).Result().Cookies(); len(c) != 1 || !c[0].Secure || !strings.HasPrefix(c[0].Name, "__Secure-") {
		t.Errorf("over https: %+v", c)
	}
	for name, row := range map[string]struct {
		do     func(b *browser) int
		status int
	}{
		"no csrf":   {func(b *browser) int { b.get(link); return b.post(link, nil).Code }, 403},
		"no cookie": {func(b *browser) int { return b.post(link, url.Values{"csrf": {"x"}}).Code }, 403},
		"csrf of another browser": {func(b *browser) int {
			_, rest, _ := strings.Cut(f.browser(t).get(link).Body.String(), `name="csrf" value="`)
			token, _, _ := strings.Cut(rest, `"`)
			b.get(link)
			return b.post(link, url.Values{"csrf": {token}}).Code
		}, 403},
		"from another site": {func(b *browser) int {
			r, _ := http.NewRequest(http.MethodPost, link, nil)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			return b.do(r).Code
		}, 403},
		"unknown ticket":   {func(b *browser) int { return b.get(publicURL + "/connect/" + strings.Repeat("A", 43)).Code }, 404},
		"no ticket":        {func(b *browser) int { return b.get(publicURL + "/connect/").Code }, 404},
		"wrong method":     {func(b *browser) int { r, _ := http.NewRequest(http.MethodPut, link, nil); return b.do(r).Code }, 405},
		"callback by POST": {func(b *browser) int { return b.post(publicURL+"/oauth/callback", nil).Code }, 405},
		"stripped prefix":  {func(b *browser) int { return b.get("http://127.0.0.1:7777/connect/x").Code }, 404},
		"too much":         {func(b *browser) int { return b.post(link, url.Values{"csrf": {strings.Repeat("x", 300<<10)}}).Code }, 413},
	} {
		if got := row.do(f.browser(t)); got != row.status {
			t.Errorf("%s: %d, want %d", name, got, row.status)
		}
	}
	f.clock.advance(30 * time.Minute)
	if res := f.browser(t).get(link); res.Code != http.StatusNotFound || !strings.Contains(res.Body.String(), "30 minutes") {
		t.Errorf("expired ticket: %d", res.Code)
	}
}

func TestFieldsOnContinuePage(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.p.set(func() { f.p.access["s3cret-key-of-alice"] = "alice" })
	b := f.browser(t)
	link := f.link(t, auth.ConnectRequest{Connector: "keyed", Input: map[string]string{"team": "blue"}})
	page := b.get(link).Body.String()
	if !strings.Contains(page, `type="password"`) || !strings.Contains(page, "<select") || strings.Contains(page, `name="field.team"`) {
		t.Errorf("fields asked for:\n%s", page)
	}
	res := b.press(t, link, map[string]string{"region": "mars", "api_key": "s3cret-key-of-alice"})
	if res.Code != http.StatusUnprocessableEntity || !strings.Contains(res.Body.String(), "does not look right") || strings.Contains(res.Body.String(), "s3cret") {
		t.Errorf("refused field: %d\n%s", res.Code, res.Body)
	}
	if res := b.press(t, link, nil); res.Code != http.StatusUnprocessableEntity || !strings.Contains(res.Body.String(), "fill this in") {
		t.Errorf("missing field: %d", res.Code)
	}
	if res := b.press(t, link, map[string]string{"region": "us", "api_key": "s3cret-key-of-alice"}); res.Code != http.StatusOK {
		t.Fatalf("connect: %d\n%s", res.Code, res.Body)
	}
	r := f.record(t, f.only(t))
	if r.Values["region"] != "us" || r.Values["team"] != "blue" || r.Values["api_key"] != "" || len(r.Identities) != 1 || r.Identities[0].ID != r.ID {
		t.Errorf("stored %+v", r)
	}
	s, err := f.Session(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	var me struct{ User string }
	if err := s.JSON(t.Context(), http.MethodGet, "me", nil, &me); err != nil || me.User != "alice" {
		t.Errorf("call: %+v, %v", me, err)
	}
	if secrets, err := f.Secrets(t.Context(), r.ID); err != nil || secrets["api_key"] != "s3cret-key-of-alice" {
		t.Errorf("secrets: %v, %v", secrets, err)
	}
}

func TestConnectWithoutBrowser(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	_, err := f.Connect(t.Context(), auth.ConnectRequest{Connector: "keyed", Account: "a"})
	var bad *auth.InputError
	if !errors.As(err, &bad) || !slices.Equal(bad.Missing, []string{"api_key"}) {
		t.Errorf("missing field: %v", err)
	}
	var wrong *auth.RequestError
	if _, err = f.Connect(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a"}); !errors.As(err, &wrong) {
		t.Errorf("a connector with OAuth: %v", err)
	}
	c, err := f.Connect(t.Context(), auth.ConnectRequest{Connector: "keyed", Account: "a", Input: map[string]string{"api_key": "k1"}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.Connect(t.Context(), auth.ConnectRequest{Connector: "keyed", Account: "a", Input: map[string]string{"api_key": "k2"}})
	if err != nil || again.ID != c.ID {
		t.Errorf("again: %v, %v, want %v", again.ID, err, c.ID)
	}
}
