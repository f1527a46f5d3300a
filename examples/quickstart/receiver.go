package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// receiver plays your server: it verifies what arrives, prints it and keeps it.
type receiver struct {
	hook webhook.Verifier
	out  io.Writer

	mu      sync.Mutex
	seen    map[string]bool // webhook-ids: delivery is at least once
	arrived []trigger.Event
	changed chan struct{} // closed and renewed with each arrival
}

func newReceiver(hook webhook.Verifier, out io.Writer) *receiver {
	return &receiver{hook: hook, out: out, seen: make(map[string]bool), changed: make(chan struct{})}
}

func (r *receiver) handler() http.Handler {
	mux := http.NewServeMux()
	verified := r.hook.Handler(r.take)
	mux.HandleFunc("POST /events", func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get(headerKey) != headerValue {
			http.Error(w, "the forwarding header is missing", http.StatusUnauthorized)
			return
		}
		verified.ServeHTTP(w, req)
	})
	return mux
}

func (r *receiver) take(_ context.Context, ev trigger.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[ev.ID] {
		return nil
	}
	r.seen[ev.ID] = true
	r.arrived = append(r.arrived, ev)
	close(r.changed)
	r.changed = make(chan struct{})
	fmt.Fprintf(r.out, "  » %s  %s  account %s\n    %s\n", ev.Trigger, ev.ID, ev.Account, ev.Payload)
	return nil
}

// events returns what has arrived, and a channel that is closed when there is more.
func (r *receiver) events() ([]trigger.Event, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]trigger.Event(nil), r.arrived...), r.changed
}

// wait returns the first event that is wanted, arrived already or still to come.
func (r *receiver) wait(ctx context.Context, want func(trigger.Event) bool) (trigger.Event, error) {
	for {
		arrived, changed := r.events()
		for _, ev := range arrived {
			if want(ev) {
				return ev, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return trigger.Event{}, fmt.Errorf("an event did not arrive: %w", ctx.Err())
		}
	}
}
