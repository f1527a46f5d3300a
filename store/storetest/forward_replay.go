package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
)

// newReplay is one of env_a that selects what was received in the hour after epoch.
func newReplay(change ...func(*forward.ReplayJob)) forward.ReplayJob {
	j := forward.ReplayJob{
		ID: newID("rpl"), State: forward.ReplayRunning, Created: epoch().Add(time.Hour),
		Query: forward.Query{Environment: "env_a", Until: epoch().Add(time.Hour)},
	}
	for _, f := range change {
		f(&j)
	}
	return j
}

func addReplay(t *testing.T, s forward.Replays, j forward.ReplayJob) {
	t.Helper()
	if err := s.AddReplay(t.Context(), j, 100); err != nil {
		t.Fatalf("AddReplay: %v", err)
	}
}

func mustReplay(t *testing.T, s forward.Replays, id string) forward.ReplayJob {
	t.Helper()
	j, err := s.ReplayJob(t.Context(), id)
	if err != nil {
		t.Fatalf("ReplayJob(%s): %v", id, err)
	}
	return j
}

// replayTask is a delivery of a replay by filter.
func replayTask(n forward.NewEvent, j forward.ReplayJob) forward.Task {
	task := replay(n, "")
	task.Lane, task.Job, task.Due = "bulk:"+n.Event.Environment, j.ID, epoch().Add(time.Minute)
	return task
}

// step stores a page of a replay that ends with the last of events.
func step(j forward.ReplayJob, last bool, events ...forward.NewEvent) forward.Batch {
	b := forward.Batch{Replay: &forward.ReplayStep{
		Replay: j.ID, From: j.Mark, To: j.Mark, At: epoch().Add(time.Hour), Selected: len(events), Last: last,
	}}
	for _, e := range events {
		b.Tasks = append(b.Tasks, replayTask(e, j))
		b.Replay.To = forward.Mark("behind " + e.Event.ID)
	}
	return b
}

// dead stores events whose delivery has failed for good.
func dead(t *testing.T, s Forwarding, n int) (events []forward.NewEvent) {
	t.Helper()
	for i := range n {
		e := newEvent(func(e *forward.NewEvent) { e.ReceivedAt = epoch().Add(time.Duration(i) * time.Second) })
		add(t, s, e)
		mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Dead))
		events = append(events, e)
	}
	return events
}

func pausedTogether(t *testing.T, s Forwarding) {
	e := dead(t, s, 1)[0]
	j := newReplay()
	addReplay(t, s, j)
	mustAppend(t, s, step(j, false, e))
	pause := func(lane, reason string, since time.Time) {
		t.Helper()
		if err := s.Pause(t.Context(), lane, reason, since); err != nil {
			t.Fatal(err)
		}
	}
	for _, lane := range []string{"dest:env_a", "bulk:env_a"} {
		pause(lane, "answered 410", epoch())
		for _, asked := range []string{"dest:env_a", "bulk:env_a"} {
			if state, err := s.Lane(t.Context(), asked); err != nil || state.PausedReason != "answered 410" || !state.PausedSince.Equal(epoch()) {
				t.Errorf("%s paused: Lane(%s) = %+v, %v", lane, asked, state, err)
			}
		}
		if got := claim(t, s, "bulk:env_a"); len(got) > 0 {
			t.Errorf("%s paused: claimed %v", lane, taskIDs(got))
		}
		lanes, err := s.Lanes(t.Context(), epoch().Add(time.Hour), 10)
		oldest, err2 := s.OldestDue(t.Context())
		if err := errors.Join(err, err2); err != nil || len(lanes) > 0 || !oldest.IsZero() {
			t.Errorf("%s paused: Lanes = %v, OldestDue = %v, %v", lane, lanes, oldest, err)
		}
		r := mustRecord(t, s, e.Event.ID)
		if r.Status != forward.Paused || r.Reason != "answered 410" || r.Deliveries[1].Status != forward.Paused || r.Deliveries[0].Status != forward.Dead {
			t.Errorf("%s paused: event is %s (%s), deliveries %+v", lane, r.Status, r.Reason, r.Deliveries)
		}
		pause("dest:env_a", "", time.Time{})
		wantStatus(t, s, e.Event.ID, forward.Pending)
	}
	o := outcome(claimOne(t, s, "bulk:env_a"), forward.Pending)
	o.Pause = "answered 410"
	mustFinish(t, s, o)
	if state, err := s.Lane(t.Context(), "dest:env_a"); err != nil || state.PausedReason == "" {
		t.Errorf("an outcome in the lane of replays did not pause the destination: %v", err)
	}
}

