//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// bed is a contender with its load generator and receiver, each a process.
type bed struct {
	kind      string
	dir       string
	board     *board
	server    *child
	receiver  *child
	generator *child
	log       *os.File
	cfg       serverConfig
	addresses []string // of the receiver
	paths     []string
	address   string // of the server
	next      int    // number of the next event
}

// bedOptions of newBed.
type bedOptions struct {
	kind         string
	destinations int  // each with an Environment and a connection of its own
	size         int  // bytes of a body
	events       int  // at most
	tls          bool // the receiver speaks TLS
}

func (s *session) newBed(ctx context.Context, o bedOptions) (_ *bed, err error) {
	b := &bed{kind: o.kind}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.dir, err = os.MkdirTemp(s.dir, "bench-"); err != nil {
		return nil, err
	}
	if b.log, err = os.Create(filepath.Join(b.dir, "server.log")); err != nil {
		return nil, err
	}
	if b.board, err = newBoard(o.events); err != nil {
		return nil, err
	}
	listen := receiverConfig{Hosts: o.destinations}
	scheme := "http"
	if o.tls {
		scheme, listen.Cert, listen.Key = "https", s.cert, s.key
	}
	if b.receiver, err = start(ctx, childOptions{role: roleReceiver, board: b.board, env: []string{"GOMAXPROCS=1"}}); err != nil {
		return nil, err
	}
	var ready receiverReady
	if err := b.receiver.ask(listen, &ready); err != nil {
		return nil, err
	}
	b.addresses = ready.Addresses
	b.cfg = serverConfig{
		Kind: o.kind, Dir: b.dir, SealingKey: s.sealingKey, Secret: s.secret, Signing: s.signing,
		CPUProfile: s.profile(o.kind, "cpu"), MemProfile: s.profile(o.kind, "mem"), Trace: s.profile(o.kind, "trace"),
	}
	for i, a := range ready.Addresses {
		b.cfg.URLs = append(b.cfg.URLs, fmt.Sprintf("%s://%s/d/%d", scheme, a, i))
	}
	if err := b.serve(ctx, s); err != nil {
		return nil, err
	}
	return b, b.generate(ctx, s, o.size)
}

// serve starts the server.
func (b *bed) serve(ctx context.Context, s *session) (err error) {
	b.server, err = start(ctx, childOptions{role: roleServer, stderr: b.log, env: []string{"SSL_CERT_FILE=" + s.cert}})
	if err != nil {
		return err
	}
	var ready serverReady
	if err := b.server.ask(b.cfg, &ready); err != nil {
		return fmt.Errorf("%w; see %s", err, b.log.Name())
	}
	b.cfg.Paths, b.paths = ready.Paths, ready.Paths
	b.address = ready.Address
	return nil
}

// generate starts the load generator, for bodies of that size.
func (b *bed) generate(ctx context.Context, s *session, size int) (err error) {
	if b.generator, err = start(ctx, childOptions{role: roleGenerator, board: b.board}); err != nil {
		return err
	}
	var done struct{}
	return b.generator.ask(generatorConfig{Address: b.address, Paths: b.paths, Secret: s.secret, Size: size, Conns: s.conns}, &done)
}

