package forward

import (
	"container/heap"
	"sync/atomic"
	"time"
)

// gate decides when the next try of a destination may be made, or the next step
// of a Connection. Waiting before it costs neither a write nor a try. Guarded by
// engine.mu.
type gate struct {
	pool *pool
	main *lane
	bulk *lane // of a destination: taken when main has nothing; nil: not there
	conn bool  // of a Connection: one after another

	fresh   bool // the store was not yet asked about it
	paused  bool
	since   time.Time // of the pause, by the clock of this process
	running int       // tries in flight
	rest    time.Time // nothing is started before; zero: no rest
	ringed  bool      // in pool.ring

	shape  atomic.Pointer[shape] // nil: the settings were not read yet
	rate   rateLimit
	window window
	breaker

	failing  time.Time   // every try since has failed, as the store knows it; zero: none did
	unsure   bool        // the store may know otherwise: the next success is recorded as the first
	reported atomic.Bool // news about failures went out; the next success is news, too

	wake time.Time // when to look at it again; zero: not in pool.waits
	at   int       // index in pool.waits
}

// shape is what settings say about a gate.
type shape struct {
	rate        float64
	concurrency int
}

// verdict is what a try says about its destination.
type verdict struct {
	kind  verdictKind
	began time.Time
	took  time.Duration
	rest  time.Time // the receiver wants no try before; zero: it did not say
}

type verdictKind int

const (
	saysNothing verdictKind = iota // cut short, or not made
	succeeded
	answered    // a definite answer about this event: somebody is there
	erred       // a failing server: 500, a handler's error
	overwhelmed // 429, 502, 503, 504, no answer in time, no connection
)

// lanes calls f with each lane of the gate.
func (g *gate) lanes(f func(*lane)) {
	f(g.main)
	if g.bulk != nil {
		f(g.bulk)
	}
}

// next returns the lane whose task comes next, nil when none waits in memory.
// bulk comes when main has nothing, in the store either.
func (g *gate) next() *lane {
	switch {
	case g.main.queued() > 0:
		return g.main
	case g.bulk != nil && g.bulk.queued() > 0 && !g.main.behind:
		return g.bulk
	}
	return nil
}

// limit is how many tries may be in flight.
func (g *gate) limit() int {
	if g.conn || g.shape.Load() == nil {
		return 1
	}
	return g.window.limit()
}

// shut reports whether nothing may be tried for now, so that tasks had better wait
// in the store. What ends that makes the gate go on.
func (g *gate) shut() bool { return g.paused || !g.rest.IsZero() || (g.open && g.probing) }

// ready reports whether a try may start. Where a time decides, and no other event,
// at is that time.
func (g *gate) ready(now func() time.Time) (ok bool, at time.Time) {
	switch {
	case g.shut(), !g.open && g.running >= g.limit():
		return false, time.Time{}
	case g.rate.interval > 0:
		t := now()
		if at = g.rate.free(t); at.After(t) {
			return false, at
		}
		g.rate.take(t)
	}
	return true, time.Time{}
}

// capacity is how many more tasks of a lane may be held.
func (g *gate) capacity(l *lane) int {
	if g.open { // a probe, whatever has not ended yet
		return 1 - l.queued()
	}
	return g.most() - l.held
}

// most is how many tasks of a lane may be held.
func (g *gate) most() int {
	switch {
	case g.conn:
		return connTasks
	case g.rate.interval > 0:
		return min(laneTasks, g.rate.ahead(laneSeconds*time.Second))
	}
	return min(laneTasks, max(laneFew, g.limit()*laneAhead))
}

// apply gives a gate its settings. The tries in flight have taken their tokens
// before.
func (g *gate) apply(s shape, perLane int, now time.Time) {
	first := g.shape.Load() == nil
	g.shape.Store(&s)
	limited := g.rate.interval > 0
	g.rate.set(s.rate, now)
	if !limited {
		for range g.running {
			g.rate.take(now)
		}
	}
	g.window.most = perLane
	if s.concurrency > 0 {
		g.window.most = min(perLane, s.concurrency)
	}
	if !first && g.window.size > 0 {
		g.window.size = min(g.window.size, float64(g.window.most))
	}
}

// judge acts on the end of a try and returns until when nothing is to be tried,
// zero when nothing has to wait.
func (g *gate) judge(v verdict, probe bool, now time.Time) (rest time.Time) {
	full := g.running >= g.limit()
	g.running--
	if probe {
		g.probing = false
	}
	if g.conn {
		return time.Time{}
	}
	switch v.kind {
	case succeeded:
		if g.alive(probe) {
			g.window.restart()
			break
		}
		g.window.answered(v.began, v.took, full, now)
	case answered:
		if g.alive(probe) {
			g.window.restart()
		}
	case overwhelmed, erred:
		if v.kind == overwhelmed && !g.open {
			g.window.setback(v.began, now)
		}
		if d := g.outage(probe); d > 0 {
			rest = now.Add(d)
		}
	case saysNothing:
	}
	if v.rest.After(rest) {
		rest = v.rest
	}
	return rest
}

// idle reports whether nothing would be lost by forgetting the gate.
func (g *gate) idle(now time.Time) bool {
	idle := g.running == 0 && g.rest.IsZero() && g.wake.IsZero() && !g.ringed && !g.reported.Load()
	g.lanes(func(l *lane) { idle = idle && l.idle(now) })
	return idle
}

// waitingGates is a heap of the gates that wait for a time, soonest first.
type waitingGates []*gate

var _ heap.Interface = (*waitingGates)(nil)

func (h *waitingGates) Len() int           { return len(*h) }
func (h *waitingGates) Less(i, j int) bool { return (*h)[i].wake.Before((*h)[j].wake) }
func (h *waitingGates) Swap(i, j int) {
	g := *h
	g[i], g[j] = g[j], g[i]
	g[i].at, g[j].at = i, j
}

// Push is for package heap.
func (h *waitingGates) Push(x any) {
	g := x.(*gate) //nolint:errcheck // it holds nothing else
	g.at = len(*h)
	*h = append(*h, g)
}

// Pop is for package heap.
func (h *waitingGates) Pop() any {
	old := *h
	g := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return g
}
