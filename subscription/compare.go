package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// giveUpAfter is how long a provider is asked to remove a watch or to revoke a
// grant when it does not answer properly.
const giveUpAfter = 3 * 24 * time.Hour

// compare makes the stored Subscriptions of a Connection equal to what is
// wanted, as intents. The provider is not called here.
func (r *Reconciler) compare(ctx context.Context, d Dirty) {
	err := r.compareOnce(ctx, d)
	switch {
	case err == nil:
		r.Wake()
	case errors.Is(err, ErrConflict):
		r.postpone(ctx, d.Connection, 0) // somebody worked on one of them: look again
	default:
		r.cfg.Logger.ErrorContext(ctx, "comparing watches failed, will be tried again", "connection", d.Connection, "error", err)
		r.postpone(ctx, d.Connection, backoff(3))
	}
}

func (r *Reconciler) postpone(ctx context.Context, connection string, wait time.Duration) {
	if err := r.cfg.Store.MarkDirty(ctx, connection, r.cfg.Now().Add(wait)); err != nil {
		// The lease runs out, then it is found again.
		r.cfg.Logger.ErrorContext(ctx, "postponing failed", "connection", connection, "error", err)
	}
}

// Settle makes the stored Subscriptions of a Connection equal to what is wanted
// now, instead of when Run comes to it, so that their addresses are known when
// it returns. Providers are called by Run.
func (r *Reconciler) Settle(ctx context.Context, connection string) error {
	for try := 1; ; try++ {
		err := r.compareOnce(ctx, Dirty{Connection: connection})
		if err == nil {
			r.Wake()
			return nil
		}
		if !errors.Is(err, ErrConflict) || try == 5 {
			return err
		}
	}
}

// Addresses returns where a Connection's senders must be told to send by hand:
// those of watches that no call to a provider creates.
func (r *Reconciler) Addresses(ctx context.Context, connection string) ([]string, error) {
	subs, err := r.cfg.Store.SubscriptionsOf(ctx, connection)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range subs {
		e, ok := r.cfg.Registry.Lookup(s.Connector)
		if !ok || e.Subscriber != nil || s.State == Removing {
			continue
		}
		if w, ok := e.Watch(s.Watch); ok && w.Intake == connector.AtSubscription {
			out = append(out, r.address(w, s))
		}
	}
	return out, nil
}

func (r *Reconciler) compareOnce(ctx context.Context, d Dirty) error {
	conn, err := r.cfg.Connections.Connection(ctx, d.Connection)
	if errors.Is(err, ErrNotFound) {
		return r.cfg.Store.SaveComparison(ctx, d, nil, nil)
	}
	if err != nil {
		return err
	}
	held, err := r.cfg.Store.SubscriptionsOf(ctx, conn.ID)
	if err != nil {
		return err
	}
	if !conn.Usable && !conn.Ended {
		// It waits for the end user: nothing can be created or removed meanwhile.
		return r.cfg.Store.SaveComparison(ctx, d, nil, waiting(held))
	}
	var wants []*want
	e, known := r.cfg.Registry.Lookup(conn.Connector)
	if !conn.Ended {
		if !known {
			r.cfg.Logger.WarnContext(ctx, "connection of a connector that this program does not have", "connection", conn.ID, "connector", conn.Connector)
			return r.cfg.Store.SaveComparison(ctx, d, nil, nil)
		}
		var filters []trigger.Filter
		if filters, err = r.cfg.Wanted(ctx, conn.Environment); err != nil {
			return err
		}
		var problems []error
		wants, problems = plan(e, conn, filters)
		for _, p := range problems {
			r.cfg.Logger.WarnContext(ctx, "a trigger cannot be watched", "connection", conn.ID, "error", p)
		}
	}
	create, change, err := r.differences(ctx, conn, e, wants, held)
	if err != nil {
		return err
	}
	if conn.Closing && len(held) == 0 {
		// The Dirty mark stays until the grant is let go, so that a crash in
		// between brings us here again.
		if err := r.cfg.Connections.Closed(ctx, conn.ID, r.cfg.Now().After(conn.EndedAt.Add(giveUpAfter))); err != nil {
			return fmt.Errorf("ending the grant: %w", err)
		}
	}
	return r.cfg.Store.SaveComparison(ctx, d, create, change)
}

