package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

func TestConnectThroughContinuePage(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	b := f.browser(t)
	link := f.link(t, auth.ConnectRequest{LoginHint: "alice@example.com", Scopes: []string{"extra"}})
	if !strings.HasPrefix(link, publicURL+"/connect/") {
		t.Fatalf("link %q does not lead to the Continue page", link)
	}
	page := b.get(link)
	for _, want := range []string{"Connect Acme", "Continue to Acme", "Example", "A Note is Added", "notes.read"} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the Continue page does not say %q", want)
		}
	}
	res := b.press(t, link, nil)
	to, err := url.Parse(res.Header().Get("Location"))
	if res.Code != http.StatusSeeOther || err != nil {
		t.Fatalf("Continue: %d %v", res.Code, err)
	}
	for name, want := range map[string]string{
		"client_id": "default", "redirect_uri": publicURL + "/oauth/callback", "scope": "profile notes.read extra",
		"access_type": "offline", "login_hint": "alice@example.com",
	} {
		if got := to.Query().Get(name); got != want {
			t.Errorf("consent address: %s = %q, want %q", name, got, want)
		}
	}
	callback := f.p.consent(t, to.String(), "alice")
	res = b.get(callback)
	if res.Code != http.StatusOK || !strings.Contains(res.Body.String(), "alice@example.com") {
		t.Fatalf("callback: %d\n%s", res.Code, res.Body)
	}
	r := f.record(t, f.only(t))
	if r.Status != auth.Active || r.Account != "user-42" || r.Environment != "env_default" || r.Identity != "alice@example.com" ||
		r.Holder != "id-alice" || r.App != "" || r.ClientID != "default" || len(r.Missing) != 0 || !r.ExpiresAt.Equal(f.clock.now().Add(time.Hour)) {
		t.Errorf("stored: %+v", r)
	}
	if !slices.Contains(f.changed, r.ID) {
		t.Error("Changed was not called")
	}
	if res := b.get(callback); res.Code != http.StatusBadRequest || !strings.Contains(res.Body.String(), "no longer valid") {
		t.Errorf("replayed state: %d\n%s", res.Code, res.Body)
	}
	if res := b.get(link); res.Code != http.StatusNotFound {
		t.Errorf("used ticket: %d", res.Code)
	}
	if n := f.p.count("/token"); n != 1 {
		t.Errorf("%d calls to the token endpoint", n)
	}
}

func TestOwnAppLeadsStraightToProvider(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	if err := f.SetApp(t.Context(), "", "acme", connector.App{ClientID: "own", ClientSecret: "secret of own"}); err != nil {
		t.Fatal(err)
	}
	link := f.link(t, auth.ConnectRequest{RedirectURL: "https://app.example.com/done?keep=1&status=x"})
	res := f.browser(t).get(f.p.consent(t, link, "alice"))
	if res.Code != http.StatusSeeOther {
		t.Fatalf("callback: %d\n%s", res.Code, res.Body)
	}
	r := f.record(t, f.only(t))
	want := "https://app.example.com/done?account=user-42&connection=" + r.ID + "&connector=acme&keep=1&status=success"
	if got := res.Header().Get("Location"); got != want {
		t.Errorf("sent to %q, want %q", got, want)
	}
	if !strings.HasPrefix(r.App, "app_") || r.ClientID != "own" {
		t.Errorf("made with App %q, client %q", r.App, r.ClientID)
	}
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	first := f.connect(t, "alice", auth.ConnectRequest{})
	again := func(user, account string) {
		t.Helper()
		b := f.browser(t)
		res := b.get(f.p.consent(t, b.press(t, f.link(t, auth.ConnectRequest{Account: account}), nil).Header().Get("Location"), user))
		if res.Code != http.StatusOK {
			t.Fatalf("callback: %d", res.Code)
		}
	}
	if err := f.MarkExpired(t.Context(), first.ID, "died"); err != nil {
		t.Fatal(err)
	}
	again("alice", "user-42")
	if r := f.record(t, f.only(t)); r.ID != first.ID || r.Status != auth.Active || r.Reason != "" {
		t.Errorf("the same person again: %+v", r.Connection)
	}
	again("bob", "user-42")
	if n := len(f.ids(t)); n != 2 {
		t.Errorf("another mailbox: %d connections", n)
	}
	again("alice", "user-43")
	if n := len(f.ids(t)); n != 3 {
		t.Errorf("another account: %d connections", n)
	}
	_, err := f.Find(t.Context(), auth.Query{Account: "user-42"})
	wantErr(t, err, auth.ErrAmbiguous)
	_, err = f.Find(t.Context(), auth.Query{Account: "nobody"})
	wantErr(t, err, auth.ErrNotFound)
	if c, err := f.Find(t.Context(), auth.Query{Account: "user-43"}); err != nil || c.Identity != "alice@example.com" {
		t.Errorf("found %+v, %v", c, err)
	}
}

