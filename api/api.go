package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// Config of the API. All but Logger and Now are required. Package interactor fills it.
type Config struct {
	Auth          Auth
	Deployments   Deployments
	Forwarder     Forwarder
	Subscriptions Subscriptions
	Registry      *connector.Registry
	Store         Store

	// PublicURL is where the installation is reached: the API is served below its
	// path at /api/v1, and tells addresses to register at providers.
	PublicURL string

	// Addresses returns where a Connection's senders must be told to send by hand,
	// for connectors that cannot tell their provider. Defaults to nowhere.
	Addresses func(ctx context.Context, c auth.Connection) ([]string, error)

	Logger *slog.Logger     // Defaults to slog.Default()
	Now    func() time.Time // Wall clock. Defaults to time.Now
}

// Subscriptions is what the API needs of [subscription.Reconciler].
type Subscriptions interface {
	Subscriptions(ctx context.Context, q subscription.Query) iter.Seq2[subscription.Subscription, error]
}

// Auth is what the API needs of [auth.Authorizer].
type Auth interface {
	URL(ctx context.Context, req auth.ConnectRequest) (url string, expires time.Time, err error)
	Connections(ctx context.Context, q auth.Query) iter.Seq2[auth.Connection, error]
	Connection(ctx context.Context, id string) (auth.Connection, error)
	Connect(ctx context.Context, req auth.ConnectRequest) (auth.Connection, error)
	SetParams(ctx context.Context, connection string, params trigger.Overrides) (auth.Connection, error)
	Disconnect(ctx context.Context, id string) error
	App(ctx context.Context, environment, connector string) (auth.OwnApp, error)
	SetApp(ctx context.Context, environment, connector string, app connector.App) error
	DeleteApp(ctx context.Context, environment, connector string) error
	CallbackURL() string
}

// Deployments is what the API needs of [deployment.Service].
type Deployments interface {
	Authenticate(ctx context.Context, key string) (deployment.Environment, error)
	Current(ctx context.Context, key string) error
	IssueKey(ctx context.Context, req deployment.KeyRequest) (string, error)
	Forwarding(ctx context.Context, id string) (deployment.Forwarding, error)
	EditForwarding(ctx context.Context, id string, edit func(*forward.Settings) error) (deployment.Forwarding, error)
	SetForwarding(ctx context.Context, id string, f forward.Settings) error
}

// Forwarder is what the API needs of [forward.Forwarder].
type Forwarder interface {
	Replayer
	Event(ctx context.Context, id string) (forward.Record, error)
	Events(ctx context.Context, q forward.Query) iter.Seq2[forward.Record, error]
	Delivery(ctx context.Context, id string) (forward.Delivery, error)
	SendExample(ctx context.Context, environment, trigger, account string) (forward.Record, error)
	EraseAccount(ctx context.Context, environment, account string) (int, error)
	Paused(ctx context.Context, environment string) (reason string, since time.Time, err error)
	Stats() forward.Stats
}

// Replayer is what the API needs of [forward.Forwarder] to send again.
type Replayer interface {
	Replay(ctx context.Context, id string) (forward.Delivery, error)
	ReplayDelivery(ctx context.Context, id string) (forward.Delivery, error)
	Count(ctx context.Context, q forward.Query) (int, error)
	ReplayAll(ctx context.Context, q forward.Query) (id string, err error)
	ReplayJob(ctx context.Context, id string) (forward.ReplayJob, error)
	Replays(ctx context.Context, q forward.ReplaysQuery) iter.Seq2[forward.ReplayJob, error]
	CancelReplay(ctx context.Context, id string) error
}

var (
	_ Auth        = (*auth.Authorizer)(nil)
	_ Deployments = (*deployment.Service)(nil)
	_ Forwarder   = (*forward.Forwarder)(nil)
)

type api struct {
	cfg      Config
	public   string // PublicURL without a slash at its end
	base     string // path of the API
	routes   []route
	patterns [][]string
	document []byte
	pulse    pulse
}

