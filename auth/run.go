package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/interactorhq/interactor/connector"
)

const (
	refreshers = 8               // refreshes at the same time
	lookPace   = 5 * time.Second // between two looks for what is due
	purgePace  = 10 * time.Minute
	purgeLimit = 1000
)

// Run refreshes tokens ahead of their expiry, keeps grants alive that their
// provider drops when unused, and forgets consents that nobody finished, until
// ctx ends; then it waits for refreshes under way. A second Run at the same time
// gets [ErrRunning]; after Run returned it may be called again.
func (a *Authorizer) Run(ctx context.Context) error {
	select {
	case a.running <- struct{}{}:
	default:
		return ErrRunning
	}
	defer func() { <-a.running }()
	defer a.land()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var purged time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if now := a.now(); now.Sub(purged) >= purgePace {
			purged = now
			a.purge(ctx)
		}
		more, err := a.refreshDue(ctx)
		if err != nil && ctx.Err() == nil {
			a.cfg.Logger.ErrorContext(ctx, "auth: look for tokens to refresh", "error", err)
		}
		if more && err == nil {
			timer.Reset(0)
		} else {
			timer.Reset(lookPace)
		}
	}
}

// land waits for refreshes that are under way: what a provider gave must get
// into the store before the caller closes it.
func (a *Authorizer) land() {
	for {
		a.mu.Lock()
		var one *flight
		for _, f := range a.flights {
			one = f
			break
		}
		a.mu.Unlock()
		if one == nil {
			return
		}
		<-one.done
	}
}

// refreshDue refreshes what is due and reports whether there is more.
func (a *Authorizer) refreshDue(ctx context.Context) (more bool, err error) {
	ids, err := a.cfg.Store.ConnectionsDue(ctx, a.now(), listPage)
	if err != nil {
		return false, err
	}
	slots := make(chan struct{}, refreshers)
	var work sync.WaitGroup
	defer work.Wait()
	for _, id := range ids {
		select {
		case <-ctx.Done():
			return false, nil
		case slots <- struct{}{}:
		}
		work.Go(func() {
			defer func() { <-slots }()
			a.refreshOne(ctx, id)
		})
	}
	return len(ids) == listPage, nil
}

func (a *Authorizer) refreshOne(ctx context.Context, id string) {
	h, _, err := a.readForRefresh(ctx, id)
	if err == nil {
		_, err = a.refresh(ctx, id, h.token.Access)
	}
	var retry *connector.RetryError
	var again *ReconnectError
	switch {
	case err == nil, ctx.Err() != nil, errors.As(err, &retry): // recorded with the Connection
		return
	case errors.As(err, &again): // recorded, too
	default:
		a.cfg.Logger.ErrorContext(ctx, "auth: refresh", "connection", id, "error", err)
	}
	a.putOff(ctx, id)
}

// putOff keeps a Connection that cannot be refreshed at all from being first in
// line forever.
func (a *Authorizer) putOff(ctx context.Context, id string) {
	_, err := a.update(ctx, id, func(r *Record) error {
		if r.RefreshAt.IsZero() {
			return errUnchanged
		}
		if !r.live() {
			r.RefreshAt = time.Time{}
			return nil
		}
		r.RefreshAt = a.now().Add(maxBackoff - jitter(time.Minute))
		return nil
	})
	if err != nil && ctx.Err() == nil {
		a.cfg.Logger.ErrorContext(ctx, "auth: put off", "connection", id, "error", err)
	}
}

func (a *Authorizer) purge(ctx context.Context) {
	for {
		n, err := a.cfg.Store.PurgeStates(ctx, a.now(), purgeLimit)
		if err != nil {
			if ctx.Err() == nil {
				a.cfg.Logger.ErrorContext(ctx, "auth: forget unfinished consents", "error", err)
			}
			return
		}
		if n < purgeLimit {
			return
		}
	}
}
