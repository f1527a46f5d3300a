package interactor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/dialguard"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// The nouns of the simple case, so that it needs one import. They are the same
// types under a second name, nothing more.
type (
	Connector      = connector.Connector
	Forwarding     = forward.Settings
	ConnectRequest = auth.ConnectRequest
)

// Config of an [Interactor]. PublicURL, Store, Connectors and SealingKeys (or
// Keeper) are required; New reports everything that is missing or wrong at once,
// each with the field's name and what to put there.
type Config struct {
	// PublicURL is where browsers and providers reach Handler, such as
	// "https://hooks.example.com" or "https://example.com/integrations". Its path is
	// the prefix that Handler is mounted at, without http.StripPrefix.
	PublicURL string

	// Store keeps everything: store/sqlite for one machine. The caller opens and
	// closes it.
	Store Store

	// Connectors to offer.
	Connectors []Connector

	// SealingKeys keep tokens and secrets unreadable in the store: 32 random bytes
	// each, in base64 (openssl rand -base64 32). The first one seals, all of them
	// open; put a new one in front to rotate, and call Reseal.
	SealingKeys []string

	// Keeper takes the place of SealingKeys when a KMS holds the key: a
	// seal.Envelope, or package seal/gocloud.
	Keeper seal.Keeper

	// SealPayloads keeps the payloads of events unreadable in the store, too. See
	// forward.Config.SealPayloads.
	SealPayloads bool

	// Forwarding is for the default deployment, which is always there. Given here,
	// it belongs to the program: API and console show it but cannot change it.
	// Left out, it is set there, or by Deployments.SetForwarding.
	Forwarding Forwarding

	// MultiTenant removes the default deployment: whatever leaves Environment empty
	// is refused, so that tenants cannot mix by mistake. Make deployments with
	// Deployments.Ensure.
	MultiTenant bool

	// OnEvent gets the events of settings without a URL, in this process. See
	// forward.Config.OnEvent for its promise, forward.Permanent and
	// forward.RetryAfter for its errors.
	OnEvent func(ctx context.Context, ev trigger.Event) error

	// App returns the OAuth client that an environment uses for a connector, for
	// those who keep client secrets elsewhere. The zero App means: look in the
	// store, then at the connector's default. It is called for every consent and
	// refresh; cache if that is slow.
	App func(ctx context.Context, environment, connector string) (connector.App, error)

	// Confirm may refuse a consent in its last step, for example when the browser's
	// session at your site is not that of c.Account. The error's text is shown.
	Confirm func(r *http.Request, c auth.Connection) error

	// RedirectOrigins are the sites that ConnectRequest.RedirectURL may name, such
	// as "https://app.example.com". Defaults to the origin of PublicURL.
	RedirectOrigins []string

	// ProductName is what the pages that end users see call your product. Defaults
	// to the host of PublicURL.
	ProductName string

	// WatchRates are how many calls a second about watches a provider gets, for each
	// App, by name of the connector. Default to what each connector's Description says.
	WatchRates map[string]float64

	// Notify is called for what an operator should know, such as
	// forward.DestinationPaused, auth.HasExpired or subscription.Failed. It must
	// return quickly. After a crash it may be called again for what it was called for
	// just before. To have news forwarded too, add their names to a trigger list.
	Notify func(ctx context.Context, ev trigger.Event)

	// AllowPrivateNetworks lets forwarding URLs, and the addresses of self-hosted
	// providers, be private and loopback ones, as development and tests do. Cloud
	// metadata addresses stay refused.
	AllowPrivateNetworks bool

	// Proxy that all requests go through: deliveries, their OAuth2 token addresses,
	// and the calls of the default HTTPClient to providers. See
	// forward.Config.Proxy. Proxies of the environment are ignored. Defaults to none.
	Proxy *url.URL

	// RootCAs are the authorities that the servers of those requests are verified
	// with, for installations with one of their own; add it to
	// x509.SystemCertPool. Defaults to those of the system.
	RootCAs *x509.CertPool

	// TracerProvider makes spans of provider requests, commits and deliveries;
	// receivers get a traceparent. Defaults to none; otel.GetTracerProvider() is the
	// program's global one.
	TracerProvider trace.TracerProvider

	// MeterProvider takes the metrics that docs/observability.md lists; give it to
	// the store's Config as well. Defaults to none; otel.GetMeterProvider() is the
	// program's global one.
	MeterProvider metric.MeterProvider

	// Limits bound memory, concurrency and retention. The zero value is right for most.
	Limits forward.Limits

	// HTTPClient makes the calls to providers. Defaults to one with a 30 s timeout
	// that refuses what AllowPrivateNetworks says and uses Proxy and RootCAs.
	HTTPClient *http.Client

	Logger *slog.Logger     // Defaults to slog.Default()
	Now    func() time.Time // Wall clock. Defaults to time.Now
}

