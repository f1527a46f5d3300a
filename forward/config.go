package forward

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/dialguard"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
)

// Config of a [Forwarder]. Store, Connectors (or Registry) and, without a
// Directory, Settings are required; New reports everything that is missing or
// wrong at once.
type Config struct {
	// Store keeps events and deliveries: store/sqlite, store/postgres, or yours.
	Store Store

	// Connectors whose webhooks are accepted.
	Connectors []connector.Connector

	// Registry takes the place of Connectors where one was built already.
	Registry *connector.Registry

	// Settings say where events go. They must be left out when Directory is set.
	Settings Settings

	// OnEvent is called in this process for settings without URL, with the same
	// promise as HTTP: at least once, retried by Settings.Retry while it returns an
	// error, dead at once when that error is [Permanent] or wraps
	// trigger.ErrPayload. ctx ends with Settings.Timeout. Only Run calls it, from
	// several goroutines, so it may use variables that are set after New returned;
	// a panic is a failed try.
	OnEvent func(ctx context.Context, ev trigger.Event) error

	// PublicURL is the address at which providers reach the handler, such as
	// "https://hooks.example.com" or "https://example.com/integrations": they call
	// {PublicURL}/webhooks/{connector}. Its path is the prefix the Forwarder must
	// be mounted at, without http.StripPrefix; the whole address is needed by
	// connectors whose signature covers it (Trello, Twilio, HubSpot). Defaults to
	// no prefix, at any host.
	PublicURL string

	// Directory finds out whose a request is and where its events go, for those
	// who have many destinations. Defaults to Settings for everything.
	Directory Directory

	// DefaultDeployment and DefaultEnvironment are what an empty Environment
	// means in Publish, SendExample, Resume and Query. With a Directory and
	// without a default, an empty Environment is an error.
	DefaultDeployment  string
	DefaultEnvironment string

	// AllowPrivateNetworks permits Settings.URL to name private and loopback
	// addresses. Cloud metadata and link-local addresses stay refused.
	AllowPrivateNetworks bool

	// Proxy that every request to Settings.URL, and to the token addresses of
	// OAuth2, goes through: http or https, with user name and password if it wants
	// them. It may be at a private address, and is the one exception to
	// AllowPrivateNetworks: what is called through it is resolved and judged here,
	// and the proxy is told the address to connect to (CONNECT, also for http), so
	// the names must be known here and the proxy must allow the receivers' ports.
	// Proxies of the environment are ignored. Defaults to none.
	Proxy *url.URL

	// RootCAs are the authorities that receivers, token servers and an https proxy
	// are verified with, for those that use one of their own; add it to
	// x509.SystemCertPool. Defaults to those of the system.
	RootCAs *x509.CertPool

	// Transport makes the requests to Settings.URL and for tokens. Defaults to one
	// that refuses addresses that are not public when it dials; whoever sets
	// another one, such as for a test, answers for that. Client certificates need
	// an *http.Transport, which is cloned for each of them.
	Transport http.RoundTripper

	// Keeper seals requests that were verified but could not be decoded. Without
	// it they are stored as they came.
	Keeper seal.Keeper

	// SealPayloads keeps payloads, what providers sent, and excerpts of receivers'
	// answers unreadable in the store. It needs a Keeper, which is asked for a key
	// once a day and when a process first meets one that another has made, not for
	// each event. It may be switched on and off: rows of either kind are read.
	// Names, ids, accounts, times, dedupe keys and headers are not sealed.
	SealPayloads bool

	// Notify is called for what an operator should know, such as
	// [DestinationPaused]. It must return quickly. After a crash it may be called
	// again for what it was called for just before.
	Notify func(ctx context.Context, ev trigger.Event)

	// News are the names of what other rooms put into the store's [Outbox]. Optional.
	News []string

	// TracerProvider makes spans of requests, commits and tries, in one trace from
	// the provider's request to the receiver, which gets a traceparent. Defaults to
	// none; otel.GetTracerProvider() is the program's global one.
	TracerProvider trace.TracerProvider

	// MeterProvider takes the metrics that docs/observability.md lists. Defaults to
	// none; otel.GetMeterProvider() is the program's global one.
	MeterProvider metric.MeterProvider

	Limits Limits

	Logger *slog.Logger     // Defaults to slog.Default()
	Now    func() time.Time // Wall clock. Defaults to time.Now
}