func deliveryByID(t *testing.T, s Forwarding) {
	e := dead(t, s, 1)[0]
	again := replay(e, "")
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{again}})
	r := mustRecord(t, s, e.Event.ID)
	for i := range r.Deliveries {
		got, err := s.Delivery(t.Context(), r.Deliveries[i].ID)
		if err != nil || !reflect.DeepEqual(got, r.Deliveries[i]) {
			t.Errorf("Delivery = %+v, %v; want %+v", got, err, r.Deliveries[i])
		}
	}
	for _, unknown := range []string{"", "dlv_none", e.Event.ID} {
		if _, err := s.Delivery(t.Context(), unknown); !errors.Is(err, forward.ErrNotFound) {
			t.Errorf("Delivery(%q) = %v, want ErrNotFound", unknown, err)
		}
	}
}

// selected pages through what a query selects.
func selected(t *testing.T, s forward.Replays, q forward.Query, page int) (all []forward.Selected) {
	t.Helper()
	var from forward.Mark
	for {
		sel, err := s.Select(t.Context(), q, from, page)
		if err != nil {
			t.Fatalf("Select: %v", err)
		}
		if len(sel.Events) > page {
			t.Errorf("%d events in a page of %d", len(sel.Events), page)
		}
		all = append(all, sel.Events...)
		if sel.Last {
			return all
		}
		from = sel.Next
	}
}

