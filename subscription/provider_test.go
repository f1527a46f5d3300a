package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// provider plays a product that holds watches, and its connector.
type provider struct {
	per    connector.Per
	secret connector.Secret
	life   time.Duration

	// during runs while a Subscribe call is open, after the watch exists.
	during func(sub *connector.Subscription)

	leaving  func() // runs while an Unsubscribe call is open, before the watch is gone
	stopsAll bool   // Unsubscribe ends every watch
	key      string // Held.Secret of what Subscribe makes

	mu      sync.Mutex
	watches map[string]string // remote id -> address
	calls   []string
	next    int
	fail    []error // answers of the next calls; nil: works
	lose    bool    // the next Subscribe works, and its answer is lost
}

func newProvider() *provider {
	return &provider{watches: make(map[string]string), secret: connector.SecretOurs}
}

func (p *provider) Describe() connector.Description {
	type payload struct {
		Text string `json:"text"`
	}
	return connector.Description{
		Name: "acme", Label: "Acme", Docs: "https://acme.example/docs",
		Endpoints: map[string]connector.Template{"api": "https://api.acme.example"},
		Fields:    []connector.Field{{Name: "pass", Label: "Password", Secret: true}},
		Watches:   []connector.Watch{{Name: "box", Resource: "boxes/{box}", Intake: connector.AtSubscription, Secret: p.secret, Per: p.per}},
		Triggers: []trigger.Definition{
			{Name: "acme.mail", Label: "Mail", Watch: "box", Topics: []string{"mail"}, Payload: payload{}, Example: payload{"a"},
				Params: []trigger.Param{{Name: "box", Label: "Box", Required: true}}},
			{Name: "acme.note", Label: "Note", Watch: "box", Topics: []string{"note"}, Payload: payload{}, Example: payload{"b"},
				Params: []trigger.Param{{Name: "box", Label: "Box", Required: true}}},
		},
	}
}

func (p *provider) Verify(context.Context, *connector.Inbound) error { return connector.ErrUnproven }

func (p *provider) Identify(context.Context, *connector.Session) ([]connector.Identity, error) {
	return nil, errors.New("not asked for here")
}

func (p *provider) Decode(*connector.Inbound) (*connector.Decoded, error) {
	return nil, errors.New("not asked for here")
}

func (p *provider) called(what string) error {
	p.calls = append(p.calls, what)
	if len(p.fail) == 0 {
		return nil
	}
	err := p.fail[0]
	p.fail = p.fail[1:]
	return err
}

func (p *provider) Subscribe(_ context.Context, _ *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	p.mu.Lock()
	if err := p.called("subscribe " + sub.Resource); err != nil {
		p.mu.Unlock()
		return nil, err
	}
	remote := sub.Held.ID
	if _, ok := p.watches[remote]; remote != "" && !ok {
		p.mu.Unlock()
		return nil, connector.ErrGone
	}
	if remote == "" {
		p.next++
		remote = fmt.Sprintf("r%d", p.next)
	}
	p.watches[remote] = sub.Address
	lost := p.lose
	p.lose = false
	p.mu.Unlock()
	if p.during != nil {
		p.during(sub)
	}
	if lost {
		return nil, &connector.RetryError{Err: errors.New("the connection broke")}
	}
	h := &connector.Held{ID: remote, Secret: p.given()}
	if p.life > 0 {
		h.ExpiresAt = time.Now().Add(p.life)
	}
	return h, nil
}

func (p *provider) Unsubscribe(_ context.Context, _ *connector.Session, sub *connector.Subscription) error {
	if p.leaving != nil {
		p.leaving()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.called("unsubscribe " + sub.Held.ID); err != nil {
		return err
	}
	delete(p.watches, sub.Held.ID)
	if p.stopsAll {
		clear(p.watches)
	}
	return nil
}

func (p *provider) List(context.Context, *connector.Session, *connector.Subscription) (out []connector.Held, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for remote, address := range p.watches {
		out = append(out, connector.Held{ID: remote, Address: address})
	}
	return out, nil
}

func (p *provider) given() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.key
}

func (p *provider) setKey(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = key
}

func (p *provider) held() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.watches)
}

// forget plays a provider that loses its watches.
func (p *provider) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.watches)
}

func (p *provider) failNext(errs ...error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = append(p.fail, errs...)
}

// accounts plays the room that keeps Connections.
type accounts struct {
	mu      sync.Mutex
	all     map[string]subscription.Connection
	closed  []string
	refused []string
	broken  error // what Closed answers
}

