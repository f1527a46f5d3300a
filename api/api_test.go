package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

const (
	public = "https://hooks.example.com/integrations"
	base   = "/integrations/api/v1"
)

// installation is the real rooms over SQLite, as package interactor wires them.
type installation struct {
	http.Handler
	config      api.Config
	store       *sqlite.Store
	auth        *auth.Authorizer
	deployments *deployment.Service
	forwarder   *forward.Forwarder
	deployment  deployment.Deployment
	dev, prod   string // environments
	key         string // of prod
	devKey      string
	log         *logBuffer
	now         atomic.Int64
}

// logBuffer is what was logged; several goroutines write to it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// directory is the part of a Directory that forwarding examples needs.
type directory struct {
	forward.Directory
	deployments *deployment.Service
}

func (d directory) Settings(ctx context.Context, environment string) (forward.Settings, error) {
	return d.deployments.SettingsInForce(ctx, environment)
}

func (d directory) Deployment(ctx context.Context, environment string) (string, error) {
	e, err := d.deployments.Environment(ctx, environment)
	return e.Deployment, err
}

// shop is a connector with OAuth and one address for its App.
type shop struct{ app *connector.App }

type order struct {
	ID string `json:"id"`
}

func (s shop) Describe() connector.Description {
	return connector.Description{
		Name: "shop", Label: "Shop", Docs: "https://shop.example/docs",
		Endpoints: map[string]connector.Template{"api": "https://{app.server}|https://api.shop.example"},
		OAuth: &connector.OAuth{
			Authorize: "https://shop.example/authorize",
			Token:     connector.Request{URL: "https://shop.example/token"},
		},
		AppFields: []connector.Field{
			{Name: "signing_secret", Label: "Signing secret", Secret: true},
			{Name: "topic", Label: "Topic", Optional: true},
			{Name: "server", Label: "Server", Optional: true},
		},
		Watches: []connector.Watch{{Name: "app", Intake: connector.AtApp, Secret: connector.AppSecret("signing_secret")}},
		Triggers: []trigger.Definition{{
			Name: "shop.order.placed", Label: "An Order is Placed", Help: "Somebody bought something.", Watch: "app",
			Payload: order{}, Example: order{ID: "1"}, Scopes: []string{"orders"},
			Params: []trigger.Param{{Name: "status", Label: "Status"}},
		}},
	}
}

func (s shop) Verify(context.Context, *connector.Inbound) error { return connector.ErrUnproven }

func (s shop) Decode(*connector.Inbound) (*connector.Decoded, error) {
	return &connector.Decoded{}, nil
}

func (s shop) Identify(context.Context, *connector.Session) ([]connector.Identity, error) {
	return []connector.Identity{{ID: "1", Keys: []connector.Key{connector.NewKey("shop", "1")}}}, nil
}

func (s shop) DefaultApp() (connector.App, bool) {
	if s.app == nil {
		return connector.App{}, false
	}
	return *s.app, true
}

