package subscription

import (
	"context"
	"sync"
	"time"
)

const (
	// leaseTime is how long a claimed piece of work stays with one process. It is
	// longer than callTimeout, so a lease outlives every call made under it.
	leaseTime   = 5 * time.Minute
	callTimeout = 2 * time.Minute
	idleCheck   = time.Minute // other processes may add work without waking this one
	forgetAfter = 30 * 24 * time.Hour
)

// Run creates, renews, repairs and removes watches until ctx ends; calls in
// flight are finished first. It returns an error only when the store fails. A
// second Run at the same time gets [ErrRunning]; after Run returned it may be
// called again.
func (r *Reconciler) Run(ctx context.Context) error {
	select {
	case r.running <- struct{}{}:
		defer func() { <-r.running }()
	default:
		return ErrRunning
	}
	var work sync.WaitGroup
	defer work.Wait()
	slots := make(chan struct{}, r.cfg.Workers)
	busy := newBusy()
	forget := r.cfg.Now()
	for {
		found, err := r.claim(ctx, slots, busy, &work)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if now := r.cfg.Now(); now.After(forget) {
			forget = now.Add(time.Hour)
			if _, err := r.cfg.Store.ForgetSubscriptions(ctx, now.Add(-forgetAfter), 1000); err != nil && ctx.Err() == nil {
				return err
			}
		}
		if found {
			continue
		}
		wait := idleCheck
		due, err := r.cfg.Store.NextSubscription(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !due.IsZero() {
			wait = min(wait, max(due.Sub(r.cfg.Now()), 10*time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-r.wake:
			timer.Stop()
		case <-busy.idle:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// claim takes what is due and starts it, as far as there are workers. Work on
// one Connection is serial: what belongs to a busy one waits for its turn.
func (r *Reconciler) claim(ctx context.Context, slots chan struct{}, busy *busy, work *sync.WaitGroup) (found bool, err error) {
	free, err := waitFree(ctx, slots)
	if err != nil {
		return false, err
	}
	// Not cut short by ctx: leases that nobody knows of would stay.
	claimCtx := context.WithoutCancel(ctx)
	dirty, err := r.cfg.Store.ClaimDirty(claimCtx, r.cfg.Now(), leaseTime, free)
	if err != nil {
		return false, err
	}
	for _, d := range dirty {
		found = true
		r.start(ctx, slots, busy, work, d.Connection, func(ctx context.Context) { r.compare(ctx, d) })
	}
	if free -= len(dirty); free == 0 {
		return true, nil
	}
	subs, err := r.cfg.Store.ClaimSubscriptions(claimCtx, r.cfg.Now(), leaseTime, free)
	if err != nil {
		return false, err
	}
	for _, s := range subs {
		found = true
		r.start(ctx, slots, busy, work, s.Connection, func(ctx context.Context) { r.act(ctx, s) })
	}
	return found, nil
}

// waitFree waits for a free worker and returns how many there are. What is leased
// beyond that would wait here, for longer than its lease.
func waitFree(ctx context.Context, slots chan struct{}) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case slots <- struct{}{}:
	}
	<-slots // only the caller takes them, so it stays free
	return cap(slots) - len(slots), nil
}

// start runs do in a worker, one of which is free, after what is under way for
// the same Connection. do is not cancelled when ctx ends: a call to a provider
// whose answer would be lost leaves an orphan there, so it may finish.
func (r *Reconciler) start(ctx context.Context, slots chan struct{}, busy *busy, work *sync.WaitGroup, connection string, do func(context.Context)) {
	slots <- struct{}{}
	work.Add(1)
	turn := busy.enter(connection)
	go func() {
		defer work.Done()
		defer func() { busy.leave(connection, turn); <-slots }()
		<-turn.before
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		do(callCtx)
	}()
}

// busy queues work on the same Connection.
type busy struct {
	mu   sync.Mutex
	last map[string]turn
	idle chan struct{}
}

type turn struct{ before, done chan struct{} }

func newBusy() *busy {
	return &busy{last: make(map[string]turn), idle: make(chan struct{}, 1)}
}

func (b *busy) enter(connection string) turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := turn{done: make(chan struct{})}
	if former, ok := b.last[connection]; ok {
		t.before = former.done
	} else {
		t.before = make(chan struct{})
		close(t.before)
	}
	b.last[connection] = t
	return t
}

func (b *busy) leave(connection string, t turn) {
	b.mu.Lock()
	if b.last[connection] == t {
		delete(b.last, connection)
	}
	b.mu.Unlock()
	close(t.done)
	select { // what was put back while this one was busy can be claimed now
	case b.idle <- struct{}{}:
	default:
	}
}
