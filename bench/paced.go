//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// paced is the load generator at a fixed rate: one thread that waits for the next
// event's time and for answers at once. With a goroutine for each connection an
// event would wake four threads one after another, and the processors are shared
// with the server that is measured.
type paced struct {
	g     *generator
	to    unix.Sockaddr
	epoll int
	idle  []*pacedConn // they take turns, the longest idle one first
	dead  []*pacedConn // to be opened
	wait  []int        // events that are due and have no connection
	busy  int          // connections on which an answer is due
	conns map[int32]*pacedConn
	out   []byte
}

// pacedConn is a connection to the server under test.
type pacedConn struct {
	sender *sender
	fd     int // -1: not open
	seq    int // what it waits for an answer to; -1: nothing
	in     []byte
}

func newPaced(g *generator) (*paced, error) {
	at, err := netip.ParseAddrPort(g.cfg.Address)
	if err != nil {
		return nil, err
	}
	if !at.Addr().Is4() {
		return nil, fmt.Errorf("%s is no IPv4 address", g.cfg.Address)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	p := &paced{g: g, to: &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}, epoll: epoll, conns: map[int32]*pacedConn{}}
	for _, s := range g.senders {
		p.dead = append(p.dead, &pacedConn{sender: s, fd: -1, seq: -1, in: make([]byte, 0, 4096)})
	}
	return p, nil
}

// run sends at fixed times, whatever has become of what was sent before: what has
// to wait for a connection counts from the time at which it was to be sent. It
// returns how late 99 % of the requests were begun at most.
func (p *paced) run() (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it 50 µs late
	// Where that is allowed, before whatever keeps the processors busy.
	if unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -10) == nil {
		defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 0) }()
	}
	g := p.g
	late := make([]time.Duration, 0, g.order.Count)
	events := make([]unix.EpollEvent, 64)
	if err := p.prepare(events); err != nil {
		return 0, err
	}
	start := time.Now()
	for i := 0; i < g.order.Count || p.busy > 0 || len(p.wait) > 0; {
		wait := time.Duration(-1)
		for i < g.order.Count {
			due := start.Add(time.Duration(float64(i) / g.order.Rate * float64(time.Second)))
			if wait = time.Until(due); wait > 0 {
				break
			}
			late = append(late, -wait)
			seq := g.order.First + i
			g.board.intended[seq].Store(due.UnixNano())
			g.count(seq)
			g.next.Add(1)
			p.wait = append(p.wait, seq)
			i++
			wait = 0
		}
		p.sendWaiting()
		n, err := epollWait(p.epoll, events, wait)
		if err != nil {
			return 0, err
		}
		for _, e := range events[:n] {
			p.read(p.conns[e.Fd])
		}
	}
	return quantile(late, 0.99), nil
}

// prepare opens all connections, also those that the server has ended meanwhile.
func (p *paced) prepare(events []unix.EpollEvent) error {
	for {
		n, err := epollWait(p.epoll, events, 0)
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			p.read(p.conns[e.Fd])
		}
		if n == 0 {
			break
		}
	}
	for _, c := range p.dead {
		if err := p.open(c); err != nil {
			return err
		}
		p.idle = append(p.idle, c)
	}
	p.dead = p.dead[:0]
	return nil
}

// sendWaiting sends what is due, as far as there are connections.
func (p *paced) sendWaiting() {
	for len(p.wait) > 0 {
		if len(p.idle) == 0 {
			if len(p.dead) == 0 {
				return
			}
			c := p.dead[len(p.dead)-1]
			p.dead = p.dead[:len(p.dead)-1]
			if err := p.open(c); err != nil {
				p.dead = append(p.dead, c)
				p.g.refuse(err)
				p.wait = p.wait[1:]
				continue
			}
			p.idle = append(p.idle, c)
		}
		c, seq := p.idle[0], p.wait[0]
		p.idle, p.wait = p.idle[1:], p.wait[1:]
		p.send(c, seq)
	}
}

