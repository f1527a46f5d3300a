package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// Forwarding is a fresh store for [Forward], with what other rooms keep in it.
type Forwarding struct {
	forward.Store

	// Reopen closes the store and opens it anew.
	Reopen func(t *testing.T) forward.Store

	// Subscribe stores a Subscription with a cursor and returns its id.
	Subscribe func(t *testing.T, cursor string) string

	// Cursor returns where a Subscription is.
	Cursor func(t *testing.T, subscription string) string

	// AddNews puts news into the Outbox, in one commit.
	AddNews func(t *testing.T, news ...trigger.Event)

	// Check fails the test when something is stored that has neither an owner
	// nor a due time. It runs at the end of each test.
	Check func(t *testing.T)
}

// Forward judges what a store keeps for package forward.
func Forward(t *testing.T, open func(t *testing.T) Forwarding) {
	t.Helper()
	for _, rule := range []struct {
		words string
		test  func(t *testing.T, s Forwarding)
	}{
		{"what is stored is returned as it was", roundTrip},
		{"a batch is stored as a whole or not at all", wholeBatch},
		{"an event whose key is known is left out with its deliveries", knownKey},
		{"the same key of another connection, trigger or environment is another event", otherScope},
		{"of two events with the same key in one batch the first counts", sameKeyInBatch},
		{"of many who append the same key at the same time one stores it", raceForKey},
		{"an event without a key is known by its id", noKey},
		{"what is appended as leased belongs to who appended it", appendLeased},
		{"a task is leased once at a time", raceForLease},
		{"each lease has a greater token than the one before", growingToken},
		{"an outcome whose lease is lost changes nothing", lostOutcome},
		{"a batch that finishes a task whose lease is lost stores nothing", lostFinish},
		{"tasks are claimed when due, in that order, within limit and bytes", claimOrder},
		{"lanes come soonest first, not later than asked, at most the limit", lanesOrder},
		{"news wait in order of id, at most the limit, until they are forgotten", outbox},
		{"a paused lane is neither listed nor claimed, and goes on where it was", pausedLane},
		{"an outcome can pause its lane, and the first reason stays", pauseByOutcome},
		{"a destination's replays are paused and go on with it", pausedReplays},
		{"since when a lane fails is kept from the first failure to the first success", failingSince},
		{"what a receiver asked a lane to wait for is kept until then, and the longer wait counts", restUntil},
		{"an outcome whose lease is lost says nothing about its lane", lostLane},
		{"a lane that goes on after a pause begins anew", resumedLane},
		{"what is known about a lane outlives the store's closing", reopenedLane},
		{"of a series the first unfinished task alone is leased or claimed", seriesOneByOne},
		{"a later task of a series waits while an earlier one waits for its next try", seriesRetry},
		{"a task of a series that is given back stays the first", seriesRelease},
		{"series of other lanes and other tasks of the lane do not wait for one", seriesApart},
		{"a series goes on in its order after the store was closed", seriesReopened},
		{"the order of a series is that of storing, whatever the clock and the ids say", seriesOrder},
		{"a failed try waits for the next, with its attempt", retry},
		{"an event is as finished as the newest delivery to each destination", statusOfEvent},
		{"a replay of what was purged is left out", replayPurged},
		{"a waiting task makes room for one that merges with it, a leased one does not", merge},
		{"a finished expand task is gone, one with a due time waits", finishExpand},
		{"a poll sleeps without a due time, and wakes when somebody set one meanwhile", finishPoll},
		{"a cursor moves together with the events or not at all", cursor},
		{"a cursor that somebody else has moved stays, and the batch with it", cursorMoved},
		{"what is released is due at once, without an attempt", release},
		{"records come newest first and continue behind an id", recordsOrder},
		{"each filter selects what it says", recordsFilters},
		{"a request that was not understood is a dead event until it is", deadInbound},
		{"the oldest due time is that of a task that waits", oldestDue},
		{"the backlog counts what waits: due, scheduled or paused, by the kind of its lane", backlog},
		{"a task keeps its trace through tries and a reopening", traced},
		{"purging removes what is finished, no more than asked, and keeps keys", purge},
		{"the oldest of what is finished is purged first, however much waits before it", purgeOldest},
		{"keys are purged by their own age", purgeKeys},
		{"erasing an account removes all that is its own, and nothing else", erase},
		{"erasing an account removes its news", erasedNews},
		{"erasing removes no more than asked, and less only when nothing is left", eraseSteps},
		{"the order to erase an account stays until it is ended", erasureNotes},
		{"the size grows with what is stored and shrinks with what is purged", sizeInUse},
		{"what is not there is ErrNotFound", forwardUnknown},
		{"the lanes that lead to one destination are paused together", pausedTogether},
		{"a delivery is found by its id", deliveryByID},
		{"finished events are selected oldest first, each once, whatever the page", selectOrder},
		{"a replay moves on together with its deliveries or not at all", replayMoves},
		{"a replay leaves out what was purged on its way", replayPurgedOnTheWay},
		{"a replay is done when all is selected and none of its deliveries is left", replayDone},
		{"replays without room are not ready, of the others the one first that has waited longest", replayReady},
		{"a cancelled replay ends what waits and leaves events as they were", replayCancelled},
		{"a delivery that is leased when its replay is cancelled finishes, or ends", replayCancelledInFlight},
		{"of the deliveries to one destination the newest finished one counts, whatever its lane", replaySupersedes},
		{"replays are listed newest first, bounded while they run, and purged once they have ended", replaysListed},
		{"a store that is opened anew knows everything, and leases are void", reopen},
		{"with an ended context nothing is done", endedContext},
	} {
		t.Run(rule.words, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			rule.test(t, s)
			if !t.Failed() {
				s.Check(t)
			}
		})
	}
}

