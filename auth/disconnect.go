package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// Disconnect ends a Connection: one commit marks it revoked and closing. Its
// watches are removed afterwards, with its Session, and then
// [Authorizer.FinishDisconnect] revokes at the provider and erases the tokens.
// Disconnecting twice is no error. The event log stays.
func (a *Authorizer) Disconnect(ctx context.Context, id string) error {
	_, err := a.update(ctx, id, func(r *Record) error {
		if r.Closing || r.Erased {
			return errUnchanged
		}
		r.Closing = true
		r.become(Revoked, "disconnected", a.now())
		r.RefreshAt = time.Time{}
		return nil
	})
	return err
}

// FinishDisconnect revokes a closing Connection at its provider, unless another
// Connection holds the same grant there, and erases tokens and secrets. When the
// provider cannot be reached nothing is erased and the error says so: call it
// again later, or [Authorizer.AbandonDisconnect]. It does nothing for one that
// is not closing: it was connected again, or is erased already.
func (a *Authorizer) FinishDisconnect(ctx context.Context, id string) error {
	return a.finish(ctx, id, false)
}

// AbandonDisconnect is FinishDisconnect for a provider that was given enough
// time: whatever it says, tokens and secrets are erased.
func (a *Authorizer) AbandonDisconnect(ctx context.Context, id string) error {
	return a.finish(ctx, id, true)
}

func (a *Authorizer) finish(ctx context.Context, id string, giveUp bool) error {
	r, err := a.Get(ctx, id)
	if err != nil {
		return err
	}
	if !r.Closing || r.Erased {
		return nil
	}
	release, err := a.exclude(ctx, id) // no refresh may replace the token that is being revoked
	if err != nil {
		return err
	}
	defer release()
	if r, err = a.Get(ctx, id); err != nil {
		return err
	}
	if !r.Closing || r.Erased {
		return nil
	}
	if err := a.revoke(ctx, r); err != nil {
		if !giveUp {
			return fmt.Errorf("auth: revoke %s: %w", id, err)
		}
		a.cfg.Logger.WarnContext(ctx, "auth: tokens are erased without being revoked at the provider", "connection", id, "connector", r.Connector, "error", err.Error())
	}
	_, err = a.update(ctx, id, func(r *Record) error {
		if !r.Closing || r.Erased {
			return errUnchanged // connected again meanwhile
		}
		r.Closing, r.Erased = false, true
		r.Token, r.Secrets, r.Grant = nil, nil, ""
		r.ExpiresAt, r.RefreshAt, r.RefreshTries = time.Time{}, time.Time{}, 0
		return nil
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	delete(a.unsaved, id)
	delete(a.touched, id)
	a.mu.Unlock()
	return nil
}

// revoke ends the grant at the provider, where that is possible and nobody else
// lives on it: Google's revocation, for one, ends all tokens of user and App.
func (a *Authorizer) revoke(ctx context.Context, r Record) error {
	e, err := a.lookup(r.Connector)
	if errors.Is(err, ErrUnknownConnector) {
		return nil // the program offers it no more
	}
	if err != nil || e.OAuth == nil || e.OAuth.Revoke == nil || len(r.Token) == 0 {
		return err
	}
	shared, err := a.cfg.Store.SharesGrant(ctx, r)
	if err != nil {
		return fmt.Errorf("auth: who shares the grant: %w", err)
	}
	if shared {
		return nil
	}
	h, err := a.openHeld(ctx, r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	if u := a.unsaved[r.ID]; u != nil {
		h.token.Access, h.token.Refresh = u.token.Access, or(u.token.Refresh, h.token.Refresh)
	}
	a.mu.Unlock()
	app, err := a.appOf(ctx, r, e)
	if err != nil {
		return err
	}
	values := maps.Clone(h.fields)
	if values == nil {
		values = make(map[string]string)
	}
	maps.Copy(values, r.Values)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = a.tokens.revoke(ctx, e.OAuth, app, values, h.token.Access, h.token.Refresh)
	if errors.Is(err, connector.ErrRevoked) || errors.Is(err, connector.ErrGone) {
		return nil
	}
	return err
}