// New checks cfg and returns the handler of {path of PublicURL}/api/v1/. It sees
// whole paths: mount it without http.StripPrefix.
func New(cfg Config) (http.Handler, error) {
	var errs []error
	for name, missing := range map[string]bool{
		"Auth": cfg.Auth == nil, "Deployments": cfg.Deployments == nil, "Forwarder": cfg.Forwarder == nil,
		"Subscriptions": cfg.Subscriptions == nil, "Registry": cfg.Registry == nil, "Store": cfg.Store == nil,
	} {
		if missing {
			errs = append(errs, fmt.Errorf("api: Config.%s is missing", name))
		}
	}
	public, err := url.Parse(cfg.PublicURL)
	if err != nil || public.Host == "" || (public.Scheme != "http" && public.Scheme != "https") || public.RawQuery != "" || public.Fragment != "" {
		errs = append(errs, errors.New(`api: Config.PublicURL must be an http or https address without query, such as "https://hooks.example.com"`))
	}
	if cfg.Registry != nil {
		if _, taken := cfg.Registry.Lookup("interactor"); taken {
			errs = append(errs, errors.New(`api: a connector cannot be called "interactor": it would be ambiguous in the path of auth-url`))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Addresses == nil {
		cfg.Addresses = func(context.Context, auth.Connection) ([]string, error) { return nil, nil }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default() //nolint:forbidigo // the documented default
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &api{cfg: cfg, public: strings.TrimRight(public.String(), "/"), routes: routes()}
	a.base = strings.TrimRight(public.EscapedPath(), "/") + "/api/v1"
	a.document = documentFor(a.public + "/api/v1")
	for _, r := range a.routes {
		a.patterns = append(a.patterns, strings.Split(r.path[1:], "/"))
	}
	return a, nil
}

// call is one request to an endpoint.
type call struct {
	w           http.ResponseWriter
	r           *http.Request
	environment string            // of the key
	params      map[string]string // of the path
}

func (c *call) body() ([]byte, error) { return readBody(c.w, c.r) }

// answer of an endpoint.
type answer struct {
	status int
	body   any // nil: none; text: as it is; []byte: JSON as it is
	header http.Header
}

// text is a body of text/plain.
type text string

// ServeHTTP answers one request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// Whatever an answer to a key holds is for its holder alone; several hold
	// secrets or addresses that work once.
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	found, params, err := a.find(r)
	if err != nil {
		a.refuse(w, r, "", "", err)
		return
	}
	c := &call{w: w, r: r, params: params}
	ans, err := a.run(c, found) //nolint:contextcheck // c has the request, and so its context
	if err != nil {
		a.refuse(w, r, found.path, c.environment, err)
		return
	}
	a.write(w, ans)
}

// run authenticates and calls the endpoint; a panic in it is an error.
func (a *api) run(c *call, found route) (ans answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			if abort, ok := v.(error); ok && errors.Is(abort, http.ErrAbortHandler) {
				panic(v)
			}
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	if !found.open {
		keys := c.r.Header.Values("X-Api-Key")
		if len(keys) != 1 {
			return answer{}, unauthorized()
		}
		environment, err := a.cfg.Deployments.Authenticate(c.r.Context(), keys[0])
		switch {
		case errors.Is(err, deployment.ErrBadKey):
			return answer{}, unauthorized()
		case err != nil:
			return answer{}, fmt.Errorf("authenticating: %w", err)
		}
		c.environment = environment.ID
	}
	if found.once {
		return a.serveOnce(c, found)
	}
	ans, err = found.serve(a, c)
	return ans, translate(err)
}

func (a *api) write(w http.ResponseWriter, ans answer) {
	h := w.Header()
	maps.Copy(h, ans.header)
	var body []byte
	switch v := ans.body.(type) {
	case nil:
	case text:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(v)
	case []byte:
		h.Set("Content-Type", "application/json")
		body = v
	}
	w.WriteHeader(ans.status)
	_, _ = w.Write(body) // who does not wait for the answer is gone
}

// reply makes an answer of a value.
func reply(status int, v any) (answer, error) {
	body, err := encode(v)
	return answer{status: status, body: body}, err
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return b.Bytes(), nil
}

// refuse answers with an error. What is not the caller's fault is told to the log
// alone, under an id that the caller can name.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, path, environment string, err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = a.internal(r, path, environment, err)
	}
	body, err := encode(f.body)
	if err != nil { // a struct of texts always marshals
		body = []byte("{}")
	}
	a.write(w, answer{status: f.status, body: body, header: f.header})
}

func (a *api) internal(r *http.Request, path, environment string, err error) *failure {
	away := fail(http.StatusServiceUnavailable, CodeStoreUnavailable, "", "the store does not answer: try again later")
	away.header = http.Header{"Retry-After": {"5"}}
	if canceled(r.Context(), err) {
		return away
	}
	report := id.New("req", a.cfg.Now())
	// Not the path itself: its query may hold what was entered by a person.
	log := a.cfg.Logger.With("request", report, "method", r.Method, "endpoint", path, "environment", environment, "error", err)
	if _, probe := a.cfg.Store.OldestDue(r.Context()); probe != nil {
		log.ErrorContext(r.Context(), "api: the store is away", "store_error", probe)
		return away
	}
	log.ErrorContext(r.Context(), "api: internal error")
	return fail(http.StatusInternalServerError, CodeInternal, "", "internal error, reported as %s", report)
}
