// Package oidc_test runs package auth against an OpenID Provider that nobody
// here wrote: zitadel's, in process.
package oidc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
)

// product is zitadel's OP as a connector.
type product struct{ issuer string }

func (p product) Describe() connector.Description {
	at := func(path string) connector.Template { return connector.Template(p.issuer + path) }
	return connector.Description{
		Name: "op", Label: "OP",
		Endpoints: map[string]connector.Template{"api": at("")},
		OAuth: &connector.OAuth{
			Authorize: at("/auth"), Params: map[string]connector.Template{"prompt": "consent"},
			Scopes: []string{"openid", "profile", "email", "offline_access"},
			Token:  connector.Request{URL: at("/oauth/token"), Auth: connector.Basic},
			Revoke: &connector.Request{URL: at("/revoke"), Auth: connector.Basic},
			Answer: connector.Answer{Keep: map[string]string{"subject": "id_token.sub"}},
		},
	}
}

func (product) DefaultApp() (connector.App, bool) {
	return connector.App{ClientID: "interactor", ClientSecret: "a secret & more"}, true
}

func (product) Identify(ctx context.Context, s *connector.Session) ([]connector.Identity, error) {
	var me struct{ Sub, Email string }
	if err := s.JSON(ctx, http.MethodGet, "userinfo", nil, &me); err != nil {
		return nil, err
	}
	return []connector.Identity{{ID: me.Sub, Label: me.Email}}, nil
}

// world is an Authorizer on a listener of its own, and the OP on another one.
type world struct {
	*auth.Authorizer
	store  *sqlite.Store
	cfg    auth.Config
	issuer string

	mu       sync.Mutex
	ahead    time.Duration // of our clock; the OP keeps the real time
	requests map[string]int
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

func (w *world) count(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[path]
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{requests: map[string]int{}}
	ours, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	public := "http://" + ours.Addr().String()

	op := httptest.NewUnstartedServer(nil)
	w.issuer = "http://" + strings.Replace(op.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	storage.RegisterClients(storage.WebClient("interactor", "a secret & more", public+"/oauth/callback"))
	router := exampleop.SetupServer(w.issuer, storage.NewStorage(storage.NewUserStore(w.issuer)), slog.New(slog.DiscardHandler), false)
	op.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests[r.URL.Path]++
		w.mu.Unlock()
		router.ServeHTTP(rw, r)
	})
	op.Start()
	t.Cleanup(op.Close)

	if w.store, err = sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "auth.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	registry, err := connector.NewRegistry(product{w.issuer})
	if err != nil {
		t.Fatal(err)
	}
	w.cfg = auth.Config{
		Store: w.store, Registry: registry, Keeper: seal.Keyring{seal.NewKey()}, PublicURL: public,
		DefaultEnvironment: "env_default", Now: w.now, Logger: slog.New(slog.DiscardHandler),
	}
	if w.Authorizer, err = auth.New(w.cfg); err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: ours, Config: &http.Server{Handler: w.Handler()}}
	server.Start()
	t.Cleanup(server.Close)
	return w
}

