package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/interactorhq/interactor/connector"
)

const (
	flightTimeout = 2 * time.Minute // of one refresh, waiting for others and the store included
	lockLife      = 3 * time.Minute // of its lock: longer than the flight
	pollLock      = 50 * time.Millisecond
	firstBackoff  = 5 * time.Second
	maxBackoff    = 5 * time.Minute
)

var errNoRefresh = errors.New("the access token ran out and the provider gave no refresh token")

// flight is a refresh under way in this process, or something else that must not
// run beside one.
type flight struct {
	done chan struct{}
	held held
	err  error
}

// unsaved is what a provider gave and the store did not take. Asking the provider
// again could end a grant whose refresh tokens are good for one use.
type unsaved struct {
	sealed []byte // Record.Token that it replaces
	token  *connector.Token
	used   string // refresh token
}

// refresh replaces an access token that is not to be used any more. Calls at the
// same time share one refresh. ctx ends the waiting, not the refresh: a refresh
// token that the provider has sent must not be lost because a caller gave up.
func (a *Authorizer) refresh(ctx context.Context, connection, stale string) (held, error) {
	for {
		a.mu.Lock()
		f := a.flights[connection]
		joined := f != nil
		if !joined {
			f = &flight{done: make(chan struct{})}
			a.flights[connection] = f
			go a.fly(context.WithoutCancel(ctx), connection, stale, f)
		}
		a.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return held{}, ctx.Err()
		}
		if joined && f.err == nil && f.held.token.Access == stale {
			continue // it had an older token in mind
		}
		return f.held, f.err
	}
}

func (a *Authorizer) fly(ctx context.Context, connection, stale string, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, flightTimeout)
	defer cancel()
	f.held, f.err = a.refreshLocked(ctx, connection, stale)
	a.mu.Lock()
	delete(a.flights, connection)
	a.mu.Unlock()
	close(f.done)
}

// exclude keeps refreshes away from a Connection, in this process and elsewhere,
// until release is called.
func (a *Authorizer) exclude(ctx context.Context, connection string) (release func(), err error) {
	mine := &flight{done: make(chan struct{}), err: &connector.RetryError{Err: fmt.Errorf("auth: %s is being disconnected", connection)}}
	for taken := false; !taken; {
		a.mu.Lock()
		other := a.flights[connection]
		if taken = other == nil; taken {
			a.flights[connection] = mine
		}
		a.mu.Unlock()
		if taken {
			break
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	land := func() {
		a.mu.Lock()
		delete(a.flights, connection)
		a.mu.Unlock()
		close(mine.done)
	}
	unlock, err := a.lock(ctx, connection)
	if err != nil {
		land()
		return nil, err
	}
	return func() { unlock(); land() }, nil
}

// refreshLocked refreshes unless another process has done so meanwhile.
func (a *Authorizer) refreshLocked(ctx context.Context, connection, stale string) (held, error) {
	unlock, err := a.lock(ctx, connection)
	if err != nil {
		return held{}, err
	}
	keepLock := false
	defer func() {
		if !keepLock {
			unlock()
		}
	}()
	h, e, err := a.readForRefresh(ctx, connection)
	if err != nil {
		return held{}, err
	}
	if h.token.Access != stale {
		return h, nil
	}
	if h.token.Refresh == "" && e.Granter == nil {
		return held{}, a.expire(ctx, h.record, errNoRefresh)
	}
	got, used, err := a.obtain(ctx, e, h)
	switch {
	case err == nil:
		h, err = a.keep(ctx, e, h, got, used)
		keepLock = err != nil // until it ends nobody else may use up the former refresh token
		return h, err
	case deadGrant(err):
		return held{}, a.expire(ctx, h.record, err)
	}
	return held{}, a.postpone(ctx, h.record, err)
}

// lock takes the refresh lock of a Connection, waiting for whoever holds it.
func (a *Authorizer) lock(ctx context.Context, connection string) (unlock func(), err error) {
	name := "refresh:" + connection
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, &connector.RetryError{Err: fmt.Errorf("auth: another process refreshes %s: %w", connection, ctx.Err())}
		case <-timer.C:
		}
		now := a.now()
		ok, err := a.cfg.Store.TryLock(ctx, name, a.owner, now, now.Add(lockLife))
		if err != nil {
			return nil, fmt.Errorf("auth: lock %s: %w", connection, err)
		}
		if ok {
			return func() {
				if err := a.cfg.Store.Unlock(context.WithoutCancel(ctx), name, a.owner); err != nil {
					a.cfg.Logger.Warn("auth: unlock", "connection", connection, "error", err)
				}
			}, nil
		}
		timer.Reset(pollLock + rand.N(pollLock))
	}
}

