package forward

import (
	"context"
	"errors"
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
	outcome Outcome
	news    []trigger.Event // for Notify
	wanted  []trigger.Event // those of them that a trigger list names
}

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
	outcomes := make([]Outcome, len(batch))
	for i := range batch {
		outcomes[i] = batch[i].outcome
	}
	told := false
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
	isLost := make(map[int]bool, len(lost))
	for _, i := range lost {
		isLost[i] = true
	}
	e.f.count.lostLeases.Add(int64(len(lost)))
	for i := range batch {
		e.finished(ctx, &batch[i], isLost[i])
	}
}

// storeNews stores those that a trigger list names before the outcome that they
// tell of: a crash in between tells of it twice, not never. Dedupe keys make
// the second one vanish.
func (e *engine) storeNews(ctx context.Context, batch []done) error {
	var b Batch
	for i := range batch {
		for _, ev := range batch[i].wanted {
			b.add(ev, e.f.now(), "")
		}
	}
	if len(b.Events) == 0 {
		return nil
	}
	return e.f.append(ctx, b)
}

// finished acts on one durable outcome.
func (e *engine) finished(ctx context.Context, d *done, lost bool) {
	o := &d.outcome
	var back []Task
	e.mu.Lock()
	first := !d.lane.paused
	if !lost {
		switch {
		case o.Status == Delivered:
			d.lane.failed = false
		case o.Pause != "":
			d.lane.paused, d.lane.failed = true, true
			back = d.lane.drain()
			for i := range back {
				e.drop(d.lane, size(&back[i]))
			}
		case o.Status == Pending && !e.closed:
			e.scheduleLater(d.lane, o.Due)
		case o.Status == Dead:
			d.lane.failed = true
		}
	}
	e.drop(d.lane, size(&o.Task))
	e.mu.Unlock()
	e.f.putBack(ctx, back)
	if lost {
		return
	}
	switch o.Status {
	case Delivered:
		e.f.count.delivered.Add(1)
	case Dead:
		e.f.count.dead.Add(1)
		e.f.count.failed.Add(1)
	default:
		e.f.count.failed.Add(1)
	}
	if o.Pause != "" && !first {
		return // told already
	}
	for _, ev := range d.news {
		e.f.notify(ctx, ev)
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
