package forward_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
)

// Many more events than fit: nothing is lost, memory stays within its bound,
// and order is kept by due time.
func TestBacklogBeyondMemory(t *testing.T) {
	t.Parallel()
	var peak atomic.Int64
	r := &receiver{}
	var f *forward.Forwarder
	r.wait = func(context.Context, int) {
		<-time.After(time.Second)
		if b := f.Stats().Bytes; b > peak.Load() {
			peak.Store(b)
		}
	}
	const memory = 64 << 10
	bubble(t, r, forward.Config{Limits: forward.Limits{InMemory: memory, InFlight: 8, PerLane: 4}}, func(t *testing.T, built *forward.Forwarder) {
		f = built
		stop := running(t, f)
		const n = 500
		for i := range n {
			mustPost(t, f, hook, "default-key", request{Team: "T1", Items: []item{{Key: fmt.Sprint(i), Text: strings.Repeat("x", 1000)}}})
		}
		pass(10 * time.Minute)
		stop()
		seen := map[string]bool{}
		for _, d := range r.deliveries() {
			seen[d.event.ID] = true
		}
		if len(seen) != n || len(r.deliveries()) != n {
			t.Errorf("%d events in %d deliveries, want %d", len(seen), len(r.deliveries()), n)
		}
		if peak.Load() > memory {
			t.Errorf("%d bytes were held, more than %d", peak.Load(), memory)
		}
	})
}

// A receiver that never answers fills its own lane, not the others'.
func TestDeadDestinationLeavesOthersAlone(t *testing.T) {
	r := &receiver{}
	dead := settings("*")
	dead.URL = "https://dead.example/"
	d := two(dead, settings("*"))
	key := " " + string(connector.NewKey("team", "T1"))
	for i := range 6 { // enough to fill all memory
		env := fmt.Sprintf("env_dead%d", i)
		d.settings[env] = dead
		d.people[key] = append(d.people[key], forward.Recipient{Connection: "conn_" + env, Environment: env})
	}
	slow := func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "dead.example" {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		return r.RoundTrip(req)
	}
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := build(t, forward.Config{
			Directory: d, Transport: roundTrip(slow),
			Limits: forward.Limits{InMemory: 8 << 10, InFlight: 64, PerLane: 4},
		})
		running(t, f)
		for i := range 100 {
			mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
			synctest.Wait()
		}
		var latest time.Duration
		for _, got := range r.deliveries() {
			latest = max(latest, got.at.Sub(got.event.Time))
		}
		if n := len(r.deliveries()); n != 100 || latest != 0 {
			t.Errorf("%d of 100 deliveries to the living one, the slowest after %s", n, latest)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