// Each row spoils a consent that would work; nothing is connected, and the
// person in front of it gets a page that says so.
func TestCallbackBadInput(t *testing.T) {
	t.Parallel()
	type scene struct {
		f        *fixture
		b        *browser
		callback string
	}
	edit := func(change func(url.Values)) func(*testing.T, *scene) {
		return func(_ *testing.T, s *scene) {
			u, _ := url.Parse(s.callback)
			q := u.Query()
			change(q)
			u.RawQuery = q.Encode()
			s.callback = u.String()
		}
	}
	answers := func(status int, body string) func(*testing.T, *scene) {
		return func(_ *testing.T, s *scene) {
			s.f.p.set(func() {
				s.f.p.before = func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path == "/token" {
						w.WriteHeader(status)
						_, _ = w.Write([]byte(body))
					}
					return r.URL.Path == "/token"
				}
			})
		}
	}
	for name, row := range map[string]struct {
		spoil  func(*testing.T, *scene)
		status int
		says   string
		again  bool // offers to try again
		code   string
	}{
		"unknown state":                  {edit(func(q url.Values) { q.Set("state", strings.Repeat("A", 43)) }), 400, "no longer valid", false, ""},
		"malformed state":                {edit(func(q url.Values) { q.Set("state", "x") }), 400, "no longer valid", false, ""},
		"no state":                       {edit(func(q url.Values) { q.Del("state") }), 400, "Start from where you use it", false, ""},
		"two states":                     {edit(func(q url.Values) { q.Add("state", q.Get("state")) }), 400, "no longer valid", false, ""},
		"two codes":                      {edit(func(q url.Values) { q.Add("code", "x") }), 400, "no longer valid", false, ""},
		"no code":                        {edit(func(q url.Values) { q.Del("code") }), 400, "does not belong", false, "invalid_input"},
		"unknown code":                   {edit(func(q url.Values) { q.Set("code", "x") }), 502, "did not accept", true, "provider_refused"},
		"denied consent":                 {edit(func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }), 400, "did not give access", true, "access_denied"},
		"other error of the provider":    {edit(func(q url.Values) { q.Set("error", "invalid_scope") }), 502, "did not complete", true, "invalid_scope"},
		"error that is no code":          {edit(func(q url.Values) { q.Set("error", "<script>") }), 502, "did not complete", true, "provider_refused"},
		"expired state":                  {func(_ *testing.T, s *scene) { s.f.clock.advance(31 * time.Minute) }, 400, "no longer valid", false, ""},
		"provider 500":                   {answers(500, "oops"), 502, "does not answer", true, "temporarily_unavailable"},
		"provider 503 with JSON":         {answers(503, `{"message":"down"}`), 502, "does not answer", true, "temporarily_unavailable"},
		"error in a 200":                 {answers(200, `{"ok":false,"error":"invalid_code"}`), 502, "did not accept", true, "provider_refused"},
		"200 without a token":            {answers(200, `{}`), 502, "did not accept", true, "provider_refused"},
		"200 that is no JSON":            {answers(200, `<html>`), 502, "did not accept", true, "provider_refused"},
		"redirect by the token endpoint": {answers(302, ``), 502, "did not accept", true, "provider_refused"},
		"provider away":                  {func(_ *testing.T, s *scene) { s.f.p.Close() }, 502, "does not answer", true, "temporarily_unavailable"},
		"identify fails": {func(_ *testing.T, s *scene) {
			s.f.p.set(func() {
				s.f.p.before = func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path == "/api/me" {
						w.WriteHeader(403)
						return true
					}
					return false
				}
			})
		}, 502, "did not accept", true, "provider_refused"},
		"identify is told to come back": {func(_ *testing.T, s *scene) {
			s.f.p.set(func() {
				s.f.p.before = func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path == "/api/me" {
						w.WriteHeader(429)
						return true
					}
					return false
				}
			})
		}, 502, "does not answer", true, "temporarily_unavailable"},
		"another browser": {func(t *testing.T, s *scene) { s.b = s.f.browser(t) }, 400, "one browser", false, ""},
		"wrong cookie": {func(t *testing.T, s *scene) {
			other := s.f.browser(t)
			u, _ := url.Parse(s.callback)
			var forged []*http.Cookie
			for _, c := range s.b.jar.Cookies(u) {
				forged = append(forged, &http.Cookie{Name: c.Name, Value: strings.Repeat("A", 43), Path: u.Path})
			}
			if len(forged) == 0 {
				t.Fatal("the browser has no cookie for the callback")
			}
			other.jar.SetCookies(u, forged)
			s.b = other
		}, 400, "one browser", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, redirect := range []string{"", "https://app.example.com/done"} {
				f := setUp(t)
				b := f.browser(t)
				link := f.link(t, auth.ConnectRequest{RedirectURL: redirect})
				s := &scene{f, b, f.p.consent(t, b.press(t, link, nil).Header().Get("Location"), "alice")}
				row.spoil(t, s)
				res := s.b.get(s.callback)
				body := res.Body.String()
				if redirect != "" && row.code != "" {
					to, _ := url.Parse(res.Header().Get("Location"))
					if q := to.Query(); res.Code != 303 || to.Host != "app.example.com" || q.Get("status") != "error" || q.Get("error") != row.code || q.Get("account") != "user-42" {
						t.Errorf("sent to %q with %d, want error=%s", to, res.Code, row.code)
					}
				} else if res.Code != row.status || !strings.Contains(body, row.says) || strings.Contains(body, "Try again") != row.again {
					t.Errorf("got %d, want %d %q again=%v:\n%s", res.Code, row.status, row.says, row.again, body)
				}
				if len(f.ids(t)) != 0 {
					t.Error("something was connected")
				}
				if strings.Contains(body, "<script>") {
					t.Error("the query got into the page as it is")
				}
				if row.again && redirect == "" && name != "provider away" { // nothing lost: the same link still works
					f.p.set(func() { f.p.before = nil })
					b := f.browser(t)
					res := b.get(f.p.consent(t, b.press(t, link, nil).Header().Get("Location"), "alice"))
					if res.Code != 200 || len(f.ids(t)) != 1 {
						t.Errorf("second try: %d\n%s", res.Code, res.Body)
					}
				}
			}
		})
	}
}

