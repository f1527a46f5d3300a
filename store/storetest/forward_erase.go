package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
)

func mustErase(t *testing.T, s Forwarding, e forward.Erasure, limit, want int) {
	t.Helper()
	if n, err := s.Erase(t.Context(), e, limit); err != nil || n != want {
		t.Fatalf("Erase removed %d, %v; want %d", n, err, want)
	}
}

func erase(t *testing.T, s Forwarding) {
	mine := func(n *forward.NewEvent) { n.Event.Account, n.Event.Connection = "user-7", "conn_7" }
	in := func(environment string) func(*forward.NewEvent) {
		return func(n *forward.NewEvent) { n.Event.Environment = environment }
	}
	anonymous := func(n *forward.NewEvent) { n.Event.Connection = "" }
	other := func(n *forward.NewEvent) { n.Event.Trigger = "own.thing" } // not among Triggers

	done, dead, waiting, leased := newEvent(mine), newEvent(mine, in("env_a")), newEvent(mine), newEvent(mine, other)
	published := newEvent(mine, anonymous)
	kept := []forward.NewEvent{
		newEvent(), newEvent(mine, in("env_b"), func(n *forward.NewEvent) { n.Event.Connection = "conn_8" }),
		newEvent(func(n *forward.NewEvent) { n.Event.Account = "" }), newEvent(anonymous),
	}
	add(t, s, done)
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Delivered))
	add(t, s, dead)
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Dead))
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{replay(dead, "env_later")}})
	add(t, s, leased)
	held := claimOne(t, s, "dest:env_a")
	add(t, s, waiting, published)
	add(t, s, kept...)
	request := forward.DeadInbound{ID: newID("evt"), Connector: "gitea", Environment: "env_a", Account: "user-7", Connection: "conn_7", ReceivedAt: epoch(), Request: []byte("x")}
	foreign := forward.DeadInbound{ID: newID("evt"), Connector: "gitea", Environment: "env_a", Account: "user-42", ReceivedAt: epoch(), Request: []byte("x")}
	mustAppend(t, s, forward.Batch{Dead: []forward.DeadInbound{request, foreign}})
	sub := s.Subscribe(t, "")
	task := func(connection string) forward.Task {
		e := expand(sub, "{}", "")
		e.Lane = "conn:" + connection
		return e
	}
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{task("conn_7")}})
	asked := claimOne(t, s, "conn:conn_7")
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{task("conn_7"), task("conn_a")}})
	old := newEvent(mine) // its event has gone before, its key has not
	old.ReceivedAt = epoch().Add(-time.Hour)
	add(t, s, old)
	for _, one := range claimWith(t, s, forward.ClaimRequest{Lane: "dest:env_a", Now: epoch().Add(-time.Minute), Limit: 10}) {
		mustFinish(t, s, outcome(one, forward.Delivered))
	}
	if n, err := s.Purge(t.Context(), epoch().Add(-time.Minute), 10); err != nil || n != 1 {
		t.Fatalf("Purge removed %d, %v", n, err)
	}

	order := forward.Erasure{
		Environment: "env_a", Account: "user-7", At: epoch(),
		Connections: []string{"conn_7"}, Triggers: []string{"gitea.issue.opened", "gitea.push"},
	}
	mustErase(t, s, order, 1000, 6)
	for _, e := range []forward.NewEvent{done, dead, waiting, leased, published} {
		wantAbsent(t, s, e.Event.ID)
	}
	wantAbsent(t, s, request.ID)
	if _, err := s.Inbound(t.Context(), request.ID); !errors.Is(err, forward.ErrNotFound) {
		t.Errorf("Inbound = %v, want ErrNotFound", err)
	}
	if _, err := s.Inbound(t.Context(), foreign.ID); err != nil {
		t.Errorf("another account's request: %v", err)
	}
	if lost, err := s.Finish(t.Context(), []forward.Outcome{outcome(held, forward.Delivered)}); err != nil || fmt.Sprint(lost) != "[0]" {
		t.Errorf("Finish of an erased delivery: lost %v, %v", lost, err)
	}
	wantAbsent(t, s, leased.Event.ID)
	if _, err := s.Append(t.Context(), forward.Batch{Finished: []forward.Finished{{Task: asked, Due: epoch()}}}); !errors.Is(err, forward.ErrLeaseLost) {
		t.Errorf("Append that finishes an erased task: %v, want ErrLeaseLost", err)
	}
	if err := s.Release(t.Context(), []forward.Task{held, asked}); err != nil {
		t.Errorf("Release: %v", err)
	}
	if got := mustAppend(t, s, forward.Batch{Tasks: []forward.Task{replay(done, "")}}); len(got) > 0 {
		t.Error("an erased event was replayed")
	}
	if n := len(claim(t, s, "conn:conn_7")); n > 0 {
		t.Errorf("%d tasks wait for the connection", n)
	}
	if n := len(claim(t, s, "conn:conn_a")); n != 1 {
		t.Errorf("%d tasks wait for another connection, want 1", n)
	}
	if n := len(claim(t, s, "dest:env_later")); n > 0 {
		t.Error("a replay of what was erased waits")
	}
	for _, e := range kept {
		wantStatus(t, s, e.Event.ID, forward.Pending)
		again := e
		again.Event.ID = newID("evt")
		if got := add(t, s, again); len(got) > 0 {
			t.Errorf("the key of an event of %q was forgotten", e.Event.Account)
		}
	}
	for _, e := range []forward.NewEvent{done, dead, waiting, leased, published, old} {
		again := e
		again.Event.ID = newID("evt")
		if got := add(t, s, again); len(got) != 1 {
			t.Errorf("the key of an erased event of %q was kept", e.Event.Trigger)
		}
	}
	mustErase(t, s, forward.Erasure{Environment: "env_a", Account: "user-none"}, 10, 0)
}

func eraseSteps(t *testing.T, s Forwarding) {
	var events []forward.NewEvent
	for range 300 {
		events = append(events, newEvent())
	}
	add(t, s, events...)
	order := forward.Erasure{Environment: "env_a", Account: "user-42"}
	mustErase(t, s, order, 100, 100)
	mustErase(t, s, order, 100, 100)
	if n := len(recordIDs(t, s, forward.Query{Environment: "env_a"}, 1000)); n != 100 {
		t.Errorf("%d events are left, want 100", n)
	}
	mustErase(t, s, order, 101, 100)
	mustErase(t, s, order, 100, 0)
}

func erasureNotes(t *testing.T, s Forwarding) {
	note := func(account string, minutes int) forward.Erasure {
		return forward.Erasure{Environment: "env_a", Account: account, At: epoch().Add(time.Duration(minutes) * time.Minute)}
	}
	for _, e := range []forward.Erasure{note("b", 2), note("a", 3), note("c", 1), note("a", 4)} {
		if err := s.PutErasure(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	want := func(accounts ...string) {
		t.Helper()
		list, err := s.Erasures(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range list {
			got = append(got, e.Account)
			if e.Environment != "env_a" || e.At.IsZero() {
				t.Errorf("it is %+v", e)
			}
		}
		if !slices.Equal(got, accounts) {
			t.Errorf("noted are %v, want %v, the oldest first", got, accounts)
		}
	}
	want("c", "b", "a")
	s.Store = s.Reopen(t)
	for range 2 {
		if err := s.EndErasure(t.Context(), note("b", 0)); err != nil {
			t.Fatal(err)
		}
		want("c", "a")
	}
}
