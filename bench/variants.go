//go:build linux

package main

import (
	"context"
	"fmt"
)

// variant is a bed that differs from the steady one in one thing.
type variant struct {
	name string
	bed  bedOptions
}

// sizes compares bodies: what is paid per event, and what per byte.
func (s *session) sizes(ctx context.Context, r *report) error {
	all := []variant{
		{"64 B", bedOptions{size: 64}},
		{"1 KiB", bedOptions{size: 1 << 10}},
		{"64 KiB", bedOptions{size: 64 << 10}},
	}
	if err := s.variants(ctx, r, "sizes", all); err != nil {
		return err
	}
	for _, v := range all {
		r.compareVariant("sizes", v.name)
	}
	return nil
}

// tls compares a receiver that speaks TLS with one that does not.
func (s *session) tls(ctx context.Context, r *report) error {
	const plain, secure = "http", "https"
	all := []variant{{plain, bedOptions{size: s.size}}, {secure, bedOptions{size: s.size, tls: true}}}
	if err := s.variants(ctx, r, "tls", all); err != nil {
		return err
	}
	r.compareVariant("tls", secure)
	over, under := r.runs("tls", ours, secure), r.runs("tls", ours, plain)
	r.judge("tls", "events/s, ours: https / http", "", 0, ratio(over, under, perSecond))
	r.judge("tls", "CPU per event, ours: https / http", "", 0, ratio(over, under, cpu))
	return nil
}

// variants measures relay and ours at full load.
func (s *session) variants(ctx context.Context, r *report, scenario string, all []variant) error {
	for run := 1; run <= max(1, s.runs/2); run++ { // no budget hangs on them
		for _, v := range all {
			for _, kind := range []string{relay, ours} {
				v.bed.kind = kind
				err := s.onBed(ctx, v.bed, func(b *bed) error {
					m, err := b.measure(ctx, v.name, s.loop(b.size, s.closed/2))
					if err != nil {
						return err
					}
					s.note(r, scenario, run, m)
					return nil
				})
				if err != nil {
					return fmt.Errorf("%s: %w", v.name, err)
				}
			}
		}
	}
	return nil
}

func (r *report) compareVariant(scenario, name string) {
	over, under := r.runs(scenario, ours, name), r.runs(scenario, relay, name)
	r.judge(scenario, "events/s, "+name+": ours / relay", "", 0, ratio(over, under, perSecond))
	r.judge(scenario, "CPU per event, "+name+": ours / relay", "", 0, ratio(over, under, cpu))
}
