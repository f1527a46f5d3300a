package interactor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/dialguard"
	"github.com/interactorhq/interactor/internal/versioned"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// Interactor is the integrations backend of your program. Make one with [New].
// It is safe for concurrent use; do not set its fields.
type Interactor struct {
	Auth          *auth.Authorizer         // accounts: consent, connections, tokens
	Deployments   *deployment.Service      // tenants: settings, trigger lists, API keys
	Forwarder     *forward.Forwarder       // events: log, replay, publish
	Subscriptions *subscription.Reconciler // watches at providers

	cfg      Config
	registry *connector.Registry
	handler  http.Handler
	deleted  chan struct{} // an Environment was deleted
	ready    sync.Mutex
	prepared bool
	running  atomic.Bool
}

// roomNews are the names of news that rooms beside forward have.
func roomNews() []string { return append(auth.News(), subscription.News()...) }

// checkForwarding reports everything that this installation cannot do of settings.
func checkForwarding(reg *connector.Registry, cfg *Config, s forward.Settings) error {
	err := s.Check(reg, cfg.AllowPrivateNetworks, roomNews()...)
	var wrong forward.Problems
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	if s.URL == "" && cfg.OnEvent == nil {
		wrong = append(wrong, forward.Problem{Field: "url", Err: errors.New("is missing: give the address that events are sent to, such as https://app.example.com/events")})
	}
	if len(s.Triggers) == 0 {
		wrong = append(wrong, forward.Problem{Field: "triggers", Err: errors.New(`is empty, so nothing would be forwarded: name some, or "*" for all`)})
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}

// New checks cfg and returns an Interactor. It starts nothing and opens no
// connection; serve [Interactor.Handler] and call [Interactor.Run].
func New(cfg Config) (*Interactor, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: 30 * time.Second, Transport: dialguard.New(dialguard.Config{AllowPrivate: cfg.AllowPrivateNetworks, Proxy: cfg.Proxy, RootCAs: cfg.RootCAs})}
	}
	reg, keeper, err := cfg.check()
	if err != nil {
		return nil, err
	}
	in := &Interactor{cfg: cfg, registry: reg, deleted: make(chan struct{}, 1)}
	defaultEnvironment := deployment.DefaultEnvironment
	if cfg.MultiTenant {
		defaultEnvironment = ""
	}

	in.Deployments, err = deployment.New(deployment.Config{
		Store: cfg.Store, Keeper: keeper,
		Default: !cfg.MultiTenant, Forwarding: cfg.Forwarding,
		Check:   func(s forward.Settings) error { return checkForwarding(reg, &cfg, s) },
		Changed: func() { in.Subscriptions.Wake() },
		Deleted: func(string) { in.wakeEraser() },
		Now:     cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	in.Auth, err = auth.New(auth.Config{
		Store: cfg.Store, Registry: reg, Keeper: keeper,
		PublicURL: cfg.PublicURL, RedirectOrigins: cfg.RedirectOrigins, DefaultEnvironment: defaultEnvironment,
		ProductName: cfg.ProductName,
		App:         cfg.App, Confirm: cfg.Confirm, Scopes: in.scopes,
		Changed:    func(string) { in.Subscriptions.Wake() },
		Told:       func() { in.Forwarder.WakeNews() },
		HTTPClient: cfg.HTTPClient, Logger: cfg.Logger, Now: cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	in.Subscriptions, err = subscription.New(subscription.Config{
		Store: cfg.Store, Registry: reg, Connections: connections{in.Auth}, Keeper: keeper,
		PublicURL: cfg.PublicURL, Wanted: in.wanted,
		PollDue: func() { in.Forwarder.Wake() },
		Told:    func() { in.Forwarder.WakeNews() },
		Rate:    func(connector string) float64 { return cfg.WatchRates[connector] },
		Logger:  cfg.Logger, Now: cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	in.Forwarder, err = forward.New(forward.Config{
		Store: cfg.Store, Registry: reg, Keeper: keeper,
		PublicURL: cfg.PublicURL, DefaultEnvironment: defaultEnvironment,
		Directory: in.directory(),
		News:      roomNews(),
		OnEvent:   cfg.OnEvent, Notify: cfg.Notify, SealPayloads: cfg.SealPayloads,
		AllowPrivateNetworks: cfg.AllowPrivateNetworks, Proxy: cfg.Proxy, RootCAs: cfg.RootCAs, Limits: cfg.Limits,
		TracerProvider: cfg.TracerProvider, MeterProvider: cfg.MeterProvider,
		Logger: cfg.Logger, Now: cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	jsonAPI, err := api.New(api.Config{
		Auth: in.Auth, Deployments: in.Deployments, Forwarder: in.Forwarder, Subscriptions: in.Subscriptions, Registry: reg,
		Store: cfg.Store, PublicURL: cfg.PublicURL, Addresses: in.addresses, Logger: cfg.Logger, Now: cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	in.handler = in.mux(jsonAPI)
	return in, nil
}

func (in *Interactor) directory() *directory {
	return &directory{
		registry: in.registry, auth: in.Auth, deployments: in.Deployments, subscriptions: in.Subscriptions, gap: in.gap,
		version:    in.cfg.Store.RoutingVersion,
		addresses:  versioned.New[forward.Address](remembered),
		recipients: versioned.New[[]forward.Recipient](remembered),
	}
}

// mux hands each path to its room. All of them see whole paths.
func (in *Interactor) mux(jsonAPI http.Handler) http.Handler {
	base := "/"
	if u, err := url.Parse(in.cfg.PublicURL); err == nil { // checked before
		base = path.Join("/", u.Path)
	}
	base = strings.TrimRight(base, "/")
	mux := http.NewServeMux()
	mux.Handle(base+"/webhooks/", in.Forwarder)
	consent := in.Auth.Handler()
	mux.Handle(base+"/connect/", consent)
	mux.Handle(base+"/oauth/", consent)
	mux.Handle(base+"/api/v1/", jsonAPI)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := in.prepare(r.Context()); err != nil {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "the store is not available; try again", http.StatusServiceUnavailable)
			in.cfg.log().ErrorContext(r.Context(), "preparing the default deployment failed", "error", err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// prepare makes the default deployment what the Config says, once, before
// anything is served or done: New does no I/O.
func (in *Interactor) prepare(ctx context.Context) error {
	in.ready.Lock()
	defer in.ready.Unlock()
	if in.prepared {
		return nil
	}
	if !in.cfg.MultiTenant {
		if err := in.Deployments.EnsureDefault(ctx); err != nil {
			return fmt.Errorf("interactor: default deployment: %w", err)
		}
	}
	in.prepared = true
	return nil
}

// Handler serves, below the path of Config.PublicURL,
//
//	/webhooks/   what providers send
//	/connect/    the Continue page
//	/oauth/      the callback of providers
//	/api/v1/     the JSON API, for holders of an API key
//
// Mount it at that path; or mount it at only some of these, say with /api/v1/ on
// an internal listener: it always sees the whole path.
func (in *Interactor) Handler() http.Handler { return in.handler }

// Run delivers events, keeps watches and tokens fresh, and returns nil when ctx
// has ended and work in flight is finished (at most Limits.DrainTimeout) or put
// back. It returns an error only when the store fails for good. A second Run at
// the same time gets [forward.ErrRunning]; after Run returned it may be called again.
func (in *Interactor) Run(ctx context.Context) error {
	// Here, not part by part: of two at the same time each could get some.
	if !in.running.CompareAndSwap(false, true) {
		return forward.ErrRunning
	}
	defer in.running.Store(false)
	if err := in.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it ended before anything had begun
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Tokens last: the others may need a fresh one while they end, and what a
	// provider gives for it must be stored before the caller closes the store.
	tokens, endTokens := context.WithCancel(context.WithoutCancel(ctx))
	defer endTokens()
	parts := []func(context.Context) error{in.Forwarder.Run, in.Subscriptions.Run, in.runEraser}
	results := make(chan error, len(parts)+1)
	for _, run := range parts {
		go func() { results <- run(ctx) }()
	}
	go func() { results <- in.Auth.Run(tokens) }()
	var first error
	for left := cap(results); left > 0; left-- {
		if left == 1 {
			endTokens()
		}
		if err := <-results; err != nil && first == nil {
			first = err
			cancel() // what one part cannot do without, all of them stop for
		}
	}
	if errors.Is(first, subscription.ErrRunning) || errors.Is(first, auth.ErrRunning) {
		return forward.ErrRunning
	}
	return first
}

// AuthURL returns the address at which an end user connects an account: open it
// in that user's browser, once, within 30 minutes. It is short for Auth.URL.
func (in *Interactor) AuthURL(ctx context.Context, req ConnectRequest) (string, error) {
	if err := in.prepare(ctx); err != nil {
		return "", err
	}
	u, _, err := in.Auth.URL(ctx, req)
	return u, err
}

// Client returns an HTTP client that is authorised as a connection, for the
// vendor's own Go library or plain requests. It is short for Auth.Client.
func (in *Interactor) Client(ctx context.Context, connection string) (*http.Client, error) {
	return in.Auth.Client(ctx, connection)
}

// SetParams makes params all that a connection has in place of those in the trigger
// list: another label, another query than everybody else's. It is short for
// Auth.SetParams.
func (in *Interactor) SetParams(ctx context.Context, connection string, params trigger.Overrides) (auth.Connection, error) {
	return in.Auth.SetParams(ctx, connection, params)
}

// Connectors returns the catalogue: what each connector of the Config is and which
// triggers it offers, sorted by name.
func (in *Interactor) Connectors() []connector.Description {
	var out []connector.Description
	for e := range in.registry.All() {
		out = append(out, e.Description)
	}
	return out
}

// wanted is the trigger list in force in an Environment.
func (in *Interactor) wanted(ctx context.Context, environment string) ([]trigger.Filter, error) {
	s, err := in.Deployments.SettingsInForce(ctx, environment)
	if errors.Is(err, deployment.ErrNotFound) {
		return nil, nil
	}
	return s.Triggers, err
}

// scopes are what the trigger list of an Environment needs of a connector.
func (in *Interactor) scopes(ctx context.Context, environment, name string) ([]string, error) {
	e, ok := in.registry.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("interactor: unknown connector %q", name)
	}
	filters, err := in.wanted(ctx, environment)
	if err != nil {
		return nil, err
	}
	var scopes []string
	for _, def := range e.Triggers {
		if def.Undeliverable != "" {
			continue // no consent is asked for what a wildcard leaves out
		}
		for _, f := range filters {
			if f.Covers(def.Name) {
				scopes = append(scopes, def.Scopes...)
				break
			}
		}
	}
	return scopes, nil
}

// addresses are where a Connection's senders must be told to send by hand.
func (in *Interactor) addresses(ctx context.Context, c auth.Connection) ([]string, error) {
	e, ok := in.registry.Lookup(c.Connector)
	if !ok || e.Subscriber != nil || c.Status != auth.Active {
		return nil, nil
	}
	found, err := in.Subscriptions.Addresses(ctx, c.ID)
	if err != nil || len(found) > 0 {
		return found, err
	}
	// It was connected a moment ago: do not make the caller ask again.
	if err := in.Subscriptions.Settle(ctx, c.ID); err != nil {
		return nil, err
	}
	return in.Subscriptions.Addresses(ctx, c.ID)
}

// gap tells operators, and the Environment when its trigger list names it, that
// a provider has lost events for good.
func (in *Interactor) gap(ctx context.Context, r forward.Recipient, reason string) error {
	payload, err := json.Marshal(map[string]string{"subscription": r.Subscription, "reason": reason})
	if err != nil {
		return err
	}
	return in.Forwarder.News(ctx, trigger.Event{
		Trigger: subscription.Gap, Account: r.Account, Connection: r.Connection,
		Deployment: r.Deployment, Environment: r.Environment, Payload: payload,
	})
}
