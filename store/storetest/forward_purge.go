package storetest

import (
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
)

func purgeOldest(t *testing.T, s Forwarding) {
	at := func(n int) func(*forward.NewEvent) {
		return func(e *forward.NewEvent) { e.ReceivedAt = epoch().Add(time.Duration(n) * time.Second) }
	}
	var waiting, done []forward.NewEvent
	for i := range 300 {
		done = append(done, newEvent(at(i)))
		waiting = append(waiting, newEvent(at(i), func(n *forward.NewEvent) { n.Event.Environment = "env_b" }))
	}
	add(t, s, waiting...)
	add(t, s, done...)
	for _, task := range claim(t, s, "dest:env_a") {
		mustFinish(t, s, outcome(task, forward.Delivered))
	}
	if n, err := s.Purge(t.Context(), epoch().Add(time.Hour), 100); err != nil || n != 100 {
		t.Fatalf("purge removed %d, %v; want 100", n, err)
	}
	for i, e := range done {
		if i < 100 {
			wantAbsent(t, s, e.Event.ID)
		} else {
			wantStatus(t, s, e.Event.ID, forward.Delivered)
		}
	}
	if n, err := s.Purge(t.Context(), epoch().Add(time.Hour), 1000); err != nil || n != 200 {
		t.Errorf("purge removed %d, %v; want the other 200", n, err)
	}
	if n := len(claim(t, s, "dest:env_b")); n != 300 {
		t.Errorf("%d of 300 events still wait", n)
	}
}

func sizeInUse(t *testing.T, s Forwarding) {
	size := func() int64 {
		t.Helper()
		n, err := s.Size(t.Context())
		if err != nil {
			t.Fatalf("Size: %v", err)
		}
		return n
	}
	empty := size()
	var events []forward.NewEvent
	for range 500 {
		events = append(events, newEvent(func(n *forward.NewEvent) { n.Event.Payload = make([]byte, 4<<10) }))
	}
	add(t, s, events...)
	full := size()
	if full < empty+500*4<<10 {
		t.Errorf("the size grew from %d to %d by 500 events of 4 KiB", empty, full)
	}
	for _, task := range claim(t, s, "dest:env_a") {
		mustFinish(t, s, outcome(task, forward.Delivered))
	}
	if n, err := s.Purge(t.Context(), epoch().Add(time.Hour), 1000); err != nil || n != 500 {
		t.Fatalf("purge removed %d, %v", n, err)
	}
	if purged := size(); purged > empty+(full-empty)/4 {
		t.Errorf("the size was %d, %d with 500 events, and %d when they were purged", empty, full, purged)
	}
}
