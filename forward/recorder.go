package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// recorder gathers outcomes and writes down all that have gathered whenever the
// former ones are durable: the more there are, the larger the commits, and no
// timer delays a single one.
type recorder struct {
	mu     sync.Mutex
	queue  []done
	spare  []done
	signal chan struct{}
}

// done is a finished try.
type done struct {
	lane    *lane
	turn    int64 // of erasures, when it began
	outcome Outcome
	verdict verdict
	news    []trigger.Event // for Notify
	wanted  []trigger.Event // those of them that a trigger list names

	// Of a failed try over HTTP: when its destination is paused, 0 never, and what
	// says whether that is news.
	pauseAfter time.Duration
	settings   *Settings

	lost bool // its lease
}

// pauseGrace is how long Run has to have run, by the monotonic clock, before it
// pauses a destination: the failures are to be the receiver's, not those of a
// process that was away or of a clock that has jumped.
const pauseGrace = time.Hour

// maxRecord is how many outcomes one call holds at most.
const maxRecord = 512

func (r *recorder) init() { r.signal = make(chan struct{}, 1) }

func (r *recorder) add(d done) {
	r.mu.Lock()
	r.queue = append(r.queue, d)
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

func (r *recorder) take() []done {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := r.queue
	r.queue, r.spare = r.spare[:0], nil
	return batch
}

func (r *recorder) put(batch []done) {
	clear(batch)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = batch[:0]
}

// record writes outcomes down until stopped is closed and all are written.
// ctx ends only when nobody waits for it any longer.
func (e *engine) record(ctx context.Context, stopped <-chan struct{}) {
	for last := false; ; {
		batch := e.rec.take()
		for rest := batch; len(rest) > 0; {
			n := min(len(rest), maxRecord)
			e.finish(ctx, rest[:n])
			rest = rest[n:]
		}
		empty := len(batch) == 0
		e.rec.put(batch)
		if !empty {
			continue
		}
		if last {
			return
		}
		select {
		case <-e.rec.signal:
		case <-stopped:
			last = true
		}
	}
}

// finish makes a batch of outcomes durable, however often it takes, and then
// acts on them.
func (e *engine) finish(ctx context.Context, batch []done) {
	e.transitions(batch)
	outcomes := make([]Outcome, len(batch))
	for i := range batch {
		outcomes[i] = batch[i].outcome
	}
	told, replayed := false, false
	var lost []int
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, storeRetry) {
		var err error
		if !told {
			err = e.storeNews(ctx, batch)
			told = err == nil
		}
		if told {
			lost, err = e.f.store.Finish(ctx, outcomes)
		}
		if err == nil {
			e.storeWorked(recording)
			break
		}
		e.storeFailed(err, recording)
		if errors.Is(err, ErrStoreFailed) || !sleep(ctx, wait) {
			// The tries are repeated after a restart: at least once.
			e.f.log.ErrorContext(ctx, "outcomes are lost; their events will be delivered again", "outcomes", len(batch), "error", err)
			return
		}
	}
	for _, i := range lost {
		batch[i].lost = true
	}
	e.f.count.lostLeases.Add(int64(len(lost)))
	e.f.meters.leasesLost(ctx, len(lost))
	e.f.putBack(ctx, e.finished(batch))
	for i := range batch {
		if d := &batch[i]; !d.lost {
			e.f.meters.ended(ctx, &d.outcome)
			e.f.tally(d.outcome.Status)
			for _, ev := range d.news {
				e.f.notify(ctx, ev)
			}
			replayed = replayed || d.outcome.Task.Job != ""
		}
	}
	if replayed {
		e.f.wakeReplays() // there may be room
	}
}

// transitions adds to outcomes what they change about their lanes. Outcomes are
// recorded in this order and by one goroutine, so what memory says about a lane
// and what the store says stay one.
func (e *engine) transitions(batch []done) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range batch {
		d := &batch[i]
		o, g := &d.outcome, d.lane.gate
		if o.Status == Delivered {
			if !g.failing.IsZero() || g.unsure {
				o.Recovered = true
				g.failing, g.unsure = time.Time{}, false
			}
			continue
		}
		at := o.Attempt.At
		switch {
		case g.failing.IsZero():
			g.failing, o.Failing = at, at
		case o.Pause == "" && d.pauseAfter > 0 && at.Sub(g.failing) >= d.pauseAfter && time.Since(e.began) >= min(d.pauseAfter, pauseGrace):
			o.Pause = fmt.Sprintf("every try has failed since %s", g.failing.UTC().Format(time.RFC3339))
			d.tell(e.f.news(DestinationPaused, o.Task, *o), *d.settings)
		}
		if o.Pause == "" {
			continue
		}
		if g.paused { // told already
			d.untell(DestinationPaused)
		}
		g.paused, g.since = true, e.f.now()
		g.reported.Store(true)
	}
}

// storeNews stores those that a trigger list names before the outcome that they
// tell of: a crash in between tells of it twice, not never. Dedupe keys make
// the second one vanish.
func (e *engine) storeNews(ctx context.Context, batch []done) error {
	var b Batch
	turn := e.f.erasing.turn.Load()
	for i := range batch {
		turn = min(turn, batch[i].turn)
		for _, ev := range batch[i].wanted {
			b.add(ev, e.f.now(), "", false)
		}
	}
	if len(b.Events) == 0 {
		return nil
	}
	return e.f.appendSince(ctx, b, turn)
}

// finished acts on durable outcomes, and returns what is to be given back.
func (e *engine) finished(batch []done) (back []Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range batch {
		d := &batch[i]
		o, l := &d.outcome, d.lane
		g := l.gate
		e.drop(l, size(&o.Task))
		if d.lost {
			// Whoever took over says what becomes of the lane.
			if !o.Failing.IsZero() {
				g.failing = time.Time{}
			}
			g.unsure = g.unsure || o.Recovered
			if o.Pause != "" {
				g.paused, g.fresh = false, true
				e.schedule(l, e.f.now())
			}
			continue
		}
		if o.Status == Dead {
			g.reported.Store(true)
		}
		if o.Pause != "" {
			g.paused, g.since = true, e.f.now()
			back = append(back, e.empty(g)...)
		}
		switch {
		case e.closed:
		case o.Status == Pending:
			e.scheduleLater(l, o.Due)
		case o.Task.Series != "": // the next one is due
			e.schedule(l, e.f.now())
		}
	}
	return back
}

// tally counts an outcome.
func (f *Forwarder) tally(s Status) {
	if s == Delivered {
		f.count.delivered.Add(1)
		return
	}
	f.count.failed.Add(1)
	if s == Dead {
		f.count.dead.Add(1)
	}
}

// sleep waits; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