// With an own App there is no Continue page to go back to: trying again is a
// fresh state.
func TestTryAgainWithOwnApp(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	if err := f.SetApp(t.Context(), "", "acme", connector.App{ClientID: "own", ClientSecret: "secret of own"}); err != nil {
		t.Fatal(err)
	}
	callback := f.p.consent(t, f.link(t, auth.ConnectRequest{}), "alice")
	f.p.set(func() {
		f.p.before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }
	})
	res := f.browser(t).get(callback)
	_, rest, found := strings.Cut(res.Body.String(), `class="button" href="`)
	link, _, _ := strings.Cut(rest, `"`)
	if res.Code != 502 || !found {
		t.Fatalf("%d\n%s", res.Code, res.Body)
	}
	f.p.set(func() { f.p.before = nil })
	if res := f.browser(t).get(f.p.consent(t, strings.ReplaceAll(link, "&amp;", "&"), "alice")); res.Code != 200 {
		t.Errorf("second try: %d\n%s", res.Code, res.Body)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	var saw auth.Connection
	f := setUp(t, func(f *fixture) {
		f.cfg.Confirm = func(r *http.Request, c auth.Connection) error {
			saw = c
			if r.URL.Query().Get("state") == "" {
				return errors.New("not the callback's request")
			}
			return errors.New("You are signed in as somebody else <b>.")
		}
	})
	b := f.browser(t)
	res := b.get(f.p.consent(t, b.press(t, f.link(t, auth.ConnectRequest{}), nil).Header().Get("Location"), "alice"))
	if res.Code != http.StatusForbidden || !strings.Contains(res.Body.String(), "somebody else &lt;b&gt;.") {
		t.Errorf("%d\n%s", res.Code, res.Body)
	}
	if saw.Account != "user-42" || saw.Identity != "alice@example.com" || len(f.ids(t)) != 0 {
		t.Errorf("asked about %+v, connected %v", saw, f.ids(t))
	}
	if f.p.count("/revoke") != 1 {
		t.Error("the refused grant stays at the provider")
	}
}