// newEvent returns an event of conn_a in env_a, with a key of its own.
func newEvent(change ...func(*forward.NewEvent)) forward.NewEvent {
	n := forward.NewEvent{
		Event: trigger.Event{
			ID: newID("evt"), Trigger: "gitea.issue.opened", Time: epoch().Add(-time.Minute), Connector: "gitea",
			Account: "user-42", Connection: "conn_a", Deployment: "dep_a", Environment: "env_a",
			Payload: []byte(`{"title":"<Hällo>"}`), Raw: []byte(`{"action":"opened"}`), DedupeKey: newID("key"),
		},
		ReceivedAt: epoch(),
	}
	for _, f := range change {
		f(&n)
	}
	return n
}

func withKey(key string) func(*forward.NewEvent) {
	return func(n *forward.NewEvent) { n.Event.DedupeKey = key }
}

// deliver returns the delivery of an event, due when it was received.
func deliver(n forward.NewEvent) forward.Task {
	return forward.Task{
		ID: newID("dlv"), Kind: forward.Deliver, Lane: "dest:" + n.Event.Environment,
		Due: n.ReceivedAt, Event: n.Event,
	}
}

func expand(subscription, thin, merge string) forward.Task {
	return forward.Task{
		ID: newID("tsk"), Kind: forward.Expand, Lane: "conn:conn_a", Due: epoch(),
		Subscription: subscription, Thin: []byte(thin), Merge: merge,
	}
}

// add stores events with one delivery each.
func add(t *testing.T, s forward.Queue, events ...forward.NewEvent) []forward.Task {
	t.Helper()
	b := forward.Batch{Events: events}
	for _, e := range events {
		b.Tasks = append(b.Tasks, deliver(e))
	}
	return mustAppend(t, s, b)
}

func mustAppend(t *testing.T, s forward.Queue, b forward.Batch) []forward.Task {
	t.Helper()
	tasks, err := s.Append(t.Context(), b)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return tasks
}

// claim leases all that is due in a lane an hour after epoch.
func claim(t *testing.T, s forward.Queue, lane string) []forward.Task {
	t.Helper()
	return claimWith(t, s, forward.ClaimRequest{Lane: lane, Now: epoch().Add(time.Hour), Limit: 1000, Bytes: 1 << 30})
}

func claimWith(t *testing.T, s forward.Queue, r forward.ClaimRequest) []forward.Task {
	t.Helper()
	r.Lease = time.Minute
	tasks, err := s.Claim(t.Context(), r)
	if err != nil {
		t.Fatalf("Claim(%s): %v", r.Lane, err)
	}
	return tasks
}

// claimOne leases the only task that is due in a lane.
func claimOne(t *testing.T, s forward.Queue, lane string) forward.Task {
	t.Helper()
	tasks := claim(t, s, lane)
	if len(tasks) != 1 {
		t.Fatalf("claimed %d tasks of %s, want 1", len(tasks), lane)
	}
	return tasks[0]
}

// outcome is a try at epoch that ended with a status.
func outcome(task forward.Task, status forward.Status) forward.Outcome {
	o := forward.Outcome{
		Task:    task,
		Status:  status,
		Attempt: forward.Attempt{At: epoch(), Took: 1500 * time.Microsecond, URL: "https://a.example/x", StatusCode: 200},
	}
	switch status {
	case forward.Pending:
		o.Attempt.StatusCode, o.Due = 503, epoch().Add(time.Minute)
	case forward.Dead:
		o.Attempt.StatusCode, o.Reason = 400, "out of tries"
	default:
	}
	return o
}

