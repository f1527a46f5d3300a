package auth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// maxTouched bounds the memory of Touch.
const maxTouched = 10_000

// MarkRevoked records that the grant was withdrawn at the provider. Its tokens
// stay until it is disconnected, because a suspension can be lifted.
func (a *Authorizer) MarkRevoked(ctx context.Context, id, reason string) error {
	return a.mark(ctx, id, Revoked, reason)
}

// MarkExpired records that the provider refuses the grant: the user must connect again.
// Of a Connection whose grant is dead already it changes nothing: calls that fail for
// that give the stored reason as theirs.
func (a *Authorizer) MarkExpired(ctx context.Context, id, reason string) error {
	return a.mark(ctx, id, Expired, reason)
}

// MarkFailed records that the Connection cannot be used for another reason.
func (a *Authorizer) MarkFailed(ctx context.Context, id, reason string) error {
	return a.mark(ctx, id, Failed, reason)
}

// MarkActive records that it works again: a suspension was lifted. Disconnected
// ones stay as they are; they come back by connecting again.
func (a *Authorizer) MarkActive(ctx context.Context, id string) error {
	return a.mark(ctx, id, Active, "")
}

func (a *Authorizer) mark(ctx context.Context, id string, s Status, reason string) error {
	_, err := a.update(ctx, id, func(r *Record) error {
		if r.Closing || r.Erased || r.Status == s && r.Reason == reason {
			return errUnchanged
		}
		if s == Expired && (r.Status == Expired || r.Status == Revoked) {
			return errUnchanged
		}
		r.become(s, reason, a.now())
		switch s { //nolint:exhaustive // the others keep what they have
		case Active:
			e, err := a.lookup(r.Connector)
			if err != nil {
				return err
			}
			t, err := a.openToken(ctx, *r)
			if err != nil {
				return err
			}
			r.RefreshAt, r.RefreshTries = refreshTime(e, t, a.now(), jitter), 0
		case Revoked, Expired:
			r.RefreshAt = time.Time{}
		}
		return nil
	})
	return err
}

// MarkNeedsConsent records that the provider refused a call for lack of a scope;
// missing are the scopes, where they are known. It ends with the next consent.
func (a *Authorizer) MarkNeedsConsent(ctx context.Context, id, reason string, missing ...string) error {
	_, err := a.update(ctx, id, func(r *Record) error {
		if r.Closing || r.Erased {
			return errUnchanged
		}
		all := union(r.Missing, missing)
		if r.NeedsConsent && r.Reason == reason && slices.Equal(all, r.Missing) {
			return errUnchanged
		}
		r.NeedsConsent, r.Reason, r.Missing = true, reason, all
		return nil
	})
	return err
}

// Touch records that something came for a Connection. It is cheap: at most one
// write in a minute for each.
func (a *Authorizer) Touch(ctx context.Context, id string, lastEvent time.Time) error {
	a.mu.Lock()
	recent := lastEvent.Sub(a.touched[id]) < time.Minute
	if !recent {
		if len(a.touched) >= maxTouched {
			clear(a.touched)
		}
		a.touched[id] = lastEvent
	}
	a.mu.Unlock()
	if recent {
		return nil
	}
	if err := a.cfg.Store.TouchConnection(ctx, id, lastEvent.UTC().Truncate(time.Millisecond)); err != nil {
		return fmt.Errorf("auth: last event of %s: %w", id, err)
	}
	return nil
}

// Reidentify asks the provider again who the Connection is, after
// connector.SignalIdentity and now and then. What it no longer covers goes.
func (a *Authorizer) Reidentify(ctx context.Context, id string) error {
	r, s, err := a.session(ctx, &stored{a: a, id: id}, maxSessionAnswer)
	if err != nil {
		return err
	}
	e, err := a.lookup(r.Connector)
	if err != nil {
		return err
	}
	if e.Identifier == nil {
		return nil
	}
	ids, err := identities(ctx, e, s)
	if err != nil {
		return err
	}
	app, client := r.App, r.ClientID
	_, err = a.update(ctx, id, func(r *Record) error {
		was := *r
		if r.Erased || r.App != app || r.ClientID != client {
			return errUnchanged // connected again meanwhile
		}
		if r.identify(ids); sameIdentities(was.Identities, r.Identities) {
			return errUnchanged
		}
		return nil
	})
	return err
}

// identities runs a connector's Identify.
func identities(ctx context.Context, e *connector.Entry, s *connector.Session) ([]connector.Identity, error) {
	ids, err := e.Identifier.Identify(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("auth: identify at %s: %w", e.Label, err)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("auth: identify at %s: %w: the grant covers no account", e.Label, connector.ErrRefused)
	}
	for _, i := range ids {
		if i.ID == "" {
			return nil, fmt.Errorf("auth: identify at %s: an identity has no ID", e.Label)
		}
	}
	return ids, nil
}
