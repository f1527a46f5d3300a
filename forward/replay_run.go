package forward

import (
	"context"
	"errors"
	"time"

	"github.com/interactorhq/interactor/internal/id"
)

const (
	replayQueue = 1024                  // deliveries of one replay that are not finished, at most and about
	replayPage  = 256                   // events that one commit adds
	replayBytes = 4 << 20               // of what is decoded again in one commit, about
	replayJobs  = 16                    // looked at in one read
	replayPause = 20 * time.Millisecond // between two looks, so that each finds something to do
)

// replaying is what logs say while replays by filter are moved on.
const replaying = "moving replays on"

// wakeReplays makes Run look at the replays: one was added, or has room again.
func (f *Forwarder) wakeReplays() {
	select {
	case f.replaysWake <- struct{}{}:
	default:
	}
}

// replays moves replays by filter on, a page of each in turn, until ctx ends.
// Everything it knows is in the store: where a replay is, and how much of it waits.
func (e *engine) replays(ctx context.Context) {
	held := map[string]heldReplay{}
	for ctx.Err() == nil {
		ready, err := e.f.store.ReadyReplays(ctx, replayQueue-replayPage+1, replayJobs+len(held))
		if err != nil {
			e.storeFailed(err, replaying)
			sleep(ctx, storeRetry)
			continue
		}
		e.storeWorked(replaying)
		wait := sweepEvery
		for _, j := range ready {
			now := e.f.now()
			if h := held[j.ID]; h.until.After(now) {
				wait = min(wait, h.until.Sub(now))
				continue
			}
			switch err := e.f.replayPage(ctx, e, j); {
			case err == nil:
				delete(held, j.ID)
				wait = 0
			case errors.Is(err, ErrReplayMoved), ctx.Err() != nil:
				wait = 0
			case errors.Is(err, ErrStoreFailed):
				e.storeFailed(err, replaying)
				return
			default:
				h := held[j.ID]
				h.tries++
				h.until = now.Add(backoff(h.tries))
				held[j.ID] = h
				wait = min(wait, h.until.Sub(now))
				e.f.log.ErrorContext(ctx, "replay does not get on; trying again later", "replay", j.ID, "error", err)
			}
		}
		for known := range held { // ended meanwhile
			if !containsReplay(ready, known) {
				delete(held, known)
			}
		}
		if wait > 0 && !e.f.replaysRest(ctx, wait) {
			return
		}
	}
}

// heldReplay is one that could not be moved on.
type heldReplay struct {
	tries int
	until time.Time
}

func containsReplay(list []ReplayJob, id string) bool {
	for i := range list {
		if list[i].ID == id {
			return true
		}
	}
	return false
}

// replaysRest waits until somebody wakes it, or for d. false: ctx ended.
func (f *Forwarder) replaysRest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-f.replaysWake:
		return sleep(ctx, replayPause)
	}
}

// replayPage adds the next deliveries of a replay, in one commit with how far it
// has come: whatever happens, none is lost and none is made twice.
func (f *Forwarder) replayPage(ctx context.Context, e *engine, j ReplayJob) error {
	turn := f.erasing.turn.Load()
	step := &ReplayStep{Replay: j.ID, From: j.Mark, To: j.Mark, Last: j.All}
	b := Batch{Replay: step}
	if !j.All {
		sel, err := f.store.Select(ctx, j.Query, j.Mark, replayPage)
		if err != nil {
			return err
		}
		if err := f.replayEvents(ctx, &b, sel); err != nil {
			return err
		}
	}
	now := f.now().UTC()
	step.At = now
	for i := range b.Tasks {
		t := &b.Tasks[i]
		if t.Kind == Deliver {
			t.Lane, t.Replay, t.Job = bulkLane(t.Event.Environment), true, j.ID
		}
	}
	f.erasing.gate.RLock()
	defer f.erasing.gate.RUnlock()
	b, err := f.stored(ctx, f.erasing.sift(b, turn))
	if err != nil {
		return err
	}
	stored, err := f.store.Append(context.WithoutCancel(ctx), b)
	if err != nil {
		return err
	}
	e.waiting(stored)
	return nil
}

