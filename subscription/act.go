package subscription

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// overlap is how long a watch that was replaced by another one stays at the
// provider, so that nothing is missed in between.
const overlap = time.Minute

// verifyEvery is how often the provider is asked whether it still holds a watch
// that never expires.
const verifyEvery = 24 * time.Hour

// act does what is due for a claimed Subscription and records the outcome.
func (r *Reconciler) act(ctx context.Context, s Subscription) {
	claimed := s.Version
	s, err := r.cfg.Store.Subscription(ctx, s.ID)
	if err == nil && s.Version != claimed {
		return // it waited for its turn so long that somebody else has done it
	}
	defer func() {
		if v := recover(); v != nil { // a fault in a connector ends this try, not the program
			err = r.afterPanic(ctx, s.ID, v)
		}
		if err != nil && !errors.Is(err, ErrConflict) {
			// The lease runs out, then it is found again.
			r.cfg.Logger.ErrorContext(ctx, "working on a watch failed", "subscription", s.ID, "error", err)
		}
	}()
	if err != nil {
		return
	}
	if at := r.turn(s); !at.IsZero() {
		s.Due = at
		_, err = r.cfg.Store.SaveSubscription(ctx, s, SaveOptions{})
		return
	}
	switch s.State {
	case Removing:
		err = r.remove(ctx, s)
	case Pending, Refused: // Refused ones with a due time: what they lack may be there now
		err = r.create(ctx, s)
	case Active:
		err = r.renew(ctx, s)
	default:
		s.Due = time.Time{}
		_, err = r.cfg.Store.SaveSubscription(ctx, s, SaveOptions{})
	}
}

// turn returns when the provider may be called about s; zero: now.
func (r *Reconciler) turn(s Subscription) time.Time {
	e, ok := r.cfg.Registry.Lookup(s.Connector)
	if !ok || e.Subscriber == nil {
		return time.Time{}
	}
	kind := urgent
	if s.State == Pending {
		kind = creates
	}
	now := r.cfg.Now()
	if at := r.pace.ask(s.Connector, s.App, kind, now); at.After(now) {
		return at
	}
	return time.Time{}
}

func (r *Reconciler) afterPanic(ctx context.Context, id string, v any) error {
	r.cfg.Logger.ErrorContext(ctx, "a connector panicked", "subscription", id, "panic", v, "stack", string(debug.Stack()))
	s, err := r.cfg.Store.Subscription(ctx, id)
	if err != nil {
		return err
	}
	cause := fmt.Errorf("the connector panicked: %v", v)
	if s.State == Removing {
		return r.removeFailed(ctx, s, cause)
	}
	return r.failed(ctx, s, cause)
}

// parts are what a call to a provider needs.
type parts struct {
	entry   *connector.Entry
	watch   connector.Watch
	conn    Connection
	session *connector.Session
	sub     *connector.Subscription
}

// errWaits says that a Subscription cannot be worked on until its Connection changes.
var errWaits = errors.New("the connection must be connected again")

// errAbsent says that this program lacks what a Subscription belongs to. The next
// one may have it again, so nothing is given up for it.
var errAbsent = errors.New("not part of this program")

func (r *Reconciler) parts(ctx context.Context, s Subscription) (p parts, err error) {
	e, ok := r.cfg.Registry.Lookup(s.Connector)
	if !ok {
		return p, fmt.Errorf("connector %q is %w", s.Connector, errAbsent)
	}
	p.entry = e
	if p.watch, ok = e.Watch(s.Watch); !ok {
		return p, fmt.Errorf("watch %q of connector %s is %w", s.Watch, s.Connector, errAbsent)
	}
	if p.conn, err = r.cfg.Connections.Connection(ctx, s.Connection); err != nil {
		return p, err
	}
	if !p.conn.Usable && !p.conn.Closing && s.State != Removing {
		return p, errWaits
	}
	if p.session, err = r.cfg.Connections.Session(ctx, s.Connection); err != nil {
		return p, err
	}
	p.sub = r.describe(p.conn, p.watch, s)
	if p.watch.Secret == connector.SecretOurs {
		if p.sub.Secret, err = r.Secret(ctx, s); err != nil {
			return p, err
		}
	}
	return p, nil
}

