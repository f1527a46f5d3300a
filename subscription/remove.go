package subscription

import (
	"context"
	"errors"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// retire plans the removal of a watch that was replaced.
func (r *Reconciler) retire(ctx context.Context, s Subscription, former connector.Held) error {
	now := r.cfg.Now()
	old := s
	old.ID, old.Held, old.State = newID(now), former, Removing
	old.Held.Keys = nil
	old.Due, old.EndedAt, old.CreatedAt, old.Sealed, old.Version = now.Add(overlap), now, now, nil, 0
	if err := r.cfg.Store.SaveComparison(ctx, Dirty{}, []Subscription{old}, nil); err != nil {
		return err
	}
	r.Wake()
	return nil
}

// remove takes the watch away from the provider, unless a sibling shares it.
func (r *Reconciler) remove(ctx context.Context, s Subscription) error {
	p, err := r.parts(ctx, s)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, errAbsent), errors.Is(err, connector.ErrRevoked), errors.Is(err, connector.ErrRefused):
		return r.removed(ctx, s) // nobody is left who could call the provider
	case err != nil:
		return r.removeFailed(ctx, s, err)
	}
	if p.watch.Per == connector.PerIdentity {
		siblings, err := r.cfg.Store.Siblings(ctx, s)
		if err != nil {
			return err
		}
		if len(siblings) > 0 {
			return r.removed(ctx, s)
		}
	}
	if p.needsCall() {
		if s.Held.ID == "" && p.entry.Lister != nil {
			if err := r.adopt(ctx, p, &s); err != nil {
				return r.removeFailed(ctx, s, err)
			}
			p.sub.Held = s.Held
		}
		if err := p.entry.Subscriber.Unsubscribe(ctx, p.session, p.sub); err != nil && !errors.Is(err, connector.ErrGone) {
			return r.removeFailed(ctx, s, err)
		}
		if err := r.warnSiblings(ctx, s, p); err != nil {
			return err
		}
	}
	return r.removed(ctx, s)
}

// warnSiblings has the watches made anew of those who came to share what s was
// while the provider was removing it.
func (r *Reconciler) warnSiblings(ctx context.Context, s Subscription, p parts) error {
	if p.watch.Per != connector.PerIdentity {
		return nil
	}
	siblings, err := r.cfg.Store.Siblings(ctx, s)
	for _, sibling := range siblings {
		if err == nil {
			err = r.Signal(ctx, sibling.ID, connector.SignalGone)
		}
	}
	return err
}

func (r *Reconciler) removeFailed(ctx context.Context, s Subscription, err error) error {
	if errors.Is(err, connector.ErrRevoked) || errors.Is(err, connector.ErrScope) || errors.Is(err, connector.ErrRefused) || r.cfg.Now().After(s.EndedAt.Add(giveUpAfter)) {
		r.cfg.Logger.WarnContext(ctx, "a watch stays at the provider: it cannot be removed with this grant", "subscription", s.ID, "connector", s.Connector, "remote", s.Held.ID, "error", err)
		return r.removed(ctx, s)
	}
	return r.failed(ctx, s, err)
}

func (r *Reconciler) removed(ctx context.Context, s Subscription) error {
	s.State, s.Due, s.LastError, s.Sealed = Removed, time.Time{}, "", nil
	if _, err := r.cfg.Store.SaveSubscription(ctx, s, SaveOptions{}); err != nil {
		return err
	}
	r.Wake() // a Closing Connection may be free of watches now: it was marked
	return nil
}
