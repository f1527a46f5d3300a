//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// latency in microseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func latencyOf(values []float64) latency {
	return latency{quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)}
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// measurement is what one load of one contender took. Where a quantity was not
// looked at, it is zero.
type measurement struct {
	Kind       string  `json:"kind"`
	Phase      string  `json:"phase"`
	Run        int     `json:"run"`
	Void       string  `json:"void,omitempty"` // why it is not judged
	Offered    float64 `json:"offered"`        // events/s; 0: closed loop
	Events     int     `json:"events"`         // acknowledged, without those to a dead destination
	Missing    int     `json:"missing"`        // of them: not arrived
	Refused    int     `json:"refused"`
	Duplicates int     `json:"duplicates"`
	Failure    string  `json:"failure,omitempty"`
	PerSecond  float64 `json:"per_second"` // from the first request to the last recorded outcome
	Acked      float64 `json:"acked_per_second"`
	CPU        float64 `json:"cpu"`           // µs per event, of the server
	Load       float64 `json:"load"`          // processors that the server used
	Sender     float64 `json:"sender"`        // µs per event, of the load generator
	Late       float64 `json:"late"`          // µs, p99, of the load generator
	Ack        latency `json:"ack"`           // from when the request was to be sent until its 2xx had come
	Deliver    latency `json:"deliver"`       // from then until the receiver had the first byte
	Tries      float64 `json:"tries"`         // requests at the receiver, per event
	Recovery   float64 `json:"recovery"`      // seconds from when the receiver was well until the first event arrived
	Drained    float64 `json:"drained"`       // seconds from then until the last outcome was recorded
	First      float64 `json:"first_attempt"` // seconds from exec until the receiver had a request
	Peak       float64 `json:"peak"`          // MiB resident
	Mallocs    float64 `json:"mallocs"`       // per event
	Allocated  float64 `json:"allocated"`     // bytes per event
	Commits    uint64  `json:"commits"`
	Writes     uint64  `json:"writes"`
	WALSyncs   int64   `json:"wal_syncs"`
	MainSyncs  int64   `json:"main_syncs"`

	Setup serverStats `json:"setup"`
}

// episode is a measurement under way: what the clocks and counters showed when it
// began.
type episode struct {
	b        *bed
	order    load
	done     sent
	start    time.Time
	before   serverStats
	received int64
	again    int64
	tries    int64
}

// begin reads the clocks.
func (b *bed) begin() (e *episode, err error) {
	forgetPeak(b.server.cmd.Process.Pid)
	e = &episode{
		b: b, received: b.board.cell[cellReceived].Load(), again: b.board.cell[cellDuplicates].Load(), tries: b.board.cell[cellTries].Load(),
	}
	e.before, err = b.stats()
	e.start = time.Now()
	return e, err
}

// send sends a load and returns when every request has its answer.
func (e *episode) send(order load) error {
	b := e.b
	order.First = b.next
	order.Count = min(order.Count, b.board.size()-b.next)
	e.order = order
	if err := b.generator.ask(order, &e.done); err != nil {
		return err
	}
	b.next += e.done.Count
	e.start = time.Unix(0, e.done.Start)
	return nil
}

// good is how many events were acknowledged that somebody waits for.
func (e *episode) good() int { return e.done.Count - e.done.Refused - e.done.Aside }

// settle waits until so many events have arrived since the beginning and their
// outcomes are recorded.
func (e *episode) settle(ctx context.Context, events int, every time.Duration) error {
	return e.b.await(ctx, every, func() (bool, error) {
		if e.b.board.cell[cellReceived].Load()-e.received < int64(events) {
			return false, nil
		}
		s, err := e.b.stats()
		return s.Delivered-e.before.Delivered >= int64(events), err
	})
}