func selectOrder(t *testing.T, s Forwarding) {
	ids := map[string]string{} // by name
	names := map[string]string{}
	put := func(name string, seconds int, status forward.Status, change func(*forward.NewEvent)) {
		e := newEvent(change, func(n *forward.NewEvent) { n.ReceivedAt = epoch().Add(time.Duration(seconds) * time.Second) })
		ids[name], names[e.Event.ID] = e.Event.ID, name
		task := add(t, s, e)[0]
		if status != forward.Pending {
			mustFinish(t, s, outcome(claimOne(t, s, task.Lane), status))
		}
	}
	same := func(*forward.NewEvent) {}
	put("c", 3, forward.Dead, same)
	put("a", 1, forward.Dead, same)
	put("b", 2, forward.Delivered, same)
	put("d", 4, forward.Dead, func(n *forward.NewEvent) { n.Event.Account = "user-7" })
	put("e", 4, forward.Dead, func(n *forward.NewEvent) { n.Event.Connector = "jira" })
	put("f", 4, forward.Delivered, func(n *forward.NewEvent) { n.Event.Trigger = "gitea.push" })
	put("g", 5, forward.Delivered, func(n *forward.NewEvent) { n.Event.Connection = "conn_b" })
	put("other", 2, forward.Dead, func(n *forward.NewEvent) { n.Event.Environment, n.Event.Account = "env_b", "user-7" })
	put("pending", 2, forward.Pending, same)
	put("paused", 2, forward.Pending, func(n *forward.NewEvent) { n.Event.Environment = "env_p" })
	if err := s.Pause(t.Context(), "dest:env_p", "x", epoch()); err != nil {
		t.Fatal(err)
	}
	inbound := func(name string) {
		d := forward.DeadInbound{
			ID: newID("evt"), Connector: "gitea", Account: "user-42", Environment: "env_a",
			ReceivedAt: epoch().Add(6 * time.Second), Reason: "no such action", Request: []byte("x"),
		}
		ids[name], names[d.ID] = d.ID, name
		mustAppend(t, s, forward.Batch{Dead: []forward.DeadInbound{d}})
	}
	inbound("h")
	inbound("understood")
	e := newEvent(func(n *forward.NewEvent) { n.Inbound, n.ReceivedAt = ids["understood"], epoch().Add(9*time.Second) })
	add(t, s, e)
	at := func(seconds int) time.Time { return epoch().Add(time.Duration(seconds) * time.Second) }
	q := func(change func(*forward.Query)) forward.Query {
		q := forward.Query{Environment: "env_a", Until: at(3600)}
		change(&q)
		return q
	}
	for _, row := range []struct {
		name string
		q    forward.Query
		want string // of names in order
	}{
		{"all that is finished", q(func(*forward.Query) {}), "a b c d e f g h"},
		{"dead", q(func(q *forward.Query) { q.Status = forward.Dead }), "a c d e h"},
		{"delivered", q(func(q *forward.Query) { q.Status = forward.Delivered }), "b f g"},
		{"since", q(func(q *forward.Query) { q.Since = at(4) }), "d e f g h"},
		{"until", q(func(q *forward.Query) { q.Until = at(4) }), "a b c"},
		{"account", q(func(q *forward.Query) { q.Account = "user-7" }), "d"},
		{"dead of an account", q(func(q *forward.Query) { q.Account, q.Status = "user-42", forward.Dead }), "a c e h"},
		{"connector", q(func(q *forward.Query) { q.Connector = "jira" }), "e"},
		{"trigger", q(func(q *forward.Query) { q.Trigger = "gitea.push" }), "f"},
		{"connection", q(func(q *forward.Query) { q.Connection = "conn_b" }), "g"},
		{"another environment", q(func(q *forward.Query) { q.Environment = "env_b" }), "other"},
		{"a paused environment", q(func(q *forward.Query) { q.Environment = "env_p" }), ""},
		{"all environments", q(func(q *forward.Query) { q.Environment = "*" }), "a b c d e f g h other"},
		{"dead in all", q(func(q *forward.Query) { q.Environment, q.Status = "*", forward.Dead }), "a c d e h other"},
		{"account in all", q(func(q *forward.Query) { q.Environment, q.Account = "*", "user-7" }), "d other"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, page := range []int{1, 2, 3, 100} {
				var got []string
				for _, found := range selected(t, s, row.q, page) {
					got = append(got, names[found.ID])
					r := mustRecord(t, s, found.ID)
					if found.Environment != r.Environment || found.Undecoded != (names[found.ID] == "h") {
						t.Errorf("%s is selected as %+v", names[found.ID], found)
					}
				}
				if row.q.Environment == "*" { // in about that order
					slices.Sort(got)
				}
				if fmt.Sprint(got) != "["+row.want+"]" {
					t.Errorf("in pages of %d: %v, want [%s]", page, got, row.want)
				}
			}
		})
	}
}

