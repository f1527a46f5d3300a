package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/seal"
)

const (
	stateLife   = 30 * time.Minute // of tickets and states
	callTimeout = 30 * time.Second // of one call to a provider, without a client that says otherwise
)

// Config of an [Authorizer]. Package interactor fills it; on its own, an
// Authorizer is a token vault with a consent flow.
type Config struct {
	Store    Store               // required
	Registry *connector.Registry // required
	Keeper   seal.Keeper         // required

	// PublicURL is required; /connect/ and /oauth/ are served below its path.
	PublicURL string

	// DefaultEnvironment is what an empty Environment means. Empty, as with
	// MultiTenant: an empty Environment is an error.
	DefaultEnvironment string

	// RedirectOrigins are the sites that ConnectRequest.RedirectURL may name, such
	// as "https://app.example.com". Defaults to the origin of PublicURL.
	RedirectOrigins []string

	// ProductName is what the Continue page calls your product. Defaults to the
	// host of PublicURL.
	ProductName string

	// App returns the App of an Environment whose secrets are kept elsewhere; the
	// zero App means: look in the store, then at the connector's default. It is
	// called for every consent and refresh. Optional.
	App func(ctx context.Context, environment, connector string) (connector.App, error)

	// Confirm may refuse a consent in its last step, before anything is kept. The
	// error's text is shown to the end user. Optional.
	Confirm func(r *http.Request, c Connection) error

	// Scopes returns what the trigger list of an Environment needs. Defaults to nothing.
	Scopes func(ctx context.Context, environment, connector string) ([]string, error)

	// Changed is called after a commit that changed a Connection's status,
	// identities, scopes or closing. It is a hint that wakes others: the mark that
	// tells them what to do is in that commit. It must return quickly. Optional.
	Changed func(connection string)

	// Told is called after a commit that has news beside it. It must return quickly.
	// Optional.
	Told func()

	// HTTPClient makes the calls to providers; its Transport must refuse addresses
	// that nobody may reach. Defaults to one with a 30 s timeout and no such guard.
	HTTPClient *http.Client

	Logger *slog.Logger     // Defaults to slog.Default()
	Now    func() time.Time // Wall clock. Defaults to time.Now
}

// Authorizer runs consent and keeps tokens. All methods are safe for concurrent use.
type Authorizer struct {
	cfg     Config
	public  *url.URL // PublicURL without a slash at the end of its path
	origins map[string]bool
	tokens  tokens
	owner   string // of locks: one for each Authorizer
	pages   *pages
	running chan struct{} // holds one token while Run runs

	mu      sync.Mutex
	flights map[string]*flight   // refreshes under way, by Connection
	unsaved map[string]*unsaved  // refreshed tokens that the store did not take yet
	touched map[string]time.Time // when LastEvent was written last
}

// New checks cfg and returns an Authorizer. Its error joins every problem.
func New(cfg Config) (*Authorizer, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("auth: Config."+format, args...))
	}
	if cfg.Store == nil {
		bad("Store is missing: open one with sqlite.Open or postgres.Open")
	}
	if cfg.Registry == nil {
		bad("Registry is missing: make one with connector.NewRegistry")
	}
	if cfg.Keeper == nil {
		bad("Keeper is missing: a seal.Keyring, or one over your KMS")
	}
	public, err := url.Parse(strings.TrimRight(cfg.PublicURL, "/"))
	if err != nil || public.Scheme != "https" && public.Scheme != "http" || public.Host == "" || public.User != nil || public.RawQuery != "" || public.Fragment != "" {
		bad("PublicURL %q is no such address as https://hooks.example.com", cfg.PublicURL)
		public = &url.URL{Scheme: "https", Host: "invalid"}
	}
	origins := make(map[string]bool)
	for i, o := range cfg.RedirectOrigins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			bad("RedirectOrigins[%d] %q is no origin such as https://app.example.com", i, o)
			continue
		}
		origins[origin(u)] = true
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if len(cfg.RedirectOrigins) == 0 {
		origins[origin(public)] = true
	}
	if cfg.ProductName == "" {
		cfg.ProductName = public.Hostname()
	}
	if cfg.Changed == nil {
		cfg.Changed = func(string) {}
	}
	if cfg.Told == nil {
		cfg.Told = func() {}
	}
	if cfg.Scopes == nil {
		cfg.Scopes = func(context.Context, string, string) ([]string, error) { return nil, nil }
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: callTimeout}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default() //nolint:forbidigo // the documented default
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Authorizer{
		cfg:     cfg,
		public:  public,
		origins: origins,
		tokens:  newTokens(cfg.HTTPClient, cfg.Now),
		owner:   id.Token(16),
		pages:   newPages(public, cfg.ProductName),
		running: make(chan struct{}, 1),
		flights: make(map[string]*flight),
		unsaved: make(map[string]*unsaved),
		touched: make(map[string]time.Time),
	}, nil
}

func (a *Authorizer) now() time.Time { return a.cfg.Now().UTC().Truncate(time.Millisecond) }

func (a *Authorizer) callbackURL() string { return a.public.String() + "/oauth/callback" }

func (a *Authorizer) lookup(name string) (*connector.Entry, error) {
	e, ok := a.cfg.Registry.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownConnector, name)
	}
	return e, nil
}

// bind is what a sealed value is bound to.
func bind(record, field string) []byte { return []byte(record + "/" + field) }

func (a *Authorizer) seal(ctx context.Context, record, field string, plain []byte) ([]byte, error) {
	sealed, err := a.cfg.Keeper.Seal(ctx, plain, bind(record, field))
	if err != nil {
		return nil, fmt.Errorf("auth: seal %s of %s: %w", field, record, err)
	}
	return sealed, nil
}

func (a *Authorizer) open(ctx context.Context, record, field string, sealed []byte) ([]byte, error) {
	plain, err := a.cfg.Keeper.Open(ctx, sealed, bind(record, field))
	if err != nil {
		return nil, fmt.Errorf("auth: open %s of %s: %w", field, record, err)
	}
	return plain, nil
}
