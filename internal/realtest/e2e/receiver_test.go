package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/interactorhq/interactor/internal/realtest/e2e/nodeverify"
	"github.com/interactorhq/interactor/trigger"
)

// delivery is one request as it came to the Forwarding URL.
type delivery struct {
	id     string // webhook-id
	header http.Header
	body   []byte
	at     time.Time
	event  trigger.Event
}

// receiver is the server at the Forwarding URL. It keeps what comes.
type receiver struct {
	url string
	t   *testing.T

	// answer decides the status of the answer. Set it before the first delivery. Defaults to 204.
	answer func(d delivery) int

	mu      sync.Mutex
	got     []delivery
	changed chan struct{} // closed and replaced when one arrives
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, changed: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(server.Close)
	r.url = server.URL + "/events"
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender was killed
	}
	d := delivery{id: req.Header.Get("webhook-id"), header: req.Header.Clone(), body: body, at: time.Now()}
	if err := json.Unmarshal(body, &d.event); err != nil || d.event.ID != d.id || d.id == "" {
		r.t.Errorf("a delivery with webhook-id %q is no event of that id (%v): %s", d.id, err, body)
	}
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(d)
	}
	r.mu.Lock()
	r.got = append(r.got, d)
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	w.WriteHeader(status)
}

func (r *receiver) all() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// wait returns the first delivery that matches, which may have come before the call.
func (r *receiver) wait(t *testing.T, what string, match func(delivery) bool) delivery {
	t.Helper()
	late := time.After(arrivalDeadline)
	for {
		r.mu.Lock()
		i, changed := slices.IndexFunc(r.got, match), r.changed
		var found delivery
		if i >= 0 {
			found = r.got[i]
		}
		r.mu.Unlock()
		if i >= 0 {
			return found
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s did not arrive within %v; there are %v", what, arrivalDeadline, r.triggers())
		}
	}
}

// triggers counts what has arrived, by trigger.
func (r *receiver) triggers() map[string]int {
	counts := make(map[string]int)
	for _, d := range r.all() {
		counts[d.event.Trigger]++
	}
	return counts
}

// wantOnce waits for as many events and demands that they are exactly these, none twice.
func (r *receiver) wantOnce(t *testing.T, want map[string]int) {
	t.Helper()
	total := 0
	for _, n := range want {
		total += n
	}
	waitUntil(t, arrivalDeadline, fmt.Sprint(total, " events have arrived"), func() bool { return len(r.all()) >= total })
	if got := r.triggers(); !maps.Equal(got, want) {
		t.Errorf("arrived: %v, want %v", got, want)
	}
	seen := make(map[string]bool)
	for _, d := range r.all() {
		if seen[d.id] {
			t.Errorf("%s (%s) arrived twice", d.id, d.event.Trigger)
		}
		seen[d.id] = true
	}
}

// verify has the official Go library and npm's judge deliveries under one signing secret, and also
// that both refuse the same deliveries once a byte is different.
func verify(t *testing.T, secret string, deliveries ...delivery) {
	t.Helper()
	if len(deliveries) == 0 {
		t.Error("there is no delivery to verify")
		return
	}
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var questions []nodeverify.Delivery
	for _, d := range deliveries {
		forged := slices.Clone(d.body)
		forged[len(forged)/2] ^= 1
		if err := hook.Verify(d.body, d.header); err != nil {
			t.Errorf("the official Go library refuses %s: %v", d.id, err)
		}
		if hook.Verify(forged, d.header) == nil {
			t.Errorf("the official Go library accepts %s with another body", d.id)
		}
		questions = append(questions,
			nodeverify.Delivery{Secret: secret, Header: d.header, Body: d.body},
			nodeverify.Delivery{Secret: secret, Header: d.header, Body: []byte(`{"another":"body"}`)})
	}
	for i, verdict := range nodeverify.Verify(t, questions...) {
		switch genuine, id := i%2 == 0, deliveries[i/2].id; {
		case genuine && verdict != nil:
			t.Errorf("npm's standardwebhooks refuses %s: %v", id, verdict)
		case !genuine && verdict == nil:
			t.Errorf("npm's standardwebhooks accepts %s with another body", id)
		}
	}
}

// accepts reports whether either library takes a delivery under a secret.
func accepts(t *testing.T, secret string, d delivery) bool {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	verdicts := nodeverify.Verify(t, nodeverify.Delivery{Secret: secret, Header: d.header, Body: d.body})
	return hook.Verify(d.body, d.header) == nil || verdicts[0] == nil
}