func mustFinish(t *testing.T, s forward.Queue, outcomes ...forward.Outcome) {
	t.Helper()
	lost, err := s.Finish(t.Context(), outcomes)
	if err != nil || len(lost) > 0 {
		t.Fatalf("Finish: lost %v, %v", lost, err)
	}
}

func mustRecord(t *testing.T, s forward.Log, id string) forward.Record {
	t.Helper()
	r, err := s.Record(t.Context(), id)
	if err != nil {
		t.Fatalf("Record(%s): %v", id, err)
	}
	return r
}

func wantStatus(t *testing.T, s forward.Log, id string, want forward.Status) {
	t.Helper()
	if r := mustRecord(t, s, id); r.Status != want {
		t.Errorf("event is %s, want %s", r.Status, want)
	}
}

func wantAbsent(t *testing.T, s forward.Log, id string) {
	t.Helper()
	if _, err := s.Record(t.Context(), id); !errors.Is(err, forward.ErrNotFound) {
		t.Errorf("Record(%s) = %v, want ErrNotFound", id, err)
	}
}

func taskIDs(tasks []forward.Task) []string {
	ids := make([]string, len(tasks))
	for i, t := range tasks {
		ids[i] = t.ID
	}
	return ids
}

// together calls f(0) … f(n-1) at the same time.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func wholeBatch(t *testing.T, s Forwarding) {
	e := newEvent()
	first := add(t, s, e)[0]
	other := newEvent()
	again := deliver(other)
	again.ID = first.ID // cannot be stored
	good := deliver(other)
	_, err := s.Append(t.Context(), forward.Batch{
		Events: []forward.NewEvent{other},
		Tasks:  []forward.Task{good, again},
		Dead:   []forward.DeadInbound{{ID: newID("evt"), ReceivedAt: epoch()}},
	})
	if err == nil {
		t.Fatal("two tasks with one id were stored")
	}
	wantAbsent(t, s, other.Event.ID)
	if got := taskIDs(claim(t, s, good.Lane)); !slices.Equal(got, []string{first.ID}) {
		t.Errorf("claimed %v, want %s alone", got, first.ID)
	}
	if got := add(t, s, other); len(got) != 1 {
		t.Error("its key stayed behind")
	}
}

func knownKey(t *testing.T, s Forwarding) {
	add(t, s, newEvent(withKey("known")))
	a, known, b := newEvent(), newEvent(withKey("known")), newEvent()
	batch := forward.Batch{Events: []forward.NewEvent{a, known, b}, Tasks: []forward.Task{deliver(b), deliver(known), deliver(a)}}
	got := taskIDs(mustAppend(t, s, batch))
	if want := []string{batch.Tasks[0].ID, batch.Tasks[2].ID}; !slices.Equal(got, want) {
		t.Errorf("stored tasks %v, want %v: those of new events in the order of the batch", got, want)
	}
	wantAbsent(t, s, known.Event.ID)
	if n := len(claim(t, s, "dest:env_a")); n != 3 {
		t.Errorf("%d deliveries are due, want 3", n)
	}
}

func otherScope(t *testing.T, s Forwarding) {
	long := "a key that is much longer than what a store would like to keep in an index, and ends in "
	for _, row := range []struct {
		name  string
		a, b  trigger.Event
		known bool
	}{
		{"same", trigger.Event{Connection: "conn_a", Trigger: "a.b"}, trigger.Event{Connection: "conn_a", Trigger: "a.b"}, true},
		{"connection", trigger.Event{Connection: "conn_a", Trigger: "a.b"}, trigger.Event{Connection: "conn_b", Trigger: "a.b"}, false},
		{"trigger", trigger.Event{Connection: "conn_a", Trigger: "a.b"}, trigger.Event{Connection: "conn_a", Trigger: "a.c"}, false},
		{
			"of one connection, whatever its environment is called",
			trigger.Event{Connection: "conn_a", Trigger: "a.b", Environment: "env_a"},
			trigger.Event{Connection: "conn_a", Trigger: "a.b", Environment: "env_b"}, true,
		},
		{"without a connection: same", trigger.Event{Environment: "env_a", Connector: "a", Trigger: "a.b"}, trigger.Event{Environment: "env_a", Connector: "a", Trigger: "a.b"}, true},
		{"without a connection: environment", trigger.Event{Environment: "env_a", Connector: "a", Trigger: "a.b"}, trigger.Event{Environment: "env_b", Connector: "a", Trigger: "a.b"}, false},
		{"without a connection: connector", trigger.Event{Environment: "env_a", Connector: "a", Trigger: "x"}, trigger.Event{Environment: "env_a", Connector: "b", Trigger: "x"}, false},
		{"names that are one when put together", trigger.Event{Environment: "env_a", Connector: "ab", Trigger: "c"}, trigger.Event{Environment: "env_a", Connector: "a", Trigger: "bc"}, false},
		{"long keys: same", trigger.Event{DedupeKey: long + "x"}, trigger.Event{DedupeKey: long + "x"}, true},
		{"long keys", trigger.Event{DedupeKey: long + "x"}, trigger.Event{DedupeKey: long + "y"}, false},
		{"keys in another case", trigger.Event{DedupeKey: "abc"}, trigger.Event{DedupeKey: "ABC"}, false},
		{"keys with a zero byte", trigger.Event{DedupeKey: "a\x00b"}, trigger.Event{DedupeKey: "a\x00c"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, e := range []*trigger.Event{&row.a, &row.b} {
				e.ID = newID("evt")
				if e.DedupeKey == "" {
					e.DedupeKey = row.name
				}
			}
			add(t, s, forward.NewEvent{Event: row.a, ReceivedAt: epoch()})
			got := add(t, s, forward.NewEvent{Event: row.b, ReceivedAt: epoch()})
			if known := len(got) == 0; known != row.known {
				t.Errorf("left out: %t, want %t", known, row.known)
			}
		})
	}
}

