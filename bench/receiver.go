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
	hosts  int
	secure *tls.Config
	status atomic.Int64 // of every answer
	dead   atomic.Bool  // the last destination never answers
	down   atomic.Bool
}

// receiverConfig is what the parent says.
type receiverConfig struct {
	Hosts int    `json:"hosts"` // listen at so many addresses, each at a port of its own
	Cert  string `json:"cert"`  // PEM files, for TLS
	Key   string `json:"key"`
}

// receiverReady is its answer.
type receiverReady struct {
	Addresses []string `json:"addresses"`
}

// receiverOrder changes what it does.
type receiverOrder struct {
	Status int  `json:"status"` // of every answer from now on
	Dead   bool `json:"dead"`   // the last destination takes requests and never answers
	Down   bool `json:"down"`   // connections are refused, and those that were there end
}

// receiverHost is the address of the first destination: no other socket of this
// machine uses it as a source, so it is free again after the receiver was down.
const receiverHost = "127.0.1.1"

func runReceiver(ctx context.Context, p *parent) error {
	var cfg receiverConfig
	if err := p.read(&cfg); err != nil {
		return err
	}
	r := &receiver{board: p.board, hosts: cfg.Hosts}
	r.status.Store(200)
	if cfg.Cert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return err
		}
		r.secure = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	addresses := make([]string, cfg.Hosts)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("127.0.%d.%d:0", 1+i/250, 1+i%250) // the first one is receiverHost
	}
	listeners, err := r.listen(ctx, addresses)
	if err != nil {
		return err
	}
	for i, l := range listeners {
		addresses[i] = l.Addr().String()
	}
	if err := p.write(receiverReady{Addresses: addresses}); err != nil {
		return err
	}
	for {
		var order receiverOrder
		if err := p.read(&order); err != nil {
			return ended(err)
		}
		r.status.Store(int64(order.Status))
		r.dead.Store(order.Dead)
		r.down.Store(order.Down)
		if order.Down {
			for _, l := range listeners {
				if err := l.Close(); err != nil {
					return err
				}
			}
			listeners = nil
		} else if listeners == nil {
			if listeners, err = r.listen(ctx, addresses); err != nil {
				return err
			}
		}
		if err := p.write(struct{}{}); err != nil {
			return err
		}
	}
}

func (r *receiver) listen(ctx context.Context, addresses []string) (listeners []net.Listener, err error) {
	for _, a := range addresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		go r.accept(l)
	}
	return listeners, nil
}

func (r *receiver) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // it is closed
		}
		if r.secure != nil {
			c = tls.Server(c, r.secure)
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
		if _, err := in.Peek(1); err != nil || r.down.Load() {
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
		if r.dead.Load() && destination(h.first) == r.hosts-1 {
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