// end reads the clocks again. Costs are counted per event.
func (e *episode) end(phase string, events int) (m measurement, err error) {
	took := time.Since(e.start)
	b := e.b
	after, err := b.stats()
	if err != nil {
		return m, err
	}
	n := float64(max(1, events))
	used := after.CPU - e.before.CPU
	m = measurement{
		Kind: b.kind, Phase: phase, Events: events, Refused: e.done.Refused, Failure: e.done.Error,
		Duplicates: int(b.board.cell[cellDuplicates].Load() - e.again),
		Offered:    e.order.Rate,
		PerSecond:  float64(events) / took.Seconds(),
		CPU:        micros(used) / n,
		Load:       used.Seconds() / took.Seconds(),
		Peak:       float64(processPeak(b.server.cmd.Process.Pid)) / (1 << 20),
		Tries:      float64(b.board.cell[cellTries].Load()-e.tries) / n,
		Mallocs:    float64(after.Mallocs-e.before.Mallocs) / n,
		Allocated:  float64(after.Allocated-e.before.Allocated) / n,
		Commits:    after.Commits - e.before.Commits,
		Writes:     after.Writes - e.before.Writes,
		WALSyncs:   after.WALSyncs - e.before.WALFirst, // a commit may be under way at both ends
		MainSyncs:  after.MainSyncs - e.before.MainSyncs,
		Setup:      after,
	}
	if e.done.Count > 0 {
		m.Acked = float64(e.done.Count-e.done.Refused) / e.done.Elapsed.Seconds()
		m.Sender, m.Late = micros(e.done.CPU)/n, micros(e.done.Late)
	}
	e.latencies(&m)
	m.void()
	return m, m.check()
}

// latencies reads them off the board.
func (e *episode) latencies(m *measurement) {
	b := e.b.board
	var ack, deliver []float64
	for i := e.order.First; i < e.order.First+e.done.Count; i++ {
		acked := b.acked[i].Load()
		if acked == 0 {
			continue
		}
		ack = append(ack, float64(acked-b.intended[i].Load())/1e3)
		if received := b.received[i].Load(); received != 0 {
			deliver = append(deliver, max(0, float64(received-acked)/1e3))
		}
	}
	m.Ack, m.Deliver = latencyOf(ack), latencyOf(deliver)
}

// measure sends a load, waits for its end and says what it took.
func (b *bed) measure(ctx context.Context, phase string, order load) (m measurement, err error) {
	e, err := b.begin()
	if err != nil {
		return m, err
	}
	if err := e.send(order); err != nil {
		return m, err
	}
	if e.good() == 0 {
		return m, fmt.Errorf("%s: none of %d requests was answered 2xx: %s", b.kind, e.done.Count, e.done.Error)
	}
	if err := e.settle(ctx, e.good(), quiet); err != nil {
		return m, err
	}
	return e.end(phase, e.good())
}

// Bounds beyond which a load at a fixed rate was not the load that was meant.
const (
	tooFew  = 0.97    // of the rate
	tooLate = 5_000.0 // µs: 1 % of the requests were begun later
)

// void says why a measurement is not to be judged.
func (m *measurement) void() {
	switch {
	case m.Offered == 0:
	case m.Acked < tooFew*m.Offered:
		m.Void = fmt.Sprintf("%.0f of %.0f/s were acknowledged", m.Acked, m.Offered)
	case m.Late > tooLate:
		m.Void = fmt.Sprintf("the load generator was %.0f ms late", m.Late/1e3)
	}
}

// check refuses a measurement that measured something else.
func (m *measurement) check() error {
	switch {
	case m.Refused > 0:
		return fmt.Errorf("%s: %d requests were not answered 2xx: %s", m.Kind, m.Refused, m.Failure)
	// One commit may have had its fsync, but not been counted yet, when this began.
	case m.Kind == ours && m.Events > 0 && (m.WALSyncs+1 < int64(m.Commits) || m.Commits == 0): //nolint:gosec // a count
		return fmt.Errorf("%s: %d batches were acknowledged with %d fsyncs of the WAL: it is not durable, and its numbers are void", m.Kind, m.Commits, m.WALSyncs)
	}
	return nil
}

// line is a measurement in short.
func (m *measurement) line() string {
	text := fmt.Sprintf("%-5s %-12s %7.0f events/s  %4.0f µs CPU  ack %5.0f/%6.0f µs  delivered %5.0f/%6.0f µs  %3.0f MiB  %4.1f writes/commit  load %.2f, generator %2.0f µs, late %3.0f µs",
		m.Kind, m.Phase, m.PerSecond, m.CPU, m.Ack.P50, m.Ack.P99, m.Deliver.P50, m.Deliver.P99, m.Peak,
		float64(m.Writes)/float64(max(1, m.Commits)), m.Load, m.Sender, m.Late)
	if m.Void != "" {
		text += "  not judged: " + m.Void
	}
	return text
}
