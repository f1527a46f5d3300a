package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
)

func mustLane(t *testing.T, s forward.Queue, name string) forward.LaneState {
	t.Helper()
	state, err := s.Lane(t.Context(), name)
	if err != nil {
		t.Fatalf("Lane(%s): %v", name, err)
	}
	return state
}

// wantLane compares with a LaneState whose times are seconds after epoch, 0 for none.
func wantLane(t *testing.T, s forward.Queue, when string, paused, failing, rest int) {
	t.Helper()
	at := func(seconds int) time.Time {
		if seconds == 0 {
			return time.Time{}
		}
		return epoch().Add(time.Duration(seconds) * time.Second)
	}
	for _, lane := range []string{"dest:env_a", "bulk:env_a"} {
		got := mustLane(t, s, lane)
		if !got.PausedSince.Equal(at(paused)) || !got.FailingSince.Equal(at(failing)) || !got.RestUntil.Equal(at(rest)) {
			t.Errorf("%s: %s is %+v, want paused %v, failing %v, rest %v", when, lane, got, at(paused), at(failing), at(rest))
		}
	}
}

// tried adds an event and returns what came of its try, some seconds after epoch.
func tried(t *testing.T, s Forwarding, status forward.Status, seconds int, change ...func(*forward.Outcome)) forward.Outcome {
	t.Helper()
	e := newEvent()
	task := deliver(e)
	task.Lease = 1
	o := outcome(mustAppend(t, s, forward.Batch{Events: []forward.NewEvent{e}, Tasks: []forward.Task{task}})[0], status)
	o.Attempt.At = epoch().Add(time.Duration(seconds) * time.Second)
	for _, f := range change {
		f(&o)
	}
	return o
}

func failing(o *forward.Outcome)   { o.Failing = o.Attempt.At }
func recovered(o *forward.Outcome) { o.Recovered = true }

func resting(seconds int) func(*forward.Outcome) {
	return func(o *forward.Outcome) { o.Rest = epoch().Add(time.Duration(seconds) * time.Second) }
}

func pausing(o *forward.Outcome) { o.Pause = "gone" }

func bulk(n forward.NewEvent) forward.Task {
	task := deliver(n)
	task.Lane, task.Replay = "bulk:"+n.Event.Environment, true
	return task
}

func pausedReplays(t *testing.T, s Forwarding) {
	e := newEvent()
	add(t, s, e)
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Delivered))
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{bulk(e)}})
	mustFinish(t, s, tried(t, s, forward.Pending, 1, pausing))
	if got := claim(t, s, "bulk:env_a"); len(got) > 0 {
		t.Errorf("claimed %v of a paused destination", taskIDs(got))
	}
	if lanes, err := s.Lanes(t.Context(), epoch().Add(time.Hour), 10); err != nil || len(lanes) > 0 {
		t.Errorf("lanes %v, %v", lanes, err)
	}
	if d := mustRecord(t, s, e.Event.ID).Deliveries; d[len(d)-1].Status != forward.Paused {
		t.Errorf("the replay is %s, want paused", d[len(d)-1].Status)
	}
	if err := s.Pause(t.Context(), "dest:env_a", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	replay := claimOne(t, s, "bulk:env_a")
	o := outcome(replay, forward.Pending) // and the other way round
	o.Pause = "gone again"
	mustFinish(t, s, o)
	if got := claim(t, s, "dest:env_a"); len(got) > 0 || mustLane(t, s, "dest:env_a").PausedReason != "gone again" {
		t.Errorf("a replay did not pause its destination: claimed %v", taskIDs(got))
	}
}

func failingSince(t *testing.T, s Forwarding) {
	mustFinish(t, s, tried(t, s, forward.Pending, 1, failing))
	mustFinish(t, s, tried(t, s, forward.Pending, 2), tried(t, s, forward.Dead, 3))
	wantLane(t, s, "after failures", 0, 1, 0)
	mustFinish(t, s, tried(t, s, forward.Delivered, 4, recovered))
	wantLane(t, s, "after a success", 0, 0, 0)
	mustFinish(t, s, tried(t, s, forward.Delivered, 5, recovered), tried(t, s, forward.Pending, 6, failing))
	wantLane(t, s, "after another failure", 0, 6, 0)
	if other := mustLane(t, s, "dest:env_b"); other != (forward.LaneState{}) {
		t.Errorf("another lane is %+v", other)
	}
}

