//go:build linux

package main

import "context"

// Phases of the comparison with a dead destination.
const (
	allAlive = ", all alive"
	oneDead  = ", one dead"
)

// dead compares what many destinations get while one of them takes requests and
// never answers with what they get without it. Both servers are there all the time
// and are measured in turns.
func (s *session) dead(ctx context.Context, r *report) error {
	o := bedOptions{kind: ours, size: s.size, destinations: s.destinations}
	return s.onBed(ctx, o, func(without *bed) error {
		return s.onBed(ctx, o, func(with *bed) error {
			if err := with.answer(receiverOrder{Status: 200, Dead: true}); err != nil {
				return err
			}
			return s.pairs(ctx, r, without, with)
		})
	})
}

func (s *session) pairs(ctx context.Context, r *report, without, with *bed) error {
	type side struct {
		b     *bed
		last  string // what the last destination gets
		label string
	}
	sides := []side{{without, lastNothing, allAlive}, {with, lastDead, oneDead}}
	full := 0.0
	for run := 1; run <= s.runs; run++ {
		for _, phase := range []string{fullLoad, halfLoad} {
			for i := range sides {
				side := sides[(i+run+1)%2] // neither is always the first
				order := s.loop(side.b.size, s.closed/2)
				if phase == halfLoad {
					order = s.fixedRate(full / 2)
				}
				order.Last = side.last
				m, err := side.b.measure(ctx, phase+side.label, order)
				if err != nil {
					return err
				}
				if full == 0 {
					full = m.PerSecond
				}
				s.note(r, "dead", run, m)
			}
		}
	}
	const name = "dead"
	compare := func(what, phase, sign string, bound float64, of func(measurement) float64) {
		r.judge(name, what+" of the others, "+phase+": with / without a dead one", sign, bound,
			ratio(r.runs(name, ours, phase+oneDead), r.runs(name, ours, phase+allAlive), of))
	}
	compare("events/s", fullLoad, atLeast, 0.95, perSecond)
	compare("delivered p50", fullLoad, "", 0, deliverP50) // how long the queue is, and where it forms
	compare("delivered p50", halfLoad, atMost, 1.2, deliverP50)
	compare("delivered p99", halfLoad, "", 0, deliverP99)
	return nil
}
