package forward

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// recordGrace is how long outcomes may take to be recorded once the last try
	// has ended, and how long a handler that ignores its ctx is waited for.
	recordGrace = 5 * time.Second
)

// Run delivers until ctx ends, then lets tries in flight finish, for at most
// Limits.DrainTimeout, puts the rest back and returns nil. It returns early only
// when the store fails for good. A second Run at the same time gets [ErrRunning];
// after Run returned it may be called again.
func (f *Forwarder) Run(ctx context.Context) error {
	if !f.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer f.running.Store(false)
	defer f.routes.closeIdle()

	if err := f.blockOrdered(ctx); err != nil {
		return err
	}
	life, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// Tries and what follows from them outlive ctx.
	outlive := context.WithoutCancel(ctx)
	work, cancelWork := context.WithCancel(outlive)
	defer cancelWork()
	recording, cancelRecording := context.WithCancel(outlive)
	defer cancelRecording()

	e := newEngine(work, f, stop)
	var loops, recorder sync.WaitGroup
	stopped := make(chan struct{})
	recorder.Go(func() { e.record(recording, stopped) })
	loops.Go(func() { e.dispatch(life) })
	loops.Go(func() { f.forget(life) })
	loops.Go(func() { e.replays(life) })
	loops.Go(func() { f.meters.watch(life, e) })
	loops.Go(func() { f.makeRoom(life) })
	loops.Go(func() { f.runEraser(life) })
	loops.Go(func() { f.tellNews(life) })
	loops.Go(func() { f.streams(life) })
	f.working.Store(e)
	defer f.working.Store(nil)
	f.engine.Store(e)

	<-life.Done()
	f.engine.Store(nil)
	loops.Wait()
	waiting := e.close()
	if !within(f.limits.DrainTimeout, e.idle) {
		cancelWork()
		if !within(recordGrace, e.idle) {
			f.log.ErrorContext(outlive, "a handler or connector does not end; its event will be delivered again")
		}
	}
	close(stopped)
	recorded := make(chan struct{})
	go func() { recorder.Wait(); close(recorded) }()
	if !within(recordGrace, recorded) {
		cancelRecording()
		<-recorded
	}
	release, cancel := context.WithTimeout(outlive, recordGrace)
	defer cancel()
	f.putBack(release, append(waiting, e.abandoned()...))

	if ctx.Err() == nil {
		if err := context.Cause(life); !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// within waits for a channel to be closed, but no longer than d.
func within(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// Wake makes Run look into the store at once: somebody else has put work there.
func (f *Forwarder) Wake() {
	e := f.engine.Load()
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lookAt = time.Time{}
	e.wake()
	f.wakeReplays()
	f.wakeStreams()
}

// Resume lets the destination of an Environment catch up: a pause ends, and so
// does what its receiver asked for by Retry-After. It returns when that is durable.
func (f *Forwarder) Resume(ctx context.Context, environment string) error {
	environment, err := f.environment(environment)
	if err != nil {
		return err
	}
	name := destLane(environment)
	state, err := f.store.Lane(ctx, name)
	if err != nil {
		return err
	}
	if state == (LaneState{}) {
		return nil
	}
	if err := f.store.Pause(ctx, name, "", time.Time{}); err != nil {
		return err
	}
	e := f.engine.Load()
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.lane(name).gate
	g.fresh, g.paused, g.rest, g.breaker = false, false, time.Time{}, breaker{probing: g.probing}
	g.failing, g.unsure = time.Time{}, true // a try that began before may yet be recorded
	if !state.PausedSince.IsZero() {
		g.reported.Store(true) // so that its first success is news
	}
	g.lanes(func(l *lane) { l.behind = true })
	e.goOn(g)
	return nil
}

// Paused returns why and since when the destination of an Environment is paused;
// since is zero when it is not.
func (f *Forwarder) Paused(ctx context.Context, environment string) (reason string, since time.Time, err error) {
	environment, err = f.environment(environment)
	if err != nil {
		return "", time.Time{}, err
	}
	state, err := f.store.Lane(ctx, destLane(environment))
	return state.PausedReason, state.PausedSince, err
}
