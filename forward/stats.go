package forward

import "sync/atomic"

// Stats is a snapshot of what the Forwarder has done since New, and of what it
// holds. The counters are for operators: /healthz and metrics show them.
type Stats struct {
	Accepted    int64 // requests answered after their commit
	Refused     int64 // requests that did not verify: 401
	Undecodable int64 // verified requests that could not be understood: kept as dead
	Unavailable int64 // requests answered 503
	Full        int64 // times that new events were refused because of Limits.MaxStore
	Handshakes  int64
	Nobody      int64 // notices that concern no connection
	Unwanted    int64 // occurrences that no trigger list names
	Duplicates  int64 // events that were known already
	Delivered   int64
	Failed      int64 // tries that failed
	Dead        int64 // deliveries given up
	LostLeases  int64 // outcomes that came too late: another worker had taken over

	Running bool  // Run is running
	Lanes   int   // lanes held in memory
	Resting int   // destinations among them that are not tried for now: paused, their breaker open, or told to wait
	Held    int   // tasks held in memory
	Bytes   int64 // their size
	Trying  int   // tries in flight
	Calling int   // connections whose provider is being asked

	StoreBytes int64 // that the store takes, when it was last asked; 0 without Limits.MaxStore
	StoreFull  bool  // new events are refused because of Limits.MaxStore
}

type counters struct {
	accepted, refused, undecodable, unavailable, handshakes atomic.Int64
	nobody, unwanted, duplicates                            atomic.Int64
	delivered, failed, dead, lostLeases, full               atomic.Int64
}

// Stats returns a snapshot.
func (f *Forwarder) Stats() Stats {
	c := &f.count
	s := Stats{
		Accepted: c.accepted.Load(), Refused: c.refused.Load(), Undecodable: c.undecodable.Load(),
		Unavailable: c.unavailable.Load(), Handshakes: c.handshakes.Load(),
		Nobody: c.nobody.Load(), Unwanted: c.unwanted.Load(), Duplicates: c.duplicates.Load(),
		Delivered: c.delivered.Load(), Failed: c.failed.Load(), Dead: c.dead.Load(), LostLeases: c.lostLeases.Load(),
		Full: c.full.Load(), StoreBytes: f.room.size.Load(), StoreFull: f.room.full.Load(),
	}
	if e := f.engine.Load(); e != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		s.Running, s.Lanes, s.Bytes = true, len(e.lanes), e.bytes
		s.Trying, s.Calling = e.sends.running, e.calls.running
		for _, l := range e.lanes {
			s.Held += l.held
			if g := l.gate; l == g.main && !g.conn && (g.paused || g.open || !g.rest.IsZero()) {
				s.Resting++
			}
		}
	}
	return s
}
