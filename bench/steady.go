//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
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
	full, err := s.calibrate(ctx)
	if err != nil {
		return err
	}
	s.say("steady: ours takes about %.0f events/s here; %s of it are %.0f/s, %s are %.0f/s", full, halfLoad, full/2, lowLoad, full/5)
	rates := []struct {
		phase string
		rate  float64
	}{{fullLoad, 0}, {halfLoad, full / 2}, {lowLoad, full / 5}, {lowRate, 200}}
	for run := 1; run <= s.runs; run++ {
		for _, kind := range s.who {
			err := s.onBed(ctx, bedOptions{kind: kind, size: s.size}, func(b *bed) error {
				for _, p := range rates {
					m, err := s.one(ctx, b, p.phase, p.rate)
					if err != nil {
						return err
					}
					m.Run = run
					r.add("steady", m)
					s.say("steady %d/%d %s", run, s.runs, m.line())
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

// calibrate finds what ours can take, from which the fixed rates follow: all
// contenders get the same.
func (s *session) calibrate(ctx context.Context) (full float64, err error) {
	err = s.onBed(ctx, bedOptions{kind: ours, size: s.size}, func(b *bed) error {
		m, err := b.measure(ctx, load{Count: maxEvents, Time: s.closed, Window: s.window, Skip: -1, Only: -1})
		full = m.PerSecond
		return err
	})
	return full, err
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
	if _, err := b.measure(ctx, load{Count: maxEvents, Time: s.warm, Window: s.window, Skip: -1, Only: -1}); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return f(b)
}

// one measures one load, with a profile if it is the one that is wanted.
func (s *session) one(ctx context.Context, b *bed, phase string, rate float64) (m measurement, err error) {
	order := load{Count: maxEvents, Time: s.closed, Window: s.window, Skip: -1, Only: -1}
	if rate > 0 {
		order = load{Count: int(rate * s.open.Seconds()), Rate: rate, Skip: -1, Only: -1}
	}
	profiled := s.profiles != "" && phase == s.phase && b.kind == s.of
	if profiled {
		if _, err := b.order(orderProfile); err != nil {
			return m, err
		}
	}
	m, err = b.measure(ctx, order)
	m.Phase = phase
	if profiled {
		_, e := b.order(orderProfEnd)
		err = errors.Join(err, e)
	}
	return m, err
}
