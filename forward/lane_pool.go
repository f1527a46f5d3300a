package forward

import (
	"container/heap"
	"time"
)

// pool is a set of workers, the gates that have something for one, in turns, and
// those that wait for a time. Guarded by engine.mu.
type pool struct {
	limit   int
	workers int
	running int
	gates   int // that there are in memory
	ring    []*gate
	head    int
	waits   waitingGates
	now     func() time.Time
	wake    func() // the dispatcher: what it waits for came to be sooner
}

// waiting is how many gates are in the ring.
func (p *pool) waiting() int { return len(p.ring) - p.head }

// enter puts a gate into the ring when a try of it may start.
func (p *pool) enter(g *gate) {
	if g.ringed || g.shut() || (!g.open && g.running >= g.limit()) || g.next() == nil {
		return
	}
	p.push(g)
}

func (p *pool) push(g *gate) {
	g.ringed = true
	p.ring = append(p.ring, g)
}

func (p *pool) pop() *gate {
	g := p.ring[p.head]
	p.ring[p.head] = nil
	p.head++
	if p.head == len(p.ring) {
		p.ring, p.head = p.ring[:0], 0
	} else if p.head >= 64 && p.head*2 >= len(p.ring) {
		n := copy(p.ring, p.ring[p.head:])
		clear(p.ring[n:])
		p.ring, p.head = p.ring[:n], 0
	}
	g.ringed = false
	return g
}

// take picks the next task: one of each gate in turn. Where there are several, one
// gets no more workers than it leaves to others: the more gates hold on to theirs,
// the fewer each gets, and one that has none finds one.
func (p *pool) take() (*lane, Task, bool) {
	for n := p.waiting(); n > 0 && p.running < p.limit; n-- {
		g := p.pop()
		l := g.next()
		if l == nil {
			continue
		}
		if p.gates > 1 && g.running >= p.limit-p.running {
			p.push(g) // the end of one of its own tries lets it be looked at again
			continue
		}
		if ok, at := g.ready(p.now); !ok {
			if !at.IsZero() {
				p.wait(g, at)
			}
			continue
		}
		t := l.pop()
		g.running++
		g.probing = g.open
		p.running++
		p.enter(g)
		return l, t, true
	}
	return nil, Task{}, false
}

// wait makes the dispatcher look at g at that time, or earlier.
func (p *pool) wait(g *gate, at time.Time) {
	switch {
	case g.wake.IsZero():
		g.wake = at
		heap.Push(&p.waits, g)
	case at.Before(g.wake):
		g.wake = at
		heap.Fix(&p.waits, g.at)
	default:
		return
	}
	if p.waits[0] == g {
		p.wake()
	}
}

// due returns the next gate whose time has come, nil when there is none.
func (p *pool) due(now time.Time) *gate {
	if len(p.waits) == 0 || p.waits[0].wake.After(now) {
		return nil
	}
	g := heap.Pop(&p.waits).(*gate) //nolint:errcheck // it holds nothing else
	g.wake = time.Time{}
	return g
}