// needsCall reports whether the provider must be told about the watch at all.
func (p parts) needsCall() bool {
	return p.entry.Subscriber != nil && p.watch.Intake != connector.FromPoll
}

// create makes the provider hold the watch, or changes it there.
func (r *Reconciler) create(ctx context.Context, s Subscription) error {
	p, err := r.parts(ctx, s)
	if err != nil {
		return r.failed(ctx, s, err)
	}
	if err := r.judge(ctx, p, &s); err != nil {
		return r.failed(ctx, s, err)
	}
	if len(s.Rejected) > 0 && len(p.sub.Filters) == 0 {
		return r.refuse(ctx, s)
	}
	if !p.needsCall() {
		return r.held(ctx, s, p, nil, true)
	}
	if s.Held.ID == "" && p.entry.Lister != nil && s.Tries > 0 {
		// An earlier call may have reached the provider without an answer
		// reaching us: adopt what it made instead of making a second one.
		if err := r.adopt(ctx, p, &s); err != nil {
			return r.failed(ctx, s, err)
		}
	}
	// From here on a crash may leave a watch behind, so the next try must look
	// first: that is durable before the provider is called.
	s.Tries++
	if s, err = r.cfg.Store.SaveSubscription(ctx, s, SaveOptions{KeepLease: true}); err != nil {
		return err
	}
	first := s.Held.ID == ""
	s.lost = first && !s.HeldSince.IsZero()
	p.sub.Held, p.sub.Cursor = s.Held, s.Cursor
	h, err := p.entry.Subscriber.Subscribe(ctx, p.session, p.sub)
	if errors.Is(err, connector.ErrGone) && !first {
		s.Held, p.sub.Held, s.lost = connector.Held{}, connector.Held{}, true
		h, err = p.entry.Subscriber.Subscribe(ctx, p.session, p.sub)
	}
	if err != nil {
		s.Tries-- // failed counts it
		return r.failed(ctx, s, err)
	}
	return r.held(ctx, s, p, h, true)
}

// adopt looks for a watch at the provider that points to the address of s.
func (r *Reconciler) adopt(ctx context.Context, p parts, s *Subscription) error {
	all, err := p.entry.Lister.List(ctx, p.session, p.sub)
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.Address != p.sub.Address {
			continue
		}
		if s.Held.ID == "" {
			cursor := s.Held.Cursor
			s.Held = h
			s.Held.Cursor = cursor
			continue
		}
		extra := *p.sub
		extra.Held = h
		if err := p.entry.Subscriber.Unsubscribe(ctx, p.session, &extra); err != nil && !errors.Is(err, connector.ErrGone) {
			return err
		}
	}
	return nil
}

// renew prolongs a watch that would expire.
func (r *Reconciler) renew(ctx context.Context, s Subscription) error {
	p, err := r.parts(ctx, s)
	if err != nil {
		return r.failed(ctx, s, err)
	}
	if len(s.Rejected) > 0 {
		if done, err := r.judgeAgain(ctx, p, &s); done || err != nil {
			return err
		}
	}
	stalled := s.LastError != "" // something may have happened meanwhile: ask
	if !p.needsCall() {
		return r.held(ctx, s, p, nil, stalled)
	}
	var h *connector.Held
	switch {
	case p.verifies(s):
		if err = r.verify(ctx, s, p); err == nil {
			s.LastRenewal = r.cfg.Now()
		}
	case p.entry.Renewer != nil:
		h, err = p.entry.Renewer.Renew(ctx, p.session, p.sub)
	default:
		h, err = p.entry.Subscriber.Subscribe(ctx, p.session, p.sub)
	}
	if errors.Is(err, connector.ErrGone) {
		// The provider has lost it: make it anew, then fetch what was missed.
		s.State, s.Held, s.Due = Pending, connector.Held{}, r.cfg.Now()
		if _, err := r.cfg.Store.SaveSubscription(ctx, s, SaveOptions{}); err != nil {
			return err
		}
		r.Wake()
		return nil
	}
	if err != nil {
		return r.failed(ctx, s, err)
	}
	return r.held(ctx, s, p, h, stalled)
}