// replayEvents makes tasks of a selection, as far as there is room.
func (f *Forwarder) replayEvents(ctx context.Context, b *Batch, sel Selection) error {
	bytes := 0
	for _, s := range sel.Events {
		if bytes > replayBytes {
			return nil // the rest comes with the next page
		}
		b.Replay.To = s.Mark
		b.Replay.Selected++
		if !s.Undecoded {
			now := f.now().UTC()
			t := Task{ID: id.New("dlv", now), Kind: Deliver, Due: now}
			t.Event.ID, t.Event.Environment = s.ID, s.Environment
			b.Tasks = append(b.Tasks, t)
			continue
		}
		understood, err := f.replayUndecoded(ctx, s.ID)
		var hopeless *undecodableError
		switch {
		case errors.As(err, &hopeless):
			b.Replay.Undecodable++
			f.log.WarnContext(ctx, "a dead request still cannot be replayed", "replay", b.Replay.Replay, "event", s.ID, "error", err)
		case err != nil:
			return err
		case understood != nil:
			b.Events = append(b.Events, understood.batch.Events...)
			b.Tasks = append(b.Tasks, understood.batch.Tasks...)
			for i := range understood.batch.Events {
				bytes += len(understood.batch.Events[i].Event.Payload) + len(understood.batch.Events[i].Event.Raw)
			}
		}
	}
	b.Replay.To, b.Replay.Last = sel.Next, sel.Last
	return nil
}

// replayUndecoded decodes a dead request again and acts on its signals. It
// returns nil when the request was purged.
func (f *Forwarder) replayUndecoded(ctx context.Context, event string) (*intake, error) {
	dead, err := f.store.Inbound(ctx, event)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil //nolint:nilnil // nothing is left to be decoded
	case err != nil:
		return nil, err
	}
	in, err := f.understand(ctx, dead)
	if err != nil {
		return nil, err
	}
	return in, in.act(ctx)
}

// waiting tells the lanes of tasks that they wait in the store.
func (e *engine) waiting(tasks []Task) {
	now := e.f.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return // whoever runs next looks into the store first
	}
	for i := range tasks {
		l := e.lane(tasks[i].Lane)
		l.used = now
		l.spills++
		l.behind = true
		if !l.gate.shut() && !l.blocked && !l.starving {
			e.schedule(l, now)
		}
	}
}

// without takes those deliveries of a cancelled replay out that no try was made
// of, and returns them: they are still leased. What is just being claimed comes
// later, and is stopped then.
func (e *engine) without(replay string) (back []Task) {
	now := e.f.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for old, at := range e.ended {
		if now.Sub(at) > leaseFor {
			delete(e.ended, old)
		}
	}
	e.ended[replay] = now
	for _, l := range e.lanes {
		for _, t := range l.remove(func(t *Task) bool { return t.Job == replay }) {
			e.drop(l, size(&t))
			back = append(back, t)
		}
	}
	return back
}

// stopped reports whether a replay was cancelled lately.
func (e *engine) stopped(replay string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, is := e.ended[replay]
	return is
}

// giveBack gives a task back to the store that no try was made of.
func (e *engine) giveBack(l *lane, t Task) {
	e.mu.Lock()
	e.drop(l, size(&t))
	e.mu.Unlock()
	e.f.putBack(e.work, []Task{t})
}

// remove takes those tasks out that no try was made of and that fit.
func (l *lane) remove(fits func(*Task) bool) (removed []Task) {
	kept := l.queue[:l.head]
	for i := l.head; i < len(l.queue); i++ {
		if fits(&l.queue[i]) {
			removed = append(removed, l.queue[i])
		} else {
			kept = append(kept, l.queue[i])
		}
	}
	clear(l.queue[len(kept):])
	l.queue = kept
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
	}
	return removed
}