func sameKeyInBatch(t *testing.T, s Forwarding) {
	a, b := newEvent(withKey("k")), newEvent(withKey("k"))
	got := add(t, s, a, b)
	if len(got) != 1 || got[0].Event.ID != a.Event.ID {
		t.Errorf("stored %v, want the delivery of the first event", taskIDs(got))
	}
	wantAbsent(t, s, b.Event.ID)
}

func raceForKey(t *testing.T, s Forwarding) {
	var mu sync.Mutex
	var stored int
	together(16, func(i int) {
		e := newEvent(withKey("k"))
		tasks, err := s.Append(t.Context(), forward.Batch{Events: []forward.NewEvent{e}, Tasks: []forward.Task{deliver(e)}})
		if err != nil {
			t.Errorf("Append %d: %v", i, err)
		}
		mu.Lock()
		stored += len(tasks)
		mu.Unlock()
	})
	if stored != 1 || len(claim(t, s, "dest:env_a")) != 1 {
		t.Errorf("%d of them were stored, want 1", stored)
	}
}

func noKey(t *testing.T, s Forwarding) {
	e := newEvent(withKey(""))
	if got := add(t, s, e, newEvent(withKey(""))); len(got) != 2 {
		t.Fatalf("stored %d events, want 2", len(got))
	}
	if got := add(t, s, e); len(got) != 0 {
		t.Error("the same event was stored twice")
	}
}

func endedContext(t *testing.T, s Forwarding) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := newEvent()
	if _, err := s.Append(ctx, forward.Batch{Events: []forward.NewEvent{e}, Tasks: []forward.Task{deliver(e)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Append = %v, want context.Canceled", err)
	}
	if _, err := s.Claim(ctx, forward.ClaimRequest{Lane: "dest:env_a", Now: epoch(), Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Claim = %v, want context.Canceled", err)
	}
	if _, err := s.Record(ctx, e.Event.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("Record = %v, want context.Canceled", err)
	}
	wantAbsent(t, s, e.Event.ID)
}

func forwardUnknown(t *testing.T, s Forwarding) {
	wantAbsent(t, s, "evt_none")
	wantAbsent(t, s, "")
	e := newEvent()
	add(t, s, e)
	for _, id := range []string{"evt_none", e.Event.ID} {
		if _, err := s.Inbound(t.Context(), id); !errors.Is(err, forward.ErrNotFound) {
			t.Errorf("Inbound(%s) = %v, want ErrNotFound", id, err)
		}
	}
	if got, err := s.Records(t.Context(), forward.Query{Environment: "env_none"}, 10); err != nil || len(got) > 0 {
		t.Errorf("Records of an unknown environment: %d, %v", len(got), err)
	}
	if state, err := s.Lane(t.Context(), "dest:none"); err != nil || state != (forward.LaneState{}) {
		t.Errorf("an unknown lane is %+v, %v", state, err)
	}
	if err := s.Release(t.Context(), []forward.Task{{ID: "dlv_none", Lease: 1}}); err != nil {
		t.Errorf("Release of an unknown task: %v", err)
	}
	if lost, err := s.Finish(t.Context(), []forward.Outcome{outcome(forward.Task{ID: "dlv_none", Lease: 1}, forward.Delivered)}); err != nil || fmt.Sprint(lost) != "[0]" {
		t.Errorf("Finish of an unknown task: lost %v, %v", lost, err)
	}
}

// newID returns an id that is greater than those made before, also while other
// tests make ids for other times.
func newID(prefix string) string {
	return fmt.Sprintf("%s_%019d%07d", prefix, time.Now().UnixNano(), rand.IntN(10_000_000)) //nolint:gosec // not a secret
}
