package forward

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// Timing is where the time of a try over HTTP went. What did not take place is
// zero: on a connection that was open already there is no DNS, Connect and TLS.
// A part that had not ended when the try did counts up to there.
type Timing struct {
	DNS       time.Duration // resolving the host name
	Connect   time.Duration // from the first dial until one of them was through
	TLS       time.Duration // the handshake
	FirstByte time.Duration // from having the connection, so sending included, to the first byte of the answer
	Reused    bool          // the connection had been used before
}

// stopwatch takes the Timing of one request. The transport dials in a goroutine
// of its own, which may go on when the request got another connection or has
// ended: mu is for those, and what they tell then is left out.
type stopwatch struct {
	now   func() time.Time
	hooks httptrace.ClientTrace // here, so that they are one allocation

	mu                             sync.Mutex
	dns, connect, handshake, first span
	reused                         bool
}

// span is a part of a try. A zero end: it has not ended.
type span struct{ begin, end time.Time }

func (s span) took(until time.Time) time.Duration {
	switch {
	case s.begin.IsZero():
		return 0
	case s.end.IsZero():
		return max(0, until.Sub(s.begin))
	}
	return max(0, s.end.Sub(s.begin))
}

// attach returns a ctx for the request. These hooks and no others: each one is
// an allocation on the hot path.
func (w *stopwatch) attach(ctx context.Context) context.Context {
	w.hooks = httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { w.begin(&w.dns) },
		DNSDone:              func(httptrace.DNSDoneInfo) { w.end(&w.dns) },
		ConnectStart:         func(string, string) { w.begin(&w.connect) },
		ConnectDone:          w.connected,
		TLSHandshakeStart:    func() { w.begin(&w.handshake) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { w.end(&w.handshake) },
		GotConn:              w.got,
		GotFirstResponseByte: func() { w.end(&w.first) },
	}
	return httptrace.WithClientTrace(ctx, &w.hooks)
}

// begin keeps the first of several, such as dials of one address after another.
func (w *stopwatch) begin(s *span) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.begin.IsZero() {
		s.begin = now
	}
}

func (w *stopwatch) end(s *span) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.end.IsZero() {
		s.end = now
	}
}

// connected ends the span with the dial that came through: one that fails may
// have others beside it (RFC 8305).
func (w *stopwatch) connected(_, _ string, err error) {
	if err == nil {
		w.end(&w.connect)
	}
}

// got begins anew when a request is sent again on another connection.
func (w *stopwatch) got(info httptrace.GotConnInfo) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first, w.reused = span{begin: now}, info.Reused
	if info.Reused { // a dial that was begun for this request serves a later one
		w.dns, w.connect, w.handshake = span{}, span{}, span{}
	}
}

// timing returns what was taken, for a try that has ended at that time.
func (w *stopwatch) timing(ended time.Time) Timing {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := Timing{FirstByte: w.first.took(ended), Reused: w.reused}
	if !w.reused {
		t.DNS, t.Connect, t.TLS = w.dns.took(ended), w.connect.took(ended), w.handshake.took(ended)
	}
	return t
}
