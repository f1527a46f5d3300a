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
	began  time.Time // by the monotonic clock, whatever Config.Now says
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
	ended    map[string]time.Time // replays that were cancelled lately, and when
}

// worker works on one task at a time.
type worker struct {
	task  Task
	lane  *lane
	probe bool // the lane's breaker is open
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
		f: f, began: time.Now(), work: work, stop: stop,
		wakeup: make(chan struct{}, 1), idle: make(chan struct{}),
		lanes: make(map[string]*lane), failing: make(map[string]time.Time), ended: make(map[string]time.Time), trying: make(map[*worker]struct{}),
		sends: pool{limit: f.limits.InFlight, now: f.now}, calls: pool{limit: f.limits.Calls, now: f.now},
	}
	e.sends.wake, e.calls.wake = e.wake, e.wake
	e.rec.init()
	return e
}

// lane returns the lane of that name. e.mu is held.
func (e *engine) lane(name string) *lane {
	l, ok := e.lanes[name]
	if ok {
		return l
	}
	l = &lane{name: name, behind: true}
	if environment, bulk := strings.CutPrefix(name, bulkPrefix); bulk {
		l.gate = e.lane(destLane(environment)).gate
		l.gate.bulk = l
	} else {
		l.gate = &gate{main: l, pool: &e.sends, fresh: true, conn: strings.HasPrefix(name, "conn:")}
		if l.gate.conn {
			l.gate.pool = &e.calls
		}
		l.gate.pool.gates++
	}
	e.lanes[name] = l
	e.schedule(l, e.f.now())
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
	return l.gate.capacity(l), bytes
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
	if l.blocked && l.held <= l.gate.most()/2 {
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
	l.gate.pool.enter(l.gate)
	e.start(l.gate.pool)
}

// start makes sure that a worker looks at the ring. e.mu is held.
func (e *engine) start(p *pool) {
	if !e.closed && p.waiting() > 0 && p.workers < p.limit {
		p.workers++
		w := &worker{}
		e.trying[w] = struct{}{}
		go e.run(p, w)
	}
}

func (e *engine) run(p *pool, w *worker) {
	var v verdict
	for {
		var back []Task
		e.mu.Lock()
		if w.lane != nil {
			p.running--
			back = e.judge(w.lane.gate, v, w.probe)
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
				defer close(e.idle) // after what has to be given back
			}
			e.mu.Unlock()
			e.f.putBack(e.work, back)
			return
		}
		w.probe = w.lane.gate.open
		e.start(p) // there may be work for one more
		e.mu.Unlock()
		e.f.putBack(e.work, back)
		if w.task.Kind == Deliver {
			v = e.deliver(w.lane, w.task)
		} else {
			v = verdict{}
			e.expand(w.lane, w.task)
		}
	}
}

// judge acts on the end of a try and returns what is to be given back to the
// store. e.mu is held.
func (e *engine) judge(g *gate, v verdict, probe bool) (back []Task) {
	rest := g.judge(v, probe, e.f.now())
	if !rest.IsZero() {
		back = e.rests(g, rest)
	}
	if probe && g.rest.IsZero() { // it has come through, or was cut short: claims waited for it
		e.goOn(g)
	}
	g.pool.enter(g)
	return back
}

// rests lets nothing of g be tried before that time, and returns what is to be
// given back: what waits for long does so in the store. e.mu is held.
func (e *engine) rests(g *gate, until time.Time) (back []Task) {
	if !until.After(g.rest) {
		return nil
	}
	g.rest = until
	g.pool.wait(g, until)
	if e.closed || until.Sub(e.f.now()) <= keepResting {
		return nil
	}
	return e.empty(g)
}

// empty takes what waits in memory out of it. e.mu is held.
func (e *engine) empty(g *gate) (back []Task) {
	g.lanes(func(l *lane) {
		tasks := l.drain()
		for i := range tasks {
			e.drop(l, size(&tasks[i]))
		}
		l.behind = l.behind || len(tasks) > 0
		back = append(back, tasks...)
	})
	return back
}

// goOn makes g claim what waits in the store, and try what waits in memory.
// e.mu is held.
func (e *engine) goOn(g *gate) {
	now := e.f.now()
	g.lanes(func(l *lane) {
		if l.behind && !l.blocked && !l.starving {
			e.schedule(l, now)
		}
	})
	g.pool.enter(g)
	e.start(g.pool)
}

// openGates lets those go on whose rest is over, or for whom there is a token
// again, and returns when the next one follows; zero: none does. e.mu is held.
func (e *engine) openGates(now time.Time) (next time.Time) {
	for _, p := range []*pool{&e.sends, &e.calls} {
		for g := p.due(now); g != nil; g = p.due(now) {
			switch {
			case g.rest.After(now): // it was prolonged
				p.wait(g, g.rest)
				continue
			case !g.rest.IsZero():
				g.rest = time.Time{}
			}
			e.goOn(g)
		}
		if len(p.waits) > 0 && (next.IsZero() || p.waits[0].wake.Before(next)) {
			next = p.waits[0].wake
		}
	}
	return next
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
	e.mu.Lock()
	back := append(e.empty(l.gate), t)
	e.drop(l, size(&t))
	l.behind = true
	e.rests(l.gate, e.f.now().Add(rest))
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
	e.f.log.ErrorContext(e.work, "the store failed", "doing", doing, "error", err)
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
