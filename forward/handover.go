package forward

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// append stores a batch. What Run can take at once is stored as already leased
// and handed to it; the rest waits in the store.
func (f *Forwarder) append(ctx context.Context, b Batch) error {
	return f.appendSince(ctx, b, f.erasing.turn.Load())
}

// appendSince is append for what began at that turn of erasures, such as a
// request that asked then whom it concerns: accounts that were erased since are
// left out.
func (f *Forwarder) appendSince(ctx context.Context, b Batch, turn int64) (err error) {
	if f.tracing != nil {
		var span trace.Span
		ctx, span = f.tracing.commit(ctx, &b)
		defer func() { committed(span, err) }()
	}
	f.erasing.gate.RLock()
	defer f.erasing.gate.RUnlock()
	if b, err = f.stored(ctx, f.erasing.sift(b, turn)); err != nil {
		return err
	}
	var offer offer
	if e := f.engine.Load(); e != nil {
		offer = e.offer(b.Tasks)
	}
	// The one who asked may go away; the commit must not, or nobody would know
	// whether it was made.
	stored, err := f.store.Append(context.WithoutCancel(ctx), b)
	if offer.e != nil {
		f.putBack(context.WithoutCancel(ctx), offer.settle(b.Tasks, stored, err))
	}
	if offer.e != f.engine.Load() {
		// A Run that began meanwhile may have looked into the store before the commit.
		f.Wake()
	}
	if err == nil {
		missing := deliveries(b.Tasks) - deliveries(stored)
		if missing > 0 {
			f.count.duplicates.Add(int64(missing))
		}
		f.meters.stored(ctx, &b, missing)
	}
	return err
}

func deliveries(tasks []Task) (n int) {
	for i := range tasks {
		if tasks[i].Kind == Deliver {
			n++
		}
	}
	return n
}

// offer is what was reserved in memory for the tasks of a batch.
type offer struct {
	e     *engine
	one   *lane   // of the only task
	lanes []*lane // of each of several
}

func (o *offer) lane(i int) *lane {
	if o.lanes == nil {
		return o.one
	}
	return o.lanes[i]
}

// offer reserves room for those tasks that can be handed over and marks them as
// leased. Order is kept: behind what waits in the store, new tasks wait there too.
func (e *engine) offer(tasks []Task) (o offer) {
	if len(tasks) == 0 {
		return o
	}
	o.e = e
	if len(tasks) > 1 {
		o.lanes = make([]*lane, len(tasks))
	}
	doubtful := e.f.doubtful()
	now := e.f.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range tasks {
		t := &tasks[i]
		l := e.lane(t.Lane)
		l.used = now
		if o.lanes != nil {
			o.lanes[i] = l
		}
		o.one = l
		n, bytes := e.room(l)
		if e.closed || doubtful || l.behind || l.gate.shut() || t.Due.After(now) || n < 1 || bytes < size(t) {
			l.spilling++
			continue
		}
		t.Lease = 1
		e.hold(l, size(t))
	}
	return o
}

// settle hands over what was stored, and returns what has to be given back.
func (o *offer) settle(tasks, stored []Task, err error) (back []Task) {
	e := o.e
	now := e.f.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range tasks {
		t, l := &tasks[i], o.lane(i)
		match := err == nil && len(stored) > 0 && stored[0].ID == t.ID
		switch {
		case t.Lease == 0: // it waits in the store
			l.spilling--
			l.spills++
			l.behind = l.behind || !t.Due.After(now)
			switch {
			case e.closed: // whoever runs next looks into the store first
			case t.Due.After(now):
				e.scheduleLater(l, t.Due)
			case !l.gate.shut() && !l.blocked && !l.starving:
				e.schedule(l, now)
			}
		case match && stored[0].Lease == 0:
			// It waits for its turn in the store; the end of what comes before it
			// makes the lane claim.
			e.drop(l, size(t))
		case match && !e.closed:
			t.Lease = stored[0].Lease
			e.enqueue(l, *t)
		default:
			if match {
				back = append(back, stored[0])
			}
			e.drop(l, size(t))
		}
		if match {
			stored = stored[1:]
		}
	}
	for _, t := range stored { // merged into one that was there: leased under its own id
		if t.Lease != 0 {
			back = append(back, t)
		}
	}
	return back
}
