package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
)

func appendLeased(t *testing.T, s Forwarding) {
	e := newEvent()
	task := deliver(e)
	task.Lease = 1
	got := mustAppend(t, s, forward.Batch{Events: []forward.NewEvent{e}, Tasks: []forward.Task{task}})
	if len(got) != 1 || got[0].Lease == 0 {
		t.Fatalf("stored %+v, want one task with the token of its lease", got)
	}
	if n := len(claim(t, s, task.Lane)); n != 0 {
		t.Fatal("it was leased to somebody else, too")
	}
	mustFinish(t, s, outcome(got[0], forward.Delivered))
	wantStatus(t, s, e.Event.ID, forward.Delivered)
}

func raceForLease(t *testing.T, s Forwarding) {
	const tasks = 200
	var events []forward.NewEvent
	for range tasks {
		events = append(events, newEvent())
	}
	add(t, s, events...)
	var mu sync.Mutex
	leased := map[string]int{}
	together(8, func(int) {
		for {
			got, err := s.Claim(t.Context(), forward.ClaimRequest{Lane: "dest:env_a", Now: epoch(), Limit: 7, Bytes: 1 << 20, Lease: time.Hour})
			if err != nil {
				t.Errorf("Claim: %v", err)
			}
			if len(got) == 0 {
				return
			}
			mu.Lock()
			for _, task := range got {
				leased[task.ID]++
			}
			mu.Unlock()
		}
	})
	for id, n := range leased {
		if n != 1 {
			t.Errorf("%s was leased %d times", id, n)
		}
	}
	if len(leased) != tasks {
		t.Errorf("%d tasks were leased, want %d", len(leased), tasks)
	}
}

func growingToken(t *testing.T, s Forwarding) {
	e := newEvent()
	first := deliver(e)
	first.Lease = 1
	last := mustAppend(t, s, forward.Batch{Events: []forward.NewEvent{e}, Tasks: []forward.Task{first}})[0]
	for range 3 {
		if err := s.Release(t.Context(), []forward.Task{last}); err != nil {
			t.Fatal(err)
		}
		next := claimOne(t, s, last.Lane)
		if next.Lease <= last.Lease {
			t.Errorf("token %d follows %d", next.Lease, last.Lease)
		}
		last = next
	}
}

func lostOutcome(t *testing.T, s Forwarding) {
	a, b := newEvent(), newEvent()
	add(t, s, a, b)
	old := claim(t, s, "dest:env_a")
	if err := s.Release(t.Context(), old[:1]); err != nil {
		t.Fatal(err)
	}
	now := claimOne(t, s, "dest:env_a") // somebody else
	o := outcome(old[0], forward.Dead)
	o.Pause = "answered 410"
	lost, err := s.Finish(t.Context(), []forward.Outcome{outcome(old[1], forward.Delivered), o})
	if err != nil || !slices.Equal(lost, []int{1}) {
		t.Fatalf("Finish: lost %v, %v; want [1]", lost, err)
	}
	r := mustRecord(t, s, old[0].Event.ID)
	if r.Status != forward.Pending || len(r.Deliveries[0].Attempts) != 0 {
		t.Errorf("event is %s with %d attempts, want pending with none", r.Status, len(r.Deliveries[0].Attempts))
	}
	if lane := mustLane(t, s, o.Task.Lane); lane.PausedReason != "" {
		t.Error("the lane is paused")
	}
	mustFinish(t, s, outcome(now, forward.Delivered))
	lost, err = s.Finish(t.Context(), []forward.Outcome{outcome(now, forward.Delivered)})
	if err != nil || !slices.Equal(lost, []int{0}) {
		t.Errorf("finishing twice: lost %v, %v; want [0]", lost, err)
	}
	if r := mustRecord(t, s, now.Event.ID); len(r.Deliveries[0].Attempts) != 1 {
		t.Errorf("%d attempts were kept, want 1", len(r.Deliveries[0].Attempts))
	}
}

