package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// Forwarder receives and delivers. Make one with [New].
// All methods are safe for concurrent use.
type Forwarder struct {
	cfg       Config
	limits    Limits
	store     Store
	registry  *connector.Registry
	directory Directory
	locator   Locator // nil: the Directory does not know
	routes    *routes
	tokens    *tokens
	log       *slog.Logger
	tracing   *tracing  // nil: no spans
	meters    *metering // nil: no metrics
	refusals  throttle  // of the log
	failures  throttle
	panics    throttle
	now       func() time.Time

	origin string // "https://hooks.example.com", or empty
	prefix string // path of PublicURL, without a slash at its end

	running atomic.Bool
	engine  atomic.Pointer[engine] // nil while Run is not running
	working atomic.Pointer[engine] // until the last try of Run has ended
	inbound atomic.Int64           // bytes of requests that are not answered yet
	count   counters
	hiding  hiding
	keys    *dataKeys
	erasing erasures
	room    room

	replaysWake chan struct{} // has room for one
	newsWake    chan struct{} // the same
	streamsWake chan struct{} // has room for one

	doubtMu sync.Mutex
	doubt   []Task // leased, and not given back because the store failed
}

var _ http.Handler = (*Forwarder)(nil)

// Errors to branch on, beside [ErrNotFound].
var (
	// ErrRunning is what a second Run at the same time gets.
	ErrRunning = errors.New("forward: Run is already running")

	// ErrUnknownTrigger means that no connector of the Config has that trigger.
	ErrUnknownTrigger = errors.New("forward: no such trigger")

	// ErrNoEnvironment means that an Environment has to be named.
	ErrNoEnvironment = errors.New("forward: environment is empty: with several tenants every call names one")

	// ErrEnvironmentGone is what a [Locator] says of an Environment that was deleted.
	ErrEnvironmentGone = errors.New("forward: this environment was deleted")
)

// SignalScope is given to [Directory.Signal] when an API call was refused for
// lack of a scope: the Connection needs consent anew.
const SignalScope connector.Signal = "scope"

// SignalExpired is given to [Directory.Signal] when the provider refuses the
// Connection's authorisation: the end user must connect again. (What a provider
// tells by itself about a removed App is connector.SignalRevoked.)
const SignalExpired connector.Signal = "expired"

// Locator is implemented by a [Directory] that knows which Deployment an
// Environment belongs to. Without it, events that name no Connection (those of
// Publish and SendExample) carry no Deployment.
type Locator interface {
	Deployment(ctx context.Context, environment string) (string, error)
}

// environment resolves the empty one.
func (f *Forwarder) environment(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if f.cfg.DefaultEnvironment == "" && f.cfg.Directory != nil {
		return "", ErrNoEnvironment
	}
	return f.cfg.DefaultEnvironment, nil
}

// deployment of an Environment, as far as it is known.
func (f *Forwarder) deployment(ctx context.Context, environment string) (string, error) {
	if environment == f.cfg.DefaultEnvironment && f.cfg.DefaultDeployment != "" {
		return f.cfg.DefaultDeployment, nil
	}
	if f.locator == nil {
		return "", nil
	}
	d, err := f.locator.Deployment(ctx, environment)
	if err != nil {
		return "", fmt.Errorf("forward: environment %s: %w", environment, err)
	}
	return d, nil
}

// destLane is where deliveries to an Environment's destination wait.
func destLane(environment string) string { return "dest:" + environment }

// bulkLane is where the deliveries of a replay by filter wait: they go to the
// same destination when nothing else waits for it.
func bulkLane(environment string) string { return bulkPrefix + environment }

const bulkPrefix = "bulk:"

// connLane is where work on a Connection waits, one after another.
func connLane(connection string) string { return "conn:" + connection }

// doubtful reports whether the store holds leases that nobody works on.
func (f *Forwarder) doubtful() bool {
	f.doubtMu.Lock()
	defer f.doubtMu.Unlock()
	return len(f.doubt) > 0
}

// putBack gives leases back; what the store does not take now is given back
// later, before anything is leased again.
func (f *Forwarder) putBack(ctx context.Context, tasks []Task) {
	if len(tasks) == 0 {
		return
	}
	err := f.store.Release(ctx, tasks)
	if err == nil {
		return
	}
	f.log.ErrorContext(ctx, "tasks could not be given back; trying again later", "tasks", len(tasks), "error", err)
	f.doubtMu.Lock()
	defer f.doubtMu.Unlock()
	f.doubt = append(f.doubt, tasks...)
}

// resolveDoubt gives back what could not be given back before.
func (f *Forwarder) resolveDoubt(ctx context.Context) error {
	f.doubtMu.Lock()
	tasks := f.doubt
	f.doubtMu.Unlock()
	if len(tasks) == 0 {
		return nil
	}
	if err := f.store.Release(ctx, tasks); err != nil {
		return err
	}
	f.doubtMu.Lock()
	defer f.doubtMu.Unlock()
	f.doubt = append([]Task(nil), f.doubt[len(tasks):]...)
	return nil
}
