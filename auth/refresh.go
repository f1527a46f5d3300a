package auth

import (
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
					a.cfg.Logger.WarnContext(ctx, "auth: unlock", "connection", connection, "error", err)
				}
			}, nil
		}
		timer.Reset(pollLock + jitter(pollLock))
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
	if u != nil {
		same, err := a.sameToken(ctx, h.record.ID, u.sealed, h.record.Token)
		if err != nil {
			return nil, "", &connector.RetryError{Err: err}
		}
		if same {
			return u.token, u.used, nil
		}
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

// jitter is a random part of d, so that what was made together is not refreshed together.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d) //nolint:gosec // it spreads load, nobody gains from guessing it
}
