package subscription

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
)

// Connections is what this room asks of the room that keeps connected accounts.
type Connections interface {
	// Connection returns one; [ErrNotFound] when it is unknown.
	Connection(ctx context.Context, id string) (Connection, error)

	// Session returns an authorised client. It works for Closing ones too.
	Session(ctx context.Context, id string) (*connector.Session, error)

	// Closed is called for a Closing Connection that holds no watch any more:
	// the grant can be revoked. An error brings the call again, and after
	// giveUp it must let go whatever the provider says.
	Closed(ctx context.Context, id string, giveUp bool) error

	// Refused tells that a provider refuses the Connection's grant (err wraps
	// connector.ErrRevoked or connector.ErrScope).
	Refused(ctx context.Context, id string, err error) error
}

// Config of a [Reconciler]. Package interactor fills it.
type Config struct {
	Store       Store               // required
	Registry    *connector.Registry // required
	Connections Connections         // required
	Keeper      seal.Keeper         // required; seals the keys of watches
	PublicURL   string              // required; addresses given to providers start with it

	// Wanted returns the trigger list that is in force in an Environment. Required.
	Wanted func(ctx context.Context, environment string) ([]trigger.Filter, error)

	// PollDue is called after a Poll task was made due. Defaults to nothing.
	PollDue func()

	// Told is called after a commit that has news beside it. It must return quickly.
	// Defaults to nothing.
	Told func()

	// Rate is how many calls about watches a connector's provider gets in a second,
	// for each App; 0 or less: what its Description says. Defaults to that for all.
	Rate func(connector string) float64

	// Workers is how many providers are called at the same time. Defaults to 8.
	Workers int

	Logger *slog.Logger     // Defaults to slog.Default()
	Now    func() time.Time // Wall clock. Defaults to time.Now
}

// Reconciler keeps watches. All methods are safe for concurrent use.
type Reconciler struct {
	cfg     Config
	base    string // PublicURL without a slash at the end
	wake    chan struct{}
	running chan struct{} // holds one token while Run runs
	pace    *pace
}