func restUntil(t *testing.T, s Forwarding) {
	mustFinish(t, s, tried(t, s, forward.Pending, 1, failing, resting(100)))
	mustFinish(t, s, tried(t, s, forward.Pending, 2, resting(50)))
	wantLane(t, s, "a shorter wait came later", 0, 1, 100)
	mustFinish(t, s, tried(t, s, forward.Delivered, 3, recovered))
	wantLane(t, s, "a try that was on its way succeeded", 0, 0, 100)
	mustFinish(t, s, tried(t, s, forward.Delivered, 101, recovered))
	wantLane(t, s, "afterwards", 0, 0, 0)
}

func lostLane(t *testing.T, s Forwarding) {
	o := tried(t, s, forward.Pending, 1, failing, resting(100), pausing)
	if err := s.Release(t.Context(), []forward.Task{o.Task}); err != nil {
		t.Fatal(err)
	}
	if lost, err := s.Finish(t.Context(), []forward.Outcome{o}); err != nil || len(lost) != 1 {
		t.Fatalf("lost %v, %v", lost, err)
	}
	wantLane(t, s, "a lost outcome", 0, 0, 0)
}

func resumedLane(t *testing.T, s Forwarding) {
	mustFinish(t, s, tried(t, s, forward.Pending, 1, failing, resting(100)))
	mustFinish(t, s, tried(t, s, forward.Dead, 2, pausing))
	wantLane(t, s, "paused", 2, 1, 100)
	if err := s.Pause(t.Context(), "dest:env_a", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	wantLane(t, s, "resumed", 0, 0, 0)
}

func reopenedLane(t *testing.T, s Forwarding) {
	mustFinish(t, s, tried(t, s, forward.Pending, 1, failing, resting(100)))
	mustFinish(t, s, tried(t, s, forward.Pending, 2, pausing))
	s.Store = s.Reopen(t)
	wantLane(t, s, "opened anew", 2, 1, 100)
}

// series appends events, each with one delivery of the series, asking for leases.
func series(t *testing.T, s forward.Queue, name string, events ...forward.NewEvent) []forward.Task {
	t.Helper()
	b := forward.Batch{Events: events}
	for _, e := range events {
		task := deliver(e)
		task.Series, task.Lease = name, 1
		b.Tasks = append(b.Tasks, task)
	}
	tasks := mustAppend(t, s, b)
	if len(tasks) != len(events) {
		t.Fatalf("stored %d of %d", len(tasks), len(events))
	}
	return tasks
}

func seriesOneByOne(t *testing.T, s Forwarding) {
	tasks := series(t, s, "a", newEvent(), newEvent())
	tasks = append(tasks, series(t, s, "a", newEvent())...)
	if tasks[0].Lease == 0 || tasks[1].Lease != 0 || tasks[2].Lease != 0 {
		t.Fatalf("leases %d, %d, %d; want the first alone", tasks[0].Lease, tasks[1].Lease, tasks[2].Lease)
	}
	now := tasks[0]
	for i, status := range []forward.Status{forward.Delivered, forward.Dead, forward.Delivered} {
		if now.ID != tasks[i].ID || now.Series != "a" {
			t.Fatalf("%s of series %q came, want %s of a", now.ID, now.Series, tasks[i].ID)
		}
		if got := claim(t, s, now.Lane); len(got) > 0 {
			t.Fatalf("claimed %v while an earlier one is leased", taskIDs(got))
		}
		if waiting := recordIDs(t, s, forward.Query{Environment: "env_a", Status: forward.Pending}, 10); len(waiting) != 3-i {
			t.Errorf("%d events are pending, want %d: also those behind another one", len(waiting), 3-i)
		}
		s.Check(t)
		mustFinish(t, s, outcome(now, status))
		if i < 2 {
			now = claimOne(t, s, now.Lane)
		}
	}
	if again := series(t, s, "a", newEvent()); again[0].Lease == 0 {
		t.Error("the first of a series that has ended was not leased")
	}
}

func seriesRetry(t *testing.T, s Forwarding) {
	tasks := series(t, s, "a", newEvent(), newEvent())
	retry := outcome(tasks[0], forward.Pending)
	retry.Due = epoch().Add(2 * time.Hour)
	mustFinish(t, s, retry)
	if late := series(t, s, "a", newEvent()); late[0].Lease != 0 {
		t.Error("a new one was leased before one that waits for its next try")
	}
	if got := claim(t, s, tasks[0].Lane); len(got) > 0 {
		t.Errorf("claimed %v before the next try of an earlier one", taskIDs(got))
	}
	lanes, err := s.Lanes(t.Context(), retry.Due, 10)
	if err != nil || len(lanes) != 1 || !lanes[0].Due.Equal(retry.Due) {
		t.Errorf("lanes %v, %v; want one, due with the next try", lanes, err)
	}
	got := claimWith(t, s, forward.ClaimRequest{Lane: tasks[0].Lane, Now: retry.Due, Limit: 10, Bytes: 1 << 20})
	if want := []string{tasks[0].ID}; !slices.Equal(taskIDs(got), want) {
		t.Fatalf("claimed %v, want %v", taskIDs(got), want)
	}
	mustFinish(t, s, outcome(got[0], forward.Delivered))
	if next := claimOne(t, s, tasks[0].Lane); next.ID != tasks[1].ID {
		t.Errorf("%s came next, want %s", next.ID, tasks[1].ID)
	}
}

func seriesRelease(t *testing.T, s Forwarding) {
	tasks := series(t, s, "a", newEvent(), newEvent())
	if err := s.Release(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	if got := claimOne(t, s, tasks[0].Lane); got.ID != tasks[0].ID {
		t.Errorf("claimed %s, want %s", got.ID, tasks[0].ID)
	}
}

func seriesApart(t *testing.T, s Forwarding) {
	series(t, s, "a", newEvent(), newEvent())
	other := series(t, s, "b", newEvent())
	elsewhere := series(t, s, "a", newEvent(func(n *forward.NewEvent) { n.Event.Environment = "env_b" }))
	if other[0].Lease == 0 || elsewhere[0].Lease == 0 {
		t.Error("another series, or the same of another lane, has to wait")
	}
	plain := add(t, s, newEvent(), newEvent())
	if got := claim(t, s, "dest:env_a"); !slices.Equal(taskIDs(got), taskIDs(plain)) {
		t.Errorf("claimed %v, want %v: those of no series", taskIDs(got), taskIDs(plain))
	}
}

func seriesReopened(t *testing.T, s Forwarding) {
	tasks := series(t, s, "a", newEvent(), newEvent(), newEvent())
	s.Store = s.Reopen(t)
	tasks = append(tasks, series(t, s, "a", newEvent())...)
	for _, want := range tasks {
		got := claimOne(t, s, want.Lane)
		if got.ID != want.ID {
			t.Fatalf("%s came, want %s", got.ID, want.ID)
		}
		mustFinish(t, s, outcome(got, forward.Delivered))
	}
}

func seriesOrder(t *testing.T, s Forwarding) {
	var b forward.Batch
	for i, id := range []string{"dlv_5", "dlv_9", "dlv_7"} {
		e := newEvent()
		task := deliver(e)
		task.ID, task.Series, task.Due = id, "a", epoch().Add(-time.Duration(i)*time.Minute)
		b.Events, b.Tasks = append(b.Events, e), append(b.Tasks, task)
	}
	mustAppend(t, s, b)
	for _, want := range b.Tasks {
		got := claimOne(t, s, want.Lane)
		if got.ID != want.ID {
			t.Fatalf("%s came, want %s", got.ID, want.ID)
		}
		mustFinish(t, s, outcome(got, forward.Delivered))
	}
}