// waiting marks watches that nobody can look after until their Connection comes
// back. The provider may have dropped them by then, so they are renewed and it is
// asked for what was missed.
func waiting(held []Subscription) (change []Subscription) {
	for _, s := range held {
		if s.State == Active && s.LastError == "" {
			s.LastError = errWaits.Error()
			change = append(change, s)
		}
	}
	return change
}

func (r *Reconciler) differences(ctx context.Context, conn Connection, e *connector.Entry, wants []*want, held []Subscription) (create, change []Subscription, err error) {
	now := r.cfg.Now()
	matched := make(map[string]bool)
	for _, w := range wants {
		i := slices.IndexFunc(held, func(s Subscription) bool {
			return s.State != Removing && wantKey{s.Watch, s.Resource, s.Identity} == w.key()
		})
		if i < 0 {
			s, err := r.intent(ctx, conn, e, w, now)
			if err != nil {
				return nil, nil, err
			}
			create = append(create, s)
			continue
		}
		s := held[i]
		matched[s.ID] = true
		moved := s.App != conn.App
		if moved {
			// What is held reports to the App that the Connection was made with
			// before. Cursor and address stay.
			s.App, s.Held, s.Tries = conn.App, connector.Held{}, 1 // 1: look first what the provider holds
			if err := r.join(ctx, &s, e); err != nil {
				return nil, nil, err
			}
		}
		if moved || w.differs(s) || s.State == Refused {
			s.Topics, s.Filters, s.Triggers, s.Params = w.topics, w.filters, w.triggers, w.params
			s.State, s.Due = Pending, now
			change = append(change, s)
		} else if s.LastError != "" || len(s.Rejected) > 0 {
			s.Due = now // it waited for the Connection to come back, or for another try
			change = append(change, s)
		}
	}
	for _, s := range held {
		if matched[s.ID] || s.State == Removing {
			continue
		}
		s.State, s.Due, s.Tries, s.EndedAt = Removing, now, 0, now
		if conn.Ended && !conn.Closing {
			s.State, s.Due = Removed, time.Time{} // the grant is gone: nothing can be called
		}
		change = append(change, s)
	}
	return create, change, nil
}

// intent is a new Subscription, not yet known to the provider. Where the
// provider shares the watch among Connections, it joins what is there.
func (r *Reconciler) intent(ctx context.Context, conn Connection, e *connector.Entry, w *want, now time.Time) (Subscription, error) {
	s := Subscription{
		ID: newID(now), Environment: conn.Environment, Connection: conn.ID, Account: conn.Account,
		Connector: conn.Connector, App: conn.App, Watch: w.watch, Resource: w.resource, Identity: w.identity,
		Params: w.params, Topics: w.topics, Filters: w.filters, Triggers: w.triggers,
		State: Pending, Due: now, CreatedAt: now,
	}
	if err := r.join(ctx, &s, e); err != nil {
		return s, err
	}
	watch, _ := e.Watch(w.watch)
	if len(s.Sealed) == 0 && watch.Secret == connector.SecretOurs {
		err := r.sealSecret(ctx, &s, id.Token(32))
		return s, err
	}
	return s, nil
}

// join gives s its own address, or where the provider shares the watch among
// Connections, that of those who have it, with their key.
func (r *Reconciler) join(ctx context.Context, s *Subscription, e *connector.Entry) error {
	s.Endpoint = s.ID
	watch, _ := e.Watch(s.Watch)
	if watch.Per != connector.PerIdentity {
		return nil
	}
	siblings, err := r.cfg.Store.Siblings(ctx, *s)
	if err != nil || len(siblings) == 0 {
		return err
	}
	eldest := siblings[0]
	s.Endpoint, s.Held = eldest.Endpoint, eldest.Held
	s.Held.Cursor = ""
	secret, err := r.Secret(ctx, eldest)
	if err != nil || secret == "" {
		return err
	}
	return r.sealSecret(ctx, s, secret)
}