func replayMoves(t *testing.T, s Forwarding) {
	events := dead(t, s, 3)
	j := newReplay(func(j *forward.ReplayJob) {
		j.Query = forward.Query{
			Environment: "env_a", Connector: "gitea", Trigger: "gitea.issue.opened", Account: "user-42", Connection: "conn_a",
			Status: forward.Dead, Since: epoch(), Until: epoch().Add(time.Hour),
		}
	})
	addReplay(t, s, j)
	if got := mustReplay(t, s, j.ID); !reflect.DeepEqual(got, j) {
		t.Errorf("the replay is\n%+v, stored was\n%+v", got, j)
	}
	first := step(j, false, events[0], events[1])
	first.Replay.Undecodable = 1
	mustAppend(t, s, first)
	got := mustReplay(t, s, j.ID)
	if got.Mark != first.Replay.To || got.Selected != 2 || got.Queued != 2 || got.Undecodable != 1 || got.All {
		t.Errorf("after a step it is %+v", got)
	}
	for _, e := range events[:2] {
		wantStatus(t, s, e.Event.ID, forward.Pending)
	}
	// The same step again, as after a crash that hid the first one's success.
	again := step(j, false, events[0], events[1])
	late := newEvent()
	again.Events = append(again.Events, late)
	if _, err := s.Append(t.Context(), again); !errors.Is(err, forward.ErrReplayMoved) {
		t.Errorf("a step from where the replay is no longer: %v, want ErrReplayMoved", err)
	}
	wantAbsent(t, s, late.Event.ID)
	unknown := newReplay()
	if _, err := s.Append(t.Context(), step(unknown, false, events[2])); !errors.Is(err, forward.ErrReplayMoved) {
		t.Errorf("a step of an unknown replay: %v, want ErrReplayMoved", err)
	}
	// A batch that fails for another reason moves nothing.
	broken := step(got, false, events[2])
	broken.Tasks = append(broken.Tasks, broken.Tasks[0])
	if _, err := s.Append(t.Context(), broken); err == nil {
		t.Error("a batch with a task twice was stored")
	}
	if now := mustReplay(t, s, j.ID); !reflect.DeepEqual(now, got) {
		t.Errorf("steps that failed made it\n%+v of\n%+v", now, got)
	}
	if r := mustRecord(t, s, events[0].Event.ID); len(r.Deliveries) != 2 {
		t.Errorf("%d deliveries, want the first one and one replay", len(r.Deliveries))
	}
	task := claim(t, s, "bulk:env_a")
	if len(task) != 2 || task[0].Job != j.ID || !task[0].Replay || !reflect.DeepEqual(task[0].Event, events[0].Event) {
		t.Errorf("claimed %+v", task)
	}
}

func replayPurgedOnTheWay(t *testing.T, s Forwarding) {
	events := dead(t, s, 2)
	j := newReplay()
	addReplay(t, s, j)
	if n, err := s.Purge(t.Context(), events[1].ReceivedAt, 10); err != nil || n != 1 {
		t.Fatalf("Purge = %d, %v", n, err)
	}
	if got := mustAppend(t, s, step(j, true, events...)); len(got) != 1 || got[0].Event.ID != events[1].Event.ID {
		t.Errorf("stored %v, want the delivery of what is still there", taskIDs(got))
	}
	if got := mustReplay(t, s, j.ID); got.Queued != 1 || got.State != forward.ReplayRunning {
		t.Errorf("the replay is %+v", got)
	}
}

func replayDone(t *testing.T, s Forwarding) {
	events := dead(t, s, 2)
	j := newReplay()
	addReplay(t, s, j)
	mustAppend(t, s, step(j, true, events...))
	tasks := claim(t, s, "bulk:env_a")
	for i, status := range []forward.Status{forward.Delivered, forward.Dead} {
		if got := mustReplay(t, s, j.ID); got.State != forward.ReplayRunning || !got.Ended.IsZero() || !got.All || got.Queued != 2-i {
			t.Errorf("with deliveries left it is %+v", got)
		}
		if ready := readyReplays(t, s, 100); len(ready) > 0 {
			t.Errorf("ready with deliveries left: %+v", ready)
		}
		mustFinish(t, s, outcome(tasks[i], status))
		wantStatus(t, s, events[i].Event.ID, status)
	}
	ready := readyReplays(t, s, 100)
	if len(ready) != 1 || ready[0].ID != j.ID {
		t.Fatalf("ready with nothing left: %+v", ready)
	}
	mustAppend(t, s, step(ready[0], true))
	got := mustReplay(t, s, j.ID)
	if got.State != forward.ReplayDone || !got.Ended.Equal(epoch().Add(time.Hour)) || got.Selected != 2 || got.Delivered != 1 || got.Dead != 1 || got.Queued != 0 {
		t.Errorf("at its end it is %+v", got)
	}
	if err := s.CancelReplay(t.Context(), j.ID, "late", epoch()); err != nil {
		t.Error(err)
	}
	if now := mustReplay(t, s, j.ID); !reflect.DeepEqual(now, got) {
		t.Errorf("cancelling what is done made it %+v", now)
	}
	nothing := newReplay()
	addReplay(t, s, nothing)
	mustAppend(t, s, step(nothing, true))
	if got := mustReplay(t, s, nothing.ID); got.State != forward.ReplayDone {
		t.Errorf("one that selects nothing is %+v", got)
	}
}