// Limits bound what the Forwarder uses. The zero value is right for most.
type Limits struct {
	MaxBody       int64         // bytes of one inbound request. Defaults to 1 MiB
	Inbound       int64         // bytes of all inbound requests that are not answered yet. Defaults to 64 MiB
	InFlight      int           // tries at the same time, all destinations. Defaults to 256
	PerLane       int           // tries at the same time, one destination; of several, one gets no more than it leaves to the others. Defaults to 32
	Calls         int           // connections whose provider is asked at the same time. Defaults to 64
	InMemory      int64         // bytes of undelivered events held in memory; the rest waits in the store. Defaults to 64 MiB
	MaxRetryAfter time.Duration // longest Retry-After of a receiver that is honoured. Defaults to 24 hours
	DrainTimeout  time.Duration // how long Run lets tries finish when stopped. Defaults to 20 seconds
	Retention     time.Duration // how long finished events are kept. Defaults to 30 days; -1 keeps them

	// MaxStore is how many bytes the store may take. Near it finished events go
	// before their time, the oldest first; at it new events are refused, providers
	// get 503 and send them again, and deliveries go on. It is looked at now and
	// then, so leave some of the disk for what comes in within a second, and for
	// SQLite's WAL. Defaults to no limit.
	MaxStore int64
}

// keepKeys is how long a dedupe key is remembered at least: longer than any
// provider tries again.
const keepKeys = 30 * 24 * time.Hour

func (l *Limits) defaults() {
	set(&l.MaxBody, 1<<20)
	set(&l.Inbound, 64<<20)
	set(&l.InFlight, 256)
	set(&l.PerLane, 32)
	set(&l.Calls, 64)
	set(&l.InMemory, 64<<20)
	set(&l.MaxRetryAfter, 24*time.Hour)
	set(&l.DrainTimeout, 20*time.Second)
	set(&l.Retention, 30*24*time.Hour)
}