// New checks cfg and returns a Reconciler. It starts nothing.
func New(cfg Config) (*Reconciler, error) {
	var problems []error
	require := func(missing bool, what string) {
		if missing {
			problems = append(problems, errors.New("subscription: Config."+what+" is missing"))
		}
	}
	require(cfg.Store == nil, "Store")
	require(cfg.Registry == nil, "Registry")
	require(cfg.Connections == nil, "Connections")
	require(cfg.Keeper == nil, "Keeper")
	require(cfg.Wanted == nil, "Wanted")
	if u, err := url.Parse(cfg.PublicURL); err != nil || u.Scheme == "" || u.Host == "" {
		problems = append(problems, fmt.Errorf("subscription: Config.PublicURL %q is no absolute address", cfg.PublicURL))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.PollDue == nil {
		cfg.PollDue = func() {}
	}
	if cfg.Told == nil {
		cfg.Told = func() {}
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 8
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default() //nolint:forbidigo // the documented default
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Reconciler{
		cfg:     cfg,
		pace:    newPace(cfg.rateOf),
		base:    strings.TrimRight(cfg.PublicURL, "/"),
		wake:    make(chan struct{}, 1),
		running: make(chan struct{}, 1),
	}, nil
}

// rateOf is how many calls in a second a connector's provider gets; 0: the default.
func (c Config) rateOf(name string) float64 {
	if c.Rate != nil {
		if rate := c.Rate(name); rate > 0 {
			return rate
		}
	}
	if e, ok := c.Registry.Lookup(name); ok {
		return e.Rate
	}
	return 0
}

// Wake makes Run look for work now: a Connection or a trigger list has changed.
// What is to be done stands in the store; without Wake it is found a little later.
func (r *Reconciler) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Get returns a Subscription, one that was removed lately included, or [ErrNotFound].
func (r *Reconciler) Get(ctx context.Context, id string) (Subscription, error) {
	return r.cfg.Store.Subscription(ctx, id)
}

// Subscriptions iterates in order of creation, reading in pages.
func (r *Reconciler) Subscriptions(ctx context.Context, q Query) iter.Seq2[Subscription, error] {
	const page = 100
	return func(yield func(Subscription, error) bool) {
		for {
			subs, err := r.cfg.Store.SubscriptionsAfter(ctx, q, page)
			if err != nil {
				yield(Subscription{}, err)
				return
			}
			for _, s := range subs {
				if !yield(s, nil) {
					return
				}
			}
			if len(subs) < page {
				return
			}
			q.After = subs[len(subs)-1].ID
		}
	}
}

// Repair checks a Connection's watches at the provider now, and recreates what
// is missing. It returns when that is recorded; Run does the work.
func (r *Reconciler) Repair(ctx context.Context, connection string) error {
	subs, err := r.cfg.Store.SubscriptionsOf(ctx, connection)
	if err != nil {
		return err
	}
	for _, s := range subs {
		if s.State != Active && s.State != Refused {
			continue
		}
		s.State, s.Due, s.Tries = Pending, r.cfg.Now(), 1 // 1: look first what the provider holds
		if _, err := r.cfg.Store.SaveSubscription(ctx, s, SaveOptions{KeepLease: true}); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	if err := r.cfg.Store.MarkDirty(ctx, connection, r.cfg.Now()); err != nil {
		return err
	}
	r.Wake()
	return nil
}

// address is what the provider is told to call.
func (r *Reconciler) address(w connector.Watch, s Subscription) string {
	a := r.base + "/webhooks/" + url.PathEscape(s.Connector)
	switch {
	case w.Intake == connector.AtSubscription:
		return a + "/" + s.Endpoint
	case s.App != "":
		return a + "/" + s.App
	}
	return a
}

func bindSecret(subscription string) []byte { return []byte(subscription + "/secret") }

func (r *Reconciler) sealSecret(ctx context.Context, s *Subscription, secret string) error {
	sealed, err := r.cfg.Keeper.Seal(ctx, []byte(secret), bindSecret(s.ID))
	if err != nil {
		return fmt.Errorf("sealing the key of %s: %w", s.ID, err)
	}
	s.Sealed = sealed
	return nil
}

// Secret returns the key that verifies a Subscription's requests, "" when none
// is known. It is for whoever verifies them, and for nobody else.
func (r *Reconciler) Secret(ctx context.Context, s Subscription) (string, error) {
	if len(s.Sealed) == 0 {
		return "", nil
	}
	b, err := r.cfg.Keeper.Open(ctx, s.Sealed, bindSecret(s.ID))
	if err != nil {
		return "", fmt.Errorf("opening the key of %s: %w", s.ID, err)
	}
	return string(b), nil
}

// Reseal returns the stored key of a Subscription sealed under the key of today,
// or nil when it is that already. It stores nothing. Errors: those of the Keeper.
func (r *Reconciler) Reseal(ctx context.Context, v seal.Stored) ([]byte, error) {
	anew, err := seal.Anew(ctx, r.cfg.Keeper, v.Sealed, bindSecret(v.Record))
	if err != nil {
		return nil, fmt.Errorf("subscription: sealing the key of %s anew: %w", v.Record, err)
	}
	return anew, nil
}

// Learn keeps the key that a provider told in a handshake at s's address. It
// returns [ErrKeyKnown] when there is one already: an address cannot be taken over.
func (r *Reconciler) Learn(ctx context.Context, s Subscription, secret string) error {
	if secret == "" {
		return errors.New("subscription: the handshake brought an empty key")
	}
	for {
		if len(s.Sealed) > 0 {
			return ErrKeyKnown
		}
		if err := r.sealSecret(ctx, &s, secret); err != nil {
			return err
		}
		_, err := r.cfg.Store.SaveSubscription(ctx, s, SaveOptions{KeepLease: true})
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if s, err = r.cfg.Store.Subscription(ctx, s.ID); err != nil {
			return err
		}
	}
}

// Describe returns the Subscription as its connector sees it, key left out.
func (r *Reconciler) Describe(ctx context.Context, s Subscription) (*connector.Subscription, error) {
	e, ok := r.cfg.Registry.Lookup(s.Connector)
	if !ok {
		return nil, fmt.Errorf("subscription: %s belongs to connector %q, which this program does not have", s.ID, s.Connector)
	}
	w, ok := e.Watch(s.Watch)
	if !ok {
		return nil, fmt.Errorf("subscription: connector %s has no watch %q any more", s.Connector, s.Watch)
	}
	conn, err := r.cfg.Connections.Connection(ctx, s.Connection)
	if err != nil {
		return nil, err
	}
	return r.describe(conn, w, s), nil
}

func (r *Reconciler) describe(conn Connection, w connector.Watch, s Subscription) *connector.Subscription {
	out := &connector.Subscription{
		ID: s.ID, Watch: s.Watch, Resource: s.Resource, Params: s.Params,
		Topics: s.Topics, Filters: s.watched(),
		Address: r.address(w, s), Held: s.Held, Cursor: s.Cursor,
	}
	for i, who := range conn.Identities {
		if i == 0 || who.ID == s.Identity {
			out.Identity = who
		}
		if who.ID == s.Identity {
			break
		}
	}
	return out
}

// backoff is the wait after the given number of failed calls in a row: 10 s,
// doubled up to 30 minutes, ±20 %.
func backoff(tries int) time.Duration {
	d := 10 * time.Second << min(max(tries-1, 0), 8)
	return jitter(min(d, 30*time.Minute))
}

// jitter spreads d by ±20 %.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // nobody gains by guessing it
}

func newID(now time.Time) string { return id.New("sub", now) }

// At returns the Subscriptions that share an address, those removed left out.
func (r *Reconciler) At(ctx context.Context, endpoint string) ([]Subscription, error) {
	return r.cfg.Store.SubscriptionsAt(ctx, endpoint)
}

// Route returns the Subscriptions that a request to an App concerns: those of
// its Connections that have one of the keys. watch limits them when given.
func (r *Reconciler) Route(ctx context.Context, connector, app, watch string, keys []connector.Key) ([]Subscription, error) {
	return r.cfg.Store.RouteKeys(ctx, connector, app, watch, keys)
}