func readyReplays(t *testing.T, s forward.Replays, room int) []forward.ReplayJob {
	t.Helper()
	list, err := s.ReadyReplays(t.Context(), room, 100)
	if err != nil {
		t.Fatalf("ReadyReplays: %v", err)
	}
	return list
}

func replayReady(t *testing.T, s Forwarding) {
	events := dead(t, s, 2)
	full, first, second := newReplay(), newReplay(), newReplay()
	first.Created = first.Created.Add(-time.Minute)
	second.Created = second.Created.Add(-time.Second)
	for _, j := range []forward.ReplayJob{second, first, full} {
		addReplay(t, s, j)
	}
	mustAppend(t, s, step(full, false, events...))
	ids := func(list []forward.ReplayJob) (ids []string) {
		for _, j := range list {
			ids = append(ids, j.ID)
		}
		return ids
	}
	if got := ids(readyReplays(t, s, 2)); !slices.Equal(got, []string{first.ID, second.ID}) {
		t.Errorf("ready with room for 2: %v, want the oldest two", got)
	}
	if got := ids(readyReplays(t, s, 3)); !slices.Equal(got, []string{first.ID, second.ID, full.ID}) {
		t.Errorf("ready with room for 3: %v, want all", got)
	}
	mustAppend(t, s, step(first, false)) // has had its turn
	if got := ids(readyReplays(t, s, 2)); !slices.Equal(got, []string{second.ID, first.ID}) {
		t.Errorf("ready after a turn: %v, want the other one first", got)
	}
	if list, err := s.ReadyReplays(t.Context(), 3, 1); err != nil || !slices.Equal(ids(list), []string{second.ID}) {
		t.Errorf("ready, at most one: %v, %v", ids(list), err)
	}
	if err := s.CancelReplay(t.Context(), second.ID, "x", epoch()); err != nil {
		t.Fatal(err)
	}
	if got := ids(readyReplays(t, s, 2)); !slices.Equal(got, []string{first.ID}) {
		t.Errorf("ready after one was cancelled: %v", got)
	}
}

