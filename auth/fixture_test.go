package auth_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
)

// clock is a wall clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fixture is an Authorizer with everything around it.
type fixture struct {
	*auth.Authorizer
	p       *provider
	product *product
	store   *sqlite.Store
	path    string
	clock   *clock
	cfg     auth.Config
	logs    *logBook

	mu      sync.Mutex
	changed []string
}

// logBook keeps what is logged.
type logBook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const publicURL = "http://127.0.0.1:7777/integrations"

func setUp(t testing.TB, change ...func(*fixture)) *fixture {
	t.Helper()
	f := &fixture{p: newProvider(t), clock: &clock{at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}, logs: &logBook{}}
	f.product = f.p.product()
	f.path = filepath.Join(t.TempDir(), "auth.db")
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: f.path})
	if err != nil {
		t.Fatal(err)
	}
	f.store = s
	t.Cleanup(func() { _ = s.Close() })
	f.cfg = auth.Config{
		Store: s, Keeper: seal.Keyring{seal.NewKey()}, PublicURL: publicURL, DefaultEnvironment: "env_default",
		RedirectOrigins: []string{"https://app.example.com"}, ProductName: "Example", Now: f.clock.now,
		Logger: slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Scopes: func(context.Context, string, string) ([]string, error) { return []string{"notes.read"}, nil },
		Changed: func(id string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.changed = append(f.changed, id)
		},
		HTTPClient: &http.Client{Timeout: 10 * time.Second},
	}
	for _, c := range change {
		c(f)
	}
	if f.cfg.Registry, err = connector.NewRegistry(f.product, f.p.keyed()); err != nil {
		t.Fatal(err)
	}
	f.Authorizer = f.again(t)
	return f
}

// again makes another Authorizer over the same store: another process.
func (f *fixture) again(t testing.TB) *auth.Authorizer {
	t.Helper()
	a, err := auth.New(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// browser is one person's: it keeps cookies and follows no redirect.
type browser struct {
	f   *fixture
	jar http.CookieJar
}

func (f *fixture) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{f, jar}
}

func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.f.Handler().ServeHTTP(w, r)
	b.jar.SetCookies(r.URL, w.Result().Cookies())
	return w
}

func (b *browser) get(address string) *httptest.ResponseRecorder {
	return b.do(httptest.NewRequest(http.MethodGet, address, nil))
}

func (b *browser) post(address string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// press opens the Continue page and presses the button.
func (b *browser) press(t *testing.T, address string, fields map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	page := b.get(address)
	if page.Code != http.StatusOK {
		t.Fatalf("Continue page: %d\n%s", page.Code, page.Body)
	}
	_, rest, _ := strings.Cut(page.Body.String(), `name="csrf" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	form := url.Values{"csrf": {token}}
	for name, v := range fields {
		form.Set("field."+name, v)
	}
	return b.post(address, form)
}

// link returns a consent address.
func (f *fixture) link(t *testing.T, req auth.ConnectRequest) string {
	t.Helper()
	if req.Connector == "" {
		req.Connector = "acme"
	}
	if req.Account == "" {
		req.Account = "user-42"
	}
	address, expires, err := f.URL(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got := expires.Sub(f.clock.now()); got != 30*time.Minute {
		t.Errorf("the link is good for %v", got)
	}
	return address
}

// connect plays the whole consent and returns the Connection.
func (f *fixture) connect(t *testing.T, user string, req auth.ConnectRequest) auth.Connection {
	t.Helper()
	b := f.browser(t)
	known := f.ids(t)
	res := b.press(t, f.link(t, req), nil)
	if res.Code != http.StatusSeeOther {
		t.Fatalf("Continue: %d\n%s", res.Code, res.Body)
	}
	res = b.get(f.p.consent(t, res.Header().Get("Location"), user))
	if res.Code != http.StatusOK {
		t.Fatalf("callback: %d\n%s", res.Code, res.Body)
	}
	for id := range f.ids(t) {
		if !known[id] {
			c, err := f.Connection(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatal("no new connection")
	return auth.Connection{}
}

func (f *fixture) ids(t *testing.T) map[string]bool {
	t.Helper()
	ids := make(map[string]bool)
	for c, err := range f.Connections(t.Context(), auth.Query{Environment: "*"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids[c.ID] = true
	}
	return ids
}

func (f *fixture) only(t *testing.T) string {
	t.Helper()
	ids := slices.Collect(maps.Keys(f.ids(t)))
	if len(ids) != 1 {
		t.Fatalf("connections: %v", ids)
	}
	return ids[0]
}

func (f *fixture) record(t *testing.T, id string) auth.Record {
	t.Helper()
	r, err := f.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantErr checks an error by sentinel.
func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