// close ends the processes and removes what they left.
func (b *bed) close() error {
	var errs []error
	for _, c := range []*child{b.generator, b.server, b.receiver} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	b.generator, b.server, b.receiver = nil, nil, nil
	if b.board != nil {
		errs = append(errs, b.board.close())
	}
	if b.log != nil {
		errs = append(errs, b.log.Close())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

func (b *bed) stats() (s serverStats, err error) { return b.order(orderStats) }

func (b *bed) order(order string) (s serverStats, err error) {
	if err := b.server.ask(serverOrder{order}, &s); err != nil {
		return s, err
	}
	if s.Error != "" {
		return s, errors.New(s.Error)
	}
	return s, nil
}

// answer tells the receiver how to answer.
func (b *bed) answer(status, dead int) error {
	var done struct{}
	return b.receiver.ask(receiverOrder{Status: status, Dead: dead}, &done)
}

// quiet is how long nothing may arrive before a run is given up.
const quiet = 30 * time.Second

// settle waits until want deliveries have come since the bed was made, and their
// outcomes are recorded. It returns when the last of them was.
func (b *bed) settle(ctx context.Context, want int64, recorded int64) (time.Time, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for {
		got := b.board.cell[cellReceived].Load()
		if got >= want {
			s, err := b.stats()
			if err != nil || s.Delivered >= recorded {
				return time.Now(), err
			}
		}
		if got != last {
			last, since = got, time.Now()
		}
		if time.Since(since) > quiet {
			s, err := b.stats()
			return time.Now(), errors.Join(err, fmt.Errorf("%s: %d of %d events have arrived and nothing more for %v (%d outcomes recorded)", b.kind, got, want, quiet, s.Delivered))
		}
		select {
		case <-ctx.Done():
			return time.Now(), ctx.Err()
		case <-tick.C:
		}
	}
}

// measure sends a load, waits for its end and says what it took.
func (b *bed) measure(ctx context.Context, order load) (m measurement, err error) {
	order.First = b.next
	order.Count = min(order.Count, b.board.size()-b.next)
	forgetPeak(b.server.cmd.Process.Pid)
	received, duplicates := b.board.cell[cellReceived].Load(), b.board.cell[cellDuplicates].Load()
	before, err := b.stats()
	if err != nil {
		return m, err
	}
	var done sent
	if err := b.generator.ask(order, &done); err != nil {
		return m, err
	}
	b.next += done.Count
	good := int64(done.Count - done.Refused)
	end, err := b.settle(ctx, received+good, before.Delivered+good)
	if err != nil {
		return m, err
	}
	after, err := b.stats()
	if err != nil {
		return m, err
	}
	_, peak := processMemory(b.server.cmd.Process.Pid)
	m = measurement{
		Kind: b.kind, Events: int(good), Refused: done.Refused, Failure: done.Error,
		Duplicates: int(b.board.cell[cellDuplicates].Load() - duplicates),
		Offered:    order.Rate,
		PerSecond:  float64(good) / end.Sub(time.Unix(0, done.Start)).Seconds(),
		Acked:      float64(good) / done.Elapsed.Seconds(),
		CPU:        micros(after.CPU-before.CPU) / float64(good),
		Load:       (after.CPU - before.CPU).Seconds() / end.Sub(time.Unix(0, done.Start)).Seconds(),
		Sender:     micros(done.CPU) / float64(good),
		Late:       micros(done.Late),
		Peak:       float64(peak) / (1 << 20),
		Mallocs:    float64(after.Mallocs-before.Mallocs) / float64(good),
		Allocated:  float64(after.Allocated-before.Allocated) / float64(good),
		Commits:    after.Commits - before.Commits,
		Writes:     after.Writes - before.Writes,
		WALSyncs:   after.WALSyncs - before.WALSyncs,
		MainSyncs:  after.MainSyncs - before.MainSyncs,
		Setup:      after,
	}
	b.latencies(&m, order.First, done.Count)
	return m, m.check(b.kind)
}

// latencies reads them off the board.
func (b *bed) latencies(m *measurement, first, count int) {
	var ack, deliver []float64
	for i := first; i < first+count; i++ {
		acked := b.board.acked[i].Load()
		if acked == 0 {
			continue
		}
		ack = append(ack, float64(acked-b.board.intended[i].Load())/1e3)
		if received := b.board.received[i].Load(); received != 0 {
			deliver = append(deliver, max(0, float64(received-acked)/1e3))
		}
	}
	m.Ack = latency{quantile(ack, 0.5), quantile(ack, 0.99), quantile(ack, 1)}
	m.Deliver = latency{quantile(deliver, 0.5), quantile(deliver, 0.99), quantile(deliver, 1)}
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// latency in microseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// measurement is what one load of one contender took.
type measurement struct {
	Kind       string  `json:"kind"`
	Phase      string  `json:"phase"`
	Run        int     `json:"run"`
	Offered    float64 `json:"offered"` // events/s; 0: closed loop
	Events     int     `json:"events"`
	Refused    int     `json:"refused"`
	Duplicates int     `json:"duplicates"`
	Failure    string  `json:"failure,omitempty"`
	PerSecond  float64 `json:"per_second"` // from the first request to the last recorded outcome
	Acked      float64 `json:"acked_per_second"`
	CPU        float64 `json:"cpu"`       // µs per event, of the server
	Load       float64 `json:"load"`      // processors that the server used
	Sender     float64 `json:"sender"`    // µs per event, of the load generator
	Late       float64 `json:"late"`      // µs, p99, of the load generator
	Ack        latency `json:"ack"`       // from when the request was to be sent until its 2xx had come
	Deliver    latency `json:"deliver"`   // from then until the receiver had the first byte
	Peak       float64 `json:"peak"`      // MiB resident
	Mallocs    float64 `json:"mallocs"`   // per event
	Allocated  float64 `json:"allocated"` // bytes per event
	Commits    uint64  `json:"commits"`
	Writes     uint64  `json:"writes"`
	WALSyncs   int64   `json:"wal_syncs"`
	MainSyncs  int64   `json:"main_syncs"`

	Setup serverStats `json:"setup"`
}

// check refuses a measurement that measured something else.
func (m *measurement) check(kind string) error {
	switch {
	case m.Refused > 0:
		return fmt.Errorf("%s: %d requests were not answered 2xx: %s", kind, m.Refused, m.Failure)
	case m.Events == 0:
		return fmt.Errorf("%s: nothing was sent", kind)
	case kind == ours && (m.WALSyncs < int64(m.Commits) || m.Commits == 0): //nolint:gosec // a count
		return fmt.Errorf("%s: %d batches were acknowledged with %d fsyncs of the WAL: it is not durable, and its numbers are void", kind, m.Commits, m.WALSyncs)
	}
	return nil
}
