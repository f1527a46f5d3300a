// Package forwardtest provides a receiver for tests: it verifies and records
// what a Forwarder delivers, and can misbehave on demand. Start with
// [NewReceiver].
package forwardtest

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// patience is how long Next waits.
const patience = 5 * time.Second

// Receiver is an HTTP server on loopback that verifies every delivery with
// Secret and keeps it. It is closed with the test. All methods are safe for
// concurrent use.
type Receiver struct {
	URL    string // where it listens
	Secret string // fresh, "whsec_…"

	// Answer decides the response to a delivery, to play a receiver in trouble:
	// a status, and how long to take. attempt counts the deliveries of that event,
	// from 1. A status of 0 closes the connection without an answer. Set it before
	// the first delivery. Defaults to 204 at once.
	Answer func(ev trigger.Event, attempt int) (status int, wait time.Duration)

	// Header is added to every answer, such as Retry-After. Set it before the
	// first delivery.
	Header http.Header

	t      testing.TB
	mu     sync.Mutex
	all    []Delivery
	taken  int
	more   chan struct{} // closed and replaced when one arrives
	closed chan struct{}
	tries  map[string]int
}

// Delivery is one request as it arrived.
type Delivery struct {
	Event  trigger.Event
	Header http.Header
	Body   []byte // the very bytes
	At     time.Time
}

// NewReceiver starts a Receiver.
func NewReceiver(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{
		Secret: webhook.NewSecret(), t: t,
		more: make(chan struct{}), closed: make(chan struct{}), tries: make(map[string]int),
	}
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	r.URL = server.URL + "/events"
	t.Cleanup(func() {
		close(r.closed) // ends answers that take their time
		server.Close()
	})
	return r
}

// Settings point a Forwarder at the receiver. It listens on loopback, so the
// Forwarder needs AllowPrivateNetworks.
func (r *Receiver) Settings(triggers ...string) forward.Settings {
	return forward.Settings{URL: r.URL, Triggers: trigger.List(triggers...), Secrets: []string{r.Secret}}
}

// Next returns the next event in order of arrival. The test fails when none comes
// within 5 seconds. A delivery that does not verify fails the test.
func (r *Receiver) Next() trigger.Event {
	r.t.Helper()
	return r.NextDelivery().Event
}

// NextDelivery is Next with the request itself.
func (r *Receiver) NextDelivery() Delivery {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, ok := r.next(ctx)
	if !ok {
		r.t.Fatalf("forwardtest: no event arrived within %s", patience)
	}
	return d
}

// None fails the test if an event arrives within d.
func (r *Receiver) None(d time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if got, ok := r.next(ctx); ok {
		r.t.Fatalf("forwardtest: %s (%s) arrived, but nothing should", got.Event.ID, got.Event.Trigger)
	}
}

// Events returns all that has arrived, duplicates included.
func (r *Receiver) Events() []trigger.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := make([]trigger.Event, len(r.all))
	for i, d := range r.all {
		events[i] = d.Event
	}
	return events
}

func (r *Receiver) next(ctx context.Context) (Delivery, bool) {
	for {
		r.mu.Lock()
		if r.taken < len(r.all) {
			r.taken++
			d := r.all[r.taken-1]
			r.mu.Unlock()
			return d, true
		}
		more := r.more
		r.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return Delivery{}, false
		}
	}
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil { // the sender went away
		return
	}
	ev, ok := r.check(req, body)
	if !ok {
		http.Error(w, "refused", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.tries[ev.ID]++
	attempt := r.tries[ev.ID]
	r.all = append(r.all, Delivery{Event: ev, Header: req.Header.Clone(), Body: body, At: time.Now()})
	close(r.more)
	r.more = make(chan struct{})
	r.mu.Unlock()

	status, wait := http.StatusNoContent, time.Duration(0)
	if r.Answer != nil {
		status, wait = r.Answer(ev, attempt)
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
		case <-r.closed:
		}
	}
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), r.Header)
	w.WriteHeader(status)
}

// check fails the test for what no Forwarder may send.
func (r *Receiver) check(req *http.Request, body []byte) (ev trigger.Event, ok bool) {
	if req.Method != http.MethodPost {
		r.t.Errorf("forwardtest: a delivery came as %s", req.Method)
		return ev, false
	}
	if !strings.HasPrefix(req.Header.Get("Content-Type"), "application/json") {
		r.t.Errorf("forwardtest: a delivery has Content-Type %q", req.Header.Get("Content-Type"))
		return ev, false
	}
	if err := (webhook.Verifier{Secrets: []string{r.Secret}}).Verify(req.Header, body); err != nil {
		r.t.Errorf("forwardtest: a delivery does not verify: %v", err)
		return ev, false
	}
	if err := json.Unmarshal(body, &ev); err != nil {
		r.t.Errorf("forwardtest: a delivery is no event: %v", err)
		return ev, false
	}
	if got := req.Header.Get(webhook.HeaderID); got != ev.ID {
		r.t.Errorf("forwardtest: webhook-id is %q, the event's id %q", got, ev.ID)
		return ev, false
	}
	return ev, true
}
