package forward

import (
	"container/heap"
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

// engine is what lives as long as one Run: lanes, workers, and who looks after
// the store.
type engine struct {
	f      *Forwarder
	work   context.Context //nolint:containedctx // of tries; outlives Run's by DrainTimeout, and ends with the engine
	stop   context.CancelCauseFunc
	wakeup chan struct{}
	idle   chan struct{} // closed when the last worker has gone
	rec    recorder

	mu       sync.Mutex
	closed   bool
	lanes    map[string]*lane
	sends    pool // deliveries
	calls    pool // questions to providers
	bytes    int64
	due      dueLanes
	starved  []*lane   // wait for memory
	lookAt   time.Time // when to ask the store which lanes have work
	lookCost time.Duration
	trying   map[*worker]struct{}
	failing  map[string]time.Time // what the store fails at, since when
	returned []Task               // interrupted tries, to be given back
}

// worker works on one task at a time.
type worker struct {
	task Task
	lane *lane
}

// What the store is asked to do, in logs.
const (
	giving    = "giving tasks back"
	claiming  = "claiming"
	looking   = "reading lanes"
	recording = "recording outcomes"
)

// patience is how long the store may fail before Run gives up.
const patience = time.Minute

func newEngine(work context.Context, f *Forwarder, stop context.CancelCauseFunc) *engine {
	e := &engine{
		f: f, work: work, stop: stop,
		wakeup: make(chan struct{}, 1), idle: make(chan struct{}),
		lanes: make(map[string]*lane), failing: make(map[string]time.Time), trying: make(map[*worker]struct{}),
		sends: pool{limit: f.limits.InFlight}, calls: pool{limit: f.limits.Calls},
	}
	e.rec.init()
	return e
}

// lane returns the lane of that name. e.mu is held.
func (e *engine) lane(name string) *lane {
	l, ok := e.lanes[name]
	if !ok {
		l = &lane{name: name, pool: &e.sends, limit: e.f.limits.PerLane, cap: laneTasks, fresh: true, behind: true}
		if strings.HasPrefix(name, "conn:") {
			l.pool, l.limit, l.cap = &e.calls, 1, connTasks
		}
		e.lanes[name] = l
		e.schedule(l, e.f.now())
	}
	return l
}

// schedule makes the dispatcher claim from l at that time, or earlier. e.mu is held.
func (e *engine) schedule(l *lane, at time.Time) {
	switch {
	case l.next.IsZero():
		l.next = at
		heap.Push(&e.due, l)
	case at.Before(l.next):
		l.next = at
		heap.Fix(&e.due, l.at)
	default:
		return
	}
	if e.due[0] == l {
		e.wake()
	}
}

// scheduleLater is schedule for a task that waits in the store. The lane knows
// the soonest of them only, so the store has to be asked about the others.
func (e *engine) scheduleLater(l *lane, at time.Time) {
	l.later = true
	e.schedule(l, at)
}

func (e *engine) wake() {
	select {
	case e.wakeup <- struct{}{}:
	default:
	}
}

// room reports how much l may take: tasks and bytes. e.mu is held.
func (e *engine) room(l *lane) (tasks int, bytes int64) {
	bytes = min(e.f.limits.InMemory-e.bytes, e.f.limits.InMemory/laneShare-l.bytes)
	return l.cap - l.held, bytes
}

// hold counts a task in. e.mu is held.
func (e *engine) hold(l *lane, bytes int64) {
	l.held++
	l.bytes += bytes
	e.bytes += bytes
}

// drop counts a task out, and lets whoever waited for the room claim. e.mu is held.
func (e *engine) drop(l *lane, bytes int64) {
	now := e.f.now()
	l.held--
	l.bytes -= bytes
	e.bytes -= bytes
	l.used = now
	if l.blocked && l.held <= l.cap/2 {
		l.blocked = false
		e.schedule(l, now)
	}
	for len(e.starved) > 0 {
		next := e.starved[0]
		e.starved[0] = nil
		e.starved = e.starved[1:]
		next.starving = false
		e.schedule(next, now)
		if e.bytes > e.f.limits.InMemory/4*3 {
			break // one at a time while memory is short
		}
	}
}

// enqueue hands a leased task, counted in already, to the workers. e.mu is held.
func (e *engine) enqueue(l *lane, t Task) {
	l.push(t)
	l.pool.enter(l)
	e.start(l.pool)
}

// start makes sure that a worker looks at the ring. e.mu is held.
func (e *engine) start(p *pool) {
	if !e.closed && p.head < len(p.ring) && p.workers < p.limit {
		p.workers++
		w := &worker{}
		e.trying[w] = struct{}{}
		go e.run(p, w)
	}
}

func (e *engine) run(p *pool, w *worker) {
	for {
		e.mu.Lock()
		if w.lane != nil {
			w.lane.running--
			p.running--
			p.enter(w.lane)
			w.lane, w.task = nil, Task{}
		}
		ok := false
		if !e.closed {
			w.lane, w.task, ok = p.take()
		}
		if !ok {
			p.workers--
			delete(e.trying, w)
			if e.closed && len(e.trying) == 0 {
				close(e.idle)
			}
			e.mu.Unlock()
			return
		}
		e.start(p) // there may be work for one more
		e.mu.Unlock()
		if w.task.Kind == Deliver {
			e.deliver(w.lane, w.task)
		} else {
			e.expand(w.lane, w.task)
		}
	}
}

// interrupted puts a task aside that the end of Run cut short: it is given back
// as if it had not been tried.
func (e *engine) interrupted(l *lane, t Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.returned = append(e.returned, t)
	e.drop(l, size(&t))
}

// postpone gives a task and all that wait behind it back to the store, without
// an attempt, and lets the lane rest.
func (e *engine) postpone(l *lane, t Task, rest time.Duration) {
	now := e.f.now()
	e.mu.Lock()
	back := append(l.drain(), t)
	for i := range back {
		e.drop(l, size(&back[i]))
	}
	l.rest, l.behind = now.Add(rest), true
	e.schedule(l, l.rest)
	e.mu.Unlock()
	e.f.putBack(e.work, back)
}

// close stops everything from being started and returns what was waiting.
func (e *engine) close() (waiting []Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, l := range e.lanes {
		waiting = append(waiting, l.drain()...)
	}
	if len(e.trying) == 0 {
		close(e.idle)
	}
	return waiting
}

// abandoned returns what is still being tried, once nobody waits for it any
// longer, with what was interrupted.
func (e *engine) abandoned() []Task {
	e.mu.Lock()
	defer e.mu.Unlock()
	tasks := e.returned
	e.returned = nil
	for w := range e.trying {
		if w.lane != nil {
			tasks = append(tasks, w.task)
		}
	}
	return tasks
}

// storeFailed notes that the store refused something. When it has done so for
// long, or for good, Run ends.
func (e *engine) storeFailed(err error, doing string) {
	if e.work.Err() != nil {
		return
	}
	now := e.f.now()
	e.mu.Lock()
	since, known := e.failing[doing]
	if !known {
		since, e.failing[doing] = now, now
	}
	e.mu.Unlock()
	e.f.log.Error("the store failed", "doing", doing, "error", err)
	if errors.Is(err, ErrStoreFailed) || now.Sub(since) > patience {
		e.stop(err)
	}
}

// storeWorked notes that it did what it could not do before.
func (e *engine) storeWorked(doing string) {
	e.mu.Lock()
	delete(e.failing, doing)
	e.mu.Unlock()
}
