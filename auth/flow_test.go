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
	want := "https://app.example.com/done?keep=1&account=user-42&connection=" + r.ID + "&connector=acme&status=success"
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
						w.WriteHeader(http.StatusForbidden)
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
						w.WriteHeader(http.StatusTooManyRequests)
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
		f.p.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
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
			return errors.New("You are signed in as somebody else <b>.") //nolint:revive // a page shows it as it is
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