func set[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func (l *Limits) check() (problems []error) {
	for _, one := range []struct {
		name  string
		value int64
	}{
		{"MaxBody", l.MaxBody}, {"Inbound", l.Inbound}, {"InFlight", int64(l.InFlight)},
		{"PerLane", int64(l.PerLane)}, {"Calls", int64(l.Calls)}, {"InMemory", l.InMemory},
		{"MaxRetryAfter", int64(l.MaxRetryAfter)}, {"DrainTimeout", int64(l.DrainTimeout)},
		{"MaxStore", l.MaxStore},
	} {
		if one.value < 0 {
			problems = append(problems, fmt.Errorf("Limits.%s is negative: leave it out for the default", one.name)) //nolint:staticcheck // ST1005: it begins with a field's name
		}
	}
	if l.MaxBody > 0 && l.Inbound > 0 && l.Inbound < l.MaxBody {
		problems = append(problems, errors.New("Limits.Inbound is less than Limits.MaxBody: no large request could ever be read"))
	}
	if l.Retention < 0 && l.Retention != -1 {
		problems = append(problems, errors.New("Limits.Retention is negative: -1 keeps events for ever"))
	}
	if l.MaxStore > 0 && l.MaxStore < leastStore {
		problems = append(problems, errors.New("Limits.MaxStore is less than 1 MiB, which an empty store takes a part of: it is in bytes"))
	}
	return problems
}

// New checks cfg and returns a Forwarder. It starts nothing and opens no connection.
func New(cfg Config) (*Forwarder, error) {
	var problems []error
	miss := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if cfg.Store == nil {
		miss("Store is missing: open one with sqlite.Open or postgres.Open")
	}
	registry := cfg.Registry
	switch {
	case registry != nil && len(cfg.Connectors) > 0:
		miss("Connectors and Registry are both set: leave one of them out")
	case registry == nil && len(cfg.Connectors) == 0:
		miss("Connectors is missing: name the products whose webhooks are accepted")
	case registry == nil:
		var err error
		if registry, err = connector.NewRegistry(cfg.Connectors...); err != nil {
			miss("Connectors: %w", err)
			registry = nil
		}
	}
	if cfg.SealPayloads && cfg.Keeper == nil {
		miss(`Keeper is missing: SealPayloads needs one, such as a seal.Keyring with a key of "openssl rand -base64 32"`)
	}
	origin, prefix, err := publicURL(cfg.PublicURL)
	if err != nil {
		problems = append(problems, err)
	}
	if cfg.Proxy != nil {
		if err := dialguard.CheckProxy(cfg.Proxy); err != nil {
			miss("Proxy %w", err)
		}
	}
	if cfg.Transport != nil && (cfg.Proxy != nil || cfg.RootCAs != nil) {
		miss("Transport is set, so Proxy and RootCAs have no effect: set them in the Transport, or leave it out")
	}
	problems = append(problems, cfg.Limits.check()...)
	cfg.Limits.defaults()
	if cfg.Logger == nil {
		cfg.Logger = slog.Default() //nolint:forbidigo // the documented default
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	directory := cfg.Directory
	switch {
	case directory == nil:
		problems = append(problems, checkAlone(cfg, registry)...)
		directory = newSolo(cfg, registry)
	case !cfg.Settings.IsZero():
		miss("Settings is set, but with a Directory it says where events go: leave one of them out")
	}
	var meters *metering
	if registry != nil {
		if meters, err = newMetering(cfg.MeterProvider, registry); err != nil {
			miss("MeterProvider: %w", err)
		}
	}
	if len(problems) > 0 {
		return nil, configError(problems)
	}
	f := &Forwarder{
		cfg: cfg, limits: cfg.Limits, store: cfg.Store, registry: registry, directory: directory,
		log: cfg.Logger, now: cfg.Now, origin: origin, prefix: prefix, routes: newRoutes(cfg),
		tracing: newTracing(cfg.TracerProvider), meters: meters,
		replaysWake: make(chan struct{}, 1), newsWake: make(chan struct{}, 1), streamsWake: make(chan struct{}, 1),
	}
	f.locator, _ = directory.(Locator)
	f.erasing.init()
	f.keys = &dataKeys{keeper: cfg.Keeper, now: cfg.Now, log: cfg.Logger}
	f.tokens = newTokens(f.routes.shared, f.now)
	return f, nil
}

// checkAlone reports what a Forwarder without a Directory needs beside.
func checkAlone(cfg Config, registry *connector.Registry) (problems []error) {
	s := cfg.Settings
	if s.URL == "" && cfg.OnEvent == nil {
		problems = append(problems, errors.New("Settings.URL is missing: where to POST events, such as https://app.example.com/events; or set OnEvent"))
	}
	if len(s.Triggers) == 0 {
		problems = append(problems, errors.New(`Settings.Triggers is empty, so nothing would be forwarded: trigger.List("*") is everything`))
	}
	if s.URL != "" && len(s.Secrets) == 0 {
		problems = append(problems, errors.New(`Settings.Secrets is missing: deliveries are signed; make one with "whsec_$(openssl rand -base64 32)"`))
	}
	err := s.Validate()
	if registry != nil {
		err = s.Check(registry, cfg.AllowPrivateNetworks)
		problems = append(problems, checkSecrets(registry)...)
	}
	if found, ok := errors.AsType[Problems](err); ok {
		for _, p := range found {
			problems = append(problems, fmt.Errorf("Settings: %w", p))
		}
	}
	return problems
}

// publicURL splits the configured address into what stands before the path and
// the prefix of the path, without a slash at its end.
func publicURL(s string) (origin, prefix string, err error) {
	if s == "" {
		return "", "", nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", errors.New("PublicURL is no absolute address: write it like https://hooks.example.com or https://example.com/integrations")
	}
	return u.Scheme + "://" + u.Host, strings.TrimRight(u.EscapedPath(), "/"), nil
}

func configError(problems []error) error {
	if len(problems) == 1 {
		return fmt.Errorf("forward: %w", problems[0])
	}
	return &invalidConfigError{problems}
}

type invalidConfigError struct{ problems []error }

func (m *invalidConfigError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "forward: Config has %d problems", len(m.problems))
	for _, p := range m.problems {
		b.WriteString("\n  " + strings.ReplaceAll(p.Error(), "\n", "\n  "))
	}
	return b.String()
}

func (m *invalidConfigError) Unwrap() []error { return m.problems }