func replayCancelled(t *testing.T, s Forwarding) {
	events := dead(t, s, 2)
	e := newEvent()
	add(t, s, e)
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Delivered))
	fresh := newEvent() // decoded anew: it has no other delivery
	events = append(events, e)
	j := newReplay()
	addReplay(t, s, j)
	b := step(j, false, events...)
	b.Events = []forward.NewEvent{fresh}
	b.Tasks = append(b.Tasks, replayTask(fresh, j))
	mustAppend(t, s, b)
	at := epoch().Add(2 * time.Hour)
	tried := claim(t, s, "bulk:env_a")[:1]
	mustFinish(t, s, outcome(tried[0], forward.Pending)) // waits for its second try
	for range 2 {
		if err := s.CancelReplay(t.Context(), j.ID, "not wanted", at); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Hour)
	}
	if got := mustReplay(t, s, j.ID); got.Cancelled != 1 || got.Queued != 3 {
		t.Errorf("with one delivery waiting and three leased it is %+v", got)
	}
	s.Store = s.Reopen(t) // those that are still leased
	got := mustReplay(t, s, j.ID)
	if got.State != forward.ReplayCancelled || got.Reason != "not wanted" || !got.Ended.Equal(epoch().Add(2*time.Hour)) || got.Cancelled != 4 || got.Queued != 0 {
		t.Errorf("the replay is %+v", got)
	}
	if got := claimWith(t, s, forward.ClaimRequest{Lane: "bulk:env_a", Now: at, Limit: 10, Bytes: 1 << 20}); len(got) > 0 {
		t.Errorf("claimed %v", taskIDs(got))
	}
	for i, want := range []forward.Status{forward.Dead, forward.Dead, forward.Delivered} {
		r := mustRecord(t, s, events[i].Event.ID)
		d := r.Deliveries[len(r.Deliveries)-1]
		if r.Status != want || (want == forward.Dead) != (r.Reason == "out of tries") || d.Status != forward.Cancelled || d.Reason == "" || !d.NextAt.IsZero() {
			t.Errorf("event %d is %s (%s), its replay %+v; want it to be what it was", i, r.Status, r.Reason, d)
		}
		if i == 0 && len(d.Attempts) != 1 {
			t.Errorf("%d attempts are kept, want 1", len(d.Attempts))
		}
	}
	if r := mustRecord(t, s, fresh.Event.ID); r.Status != forward.Dead || r.Reason == "" {
		t.Errorf("an event that was never delivered is %s (%s), want dead", r.Status, r.Reason)
	}
	if _, err := s.Append(t.Context(), step(got, false, events[0])); !errors.Is(err, forward.ErrReplayMoved) {
		t.Errorf("a step of a cancelled replay: %v, want ErrReplayMoved", err)
	}
	if err := s.CancelReplay(t.Context(), "rpl_none", "x", at); !errors.Is(err, forward.ErrNotFound) {
		t.Errorf("cancelling an unknown one: %v, want ErrNotFound", err)
	}
}

func replayCancelledInFlight(t *testing.T, s Forwarding) {
	events := dead(t, s, 5)
	j := newReplay()
	addReplay(t, s, j)
	mustAppend(t, s, step(j, false, events...))
	tasks := claim(t, s, "bulk:env_a")
	if err := s.CancelReplay(t.Context(), j.ID, "not wanted", epoch()); err != nil {
		t.Fatal(err)
	}
	if got := mustReplay(t, s, j.ID); got.Queued != 5 || got.Cancelled != 0 {
		t.Errorf("with 5 in flight it is %+v", got)
	}
	if n, err := s.PurgeReplays(t.Context(), epoch().Add(time.Hour), 10); err != nil || n != 0 {
		t.Errorf("purged %d with deliveries in flight, %v", n, err)
	}
	mustFinish(t, s, outcome(tasks[0], forward.Delivered), outcome(tasks[1], forward.Dead), outcome(tasks[2], forward.Pending))
	if got := mustReplay(t, s, j.ID); got.Cancelled != 1 || got.Queued != 2 {
		t.Errorf("when a try of it has failed it is %+v", got)
	}
	if err := s.Release(t.Context(), tasks[3:4]); err != nil {
		t.Fatal(err)
	}
	if got := mustReplay(t, s, j.ID); got.Cancelled != 2 || got.Queued != 1 || got.Delivered != 1 || got.Dead != 1 {
		t.Errorf("with one left in flight it is %+v", got)
	}
	if err := s.CancelReplay(t.Context(), j.ID, "again", epoch()); err != nil {
		t.Error(err)
	}
	s.Store = s.Reopen(t) // with one that is never heard of again
	if got := mustReplay(t, s, j.ID); got.Queued != 0 || got.Delivered != 1 || got.Dead != 1 || got.Cancelled != 3 {
		t.Errorf("in the end it is %+v", got)
	}
	for i, want := range []forward.Status{forward.Delivered, forward.Dead, forward.Dead, forward.Dead, forward.Dead} {
		wantStatus(t, s, events[i].Event.ID, want)
	}
	r := mustRecord(t, s, events[2].Event.ID)
	if d := r.Deliveries[1]; d.Status != forward.Cancelled || len(d.Attempts) != 1 || !d.NextAt.IsZero() {
		t.Errorf("a try that failed after the end: %+v, want cancelled with its attempt", d)
	}
	if got := claimWith(t, s, forward.ClaimRequest{Lane: "bulk:env_a", Now: epoch().Add(24 * time.Hour), Limit: 10, Bytes: 1 << 20}); len(got) > 0 {
		t.Errorf("claimed %v", taskIDs(got))
	}
}

