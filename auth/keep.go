package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// unsaved is what a provider gave and the store did not take. Asking the provider
// again could end a grant whose refresh tokens are good for one use.
type unsaved struct {
	sealed []byte // Record.Token that it replaces
	token  *connector.Token
	used   string // refresh token
}

// keep makes a refreshed token durable; only then it is used. A store that fails
// is tried again while there is time: the provider will not say it twice.
func (a *Authorizer) keep(ctx context.Context, e *connector.Entry, h held, got *connector.Token, used string) (held, error) {
	next := token{Access: got.Access, Refresh: or(got.Refresh, used), ExpiresAt: got.ExpiresAt}
	if next.Refresh != used {
		next.Previous = used
	}
	base, now := h.record.Token, a.now()
	store := func() (held, error) {
		sealed, err := a.sealToken(ctx, h.record.ID, next)
		if err != nil {
			return held{}, err
		}
		replaced := false
		rec, err := a.update(ctx, h.record.ID, func(r *Record) error {
			same, err := a.sameToken(ctx, r.ID, r.Token, base)
			if replaced = !same; err != nil {
				return err
			}
			if replaced {
				return errUnchanged // the user has connected again, or disconnected
			}
			r.Token, r.Grant, r.ExpiresAt = sealed, grantFingerprint(next), next.ExpiresAt
			r.RefreshAt, r.RefreshTries, r.LastRefresh = refreshTime(e, next, now, jitter), 0, now
			if r.Status == Active && !r.NeedsConsent {
				r.Reason = ""
			}
			if got.Scopes != nil {
				r.Scopes = got.Scopes
			}
			if len(got.Values) > 0 {
				r.Values = maps.Clone(r.Values)
				if r.Values == nil {
					r.Values = make(map[string]string)
				}
				maps.Copy(r.Values, got.Values)
			}
			return nil
		})
		if err != nil {
			return held{}, err
		}
		if replaced {
			return a.openHeld(ctx, rec)
		}
		return held{record: rec, token: next, fields: h.fields}, nil
	}
	kept, err := retried(ctx, store)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.unsaved[h.record.ID] = &unsaved{sealed: base, token: got, used: used}
		return held{}, &connector.RetryError{Err: fmt.Errorf("auth: the refreshed token of %s is not stored yet: %w", h.record.ID, err)}
	}
	delete(a.unsaved, h.record.ID)
	return kept, nil
}

// retried calls do until it succeeds, five times within a few seconds.
func retried(ctx context.Context, do func() (held, error)) (held, error) {
	wait := 50 * time.Millisecond
	for try := 0; ; try++ {
		h, err := do()
		if err == nil || try == 5 || errors.Is(err, ErrNotFound) {
			return h, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return h, err
		case <-timer.C:
		}
		wait *= 2
	}
}

// expire records that the provider refuses the grant for good.
func (a *Authorizer) expire(ctx context.Context, was Record, cause error) error {
	replaced := false
	r, err := a.update(ctx, was.ID, func(r *Record) error {
		same, err := a.sameToken(ctx, r.ID, r.Token, was.Token)
		if replaced = !same; err != nil {
			return err
		}
		if replaced {
			return errUnchanged
		}
		r.RefreshAt = time.Time{}
		if !r.Closing {
			r.become(Expired, cause.Error(), a.now())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if replaced {
		return &connector.RetryError{Err: fmt.Errorf("auth: %s was connected again meanwhile", was.ID)}
	}
	a.cfg.Logger.WarnContext(ctx, "auth: connection must be connected again", "connection", r.ID, "connector", r.Connector, "reason", cause.Error())
	return reconnect(r, cause)
}

// postpone records a refresh that failed and may succeed later.
func (a *Authorizer) postpone(ctx context.Context, was Record, cause error) error {
	after, _ := transient(cause)
	r, err := a.update(ctx, was.ID, func(r *Record) error {
		if same, err := a.sameToken(ctx, r.ID, r.Token, was.Token); err != nil || !same {
			return cmp.Or(err, errUnchanged)
		}
		wait := min(firstBackoff<<min(r.RefreshTries, 10), maxBackoff)
		wait = max(after, wait-jitter(wait/5))
		r.RefreshTries++
		r.RefreshAt = a.now().Add(wait)
		if r.Status == Active {
			r.Reason = "refresh failed: " + shorten(cause.Error())
		}
		after = wait
		return nil
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	a.cfg.Logger.WarnContext(ctx, "auth: refresh failed", "connection", r.ID, "connector", r.Connector, "tries", r.RefreshTries, "error", cause.Error())
	return &connector.RetryError{After: after, Err: fmt.Errorf("auth: refresh of %s: %w", r.ID, cause)}
}
