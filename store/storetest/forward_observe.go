package storetest

import (
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
)

func backlog(t *testing.T, s Forwarding) {
	want := func(when string, now time.Time, want forward.Backlog) {
		t.Helper()
		got, err := s.Backlog(t.Context(), now)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", when, got, err, want)
		}
	}
	now := epoch()
	want("nothing stored", now, forward.Backlog{})
	at := func(environment string, due time.Duration) func(*forward.NewEvent) {
		return func(n *forward.NewEvent) { n.Event.Environment, n.ReceivedAt = environment, epoch().Add(due) }
	}
	add(t, s, newEvent(at("env_a", 0)), newEvent(at("env_a", -time.Hour)), newEvent(at("env_a", time.Hour)),
		newEvent(at("env_b", 0)), newEvent(at("env_b", time.Hour)))
	again := newEvent()
	bulk := deliver(again)
	bulk.Lane = "bulk:env_a"
	sub := s.Subscribe(t, "")
	mustAppend(t, s, forward.Batch{Events: []forward.NewEvent{again}, Tasks: []forward.Task{bulk, expand(sub, "{}", "")}})
	want("in three kinds of lanes", now, forward.Backlog{
		Deliveries: forward.Waiting{Due: 3, Scheduled: 2}, Replays: forward.Waiting{Due: 1}, Calls: forward.Waiting{Due: 1},
	})
	want("an hour later", now.Add(time.Hour), forward.Backlog{
		Deliveries: forward.Waiting{Due: 5}, Replays: forward.Waiting{Due: 1}, Calls: forward.Waiting{Due: 1},
	})
	one := series(t, s, "a", newEvent(), newEvent(), newEvent())[0] // the first of them is leased
	want("with a series", now, forward.Backlog{
		Deliveries: forward.Waiting{Due: 3, Scheduled: 4}, Replays: forward.Waiting{Due: 1}, Calls: forward.Waiting{Due: 1},
	})
	for range 2 {
		mustFinish(t, s, outcome(one, forward.Delivered))
		for _, next := range claim(t, s, one.Lane) {
			if next.Series != "" {
				one = next
				continue
			}
			if err := s.Release(t.Context(), []forward.Task{next}); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustFinish(t, s, outcome(one, forward.Delivered))
	if err := s.Pause(t.Context(), "dest:env_b", "x", now); err != nil {
		t.Fatal(err)
	}
	want("with a paused lane", now, forward.Backlog{
		Deliveries: forward.Waiting{Due: 2, Scheduled: 1, Paused: 2}, Replays: forward.Waiting{Due: 1}, Calls: forward.Waiting{Due: 1},
		PausedLanes: 1,
	})
	leased := claimWith(t, s, forward.ClaimRequest{Lane: "dest:env_a", Now: now, Limit: 10, Bytes: 1 << 20, Lease: time.Hour})
	want("leased ones left out", now, forward.Backlog{
		Deliveries: forward.Waiting{Scheduled: 1, Paused: 2}, Replays: forward.Waiting{Due: 1}, Calls: forward.Waiting{Due: 1},
		PausedLanes: 1,
	})
	failed := outcome(leased[1], forward.Pending)
	failed.Due = now.Add(time.Minute)
	mustFinish(t, s, outcome(leased[0], forward.Delivered), failed)
	want("finished ones left out", now, forward.Backlog{
		Deliveries: forward.Waiting{Scheduled: 2, Paused: 2}, Replays: forward.Waiting{Due: 1}, Calls: forward.Waiting{Due: 1},
		PausedLanes: 1,
	})
}

func traced(t *testing.T, s Forwarding) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	e := newEvent()
	task, plain := deliver(e), newEvent()
	task.Trace = trace
	sub := s.Subscribe(t, "")
	ask := expand(sub, "{}", "")
	ask.Trace = trace
	stored := mustAppend(t, s, forward.Batch{Events: []forward.NewEvent{e, plain}, Tasks: []forward.Task{task, deliver(plain), ask}})
	for i, want := range []string{trace, "", trace} {
		if stored[i].Trace != want {
			t.Errorf("stored with trace %q, want %q", stored[i].Trace, want)
		}
	}
	check := func(when string) (failed []forward.Outcome) {
		t.Helper()
		got := claim(t, s, "dest:env_a")
		if len(got) != 2 {
			t.Fatalf("%s: %d tasks, want 2", when, len(got))
		}
		for _, task := range got {
			want := ""
			if task.Event.ID == e.Event.ID {
				want = trace
			}
			if task.Trace != want {
				t.Errorf("%s: trace %q, want %q", when, task.Trace, want)
			}
			o := outcome(task, forward.Pending)
			o.Due = epoch()
			failed = append(failed, o)
		}
		return failed
	}
	mustFinish(t, s, check("claimed")...)
	check("after a failed try")
	s.Store = s.Reopen(t)
	check("opened anew")
	if got := claimOne(t, s, "conn:conn_a"); got.Trace != trace {
		t.Errorf("of an expand task: trace %q, want %q", got.Trace, trace)
	}

	// Also of one that waits for another of its series.
	in := func(n *forward.NewEvent) { n.Event.Environment = "env_b" }
	first, second := deliver(newEvent(in)), deliver(newEvent(in))
	b := forward.Batch{}
	for _, task := range []*forward.Task{&first, &second} {
		task.Series, task.Trace, task.Lease = "a", trace, 1
		b.Events = append(b.Events, forward.NewEvent{Event: task.Event, ReceivedAt: epoch()})
		b.Tasks = append(b.Tasks, *task)
	}
	mustFinish(t, s, outcome(mustAppend(t, s, b)[0], forward.Delivered))
	if got := claimOne(t, s, "dest:env_b"); got.ID != second.ID || got.Trace != trace {
		t.Errorf("of the next one of a series: %s with trace %q, want %s with %q", got.ID, got.Trace, second.ID, trace)
	}
}
