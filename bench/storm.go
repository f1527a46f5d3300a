//go:build linux

package main

import (
	"context"
	"errors"
	"time"
)

// Phases of a retry storm.
const (
	beforeStorm = "before"
	inStorm     = "storm"
)

// storm offers half of full load while the receiver fails everything for a while,
// and on until everything has arrived.
func (s *session) storm(ctx context.Context, r *report) error {
	full, err := s.fullRate(ctx)
	if err != nil {
		return err
	}
	return s.onBed(ctx, bedOptions{kind: ours, size: s.size, retry: s.retries(s.again / 5)}, func(b *bed) error {
		m, err := b.measure(ctx, beforeStorm, s.fixedRate(full/2))
		if err != nil {
			return err
		}
		s.note(r, "retry-storm", 1, m)
		if m, err = s.outage(ctx, b, full/2); err != nil {
			return err
		}
		s.note(r, "retry-storm", 1, m)

		const name = "retry-storm"
		before, in := r.runs(name, ours, beforeStorm), r.runs(name, ours, inStorm)
		r.judge(name, "acknowledged events that have not arrived", atMost, 0, each(in, missing))
		r.judge(name, "CPU per event: storm / before", "", 0, ratio(in, before, cpu))
		r.judge(name, "acknowledged p50: storm / before", "", 0, ratio(in, before, ackP50))
		return nil
	})
}

// outage is two thirds of a load that fail and one third that does not.
func (s *session) outage(ctx context.Context, b *bed, rate float64) (m measurement, err error) {
	order := s.fixedRate(rate)
	order.Count *= 3
	e, err := b.begin()
	if err != nil {
		return m, err
	}
	if err := b.answer(receiverOrder{Status: 500}); err != nil {
		return m, err
	}
	var well time.Time
	healed := make(chan error, 1)
	go func() {
		err := rest(ctx, 2*s.open)
		well = time.Now()
		healed <- errors.Join(err, b.answer(receiverOrder{Status: 200}))
	}()
	err = e.send(order)
	if err := errors.Join(err, <-healed); err != nil {
		return m, err
	}
	lost := e.settle(ctx, e.good(), patience)
	if lost != nil && !errors.Is(lost, errMissing) {
		return m, lost
	}
	if m, err = e.end(inStorm, e.good()); err != nil {
		return m, err
	}
	arrived := e.arrivals()
	m.Missing = e.good() - len(arrived)
	m.recovered(well, arrived)
	return m, nil
}