func (a *accounts) Connection(_ context.Context, id string) (subscription.Connection, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.all[id]
	if !ok {
		return c, subscription.ErrNotFound
	}
	return c, nil
}

func (a *accounts) Session(context.Context, string) (*connector.Session, error) {
	return &connector.Session{Now: time.Now}, nil
}

func (a *accounts) Closed(_ context.Context, id string, giveUp bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken != nil && !giveUp {
		return a.broken
	}
	a.closed = append(a.closed, id)
	return nil
}

func (a *accounts) Refused(_ context.Context, id string, _ error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = append(a.refused, id)
	c := a.all[id]
	c.Usable = false
	a.all[id] = c
	return nil
}

func (a *accounts) closedOnes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.closed)
}

// room is a Reconciler over a real store.
type room struct {
	*subscription.Reconciler
	t        *testing.T
	provider *provider
	accounts *accounts
	store    *sqlite.Store

	mu     sync.Mutex
	wanted []trigger.Filter
	ahead  time.Duration // added to the clock
	stop   func()
}

func boxes(names ...string) (out []trigger.Filter) {
	for _, n := range names {
		out = append(out, trigger.Filter{Trigger: "acme.mail", Params: map[string]string{"box": n}})
	}
	return out
}

func newRoom(t *testing.T, p *provider) *room {
	t.Helper()
	return newRoomOf(t, p, p)
}

// newRoomOf is newRoom with a connector that has more than p.
func newRoomOf(t *testing.T, c connector.Connector, p *provider) *room {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "store.db")})
	if err != nil {
		t.Fatal(err)
	}
	r := &room{t: t, provider: p, store: store, wanted: boxes("one"), accounts: &accounts{all: make(map[string]subscription.Connection)}}
	registry, err := connector.NewRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing([]string{seal.NewKey()})
	if err != nil {
		t.Fatal(err)
	}
	r.Reconciler, err = subscription.New(subscription.Config{
		Store: store, Registry: registry, Connections: r.accounts, Keeper: ring, PublicURL: "https://hooks.example.com/in/",
		Wanted: func(context.Context, string) ([]trigger.Filter, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.wanted, nil
		},
		Now: r.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.stop != nil {
			r.stop()
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *room) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.ahead)
}

// forward moves the clock.
func (r *room) forward(d time.Duration) {
	r.mu.Lock()
	r.ahead += d
	r.mu.Unlock()
	r.Wake()
}

func (r *room) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		r.stop = nil
	}
}

// connect adds an account and marks it, as the room that keeps them does.
func (r *room) connect(id, environment string) {
	r.change(id, subscription.Connection{
		ID: id, Environment: environment, Account: "user-" + id, Connector: "acme", Usable: true,
		Identities: []connector.Identity{{ID: "someone"}},
	})
}

func (r *room) change(id string, c subscription.Connection) {
	r.accounts.mu.Lock()
	r.accounts.all[id] = c
	r.accounts.mu.Unlock()
	r.mark(id)
}

func (r *room) mark(id string) {
	r.t.Helper()
	if err := r.store.MarkDirty(r.t.Context(), id, r.now()); err != nil {
		r.t.Fatal(err)
	}
	r.Wake()
}

func (r *room) want(filters []trigger.Filter, connection string) {
	r.mu.Lock()
	r.wanted = filters
	r.mu.Unlock()
	r.mark(connection)
}

// until waits for a state; the test fails after ten seconds.
func (r *room) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			r.provider.mu.Lock()
			defer r.provider.mu.Unlock()
			r.t.Fatalf("waited in vain: %s\ncalls: %q\nheld: %v\nsubscriptions: %+v", what, r.provider.calls, r.provider.watches, r.all())
		case <-tick.C:
		}
	}
}

func (r *room) all() (out []subscription.Subscription) {
	for s, err := range r.Subscriptions(context.Background(), subscription.Query{Environment: "*"}) {
		if err != nil {
			r.t.Error(err)
		}
		out = append(out, s)
	}
	return out
}

func (r *room) unhealthy() (out []subscription.Subscription) {
	for s, err := range r.Subscriptions(context.Background(), subscription.Query{Environment: "*", Unhealthy: true}) {
		if err != nil {
			r.t.Error(err)
		}
		out = append(out, s)
	}
	return out
}

// settled reports whether the provider holds exactly so many watches and every
// Subscription is Active.
func (r *room) settled(n int) func() bool {
	return func() bool {
		all := r.all()
		for _, s := range all {
			if s.State != subscription.Active {
				return false
			}
		}
		return len(all) >= min(n, 1) && len(r.provider.held()) == n
	}
}