// verify looks whether the provider still holds a watch that never expires: who
// removes it there does not say so. connector.ErrGone when it is not.
func (r *Reconciler) verify(ctx context.Context, s Subscription, p parts) error {
	all, err := p.entry.Lister.List(ctx, p.session, p.sub)
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.ID == s.Held.ID && h.Address == p.sub.Address {
			return nil
		}
	}
	return connector.ErrGone
}

// held records a success. With ask, the provider is asked next for what is new:
// the starting point of a new watch, the gap of one that was away.
func (r *Reconciler) held(ctx context.Context, s Subscription, p parts, h *connector.Held, ask bool) error {
	now := r.cfg.Now()
	r.pace.accepted(s.Connector, s.App)
	former, knew, told := s.Held, len(s.Sealed) > 0, false
	renewed := s.State == Active && h != nil
	if h != nil {
		s.Held = *h
		s.Held.Secret = ""
		if told = p.watch.Secret == connector.SecretTheirs && h.Secret != ""; told {
			if err := r.sealSecret(ctx, &s, h.Secret); err != nil {
				return err
			}
		}
	}
	s.State, s.LastError, s.Tries = Active, "", 0
	s.RenewAt = time.Time{}
	if !s.Held.ExpiresAt.IsZero() {
		life := s.Held.ExpiresAt.Sub(now)
		s.RenewAt = now.Add(max(jitter(life/2), time.Second))
	}
	if h != nil {
		s.LastRenewal = now
	}
	s.Due = r.due(s, p)
	opts := SaveOptions{News: r.heldNews(&s, renewed)}
	if ask && p.entry.Expander != nil {
		opts.Poll = now
	}
	saved, err := r.cfg.Store.SaveSubscription(ctx, s, opts)
	if errors.Is(err, ErrConflict) {
		// A handshake taught a key, the wish changed or the provider said something
		// about the watch while it was being called: keep that, and what it gave.
		saved, err = r.merge(ctx, s, opts, knew, told)
	}
	if err != nil {
		return err
	}
	if former.ID != "" && former.ID != saved.Held.ID && saved.State != Removed {
		if err := r.retire(ctx, saved, former); err != nil {
			return err
		}
	}
	if !opts.Poll.IsZero() {
		r.cfg.PollDue()
	}
	if len(opts.News) > 0 {
		r.cfg.Told()
	}
	return nil
}

// merge saves s, the outcome of a call, on top of what was stored during the
// call. knew: a key was known before it; told: the provider gave one with its answer.
func (r *Reconciler) merge(ctx context.Context, s Subscription, opts SaveOptions, knew, told bool) (Subscription, error) {
	for {
		stored, err := r.cfg.Store.Subscription(ctx, s.ID)
		if err != nil || stored.State == Removed { // its grant is gone: there is nothing to keep
			return stored, err
		}
		// A key that was taught changes nothing else. After any other change the
		// provider is told once more: what it said of the watch may be newer than
		// its answer.
		learned := s.Version+1 == stored.Version && !knew && len(stored.Sealed) > 0
		stored.Held = s.Held
		stored.HeldSince, stored.LastRenewal, stored.FailureTold = s.HeldSince, s.LastRenewal, s.FailureTold
		if told {
			stored.Sealed = s.Sealed
		}
		switch {
		case stored.State == Removing:
			opts.News = nil
		case learned:
			stored.LastError, stored.Tries = "", 0
			stored.State, stored.Due, stored.RenewAt, stored.Rejected = s.State, s.Due, s.RenewAt, s.Rejected
		default:
			stored.LastError, stored.Tries = "", 0
			stored.State, stored.Due = Pending, r.cfg.Now()
		}
		saved, err := r.cfg.Store.SaveSubscription(ctx, stored, opts)
		if errors.Is(err, ErrConflict) {
			continue
		}
		r.Wake()
		return saved, err
	}
}