// Store is the union of what the parts keep. Package store/storetest judges
// implementations.
type Store interface {
	deployment.Store
	auth.Store
	subscription.Store
	forward.Store
	api.Store
	RoutingStore
	seal.Store
}

// RoutingStore says when to read anew what is asked for with every request.
type RoutingStore interface {
	// RoutingVersion returns a number that is another one after every change to
	// what an address, its keys and its recipients are read from: Connections and
	// their Identities, Apps, Subscriptions, Environments. A change made by this
	// process counts when the method that makes it returns, one made by another
	// process within a second. It is asked for with each request, so it must not
	// wait for a disk.
	RoutingVersion(ctx context.Context) (int64, error)
}

// problems collects what is wrong with a Config, one line each.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

func (p *problems) addErr(prefix string, err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			p.addErr(prefix, e)
		}
		return
	}
	*p = append(*p, prefix+err.Error())
}

// watchRates reports names of no connector, which would be without effect.
func (p *problems) watchRates(reg *connector.Registry, rates map[string]float64) {
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		if _, ok := reg.Lookup(name); !ok {
			p.add("WatchRates names %q, which is none of Connectors", name)
		}
		if rate := rates[name]; !(rate > 0) { // nor NaN
			p.add("WatchRates[%q] is %v: put the calls a second there that its provider allows", name, rate)
		}
	}
}

func (p *problems) err() error {
	switch len(*p) {
	case 0:
		return nil
	case 1:
		return errors.New("interactor: Config has a problem\n  " + (*p)[0])
	}
	return fmt.Errorf("interactor: Config has %d problems\n  %s", len(*p), strings.Join(*p, "\n  "))
}

// check reports everything that is wrong, and returns what it parsed on the way.
func (cfg *Config) check() (reg *connector.Registry, keeper seal.Keeper, err error) {
	var p problems
	switch u, err := url.Parse(cfg.PublicURL); {
	case cfg.PublicURL == "":
		p.add("PublicURL is missing: the address at which browsers and providers reach Handler, such as https://hooks.example.com")
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.add("PublicURL %q is no address such as https://hooks.example.com, without query and fragment", cfg.PublicURL)
	}
	if cfg.Store == nil {
		p.add("Store is missing: open one with sqlite.Open")
	}
	keeper = cfg.Keeper
	switch {
	case cfg.Keeper != nil && len(cfg.SealingKeys) > 0:
		p.add("SealingKeys and Keeper are both set: leave one of them out")
	case cfg.Keeper == nil && len(cfg.SealingKeys) == 0:
		p.add(`SealingKeys is missing: make a key with "openssl rand -base64 32"`)
	case cfg.Keeper == nil:
		for i, k := range cfg.SealingKeys {
			if k == "" {
				p.add(`SealingKeys[%d] is empty: make a key with "openssl rand -base64 32"`, i)
			} else if err := (seal.Keyring{k}).Validate(); err != nil {
				p.add(`SealingKeys[%d] is not 32 bytes in base64: make a key with "openssl rand -base64 32"`, i)
			}
		}
		if len(p) == 0 {
			keeper, err = seal.NewRing(cfg.SealingKeys)
			p.addErr("SealingKeys: ", err)
		}
	}
	if cfg.Proxy != nil {
		p.addErr("Proxy ", dialguard.CheckProxy(cfg.Proxy))
	}
	if len(cfg.Connectors) == 0 {
		p.add("Connectors is empty: give at least one, such as gmail.New(gmail.Config{…})")
	}
	reg, err = connector.NewRegistry(cfg.Connectors...)
	p.addErr("Connectors: ", err)
	if reg != nil && err == nil {
		p.watchRates(reg, cfg.WatchRates)
	}
	if reg != nil && err == nil && !cfg.Forwarding.IsZero() {
		if cfg.MultiTenant {
			p.add("Forwarding is for the default deployment, which MultiTenant removes: give it to Deployments.Ensure")
		} else {
			p.addErr("Forwarding", checkForwarding(reg, cfg, cfg.Forwarding))
		}
	}
	return reg, keeper, p.err()
}
