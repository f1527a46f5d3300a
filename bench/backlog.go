//go:build linux

package main

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Phases of a backlog.
const (
	filling  = "filling"
	pending  = "pending"
	draining = "draining"
	killed   = "killed"
)

// backlog fills a store while the receiver is down, looks at what lies there, and
// lets it go.
func (s *session) backlog(ctx context.Context, r *report) error { return s.pile(ctx, r, true) }

// restart kills the server in front of a backlog. When the backlog is measured
// too, that has been done on its way.
func (s *session) restart(ctx context.Context, r *report) error {
	if s.chosen("backlog") {
		return nil
	}
	return s.pile(ctx, r, false)
}

func (s *session) pile(ctx context.Context, r *report, whole bool) error {
	// By default the third try comes five minutes after the second: the few events
	// that were tried while the receiver was down would take that long.
	o := bedOptions{kind: ours, size: s.size, events: s.events + maxEvents, retry: s.retries(s.again)}
	return s.onBed(ctx, o, func(b *bed) error {
		if whole {
			m, err := b.measure(ctx, fullLoad, s.loop(b.size, s.closed))
			if err != nil {
				return err
			}
			s.note(r, "backlog", 1, m)
		}
		pile, err := s.fill(ctx, r, b)
		if err != nil {
			return err
		}
		if s.chosen("restart") {
			if err := s.kills(ctx, r, b); err != nil {
				return err
			}
		}
		if !whole {
			return nil
		}
		return s.drain(ctx, r, b, pile)
	})
}

// fill sends events that cannot be delivered, and then looks at the server for a while.
func (s *session) fill(ctx context.Context, r *report, b *bed) (*episode, error) {
	if err := b.answer(receiverOrder{Status: 200, Down: true}); err != nil {
		return nil, err
	}
	pile, err := b.begin()
	if err != nil {
		return nil, err
	}
	if err := pile.send(load{Count: s.events}); err != nil {
		return nil, err
	}
	m, err := pile.end(filling, pile.good())
	if err != nil {
		return nil, err
	}
	s.note(r, "backlog", 1, m)
	e, err := b.begin()
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, s.open); err != nil {
		return nil, err
	}
	if m, err = e.end(pending, 0); err != nil {
		return nil, err
	}
	s.note(r, "backlog", 1, m)
	return pile, nil
}

// kills ends the server without warning, again and again. The receiver refuses
// what it is sent, so that the backlog stays.
func (s *session) kills(ctx context.Context, r *report, b *bed) error {
	if err := b.answer(receiverOrder{Status: 503}); err != nil {
		return err
	}
	for run := 1; run <= s.runs; run++ {
		took, err := b.restart(ctx, s)
		if err != nil {
			return err
		}
		stats, err := b.stats()
		if err != nil {
			return err
		}
		s.note(r, "restart", run, measurement{Kind: b.kind, Phase: killed, First: took.Seconds(), Peak: float64(processPeak(b.server.cmd.Process.Pid)) / (1 << 20), Setup: stats})
	}
	r.judge("restart", "seconds from exec to the first attempt", atMost, 1, each(r.runs("restart", ours, killed), firstAttempt))
	return nil
}

// drain lets the pile go.
func (s *session) drain(ctx context.Context, r *report, b *bed, pile *episode) error {
	e, err := b.begin()
	if err != nil {
		return err
	}
	well := time.Now()
	if err := b.answer(receiverOrder{Status: 200}); err != nil {
		return err
	}
	lost := e.settle(ctx, pile.good(), patience)
	if lost != nil && !errors.Is(lost, errMissing) {
		return lost
	}
	m, err := e.end(draining, pile.good())
	if err != nil {
		return err
	}
	arrived := pile.arrivals()
	m.Missing = pile.good() - len(arrived)
	m.recovered(well, arrived)
	m.PerSecond = mainRate(arrived)
	s.note(r, "backlog", 1, m)

	const name = "backlog"
	r.judge(name, "events/s: draining / full load", atLeast, 0.8, ratio(r.runs(name, ours, draining), r.runs(name, ours, fullLoad), perSecond))
	for _, phase := range []string{filling, pending, draining} {
		r.judge(name, "RSS in MB, "+phase, atMost, 200, each(r.runs(name, ours, phase), megabytes))
	}
	r.judge(name, "acknowledged events that have not arrived", atMost, 0, each(r.runs(name, ours, draining), missing))
	return nil
}

// retries are waits of that length, as many as Settings.Retry takes.
func (s *session) retries(wait time.Duration) []time.Duration {
	return slices.Repeat([]time.Duration{wait}, 50)
}

// arrivals are the times, in seconds of the clock and ascending, at which events
// of the episode arrived first.
func (e *episode) arrivals() []float64 {
	at := make([]float64, 0, e.done.Count)
	for i := range e.done.Count {
		if t := e.b.board.received[e.order.First+i].Load(); t != 0 {
			at = append(at, float64(t)/1e9)
		}
	}
	slices.Sort(at)
	return at
}

// mainRate is events/s from the first arrival until 99 % have come: the rest are
// those that were tried in vain and wait for their next try.
func mainRate(arrived []float64) float64 {
	n := len(arrived) * 99 / 100
	if n == 0 || arrived[n] <= arrived[0] {
		return 0
	}
	return float64(n) / (arrived[n] - arrived[0])
}

// recovered notes what followed when the receiver was well again.
func (m *measurement) recovered(well time.Time, arrived []float64) {
	from := float64(well.UnixNano()) / 1e9
	after, _ := slices.BinarySearch(arrived, from)
	if after < len(arrived) {
		m.Recovery = arrived[after] - from
		m.Drained = arrived[len(arrived)-1] - arrived[after]
	}
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