func (a *Authorizer) readForRefresh(ctx context.Context, connection string) (held, *connector.Entry, error) {
	r, err := a.Get(ctx, connection)
	if err != nil {
		return held{}, nil, err
	}
	if !r.live() {
		return held{}, nil, reconnect(r, nil)
	}
	e, err := a.lookup(r.Connector)
	if err != nil {
		return held{}, nil, err
	}
	h, err := a.openHeld(ctx, r)
	return h, e, err
}

// obtain asks the provider for a new token, with the former refresh token if it
// refuses the present one: where its answer to the last refresh did not become
// true on its own side, the former one is still good.
func (a *Authorizer) obtain(ctx context.Context, e *connector.Entry, h held) (t *connector.Token, used string, err error) {
	a.mu.Lock()
	u := a.unsaved[h.record.ID]
	a.mu.Unlock()
	if u != nil && bytes.Equal(u.sealed, h.record.Token) {
		return u.token, u.used, nil
	}
	app, err := a.appOf(ctx, h.record, e)
	if err != nil {
		return nil, "", err
	}
	values := maps.Clone(h.record.Values)
	if values == nil {
		values = make(map[string]string)
	}
	maps.Copy(values, h.fields)
	ask := func(refresh string) (*connector.Token, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if e.Granter != nil {
			return a.grant(ctx, e, app, values, "", &connector.Token{
				Access: h.token.Access, Refresh: refresh, ExpiresAt: h.token.ExpiresAt, Scopes: h.record.Scopes, Values: h.record.Values})
		}
		return a.tokens.refresh(ctx, e.OAuth, app, values, h.token.Access, refresh)
	}
	t, err = ask(h.token.Refresh)
	if err != nil && deadGrant(err) && h.token.Previous != "" {
		if t, again := ask(h.token.Previous); again == nil {
			return t, h.token.Previous, nil
		}
	}
	return t, h.token.Refresh, err
}

// grant calls a Granter.
func (a *Authorizer) grant(ctx context.Context, e *connector.Entry, app connector.App, values map[string]string, code string, former *connector.Token) (*connector.Token, error) {
	t, err := e.Granter.Grant(ctx, connector.GrantContext{HTTP: a.tokens.client, App: app.Values(), Values: values, Code: code, Now: a.now()}, former)
	if err != nil {
		return nil, err
	}
	if t == nil || t.Access == "" {
		return nil, &AnswerError{Status: http.StatusOK, Description: "there is no access token in the answer"}
	}
	return t, nil
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
			if replaced = !bytes.Equal(r.Token, base); replaced {
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
		if replaced = !bytes.Equal(r.Token, was.Token); replaced {
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
	a.cfg.Logger.Warn("auth: connection must be connected again", "connection", r.ID, "connector", r.Connector, "reason", cause.Error())
	return reconnect(r, cause)
}

// postpone records a refresh that failed and may succeed later.
func (a *Authorizer) postpone(ctx context.Context, was Record, cause error) error {
	after, _ := transient(cause)
	r, err := a.update(ctx, was.ID, func(r *Record) error {
		if !bytes.Equal(r.Token, was.Token) {
			return errUnchanged
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
	a.cfg.Logger.Warn("auth: refresh failed", "connection", r.ID, "connector", r.Connector, "tries", r.RefreshTries, "error", cause.Error())
	return &connector.RetryError{After: after, Err: fmt.Errorf("auth: refresh of %s: %w", r.ID, cause)}
}

// jitter is a random part of d, so that what was made together is not refreshed together.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
