package forward

import (
	"container/heap"
	"context"
	"time"
)

const (
	sweepEvery = 30 * time.Second // the store is asked which lanes have work, also if nobody said so
	lookAhead  = time.Minute      // how far into the future it is asked
	lookPause  = 100 * time.Millisecond
	lookLanes  = 1024
	largeTask  = 8 << 20 // bytes; hardly any task is larger
	storeRetry = time.Second
)

// dispatch claims what is due until ctx ends. It sleeps until something is due
// or somebody wakes it.
func (e *engine) dispatch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := storeRetry
		if err := e.f.resolveDoubt(ctx); err != nil {
			e.storeFailed(err, giving)
		} else {
			e.storeWorked(giving)
			e.claimDue(ctx)
			wait = e.look(ctx)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-e.wakeup:
		}
	}
}

// claimDue claims from every lane whose time has come.
func (e *engine) claimDue(ctx context.Context) {
	for ctx.Err() == nil {
		now := e.f.now()
		e.mu.Lock()
		if len(e.due) == 0 || e.due[0].next.After(now) {
			e.mu.Unlock()
			return
		}
		l := heap.Pop(&e.due).(*lane) //nolint:errcheck // it holds nothing else
		l.next = time.Time{}
		fresh := l.gate.fresh
		e.mu.Unlock()
		if fresh && !e.meet(ctx, l) {
			continue
		}
		e.claim(ctx, l)
	}
}

// meet asks the store about a lane that is new in memory.
func (e *engine) meet(ctx context.Context, l *lane) bool {
	state, err := e.f.store.Lane(ctx, l.gate.main.name)
	if err != nil {
		e.storeFailed(err, looking)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g, now := l.gate, e.f.now()
	if err != nil {
		e.schedule(l, now.Add(storeRetry))
		return false
	}
	if !g.fresh { // resumed meanwhile
		return true
	}
	g.fresh, g.paused, g.failing = false, !state.PausedSince.IsZero(), state.FailingSince
	g.reported.Store(g.paused)
	if state.RestUntil.After(now) {
		e.rests(g, state.RestUntil) // there is nothing to be given back: nothing was claimed
	}
	return true
}

// claim fills a lane from the store, as far as there is room.
func (e *engine) claim(ctx context.Context, l *lane) {
	now := e.f.now()
	e.mu.Lock()
	n, bytes := e.room(l)
	g := l.gate
	switch {
	case g.shut(): // what ends that lets it go on
		l.behind = true
		e.mu.Unlock()
		return
	case n < 1 || (bytes <= 0 && l.held > 0):
		l.blocked = true // its own tasks make room
		e.mu.Unlock()
		return
	case bytes <= 0 && g.pool.running >= g.pool.limit:
		if !l.starving {
			l.starving = true
			e.starved = append(e.starved, l)
		}
		e.mu.Unlock()
		return
	case bytes <= 0:
		// Memory is full of other lanes' tasks. One task, for a worker that is free,
		// keeps this lane moving whatever they do.
		n, bytes = starvedTake, 1
	}
	n = min(n, claimTasks)
	spills := l.spills
	e.mu.Unlock()

	e.f.erasing.gate.RLock()
	defer e.f.erasing.gate.RUnlock()
	// Not cut short by ctx: a lease that nobody knows of would stay.
	tasks, err := e.f.store.Claim(context.WithoutCancel(ctx), ClaimRequest{Lane: l.name, Now: now, Limit: n, Bytes: bytes, Lease: leaseFor})
	if err != nil {
		e.mu.Lock()
		e.schedule(l, now.Add(storeRetry))
		e.mu.Unlock()
		e.storeFailed(err, claiming)
		return
	}
	e.storeWorked(claiming)
	var payload int64
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range tasks {
		t := &tasks[i]
		payload += size(t) - taskSize
		if e.f.erasing.stops(t) { // its row goes
			continue
		}
		e.hold(l, size(t))
		e.enqueue(l, *t)
	}
	switch {
	case len(tasks) == n, len(tasks) > 0 && bytes-payload < largeTask:
		// There may be more, which the limits left out.
		l.behind = true
		e.schedule(l, now)
	case l.spilling > 0 || l.spills != spills:
		l.behind = true // something was added meanwhile: look again
		e.schedule(l, now)
	default:
		l.behind = false
		if at := now.Add(max(lookPause, 20*e.lookCost)); l.later && e.lookAt.After(at) {
			e.lookAt = at
		}
		l.later = false
	}
	l.used = now
	g.pool.enter(g) // bulk may have waited for main
	e.start(g.pool)
}

// look asks the store which lanes have work, if it is time to, and returns how
// long the dispatcher may sleep.
func (e *engine) look(ctx context.Context) time.Duration {
	now := e.f.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.lookAt.After(now) || e.lookAt.Sub(now) > sweepEvery { // a clock that was set back must not make it late
		limit := lookLanes
		for _, l := range e.lanes {
			if l.blocked || l.gate.shut() || l.idle(now) {
				limit++ // known already: they must not hide others
			}
		}
		e.mu.Unlock()
		lanes, err := e.f.store.Lanes(ctx, now.Add(lookAhead), limit)
		cost := e.f.now().Sub(now)
		if err != nil {
			e.storeFailed(err, looking)
		} else {
			e.storeWorked(looking)
		}
		e.mu.Lock()
		e.lookCost = cost
		e.lookAt = now.Add(sweepEvery)
		if err != nil || len(lanes) >= limit {
			e.lookAt = now.Add(storeRetry)
		}
		e.seen(lanes, now)
		e.forget(now)
	}
	next := e.lookAt
	if at := e.openGates(e.f.now()); !at.IsZero() && at.Before(next) {
		next = at
	}
	if len(e.due) > 0 && e.due[0].next.Before(next) {
		next = e.due[0].next
	}
	return max(0, next.Sub(e.f.now()))
}

// seen schedules the lanes that the store named. e.mu is held.
func (e *engine) seen(lanes []LaneDue, now time.Time) {
	for _, d := range lanes {
		l := e.lane(d.Lane)
		g := l.gate
		if g.paused && g.since.Before(now) {
			g.paused = false // the store leaves paused ones out
		}
		if l.blocked {
			continue
		}
		if !d.Due.After(now) {
			l.behind = true
			d.Due = now
			if g.shut() {
				continue // what opens it lets it claim
			}
		}
		e.scheduleLater(l, d.Due)
	}
}

// mostRest is longer than anything makes a lane rest.
func (f *Forwarder) mostRest() time.Duration {
	return 2 * max(f.limits.MaxRetryAfter, breakMost, settingsRest)
}

// forget removes lanes without work, and memory that those that stay do not use.
// e.mu is held.
func (e *engine) forget(now time.Time) {
	for name, l := range e.lanes {
		g := l.gate
		if g.rest.Sub(now) > e.f.mostRest() { // the clock was set back
			g.rest = now
			g.pool.wait(g, now)
		}
		switch {
		case l == g.main && g.idle(now):
			delete(e.lanes, name)
			g.pool.gates--
			if g.bulk != nil {
				delete(e.lanes, g.bulk.name)
			}
		case l.queued() == 0 && cap(l.queue) > laneSpare && now.Sub(l.used) > keepTurn:
			l.queue, l.head = nil, 0
		}
	}
}
