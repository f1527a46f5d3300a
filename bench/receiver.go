//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// receiver is the server at the Forwarding URL, reduced to what HTTP asks for:
// it notes when each event came and answers. It takes far less time than a real
// one, so that what is measured is the sender.
type receiver struct {
	board  *board
	status atomic.Int64 // of every answer
	dead   atomic.Int64 // number of the destination that never answers; -1: none
}

// receiverConfig is what the parent says.
type receiverConfig struct {
	Hosts int    `json:"hosts"` // listen at 127.0.0.1 and so many less one addresses behind it, each at a port of its own
	Cert  string `json:"cert"`  // PEM files, for TLS
	Key   string `json:"key"`
}

// receiverReady is its answer.
type receiverReady struct {
	Addresses []string `json:"addresses"`
}

// receiverOrder changes what it does.
type receiverOrder struct {
	Status int `json:"status"` // of every answer from now on
	Dead   int `json:"dead"`   // destination that takes requests and never answers; -1: none
}

func runReceiver(ctx context.Context, p *parent) error {
	var cfg receiverConfig
	if err := p.read(&cfg); err != nil {
		return err
	}
	r := &receiver{board: p.board}
	r.status.Store(200)
	r.dead.Store(-1)
	var secure *tls.Config
	if cfg.Cert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return err
		}
		secure = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	var ready receiverReady
	for i := range cfg.Hosts {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.%d.%d:0", i/250, 1+i%250))
		if err != nil {
			return err
		}
		ready.Addresses = append(ready.Addresses, l.Addr().String())
		go r.accept(l, secure)
	}
	if err := p.write(ready); err != nil {
		return err
	}
	for {
		var order receiverOrder
		if err := p.read(&order); err != nil {
			return ended(err)
		}
		r.status.Store(int64(order.Status))
		r.dead.Store(int64(order.Dead))
		if err := p.write(struct{}{}); err != nil {
			return err
		}
	}
}

func (r *receiver) accept(l net.Listener, secure *tls.Config) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // the process ends
		}
		if secure != nil {
			c = tls.Server(c, secure)
		}
		go r.serve(c)
	}
}

// serve answers the requests of one connection.
func (r *receiver) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 16<<10)
	var start, buf, out []byte
	for {
		if _, err := in.Peek(1); err != nil {
			return
		}
		now := time.Now().UnixNano()
		h, err := readHead(in, start)
		if err != nil {
			return
		}
		start = h.first
		if buf, err = readBody(in, buf, h.length); err != nil {
			return
		}
		r.board.cell[cellFirst].CompareAndSwap(0, now)
		r.board.cell[cellTries].Add(1)
		if dead := r.dead.Load(); dead >= 0 && destination(h.first) == int(dead) {
			_, _ = in.Peek(1) // until the sender has given up
			return
		}
		status := r.status.Load()
		if status/100 == 2 {
			r.note(findSeq(buf), now)
		}
		out = append(out[:0], "HTTP/1.1 "...)
		out = strconv.AppendInt(out, status, 10)
		out = append(out, " -\r\nContent-Length: 0\r\n\r\n"...)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// note writes down that an event has come.
func (r *receiver) note(seq int, now int64) {
	switch b := r.board; {
	case seq < 0 || seq >= b.size():
		b.cell[cellUnknown].Add(1)
	case b.received[seq].CompareAndSwap(0, now):
		b.cell[cellReceived].Add(1)
	default:
		b.cell[cellDuplicates].Add(1)
	}
}

// destination reads the number out of "POST /d/17 HTTP/1.1"; -1: there is none.
func destination(line []byte) int {
	_, path, _ := bytes.Cut(line, []byte("/d/"))
	digits, _, _ := bytes.Cut(path, []byte(" "))
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		return -1
	}
	return n
}
