//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Loads under which contenders are compared.
const (
	fullLoad = "full"
	halfLoad = "50%"
	lowLoad  = "20%"
	lowRate  = "200/s"
)

// contenders in the order in which they take turns.
func contenders() []string { return []string{raw, relay, ours} }

// steady compares the contenders with one destination that answers at once.
func (s *session) steady(ctx context.Context, r *report) error {
	full, err := s.fullRate(ctx)
	if err != nil {
		return err
	}
	s.say("ours takes about %.0f events/s here; %s of it are %.0f/s, %s are %.0f/s", full, halfLoad, full/2, lowLoad, full/5)
	phases := []struct {
		phase string
		order load
	}{
		{fullLoad, s.loop(s.size, s.closed)},
		{halfLoad, s.fixedRate(full / 2)},
		{lowLoad, s.fixedRate(full / 5)},
		{lowRate, s.fixedRate(200)},
	}
	for run := 1; run <= s.runs; run++ {
		for _, kind := range s.who {
			err := s.onBed(ctx, bedOptions{kind: kind, size: s.size}, func(b *bed) error {
				for _, p := range phases {
					m, err := s.one(ctx, b, p.phase, p.order)
					if err != nil {
						return err
					}
					s.note(r, "steady", run, m)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	r.judgeSteady()
	return nil
}

// judgeSteady compares with the budgets of the design.
func (r *report) judgeSteady() {
	const s = "steady"
	compare := func(what, phase, over, under, sign string, bound float64, of func(measurement) float64) {
		r.judge(s, what+", "+phase+": "+over+" / "+under, sign, bound, ratio(r.runs(s, over, phase), r.runs(s, under, phase), of))
	}
	compare("events/s", fullLoad, ours, relay, atLeast, 0.80, perSecond)
	compare("events/s", fullLoad, relay, raw, atLeast, 0.50, perSecond)
	compare("CPU per event", fullLoad, ours, relay, atMost, 1.5, cpu)
	compare("CPU per event", halfLoad, ours, relay, atMost, 1.5, cpu)
	compare("acknowledged p50", halfLoad, ours, relay, atMost, 3, ackP50)
	compare("acknowledged p99", halfLoad, ours, relay, "", 0, ackP99)
	for _, phase := range []string{lowRate, lowLoad} {
		compare("delivered p50", phase, ours, relay, atMost, 1.5, deliverP50)
		compare("delivered p99", phase, ours, relay, atMost, 2, deliverP99)
	}
}

// fullRate finds, once, what ours can take, from which fixed rates follow: all
// contenders get the same.
func (s *session) fullRate(ctx context.Context) (float64, error) {
	if s.full > 0 {
		return s.full, nil
	}
	err := s.onBed(ctx, bedOptions{kind: ours, size: s.size}, func(b *bed) error {
		m, err := b.measure(ctx, fullLoad, s.loop(b.size, s.closed))
		s.full = m.PerSecond
		return err
	})
	return s.full, err
}

// loop is full load: each connection sends its next event after the answer to the
// last one. Large bodies get a smaller window, so that what is on its way fits into
// the memory that one destination may use.
func (s *session) loop(size int, d time.Duration) load {
	window := s.window
	if window > 0 {
		window = max(1, min(window, windowBytes/size))
	}
	return load{Count: maxEvents, Time: d, Window: window}
}

const windowBytes = 8 << 20 // half of what a lane may hold

// fixedRate is a load that does not wait for anything.
func (s *session) fixedRate(rate float64) load {
	return load{Count: max(1, int(rate*s.open.Seconds())), Rate: rate}
}

// note adds a measurement to the report.
func (s *session) note(r *report, scenario string, run int, m measurement) {
	m.Run = run
	r.add(scenario, m)
	s.say("%s %d %s", scenario, run, m.line())
}

// maxEvents is what a board has room for.
const maxEvents = 4 << 20

// onBed makes a bed, warms it up, and removes it after f.
func (s *session) onBed(ctx context.Context, o bedOptions, f func(*bed) error) (err error) {
	if o.events == 0 {
		o.events = maxEvents
	}
	if o.destinations == 0 {
		o.destinations = 1
	}
	b, err := s.newBed(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err = s.warmUp(ctx, b); err == nil {
		err = f(b)
	}
	if err != nil {
		return b.explain(err)
	}
	return nil
}

// warmUp fills what a run would fill in its first moments: connections, caches,
// the file.
func (s *session) warmUp(ctx context.Context, b *bed) error {
	for _, order := range []load{
		{Count: 10 * len(b.paths), Window: len(b.paths)}, // a few for each destination
		s.loop(b.size, s.warm),
	} {
		if _, err := b.measure(ctx, "warm", order); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	return nil
}

// one measures one load, with a profile if it is the one that is wanted.
func (s *session) one(ctx context.Context, b *bed, phase string, order load) (m measurement, err error) {
	profiled := s.profiles != "" && phase == s.phase && b.kind == s.of
	if profiled {
		if _, err := b.order(orderProfile); err != nil {
			return m, err
		}
	}
	m, err = b.measure(ctx, phase, order)
	if profiled {
		_, e := b.order(orderProfEnd)
		err = errors.Join(err, e)
	}
	return m, err
}
