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
	size      int // bytes of a body
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
	destinations int             // each with an Environment and a connection of its own
	size         int             // bytes of a body
	events       int             // at most
	tls          bool            // the receiver speaks TLS
	retry        []time.Duration // Settings.Retry
}

func (s *session) newBed(ctx context.Context, o bedOptions) (_ *bed, err error) {
	b := &bed{kind: o.kind, size: o.size}
	defer func() {
		if err != nil {
			err = errors.Join(b.explain(err), b.close())
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
		Kind: o.kind, Listen: "127.0.0.1:0", Dir: b.dir, Retry: o.retry, SealingKey: s.sealingKey, Secret: s.secret, Signing: s.signing,
		CPUProfile: s.profile(o.kind, "cpu"), MemProfile: s.profile(o.kind, "mem"), Trace: s.profile(o.kind, "trace"),
	}
	for i, a := range ready.Addresses {
		b.cfg.URLs = append(b.cfg.URLs, fmt.Sprintf("%s://%s/d/%d", scheme, a, i))
	}
	if err := b.serve(ctx, s); err != nil {
		return nil, err
	}
	return b, b.generate(ctx, s)
}

// serve starts the server.
func (b *bed) serve(ctx context.Context, s *session) (err error) {
	b.server, err = start(ctx, childOptions{role: roleServer, stderr: b.log, env: []string{"SSL_CERT_FILE=" + s.cert}})
	if err != nil {
		return err
	}
	var ready serverReady
	if err := b.server.ask(b.cfg, &ready); err != nil {
		return err
	}
	b.cfg.Paths, b.paths = ready.Paths, ready.Paths
	b.cfg.Listen, b.address = ready.Address, ready.Address // also after a restart
	return nil
}

// generate starts the load generator.
func (b *bed) generate(ctx context.Context, s *session) (err error) {
	if b.generator, err = start(ctx, childOptions{role: roleGenerator, board: b.board}); err != nil {
		return err
	}
	var done struct{}
	return b.generator.ask(generatorConfig{Address: b.address, Paths: b.paths, Secret: s.secret, Size: b.size, Conns: s.conns}, &done)
}

// explain adds the end of the server's log to an error.
func (b *bed) explain(err error) error {
	if b.log == nil {
		return err
	}
	text, e := os.ReadFile(b.log.Name())
	if e != nil || len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w; the server's log ends with: %s", err, text[max(0, len(text)-2048):])
}

// close ends the processes and removes what they left.
func (b *bed) close() error {
	var errs []error
	// A dead destination would keep the server waiting, so the receiver goes first.
	for _, c := range []*child{b.generator, b.receiver, b.server} {
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

// answer tells the receiver how to behave.
func (b *bed) answer(how receiverOrder) error {
	var done struct{}
	return b.receiver.ask(how, &done)
}

// restart kills the server and starts it again on the same file. It returns how
// long it took from exec until the receiver had a request.
func (b *bed) restart(ctx context.Context, s *session) (time.Duration, error) {
	b.server.kill()
	b.server = nil
	// What the dead process had sent is read before the clock is set.
	tries, first := &b.board.cell[cellTries], &b.board.cell[cellFirst]
	for before := int64(-1); before != tries.Load(); pause(50 * time.Millisecond) {
		before = tries.Load()
	}
	first.Store(0)
	if err := b.serve(ctx, s); err != nil {
		return 0, err
	}
	err := b.await(ctx, quiet, func() (bool, error) { return first.Load() != 0, nil })
	return time.Duration(first.Load() - b.server.started.UnixNano()), err
}

// quiet is how long nothing may arrive before a run is given up, and patience the
// same where tries failed before: they are repeated later, and a breaker is open.
const (
	quiet    = 30 * time.Second
	patience = 2 * time.Minute
)

// errMissing means that events were acknowledged and have not arrived.
var errMissing = errors.New("events are missing")

// await waits until done says so, as long as something arrives at least every so often.
func (b *bed) await(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if got := b.board.cell[cellReceived].Load(); got != last {
			last, since = got, time.Now()
		}
		if time.Since(since) > every {
			return fmt.Errorf("%s: %w: nothing has arrived for %v", b.kind, errMissing, every)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