func replaySupersedes(t *testing.T, s Forwarding) {
	e := dead(t, s, 1)[0]
	j := newReplay()
	addReplay(t, s, j)
	mustAppend(t, s, step(j, true, e))
	mustFinish(t, s, outcome(claimOne(t, s, "bulk:env_a"), forward.Delivered))
	wantStatus(t, s, e.Event.ID, forward.Delivered)
	// And the other way round.
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{replay(e, "")}})
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Dead))
	wantStatus(t, s, e.Event.ID, forward.Dead)
	// A replay that is done first does not hide that something is still under way.
	late := newEvent()
	add(t, s, late)
	first := claimOne(t, s, "dest:env_a")
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{replay(late, "")}})
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Delivered))
	wantStatus(t, s, late.Event.ID, forward.Pending)
	mustFinish(t, s, outcome(first, forward.Dead))
	wantStatus(t, s, late.Event.ID, forward.Delivered) // the newest one counts
}

func replaysListed(t *testing.T, s Forwarding) {
	var all []string
	for i := range 4 {
		j := newReplay(func(j *forward.ReplayJob) {
			j.Created = epoch().Add(time.Duration(i) * time.Minute)
			if i == 2 {
				j.Query.Environment = "env_b"
			}
		})
		addReplay(t, s, j)
		all = append(all, j.ID)
	}
	ids := func(q forward.ReplaysQuery, limit int) (ids []string) {
		t.Helper()
		list, err := s.ReplayJobs(t.Context(), q, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range list {
			ids = append(ids, j.ID)
		}
		return ids
	}
	for _, row := range []struct {
		q     forward.ReplaysQuery
		limit int
		want  []string
	}{
		{forward.ReplaysQuery{Environment: "env_a"}, 10, []string{all[3], all[1], all[0]}},
		{forward.ReplaysQuery{Environment: "env_a", After: all[3]}, 1, []string{all[1]}},
		{forward.ReplaysQuery{Environment: "*"}, 10, []string{all[3], all[2], all[1], all[0]}},
		{forward.ReplaysQuery{Environment: "*", After: all[2]}, 10, []string{all[1], all[0]}},
		{forward.ReplaysQuery{Environment: "env_none"}, 10, nil},
	} {
		if got := ids(row.q, row.limit); !slices.Equal(got, row.want) {
			t.Errorf("%+v: %v, want %v", row.q, got, row.want)
		}
	}
	if _, err := s.ReplayJob(t.Context(), "rpl_none"); !errors.Is(err, forward.ErrNotFound) {
		t.Errorf("an unknown one: %v, want ErrNotFound", err)
	}
	if err := s.AddReplay(t.Context(), newReplay(), 3); !errors.Is(err, forward.ErrTooManyReplays) {
		t.Errorf("a fourth of at most three: %v, want ErrTooManyReplays", err)
	}
	for i, id := range all[:3] {
		if err := s.CancelReplay(t.Context(), id, "x", epoch().Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddReplay(t.Context(), newReplay(), 2); err != nil {
		t.Errorf("those that have ended count: %v", err)
	}
	for _, row := range []struct{ hours, limit, want int }{{2, 1, 1}, {2, 10, 1}, {2, 10, 0}} {
		if n, err := s.PurgeReplays(t.Context(), epoch().Add(time.Duration(row.hours)*time.Hour), row.limit); err != nil || n != row.want {
			t.Errorf("PurgeReplays = %d, %v; want %d", n, err, row.want)
		}
	}
	if got := ids(forward.ReplaysQuery{Environment: "*"}, 10); len(got) != 3 || !slices.Contains(got, all[2]) || !slices.Contains(got, all[3]) {
		t.Errorf("left are %v", got)
	}
}