func TestURLBadInput(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) { f.product.app = connector.App{} })
	field := func(want string) func(error) bool {
		return func(err error) bool {
			var bad *auth.RequestError
			return errors.As(err, &bad) && bad.Field == want
		}
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for name, row := range map[string]struct {
		req  auth.ConnectRequest
		want func(error) bool
	}{
		"missing connector":    {auth.ConnectRequest{Account: "a"}, field("connector")},
		"unknown connector":    {auth.ConnectRequest{Connector: "nope", Account: "a"}, is(auth.ErrUnknownConnector)},
		"missing account":      {auth.ConnectRequest{Connector: "keyed"}, field("account")},
		"long account":         {auth.ConnectRequest{Connector: "keyed", Account: strings.Repeat("a", 513)}, field("account")},
		"account with newline": {auth.ConnectRequest{Connector: "keyed", Account: "a\nb"}, field("account")},
		"account not UTF-8":    {auth.ConnectRequest{Connector: "keyed", Account: "a\xff"}, field("account")},
		"no App":               {auth.ConnectRequest{Connector: "acme", Account: "a"}, is(auth.ErrNoApp)},
		"unknown field": {auth.ConnectRequest{Connector: "keyed", Account: "a", Input: map[string]string{"nope": "x"}}, func(err error) bool {
			var bad *auth.InputError
			return errors.As(err, &bad) && bad.Invalid["nope"] != ""
		}},
		"refused field": {auth.ConnectRequest{Connector: "keyed", Account: "a", Input: map[string]string{"region": "mars"}}, func(err error) bool {
			var bad *auth.InputError
			return errors.As(err, &bad) && bad.Invalid["region"] != ""
		}},
		"missing, not to be asked": {auth.ConnectRequest{Connector: "keyed", Account: "a", SkipInput: true}, func(err error) bool {
			var bad *auth.InputError
			return errors.As(err, &bad) && slices.Equal(bad.Missing, []string{"api_key"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := f.URL(t.Context(), row.req); !row.want(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRedirectURL(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) {
		f.cfg.RedirectOrigins = []string{"https://app.example.com", "http://localhost:3000/"}
	})
	for address, want := range map[string]bool{
		"https://app.example.com/done":               true,
		"https://app.example.com":                    true,
		"https://APP.example.com:443/done?x=1":       true,
		"http://localhost:3000/done":                 true,
		"http://localhost:3001/done":                 false,
		"http://app.example.com/done":                false,
		"https://app.example.com:8443/done":          false,
		"https://app.example.com.evil.com/":          false,
		"https://evil.com/https://app.example.com":   false,
		"https://evil.com\\@app.example.com/":        false,
		"https://app.example.com\\.evil.com/":        false,
		"https://app.example.com@evil.com/":          false,
		"https://user@app.example.com/":              false,
		"https://app.example.com/#x":                 false,
		"https://app.example.com/#":                  false,
		"//app.example.com/":                         false,
		"/done":                                      false,
		"javascript:alert(1)//app.example.com":       false,
		"https:app.example.com/":                     false,
		"https:///app.example.com/":                  false,
		" https://app.example.com/":                  false,
		"https://app.example.com/\r\nLocation: evil": false,
		"https://app.example.com./":                  false,
		"https://sub.app.example.com/":               false,
	} {
		_, _, err := f.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a", RedirectURL: address})
		if want && err != nil || !want && !errors.Is(err, auth.ErrRedirect) {
			t.Errorf("%q: %v", address, err)
		}
	}
	own := setUp(t, func(f *fixture) { f.cfg.RedirectOrigins = nil })
	if _, _, err := own.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a", RedirectURL: "http://127.0.0.1:7777/x"}); err != nil {
		t.Errorf("the origin of PublicURL: %v", err)
	}
}

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

func TestSealedAtRest(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	f.connect(t, "alice", auth.ConnectRequest{})
	if _, err := f.Connect(ctx, auth.ConnectRequest{Connector: "keyed", Account: "a", Input: map[string]string{"api_key": "very-secret-key"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.SetApp(ctx, "", "acme", connector.App{ClientID: "own", ClientSecret: "very-secret-client", Fields: map[string]string{"signing_secret": "very-secret-signing"}}); err != nil {
		t.Fatal(err)
	}
	link := f.link(t, auth.ConnectRequest{Account: "somebody"})
	state := mustURL(t, link).Query().Get("state")
	var all []byte
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(f.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if !strings.Contains(string(all), "user-42") {
		t.Fatal("this is not the store")
	}
	for _, secret := range []string{"access-", "refresh-", "very-secret", state} {
		if strings.Contains(string(all), secret) {
			t.Errorf("%q is in the file", secret)
		}
		if strings.Contains(f.logs.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestMultiTenant(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) { f.cfg.DefaultEnvironment = "" })
	_, _, err := f.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a"})
	wantErr(t, err, auth.ErrEnvironment)
	for _, err := range f.Connections(t.Context(), auth.Query{}) {
		wantErr(t, err, auth.ErrEnvironment)
	}
	wantErr(t, f.SetApp(t.Context(), "", "acme", connector.App{ClientID: "x"}), auth.ErrEnvironment)
	if _, _, err := f.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a", Environment: "env_1"}); err != nil {
		t.Error(err)
	}
}

func TestMissingScopes(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) {
		f.p.scope = "profile"
		f.cfg.Scopes = func(context.Context, string, string) ([]string, error) { return []string{"notes.read"}, nil }
	})
	c := f.connect(t, "alice", auth.ConnectRequest{})
	if !c.NeedsConsent || !slices.Equal(c.Missing, []string{"notes.read"}) || c.Status != auth.Active {
		t.Errorf("%+v", c)
	}
}