func lostFinish(t *testing.T, s Forwarding) {
	sub := s.Subscribe(t, "old")
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{expand(sub, "1", ""), expand(sub, "2", "")}})
	tasks := claim(t, s, "conn:conn_a")
	if err := s.Release(t.Context(), tasks[1:]); err != nil {
		t.Fatal(err)
	}
	e := newEvent()
	_, err := s.Append(t.Context(), forward.Batch{
		Events:   []forward.NewEvent{e},
		Tasks:    []forward.Task{deliver(e)},
		Cursor:   &forward.CursorMove{Subscription: sub, From: "old", Cursor: "new"},
		Finished: []forward.Finished{{Task: tasks[0]}, {Task: tasks[1]}},
	})
	if !errors.Is(err, forward.ErrLeaseLost) {
		t.Fatalf("Append = %v, want ErrLeaseLost", err)
	}
	wantAbsent(t, s, e.Event.ID)
	if got := s.Cursor(t, sub); got != "old" {
		t.Errorf("the cursor moved to %q", got)
	}
	if got := claim(t, s, "conn:conn_a"); len(got) != 1 || got[0].ID != tasks[1].ID {
		t.Errorf("claimed %v, want what was released", taskIDs(got))
	}
	mustAppend(t, s, forward.Batch{Finished: []forward.Finished{{Task: tasks[0]}}}) // its lease still holds
}

func claimOrder(t *testing.T, s Forwarding) {
	var b forward.Batch
	for i, due := range []int{30, 10, 20, 40, 10} {
		e := newEvent(func(n *forward.NewEvent) { n.Event.Payload, n.Event.Raw = make([]byte, 100), nil })
		task := deliver(e)
		task.ID = fmt.Sprintf("dlv_%d", i)
		task.Due = epoch().Add(time.Duration(due) * time.Second)
		b.Events, b.Tasks = append(b.Events, e), append(b.Tasks, task)
	}
	mustAppend(t, s, b)
	for _, row := range []struct {
		name  string
		now   int
		limit int
		bytes int64
		want  []string
	}{
		{"before all", 9, 10, 1 << 20, nil},
		{"those that are due", 20, 10, 1 << 20, []string{"dlv_1", "dlv_4", "dlv_2"}},
		{"limit", 60, 2, 1 << 20, []string{"dlv_1", "dlv_4"}},
		{"bytes", 60, 10, 250, []string{"dlv_1", "dlv_4"}},
		{"at least one", 60, 10, 1, []string{"dlv_1"}},
		{"all", 60, 10, 1 << 20, []string{"dlv_1", "dlv_4", "dlv_2", "dlv_0", "dlv_3"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := claimWith(t, s, forward.ClaimRequest{
				Lane: "dest:env_a", Now: epoch().Add(time.Duration(row.now) * time.Second), Limit: row.limit, Bytes: row.bytes,
			})
			if ids := taskIDs(got); !slices.Equal(ids, row.want) && len(ids)+len(row.want) > 0 {
				t.Errorf("claimed %v, want %v", ids, row.want)
			}
			if err := s.Release(t.Context(), got); err != nil {
				t.Fatal(err)
			}
		})
	}
	if got := claim(t, s, "dest:env_b"); len(got) > 0 {
		t.Errorf("another lane has %v", taskIDs(got))
	}
}