// failed records an error and plans the next try, unless a person must act first.
func (r *Reconciler) failed(ctx context.Context, s Subscription, cause error) error {
	now := r.cfg.Now()
	s.Tries++
	s.LastError = cause.Error()
	s.Due = now.Add(backoff(s.Tries))
	var retry *connector.RetryError
	theirs := false // it is the Connection's failure, and told as such
	switch {
	case errors.Is(cause, errWaits):
		theirs = true
		s.Due = time.Time{} // a change of the Connection marks it dirty
	case s.State != Removing && (errors.Is(cause, connector.ErrRevoked) || errors.Is(cause, connector.ErrScope)):
		if err := r.cfg.Connections.Refused(ctx, s.Connection, cause); err != nil {
			return err
		}
		theirs = true
		s.Due = time.Time{}
	case errors.Is(cause, connector.ErrRefused) && s.State != Removing:
		s.State, s.Due = Refused, time.Time{}
	case errors.As(cause, &retry) && retry.After > 0:
		r.pace.refused(s.Connector, s.App, now, retry.After)
		s.Due = now.Add(retry.After + jitter(time.Second))
	}
	r.cfg.Logger.WarnContext(ctx, "a call about a watch failed", "subscription", s.ID, "connector", s.Connector, "state", s.State, "tries", s.Tries, "next", s.Due, "error", cause)
	opts := SaveOptions{}
	if !theirs {
		opts.News = r.failedNews(&s)
	}
	if _, err := r.cfg.Store.SaveSubscription(ctx, s, opts); err != nil {
		if errors.Is(err, ErrConflict) {
			return nil // who changed it has planned what follows
		}
		return err
	}
	if len(opts.News) > 0 {
		r.cfg.Told()
	}
	return nil
}

// Signal acts on what a provider says about a watch.
func (r *Reconciler) Signal(ctx context.Context, subscription string, signal connector.Signal) error {
	for {
		s, err := r.cfg.Store.Subscription(ctx, subscription)
		if err != nil {
			return err
		}
		if s.State == Removing || s.State == Removed {
			return nil
		}
		now := r.cfg.Now()
		opts := SaveOptions{KeepLease: true}
		switch signal {
		case connector.SignalRenew:
			if s.State == Active {
				s.Due = now
			}
		case connector.SignalGone:
			s.State, s.Held, s.Due = Pending, connector.Held{}, now
		case connector.SignalMissed:
			opts.Poll = now
		default:
			return nil
		}
		if _, err = r.cfg.Store.SaveSubscription(ctx, s, opts); errors.Is(err, ErrConflict) {
			continue
		}
		if err == nil {
			r.Wake()
			if !opts.Poll.IsZero() {
				r.cfg.PollDue()
			}
		}
		return err
	}
}

// Stall records that a watch is of no use until its Connection is usable again:
// the provider has refused a call about what it reports. When the Connection
// comes back, the watch is renewed and the provider asked for what was missed; it
// is renewed when it is time, too, because the refusal may concern the call alone.
func (r *Reconciler) Stall(ctx context.Context, subscription, reason string) error {
	for {
		s, err := r.cfg.Store.Subscription(ctx, subscription)
		if err != nil || s.State != Active {
			return err
		}
		s.LastError = reason
		if _, err = r.cfg.Store.SaveSubscription(ctx, s, SaveOptions{KeepLease: true}); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}