// form is what a person does with the form on a page.
func form(t *testing.T, browser *http.Client, page *http.Response, fill map[string]string) *http.Response {
	t.Helper()
	defer page.Body.Close()
	body, err := io.ReadAll(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := url.Values{}
	for _, tag := range strings.Split(string(body), "<input")[1:] {
		tag, _, _ = strings.Cut(tag, ">")
		if name := attribute(tag, "name"); name != "" {
			values.Set(name, attribute(tag, "value"))
		}
	}
	for name, v := range fill {
		values.Set(name, v)
	}
	_, tag, found := strings.Cut(string(body), "<form")
	if !found {
		t.Fatalf("no form at %s:\n%s", page.Request.URL, body)
	}
	tag, _, _ = strings.Cut(tag, ">")
	to, err := page.Request.URL.Parse(attribute(tag, "action"))
	if err != nil {
		t.Fatal(err)
	}
	next, err := browser.PostForm(to.String(), values)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func attribute(tag, name string) string {
	_, rest, _ := strings.Cut(tag, name+`="`)
	v, _, _ := strings.Cut(rest, `"`)
	return strings.ReplaceAll(v, "&amp;", "&")
}

// connect is a person who opens the link, presses Continue and signs in.
func (w *world) connect(t *testing.T, account string) auth.Connection {
	t.Helper()
	link, _, err := w.URL(t.Context(), auth.ConnectRequest{Connector: "op", Account: account})
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	page, err := browser.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	login := form(t, browser, page, nil)
	if !strings.HasPrefix(login.Request.URL.String(), w.issuer+"/login/") {
		t.Fatalf("Continue led to %s", login.Request.URL)
	}
	done := form(t, browser, login, map[string]string{"username": "test-user@localhost", "password": "verysecure"})
	defer done.Body.Close()
	body, _ := io.ReadAll(done.Body)
	if done.StatusCode != http.StatusOK || !strings.Contains(string(body), "OP is connected") {
		t.Fatalf("ended at %s with %d:\n%s", done.Request.URL, done.StatusCode, body)
	}
	c, err := w.Find(t.Context(), auth.Query{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) userinfo(ctx context.Context, a *auth.Authorizer, id string) error {
	s, err := a.Session(ctx, id)
	if err != nil {
		return err
	}
	return s.JSON(ctx, http.MethodGet, "userinfo", nil, nil)
}

func TestConsentRotationRevocation(t *testing.T) { //nolint:paralleltest // the OP keeps its clients in a package variable
	w := start(t)
	ctx := t.Context()
	c := w.connect(t, "user-42")
	if c.Identity != "test-user@zitadel.ch" || c.Status != auth.Active {
		t.Fatalf("connected: %+v", c)
	}
	r, err := w.Get(ctx, c.ID)
	if err != nil || r.Values["subject"] != "id1" || r.Holder != "id1" {
		t.Errorf("from the id_token: %+v, %v", r.Values, err)
	}
	if left := r.ExpiresAt.Sub(w.now()); left < 4*time.Minute || left > 5*time.Minute {
		t.Errorf("its tokens live %v", left)
	}

	// Rotation: each refresh token is good for one use.
	other, err := auth.New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		w.advance(5 * time.Minute)
		before := w.count("/oauth/token")
		var work sync.WaitGroup
		for i := range 50 {
			work.Go(func() {
				if err := w.userinfo(ctx, []*auth.Authorizer{w.Authorizer, other}[i%2], c.ID); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		if n := w.count("/oauth/token") - before; n != 1 {
			t.Errorf("round %d: %d refreshes", round, n)
		}
	}

	// Reconnecting keeps the id.
	if again := w.connect(t, "user-42"); again.ID != c.ID {
		t.Errorf("connected again as %s, was %s", again.ID, c.ID)
	}

	// Disconnecting revokes there: a copy of the grant is worth nothing.
	copied, err := w.Get(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Disconnect(ctx, c.ID), w.FinishDisconnect(ctx, c.ID)); err != nil {
		t.Fatal(err)
	}
	if w.count("/revoke") != 1 {
		t.Errorf("revoked %d times", w.count("/revoke"))
	}
	erased, err := w.Get(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	copied.Version = erased.Version
	if _, err := w.store.SaveConnection(ctx, auth.Write{Record: copied}); err != nil {
		t.Fatal(err)
	}
	w.advance(5 * time.Minute)
	var gone *auth.ReconnectError
	if err := w.userinfo(ctx, w.Authorizer, c.ID); !errors.As(err, &gone) {
		t.Errorf("a revoked grant: %v", err)
	}
	if c, err = w.Connection(ctx, c.ID); err != nil || c.Status != auth.Expired {
		t.Errorf("%+v, %v", c, err)
	}
}

// The OP checks PKCE: a code without its verifier is worth nothing.
func TestPKCE(t *testing.T) { //nolint:paralleltest // the OP keeps its clients in a package variable
	w := start(t)
	b := auth.URLBuilder{Connector: product{w.issuer}, RedirectURL: w.cfg.PublicURL + "/oauth/callback"}
	for name, spoil := range map[string]func(*auth.Consent){
		"right verifier": func(*auth.Consent) {},
		"wrong verifier": func(c *auth.Consent) { c.Verifier = strings.Repeat("A", 43) },
		"no verifier":    func(c *auth.Consent) { c.Verifier = "" },
	} {
		consent, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		var code string
		browser := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if code = r.URL.Query().Get("code"); code != "" && r.URL.Query().Get("state") == consent.State {
				return http.ErrUseLastResponse
			}
			return nil
		}}
		page, err := browser.Get(consent.URL)
		if err != nil {
			t.Fatal(err)
		}
		form(t, browser, page, map[string]string{"username": "test-user@localhost", "password": "verysecure"}).Body.Close()
		if code == "" {
			t.Fatal("no code")
		}
		right := consent.Verifier
		spoil(&consent)
		tok, err := b.Exchange(t.Context(), code, consent)
		if ok := err == nil && tok.Access != ""; ok != (right == consent.Verifier) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
