//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// generatorConfig is what the parent says first.
type generatorConfig struct {
	Address string   `json:"address"` // of the server under test
	Paths   []string `json:"paths"`   // of its webhook addresses, in turns
	Secret  string   `json:"secret"`  // whsec_…
	Size    int      `json:"size"`    // bytes of a body
	Conns   int      `json:"conns"`
}

// load is an order to send events.
type load struct {
	First  int           `json:"first"`  // number of the first event
	Count  int           `json:"count"`  // at most so many
	Time   time.Duration `json:"time"`   // closed loop: stop sending after that; 0: at Count
	Rate   float64       `json:"rate"`   // events/s at fixed times; 0: closed loop, as fast as answers come
	Window int           `json:"window"` // closed loop: events that are sent and not yet delivered, at most; 0: any number
	Last   string        `json:"last"`   // what the last destination gets, if not the same as the others
}

// What the last destination gets.
const (
	lastNothing = "nothing"
	lastDead    = "dead" // its share, which nobody expects to arrive
)

// sent is the answer.
type sent struct {
	Count   int           `json:"count"`   // requests
	Refused int           `json:"refused"` // that were not answered 2xx
	Aside   int           `json:"aside"`   // that went to a destination that is dead
	Start   int64         `json:"start"`   // UnixNano of the first request
	Elapsed time.Duration `json:"elapsed"`
	Late    time.Duration `json:"late"` // 99 % of requests at a fixed rate were begun at most so late
	CPU     time.Duration `json:"cpu"`
	Error   string        `json:"error"` // one of what went wrong
}

func runGenerator(ctx context.Context, p *parent) error {
	var cfg generatorConfig
	if err := p.read(&cfg); err != nil {
		return err
	}
	g := &generator{cfg: cfg, board: p.board}
	for range cfg.Conns {
		s, err := newSigner(cfg.Secret)
		if err != nil {
			return err
		}
		g.senders = append(g.senders, &sender{g: g, signer: s, body: body(cfg.Size), start: make([]byte, 0, 128)})
	}
	if err := p.write(struct{}{}); err != nil {
		return err
	}
	for {
		var order load
		if err := p.read(&order); err != nil {
			return ended(err)
		}
		if err := p.write(g.run(ctx, order)); err != nil {
			return err
		}
	}
}

type generator struct {
	cfg     generatorConfig
	board   *board
	senders []*sender // of a closed loop
	paced   *paced    // at a fixed rate; nil before the first time

	order   load
	next    atomic.Int64
	refused atomic.Int64
	failure atomic.Pointer[string]
	gate    sync.Mutex // held by who waits for the window to open
}

// run sends what the order says and returns when every answer has come.
func (g *generator) run(ctx context.Context, order load) sent {
	g.order = order
	g.next.Store(0)
	aside := g.board.cell[cellAside].Load()
	g.refused.Store(0)
	g.failure.Store(nil)
	cpu := processCPU()
	start := time.Now()
	var late time.Duration
	if order.Rate > 0 {
		late = g.pace()
	} else {
		g.loop(ctx, start)
	}
	out := sent{
		Count: min(int(g.next.Load()), order.Count), Refused: int(g.refused.Load()), Start: start.UnixNano(), Elapsed: time.Since(start), Late: late,
		CPU: processCPU() - cpu, Aside: int(g.board.cell[cellAside].Load() - aside),
	}
	if text := g.failure.Load(); text != nil {
		out.Error = *text
	}
	return out
}

// loop is a closed loop on each connection.
func (g *generator) loop(ctx context.Context, start time.Time) {
	var wg sync.WaitGroup
	for _, s := range g.senders {
		wg.Go(func() {
			for i, ok := g.take(start); ok; i, ok = g.take(start) {
				g.board.intended[g.order.First+i].Store(time.Now().UnixNano())
				s.send(ctx, g.order.First+i)
			}
		})
	}
	wg.Wait()
}

// pace sends at a fixed rate.
func (g *generator) pace() time.Duration {
	if g.paced == nil {
		p, err := newPaced(g)
		if err != nil {
			g.refuse(err)
			return 0
		}
		g.paced = p
	}
	late, err := g.paced.run()
	if err != nil {
		g.refuse(err)
	}
	return late
}

// take returns the number of the next event of a closed loop, when the window
// has room for it.
func (g *generator) take(start time.Time) (int, bool) {
	if g.order.Window > 0 {
		g.gate.Lock()
		defer g.gate.Unlock()
		for g.board.cell[cellSent].Load()-g.board.cell[cellReceived].Load()-g.board.cell[cellRefused].Load() >= int64(g.order.Window) {
			if g.order.Time > 0 && time.Since(start) > g.order.Time {
				return 0, false
			}
			pause(200 * time.Microsecond)
		}
	}
	if g.order.Time > 0 && time.Since(start) > g.order.Time {
		return 0, false
	}
	n := int(g.next.Add(1)) - 1
	if n >= g.order.Count {
		return 0, false
	}
	g.count(g.order.First + n)
	return n, true
}

// pause sleeps in the kernel.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // an interrupted sleep is checked by the caller
}

// sender is one connection to the server under test.
type sender struct {
	g      *generator
	signer *signer
	body   []byte
	conn   net.Conn
	in     *bufio.Reader
	start  []byte
	out    []byte
}

// send sends one event and notes when its answer has come.
func (s *sender) send(ctx context.Context, seq int) {
	status, err := s.exchange(ctx, seq)
	if err != nil {
		s.g.refuse(err)
		return
	}
	s.g.answered(seq, status)
}

// answered notes when an answer has come.
func (g *generator) answered(seq, status int) {
	if status/100 != 2 {
		g.refuse(fmt.Errorf("status %d", status))
		return
	}
	g.board.acked[seq].Store(time.Now().UnixNano())
	g.board.cell[cellAcked].Add(1)
}

// refuse notes an event that was not acknowledged.
func (g *generator) refuse(err error) {
	text := err.Error()
	g.failure.CompareAndSwap(nil, &text)
	g.refused.Add(1)
	g.board.cell[cellRefused].Add(1)
}

func (s *sender) exchange(ctx context.Context, seq int) (int, error) {
	if s.conn == nil {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.g.cfg.Address)
		if err != nil {
			return 0, err
		}
		s.conn, s.in = c, bufio.NewReader(c)
	}
	putSeq(s.body, seq)
	s.out = s.signer.appendRequest(s.out[:0], s.g.cfg.Address, s.g.path(seq), seq, time.Now().Unix(), s.body)
	status := 0
	_, err := s.conn.Write(s.out)
	if err == nil {
		status, err = readStatus(s.in, s.start)
	}
	if err != nil {
		err = errors.Join(err, s.conn.Close())
		s.conn = nil
	}
	return status, err
}

// count notes that an event is on its way.
func (g *generator) count(seq int) {
	cell := cellSent
	if g.order.Last == lastDead && seq%len(g.cfg.Paths) == len(g.cfg.Paths)-1 {
		cell = cellAside
	}
	g.board.cell[cell].Add(1)
}

func (g *generator) path(seq int) string {
	paths := g.cfg.Paths
	if g.order.Last == lastNothing {
		paths = paths[:len(paths)-1]
	}
	return paths[seq%len(paths)]
}