func lanesOrder(t *testing.T, s Forwarding) {
	at := func(seconds int) time.Time { return epoch().Add(time.Duration(seconds) * time.Second) }
	put := func(environment string, seconds ...int) {
		for _, n := range seconds {
			e := newEvent(func(e *forward.NewEvent) { e.Event.Environment, e.ReceivedAt = environment, at(n) })
			add(t, s, e)
		}
	}
	put("env_a", 50, 30)
	put("env_b", 20, 60)
	put("env_c", 40)
	put("env_d", 10)
	claim(t, s, "dest:env_d") // leased: not waiting
	all := []forward.LaneDue{{Lane: "dest:env_b", Due: at(20)}, {Lane: "dest:env_a", Due: at(30)}, {Lane: "dest:env_c", Due: at(40)}}
	for _, row := range []struct {
		name  string
		until int
		limit int
		want  []forward.LaneDue
	}{
		{"all", 100, 10, all},
		{"limit", 100, 2, all[:2]},
		{"until", 30, 10, all[:2]},
		{"none", 19, 10, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := s.Lanes(t.Context(), at(row.until), row.limit)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, row.want, func(a, b forward.LaneDue) bool { return a.Lane == b.Lane && a.Due.Equal(b.Due) }) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func pausedLane(t *testing.T, s Forwarding) {
	e, other := newEvent(), newEvent(func(n *forward.NewEvent) { n.Event.Environment = "env_b" })
	add(t, s, e, other)
	lane, since := "dest:env_a", epoch().Add(time.Second)
	if err := s.Pause(t.Context(), lane, "answered 410", since); err != nil {
		t.Fatal(err)
	}
	if got := mustLane(t, s, lane); got.PausedReason != "answered 410" || !got.PausedSince.Equal(since) {
		t.Errorf("the lane is %+v", got)
	}
	lanes, err := s.Lanes(t.Context(), epoch().Add(time.Hour), 10)
	if err != nil || len(lanes) != 1 || lanes[0].Lane != "dest:env_b" {
		t.Errorf("Lanes = %v, %v; want that of env_b", lanes, err)
	}
	if got := claim(t, s, lane); len(got) > 0 {
		t.Errorf("claimed %v", taskIDs(got))
	}
	late := newEvent() // is kept, too
	add(t, s, late)
	r := mustRecord(t, s, e.Event.ID)
	if r.Status != forward.Paused || r.Reason != "answered 410" || r.Deliveries[0].Status != forward.Paused {
		t.Errorf("event is %s (%s), its delivery %s; want paused", r.Status, r.Reason, r.Deliveries[0].Status)
	}
	wantStatus(t, s, other.Event.ID, forward.Pending)
	if err := s.Pause(t.Context(), lane, "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, s, e.Event.ID, forward.Pending)
	if n := len(claim(t, s, lane)); n != 2 {
		t.Errorf("claimed %d after the pause, want 2", n)
	}
}

func pauseByOutcome(t *testing.T, s Forwarding) {
	e, other := newEvent(), newEvent()
	add(t, s, e, other)
	tasks := claim(t, s, "dest:env_a")
	for i, reason := range []string{"answered 410", "answered 404"} {
		o := outcome(tasks[i], forward.Pending)
		o.Pause = reason
		o.Attempt.At = epoch().Add(time.Duration(i) * time.Second)
		mustFinish(t, s, o)
	}
	if got := mustLane(t, s, "dest:env_a"); got.PausedReason != "answered 410" || !got.PausedSince.Equal(epoch()) {
		t.Errorf("the lane is %+v, want the first reason", got)
	}
	if got := claim(t, s, "dest:env_a"); len(got) > 0 {
		t.Errorf("claimed %v", taskIDs(got))
	}
}

func retry(t *testing.T, s Forwarding) {
	e := newEvent()
	add(t, s, e)
	task := claimOne(t, s, "dest:env_a")
	if task.Tries != 0 {
		t.Errorf("tries = %d before the first", task.Tries)
	}
	first := outcome(task, forward.Pending)
	first.Attempt.Error = "timeout"
	mustFinish(t, s, first)
	early := claimWith(t, s, forward.ClaimRequest{Lane: task.Lane, Now: first.Due.Add(-time.Millisecond), Limit: 10, Bytes: 1 << 20})
	if len(early) > 0 {
		t.Error("it was claimed before its time")
	}
	if r := mustRecord(t, s, e.Event.ID); r.Status != forward.Pending || !r.Deliveries[0].NextAt.Equal(first.Due) {
		t.Errorf("%s until %v, want pending until %v", r.Status, r.Deliveries[0].NextAt, first.Due)
	}
	task = claimOne(t, s, "dest:env_a")
	if task.Tries != 1 || !task.Due.Equal(first.Due) {
		t.Errorf("tries = %d, due %v; want 1, %v", task.Tries, task.Due, first.Due)
	}
	second := outcome(task, forward.Dead)
	second.Attempt.URL = "https://b.example/x"
	mustFinish(t, s, second)
	r := mustRecord(t, s, e.Event.ID)
	d := r.Deliveries[0]
	if r.Status != forward.Dead || r.Reason != second.Reason || d.Status != forward.Dead || d.Reason != second.Reason || !d.NextAt.IsZero() {
		t.Errorf("event is %s (%s), delivery %s (%s) until %v", r.Status, r.Reason, d.Status, d.Reason, d.NextAt)
	}
	if want := []forward.Attempt{first.Attempt, second.Attempt}; !reflect.DeepEqual(d.Attempts, want) {
		t.Errorf("attempts are\n%+v, want, oldest first,\n%+v", d.Attempts, want)
	}
	if d.URL != second.Attempt.URL {
		t.Errorf("URL is %q, want that of the last try", d.URL)
	}
	if got := claim(t, s, "dest:env_a"); len(got) > 0 {
		t.Error("a dead delivery was claimed")
	}
}

func release(t *testing.T, s Forwarding) {
	e := newEvent()
	add(t, s, e)
	old := claimOne(t, s, "dest:env_a")
	if err := s.Release(t.Context(), []forward.Task{old}); err != nil {
		t.Fatal(err)
	}
	task := claimOne(t, s, "dest:env_a")
	if task.Tries != 0 || !task.Due.Equal(old.Due) {
		t.Errorf("tries = %d, due %v after a release", task.Tries, task.Due)
	}
	if err := s.Release(t.Context(), []forward.Task{old}); err != nil { // lost
		t.Fatal(err)
	}
	if got := claim(t, s, "dest:env_a"); len(got) > 0 {
		t.Error("a lost lease ended that of another")
	}
	if r := mustRecord(t, s, e.Event.ID); len(r.Deliveries[0].Attempts) > 0 {
		t.Error("a release made an attempt")
	}
}

func oldestDue(t *testing.T, s Forwarding) {
	want := func(when string, due time.Time) {
		t.Helper()
		if got, err := s.OldestDue(t.Context()); err != nil || !got.Equal(due) {
			t.Errorf("%s: %v, %v; want %v", when, got, err, due)
		}
	}
	want("nothing stored", time.Time{})
	add(t, s, newEvent(func(n *forward.NewEvent) { n.ReceivedAt = epoch().Add(time.Second) }))
	add(t, s, newEvent(func(n *forward.NewEvent) { n.Event.Environment = "env_b" }))
	want("two lanes", epoch())
	if err := s.Pause(t.Context(), "dest:env_b", "x", epoch()); err != nil {
		t.Fatal(err)
	}
	want("the older one paused", epoch().Add(time.Second))
	claim(t, s, "dest:env_a")
	want("the other leased", time.Time{})
}

func reopen(t *testing.T, s Forwarding) {
	sub := s.Subscribe(t, "c1")
	done, waiting, leased, appended := newEvent(), newEvent(), newEvent(), newEvent()
	add(t, s, done)
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Delivered))
	add(t, s, leased)
	old := claimOne(t, s, "dest:env_a")
	add(t, s, waiting)
	direct := deliver(appended)
	direct.Lease = 1
	mine := mustAppend(t, s, forward.Batch{
		Events: []forward.NewEvent{appended}, Tasks: []forward.Task{direct, expand(sub, "{}", "")},
		Cursor: &forward.CursorMove{Subscription: sub, From: "c1", Cursor: "c2"},
	})
	dead := forward.DeadInbound{ID: newID("evt"), Environment: "env_a", ReceivedAt: epoch(), Request: []byte("x")}
	mustAppend(t, s, forward.Batch{Dead: []forward.DeadInbound{dead}})
	if err := s.Pause(t.Context(), "dest:env_b", "why", epoch()); err != nil {
		t.Fatal(err)
	}
	before := mustRecord(t, s, done.Event.ID)

	s.Store = s.Reopen(t)
	if after := mustRecord(t, s, done.Event.ID); !reflect.DeepEqual(before, after) {
		t.Errorf("the record was\n%+v, is\n%+v", before, after)
	}
	for _, stale := range []forward.Task{old, mine[0]} {
		lost, err := s.Finish(t.Context(), []forward.Outcome{outcome(stale, forward.Delivered)})
		if err != nil || len(lost) != 1 {
			t.Errorf("a lease from before is still good: lost %v, %v", lost, err)
		}
	}
	now := claim(t, s, "dest:env_a")
	if len(now) != 3 {
		t.Errorf("%d deliveries are due, want 3: what waited and what was leased", len(now))
	}
	for _, task := range now {
		if task.Lease <= old.Lease || task.Lease <= mine[0].Lease {
			t.Errorf("token %d follows %d and %d", task.Lease, old.Lease, mine[0].Lease)
		}
	}
	if n := len(claim(t, s, "conn:conn_a")); n != 1 || s.Cursor(t, sub) != "c2" {
		t.Errorf("%d expand tasks, cursor %q", n, s.Cursor(t, sub))
	}
	if got := add(t, s, newEvent(withKey(done.Event.DedupeKey))); len(got) > 0 {
		t.Error("a key was forgotten")
	}
	if got := mustLane(t, s, "dest:env_b"); got.PausedReason != "why" {
		t.Errorf("the pause was forgotten: %+v", got)
	}
	if d, err := s.Inbound(t.Context(), dead.ID); err != nil || string(d.Request) != "x" {
		t.Errorf("the dead request was forgotten: %v", err)
	}
}