// install builds one, with two environments that have keys.
func install(t testing.TB) *installation {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := &installation{log: new(logBuffer)}
	in.now.Store(time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC).UnixMilli())
	clock := func() time.Time { return time.UnixMilli(in.now.Load()).UTC() }
	logger := slog.New(slog.NewJSONHandler(in.log, nil))
	keeper := seal.Keyring{seal.NewKey()}

	var err error
	in.store, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
	must(err)
	t.Cleanup(func() { _ = in.store.Close() }) // a test may have closed it
	registry, err := connector.NewRegistry(
		shop{&connector.App{ClientID: "default", ClientSecret: "default-secret", Fields: map[string]string{"signing_secret": "x"}}},
		bareShop{}, webhook.New(webhook.Config{}))
	must(err)
	in.deployments, err = deployment.New(deployment.Config{
		Store: in.store, Keeper: keeper, Now: clock,
		Check: func(s forward.Settings) error { return s.Check(registry, false) },
	})
	must(err)
	in.auth, err = auth.New(auth.Config{
		Store: in.store, Registry: registry, Keeper: keeper, PublicURL: public, Logger: logger, Now: clock,
		RedirectOrigins: []string{"https://app.example.com"},
	})
	must(err)
	in.forwarder, err = forward.New(forward.Config{
		Store: in.store, Registry: registry, Keeper: keeper, PublicURL: public, Logger: logger, Now: clock,
		Directory: directory{deployments: in.deployments},
	})
	must(err)
	watches, err := subscription.New(subscription.Config{
		Store: in.store, Registry: registry, Keeper: keeper, PublicURL: public, Connections: struct{ subscription.Connections }{},
		Wanted: func(context.Context, string) ([]trigger.Filter, error) { return nil, nil },
	})
	must(err)
	in.config = api.Config{
		Auth: in.auth, Deployments: in.deployments, Forwarder: in.forwarder, Subscriptions: watches, Registry: registry, Store: in.store,
		PublicURL: public, Logger: logger, Now: clock,
	}
	in.Handler, err = api.New(in.config)
	must(err)

	in.deployment, err = in.deployments.Ensure(ctx, deployment.Spec{
		Organization: "Acme",
		Forwarding: forward.Settings{
			URL: "https://app.example.com/events", HeaderKey: "X-Acme-Token", HeaderValue: "deployment-secret",
			Triggers: trigger.List("shop.order.placed"),
		},
	})
	must(err)
	in.dev, in.prod = in.deployment.Environments[0].ID, in.deployment.Environments[2].ID
	in.key, err = in.deployments.IssueKey(ctx, deployment.KeyRequest{Environment: in.prod})
	must(err)
	in.devKey, err = in.deployments.IssueKey(ctx, deployment.KeyRequest{Environment: in.dev})
	must(err)
	return in
}

const lostOrders = "lost orders need the shop's larger plan: upgrade there"

// bareShop is a shop without an App of its own.
type bareShop struct{ shop }

func (s bareShop) Describe() connector.Description {
	d := s.shop.Describe()
	d.Name, d.Label = "bareshop", "Bare shop"
	d.Triggers[0].Name = "bareshop.order.placed"
	d.Triggers = append(d.Triggers, trigger.Definition{
		Name: "bareshop.order.lost", Label: "An Order is Lost", Payload: order{}, Example: order{ID: "2"}, Undeliverable: lostOrders,
	})
	return d
}

// response is what came back.
type response struct {
	status int
	header http.Header
	body   string
}

func (r response) json(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
}

// code is that of an error, "" when it is none.
func (r response) code() string {
	var e api.Error
	_ = json.Unmarshal([]byte(r.body), &e)
	return e.Code
}

func (r response) field() string {
	var e api.Error
	_ = json.Unmarshal([]byte(r.body), &e)
	return e.Field
}

// call makes a request below the base path, and holds every answer against the
// OpenAPI document. headers are pairs of name and value.
func (in *installation) call(t testing.TB, method, path, key, body string, headers ...string) response {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "https://elsewhere.example"+base+path, reader)
	if key != "" {
		r.Header.Set("x-api-key", key)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	in.ServeHTTP(w, r)
	got := response{w.Code, w.Header(), w.Body.String()}
	conforms(t, method, path, got)
	return got
}

// get is call for what must succeed.
func (in *installation) get(t testing.TB, path string, v any) {
	t.Helper()
	got := in.call(t, "GET", path, in.key, "")
	if got.status != 200 {
		t.Fatalf("GET %s: %d %s", path, got.status, got.body)
	}
	got.json(t, v)
}

// connect makes a connection of an account, by the connector without OAuth.
func (in *installation) connect(t testing.TB, key, account string) api.Connection {
	t.Helper()
	got := in.call(t, "POST", "/connections", key, `{"connector":"webhook","account":"`+account+`","input":{"scheme":"bearer","secret":"0123456789abcdef"}}`)
	if got.status != 201 {
		t.Fatalf("connecting %s: %d %s", account, got.status, got.body)
	}
	var c api.Connection
	got.json(t, &c)
	return c
}

// example sends a test event.
func (in *installation) example(t testing.TB, key string) api.Event {
	t.Helper()
	got := in.call(t, "POST", "/events/test", key, `{"trigger":"shop.order.placed","account":"user-42"}`)
	if got.status != 202 {
		t.Fatalf("sending an example: %d %s", got.status, got.body)
	}
	var e api.Event
	got.json(t, &e)
	return e
}