func (p *paced) open(c *pacedConn) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Connect(fd, p.to)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}) //nolint:gosec // a small number
	}
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	c.fd, c.in = fd, c.in[:0]
	p.conns[int32(fd)] = c //nolint:gosec // a small number
	return nil
}

func (p *paced) send(c *pacedConn, seq int) {
	s := c.sender
	putSeq(s.body, seq)
	p.out = s.signer.appendRequest(p.out[:0], p.g.cfg.Address, p.g.path(seq), seq, time.Now().Unix(), s.body)
	c.seq = seq
	p.busy++
	for rest := p.out; len(rest) > 0; {
		n, err := unix.Write(c.fd, rest)
		switch {
		case err == nil:
			rest = rest[n:]
		case errors.Is(err, unix.EAGAIN): // a large body, which fits in a moment
			fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}} //nolint:gosec // a small number
			if _, err := unix.Poll(fds, 1000); err != nil && !errors.Is(err, unix.EINTR) {
				p.fail(c, err)
				return
			}
		case !errors.Is(err, unix.EINTR):
			p.fail(c, err)
			return
		}
	}
}

// read reads what has come, mostly a whole answer.
func (p *paced) read(c *pacedConn) {
	if len(c.in) == cap(c.in) {
		p.fail(c, errors.New("an answer larger than 4 KiB"))
		return
	}
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil:
		p.fail(c, err)
		return
	case n == 0:
		p.fail(c, io.ErrUnexpectedEOF)
		return
	}
	c.in = c.in[:len(c.in)+n]
	status, whole, err := parseStatus(c.in)
	switch {
	case err != nil:
		p.fail(c, err)
	case !whole:
	case c.seq < 0:
		p.fail(c, errors.New("an answer to nothing"))
	default:
		p.g.answered(c.seq, status)
		c.in, c.seq = c.in[:0], -1
		p.busy--
		p.idle = append(p.idle, c)
	}
}

// fail ends a connection, which is opened again when it is needed. What it waited
// for was not acknowledged.
func (p *paced) fail(c *pacedConn, err error) {
	if c.seq >= 0 {
		p.g.refuse(err)
		p.busy--
		c.seq = -1
	} else { // the server ended it while nothing was under way
		for i, idle := range p.idle {
			if idle == c {
				p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
				break
			}
		}
	}
	delete(p.conns, int32(c.fd)) //nolint:gosec // a small number
	_ = unix.Close(c.fd)
	c.fd = -1
	p.dead = append(p.dead, c)
}

// parseStatus reads an answer. whole: all of it is there, and nothing more.
func parseStatus(in []byte) (status int, whole bool, err error) {
	top, body, ok := bytes.Cut(in, []byte("\r\n\r\n"))
	if !ok {
		return 0, false, nil
	}
	line, headers, _ := bytes.Cut(top, []byte("\r\n"))
	if len(line) < 12 {
		return 0, false, fmt.Errorf("bad status line %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, fmt.Errorf("bad status line %q", line)
	}
	length := -1
	for header := range bytes.SplitSeq(headers, []byte("\r\n")) {
		name, value, _ := bytes.Cut(header, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, false, fmt.Errorf("content-length: %w", err)
			}
		}
	}
	switch {
	case length < 0 && status != 204:
		return 0, false, errChunked
	case len(body) > max(0, length):
		return 0, false, errors.New("more than an answer")
	}
	return status, len(body) == max(0, length), nil
}

// epollWait waits in the kernel, by the nanosecond; for ever if wait is negative.
// The runtime is not told, which would have another thread look after this one
// every few microseconds: nothing else is to run here meanwhile.
func epollWait(epoll int, events []unix.EpollEvent, wait time.Duration) (int, error) {
	// Now and then it comes back, so that the runtime can stop it.
	ts := unix.NsecToTimespec(int64(min(uint64(wait), uint64(time.Millisecond))))                               //nolint:gosec // a negative one is large
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), //nolint:gosec // as the system call wants it
		uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0) //nolint:gosec // the same
	switch {
	case errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, errno
	}
	return int(n), nil
}
