package storetest

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
)

func roundTrip(t *testing.T, s Forwarding) {
	full := newEvent(func(n *forward.NewEvent) { n.Event.Test = true })
	bare := forward.NewEvent{Event: newEvent().Event, ReceivedAt: epoch()}
	bare.Event.Time, bare.Event.Account, bare.Event.Connection = time.Time{}, "", ""
	bare.Event.Payload, bare.Event.Raw = []byte(`null`), nil
	for _, n := range []forward.NewEvent{full, bare} {
		task := add(t, s, n)[0]
		got := claimOne(t, s, task.Lane)
		if !reflect.DeepEqual(got.Event, n.Event) {
			t.Errorf("claimed event\n%+v, stored\n%+v", got.Event, n.Event)
		}
		if got.ID != task.ID || got.Kind != forward.Deliver || got.Lane != task.Lane || !got.Due.Equal(task.Due) || got.Lease == 0 || got.Replay {
			t.Errorf("claimed %+v, stored %+v", got, task)
		}
		o := outcome(got, forward.Delivered)
		o.Attempt.Error, o.Attempt.Class = "none, really", forward.ClassTimeout
		o.Attempt.Timing = forward.Timing{
			DNS: time.Microsecond, Connect: 2 * time.Microsecond, TLS: time.Second, FirstByte: time.Minute, Reused: true,
		}
		o.Attempt.RequestHeader = http.Header{"Webhook-Id": {got.Event.ID}, "X-Empty": {""}}
		o.Attempt.ResponseHeader = http.Header{"Set-Cookie": {"a=1; b: 2", "c"}, "Server": {": odd"}}
		o.Attempt.Response = []byte{0, 'x', 0xff}
		mustFinish(t, s, o)
		r := mustRecord(t, s, n.Event.ID)
		want := forward.Record{
			Event: n.Event, Status: forward.Delivered, ReceivedAt: n.ReceivedAt,
			Deliveries: []forward.Delivery{{
				ID: task.ID, Event: n.Event.ID, URL: o.Attempt.URL, Status: forward.Delivered, Attempts: []forward.Attempt{o.Attempt},
			}},
		}
		if !reflect.DeepEqual(r, want) {
			t.Errorf("record is\n%+v, want\n%+v", r, want)
		}
	}
	sub := s.Subscribe(t, "")
	task := expand(sub, `{"history":7}`, "inbox")
	task.Tries = 2
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{task}})
	got := claimOne(t, s, task.Lane)
	if task.Lease = got.Lease; !reflect.DeepEqual(got, task) {
		t.Errorf("claimed %+v, stored %+v", got, task)
	}
}

func replay(n forward.NewEvent, environment string) forward.Task {
	task := deliver(n)
	task.Replay = true
	if environment != "" {
		task.Lane = "dest:" + environment
	}
	return task
}

func statusOfEvent(t *testing.T, s Forwarding) {
	e := newEvent()
	add(t, s, e)
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Dead))
	wantStatus(t, s, e.Event.ID, forward.Dead)

	again := mustAppend(t, s, forward.Batch{Tasks: []forward.Task{replay(e, "")}})
	if len(again) != 1 {
		t.Fatalf("stored %d replays, want 1", len(again))
	}
	wantStatus(t, s, e.Event.ID, forward.Pending)
	task := claimOne(t, s, "dest:env_a")
	if !task.Replay || !reflect.DeepEqual(task.Event, e.Event) {
		t.Errorf("the replay carries %+v, want %+v", task.Event, e.Event)
	}
	mustFinish(t, s, outcome(task, forward.Delivered))
	wantStatus(t, s, e.Event.ID, forward.Delivered) // newest of its lane
	r := mustRecord(t, s, e.Event.ID)
	if len(r.Deliveries) != 2 || r.Deliveries[0].Replay || !r.Deliveries[1].Replay || r.Reason != "" {
		t.Errorf("deliveries are %+v, want the first one and its replay", r.Deliveries)
	}

	two := newEvent()
	first, second := deliver(two), deliver(two)
	second.Lane = "dest:env_b"
	mustAppend(t, s, forward.Batch{Events: []forward.NewEvent{two}, Tasks: []forward.Task{first, second}})
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Dead))
	wantStatus(t, s, two.Event.ID, forward.Pending) // the other lane is not done
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_b"), forward.Delivered))
	wantStatus(t, s, two.Event.ID, forward.Dead)
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{replay(two, "")}})
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Delivered))
	wantStatus(t, s, two.Event.ID, forward.Delivered)
}

func replayPurged(t *testing.T, s Forwarding) {
	e := newEvent()
	add(t, s, e)
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Delivered))
	if n, err := s.Purge(t.Context(), epoch().Add(time.Hour), 10); err != nil || n != 1 {
		t.Fatalf("Purge = %d, %v", n, err)
	}
	other := newEvent()
	tasks := []forward.Task{replay(e, ""), deliver(other)}
	got := mustAppend(t, s, forward.Batch{Events: []forward.NewEvent{other}, Tasks: tasks})
	if len(got) != 1 || got[0].ID != tasks[1].ID {
		t.Errorf("stored %v, want %s alone", taskIDs(got), tasks[1].ID)
	}
}

func merge(t *testing.T, s Forwarding) {
	a, b := s.Subscribe(t, ""), s.Subscribe(t, "")
	put := func(sub, thin, merge string) {
		mustAppend(t, s, forward.Batch{Tasks: []forward.Task{expand(sub, thin, merge)}})
	}
	put(a, "leased", "inbox")
	leased := claimOne(t, s, "conn:conn_a")
	put(a, "old", "inbox")
	put(a, "new", "inbox")
	put(a, "sent", "sent")
	put(b, "other", "inbox")
	put(a, "single 1", "")
	put(a, "single 2", "")
	var got []string
	for _, task := range claim(t, s, "conn:conn_a") {
		got = append(got, string(task.Thin))
	}
	slices.Sort(got)
	if want := []string{"new", "other", "sent", "single 1", "single 2"}; !slices.Equal(got, want) {
		t.Errorf("%q are waiting, want %q", got, want)
	}
	mustAppend(t, s, forward.Batch{Finished: []forward.Finished{{Task: leased}}}) // its lease still holds
}

func finishExpand(t *testing.T, s Forwarding) {
	sub := s.Subscribe(t, "")
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{expand(sub, "{}", "")}})
	later := epoch().Add(time.Minute)
	mustAppend(t, s, forward.Batch{Finished: []forward.Finished{
		{Task: claimOne(t, s, "conn:conn_a"), Due: later, Tries: 3, Error: "gitea: 503"},
	}})
	early := claimWith(t, s, forward.ClaimRequest{Lane: "conn:conn_a", Now: epoch(), Limit: 1, Bytes: 1})
	if len(early) > 0 {
		t.Error("it was claimed before its time")
	}
	task := claimOne(t, s, "conn:conn_a")
	if task.Tries != 3 || !task.Due.Equal(later) || string(task.Thin) != "{}" {
		t.Errorf("claimed %+v, want the third try", task)
	}
	mustAppend(t, s, forward.Batch{Finished: []forward.Finished{{Task: task}}})
	if got := claim(t, s, "conn:conn_a"); len(got) > 0 {
		t.Errorf("claimed %v after it was done", taskIDs(got))
	}
}

func finishPoll(t *testing.T, s Forwarding) {
	sub := s.Subscribe(t, "")
	poll := forward.Task{ID: sub, Kind: forward.Poll, Lane: "conn:conn_a", Due: epoch(), Subscription: sub}
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{poll}})
	task := claimOne(t, s, poll.Lane)
	if task.Kind != forward.Poll || task.ID != sub || task.Subscription != sub || task.Thin != nil {
		t.Errorf("claimed %+v, want %+v", task, poll)
	}
	next := epoch().Add(time.Minute)
	mustAppend(t, s, forward.Batch{Finished: []forward.Finished{{Task: task, Due: next}}})
	task = claimOne(t, s, poll.Lane)
	if !task.Due.Equal(next) {
		t.Errorf("due %v, want %v", task.Due, next)
	}
	mustAppend(t, s, forward.Batch{Finished: []forward.Finished{{Task: task}}})
	if got := claim(t, s, poll.Lane); len(got) > 0 {
		t.Error("it was claimed without a due time")
	}
	if got, err := s.Lanes(t.Context(), epoch().Add(time.Hour), 10); err != nil || len(got) > 0 {
		t.Errorf("Lanes = %v, %v; want none", got, err)
	}
}

func cursor(t *testing.T, s Forwarding) {
	sub := s.Subscribe(t, "c1")
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{expand(sub, "{}", "")}})
	e := newEvent()
	done := forward.Batch{
		Events:   []forward.NewEvent{e},
		Tasks:    []forward.Task{deliver(e)},
		Cursor:   &forward.CursorMove{Subscription: sub, From: "c1", Cursor: "c2"},
		Finished: []forward.Finished{{Task: claimOne(t, s, "conn:conn_a")}},
	}
	if got := mustAppend(t, s, done); len(got) != 1 {
		t.Errorf("stored %d tasks, want 1", len(got))
	}
	wantStatus(t, s, e.Event.ID, forward.Pending)
	if got := s.Cursor(t, sub); got != "c2" {
		t.Errorf("cursor is %q, want c2", got)
	}
	mustAppend(t, s, forward.Batch{Cursor: done.Cursor}) // the same once more
	if _, err := s.Append(t.Context(), done); err == nil {
		t.Error("a batch whose task was done before was stored")
	}
	if got := s.Cursor(t, sub); got != "c2" {
		t.Errorf("cursor is %q, want c2", got)
	}
}

// recordIDs pages through the log.
func recordIDs(t *testing.T, s forward.Log, q forward.Query, page int) []string {
	t.Helper()
	var ids []string
	for {
		list, err := s.Records(t.Context(), q, page)
		if err != nil {
			t.Fatalf("Records: %v", err)
		}
		for _, r := range list {
			if r.Deliveries != nil {
				t.Error("Records returned deliveries")
			}
			ids = append(ids, r.ID)
		}
		if len(list) < page {
			return ids
		}
		q.After = list[len(list)-1].ID
	}
}

func recordsOrder(t *testing.T, s Forwarding) {
	var want []string
	for i := range 7 { // the last three at the same time
		e := newEvent(func(n *forward.NewEvent) { n.ReceivedAt = epoch().Add(time.Duration(min(i, 4)) * time.Second) })
		want = append(want, e.Event.ID)
		add(t, s, e)
	}
	slices.Reverse(want)
	for _, environment := range []string{"env_a", "*"} {
		for _, page := range []int{1, 2, 3, 7, 100} {
			if got := recordIDs(t, s, forward.Query{Environment: environment}, page); !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: %v, want %v", environment, page, got, want)
			}
		}
	}
}

func recordsFilters(t *testing.T, s Forwarding) {
	ids := map[string]string{} // by name
	put := func(name string, change func(*forward.NewEvent)) {
		e := newEvent(change, func(n *forward.NewEvent) { n.ReceivedAt = n.ReceivedAt.Add(time.Duration(len(ids)) * time.Second) })
		ids[name] = e.Event.ID
		add(t, s, e)
	}
	put("plain", func(*forward.NewEvent) {})
	put("account", func(n *forward.NewEvent) { n.Event.Account = "user-7" })
	put("connector", func(n *forward.NewEvent) { n.Event.Connector = "jira" })
	put("trigger", func(n *forward.NewEvent) { n.Event.Trigger = "gitea.push" })
	put("connection", func(n *forward.NewEvent) { n.Event.Connection = "conn_b" })
	put("dead", func(n *forward.NewEvent) { n.Event.Environment = "env_dead" })
	put("delivered", func(n *forward.NewEvent) { n.Event.Environment = "env_done" })
	put("paused", func(n *forward.NewEvent) { n.Event.Environment = "env_paused" })
	put("other", func(n *forward.NewEvent) { n.Event.Environment, n.Event.Account = "env_b", "user-7" })
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_dead"), forward.Dead))
	mustFinish(t, s, outcome(claimOne(t, s, "dest:env_done"), forward.Delivered))
	if err := s.Pause(t.Context(), "dest:env_paused", "x", epoch()); err != nil {
		t.Fatal(err)
	}
	at := func(seconds int) time.Time { return epoch().Add(time.Duration(seconds) * time.Second) }
	for _, row := range []struct {
		name string
		q    forward.Query
		want []string
	}{
		{"environment", forward.Query{Environment: "env_a"}, []string{"connection", "trigger", "connector", "account", "plain"}},
		{"another environment", forward.Query{Environment: "env_b"}, []string{"other"}},
		{"all environments", forward.Query{Environment: "*"}, []string{"other", "paused", "delivered", "dead", "connection", "trigger", "connector", "account", "plain"}},
		{"account", forward.Query{Environment: "env_a", Account: "user-7"}, []string{"account"}},
		{"account in all", forward.Query{Environment: "*", Account: "user-7"}, []string{"other", "account"}},
		{"connector", forward.Query{Environment: "env_a", Connector: "jira"}, []string{"connector"}},
		{"trigger", forward.Query{Environment: "env_a", Trigger: "gitea.push"}, []string{"trigger"}},
		{"connection", forward.Query{Environment: "env_a", Connection: "conn_b"}, []string{"connection"}},
		{"pending", forward.Query{Environment: "*", Status: forward.Pending}, []string{"other", "connection", "trigger", "connector", "account", "plain"}},
		{"pending of one", forward.Query{Environment: "env_b", Status: forward.Pending}, []string{"other"}},
		{"dead", forward.Query{Environment: "*", Status: forward.Dead}, []string{"dead"}},
		{"dead of another", forward.Query{Environment: "env_a", Status: forward.Dead}, nil},
		{"delivered", forward.Query{Environment: "env_done", Status: forward.Delivered}, []string{"delivered"}},
		{"paused", forward.Query{Environment: "*", Status: forward.Paused}, []string{"paused"}},
		{"since", forward.Query{Environment: "env_a", Since: at(3)}, []string{"connection", "trigger"}},
		{"until", forward.Query{Environment: "env_a", Until: at(2)}, []string{"account", "plain"}},
		{"a time without events", forward.Query{Environment: "env_a", Since: at(2).Add(time.Millisecond), Until: at(3)}, nil},
		{"several", forward.Query{Environment: "env_a", Account: "user-42", Connector: "gitea", Trigger: "gitea.issue.opened", Connection: "conn_a", Status: forward.Pending, Until: at(9)}, []string{"plain"}},
		{"several that exclude each other", forward.Query{Environment: "env_a", Account: "user-7", Connector: "jira"}, nil},
		{"behind one that does not match", forward.Query{Environment: "env_a", Account: "user-42", After: ids["account"]}, []string{"plain"}},
		{"behind the last", forward.Query{Environment: "*", After: ids["plain"]}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var want []string
			for _, name := range row.want {
				want = append(want, ids[name])
			}
			for _, page := range []int{1, 100} {
				if got := recordIDs(t, s, row.q, page); !slices.Equal(got, want) {
					t.Errorf("in pages of %d: %v, want %v", page, got, want)
				}
			}
		})
	}
}

func deadInbound(t *testing.T, s Forwarding) {
	d := forward.DeadInbound{
		ID: newID("evt"), Connector: "gitea", Endpoint: "sub_a", Connection: "conn_a", Account: "user-42",
		Deployment: "dep_a", Environment: "env_a", ReceivedAt: epoch(), Reason: "gitea: no such action", Request: []byte{0, 1, 0xff},
	}
	mustAppend(t, s, forward.Batch{Dead: []forward.DeadInbound{d}})
	if got, err := s.Inbound(t.Context(), d.ID); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("Inbound = %+v, %v; want %+v", got, err, d)
	}
	r := mustRecord(t, s, d.ID)
	if r.Status != forward.Dead || r.Reason != d.Reason || r.Connector != "gitea" || r.Account != "user-42" || len(r.Deliveries) != 0 {
		t.Errorf("its record is %+v", r)
	}
	if got := recordIDs(t, s, forward.Query{Environment: "env_a", Status: forward.Dead}, 10); !slices.Equal(got, []string{d.ID}) {
		t.Errorf("dead events are %v, want %s", got, d.ID)
	}
	e := newEvent(func(n *forward.NewEvent) { n.Inbound = d.ID })
	add(t, s, e)
	wantStatus(t, s, d.ID, forward.Delivered)
	wantStatus(t, s, e.Event.ID, forward.Pending)
	if _, err := s.Inbound(t.Context(), d.ID); err != nil {
		t.Errorf("the request is gone before it is purged: %v", err)
	}
	if n, err := s.Purge(t.Context(), epoch().Add(time.Hour), 10); err != nil || n != 1 {
		t.Errorf("Purge = %d, %v; want 1", n, err)
	}
	if _, err := s.Inbound(t.Context(), d.ID); err == nil {
		t.Error("the request was not purged")
	}
}

func purge(t *testing.T, s Forwarding) {
	at := func(n int) func(*forward.NewEvent) {
		return func(e *forward.NewEvent) { e.ReceivedAt = epoch().Add(time.Duration(n) * time.Minute) }
	}
	finish := func(status forward.Status) {
		for _, task := range claim(t, s, "dest:env_a") {
			mustFinish(t, s, outcome(task, status))
		}
	}
	done, lost := newEvent(at(0)), newEvent(at(1))
	add(t, s, done)
	finish(forward.Delivered)
	add(t, s, lost)
	finish(forward.Dead)
	replayed := newEvent(at(1))
	add(t, s, replayed)
	finish(forward.Delivered)
	mustAppend(t, s, forward.Batch{Tasks: []forward.Task{replay(replayed, "env_later")}})
	young := newEvent(at(10))
	add(t, s, young)
	finish(forward.Delivered)
	waiting, leased := newEvent(at(0)), newEvent(at(0), func(n *forward.NewEvent) { n.Event.Environment = "env_b" })
	add(t, s, waiting, leased)
	claim(t, s, "dest:env_b")

	before := epoch().Add(10 * time.Minute)
	for i, want := range []int{1, 1, 0} {
		if n, err := s.Purge(t.Context(), before, 1); err != nil || n != want {
			t.Errorf("purge %d removed %d, %v; want %d", i, n, err, want)
		}
	}
	for _, e := range []forward.NewEvent{done, lost} {
		wantAbsent(t, s, e.Event.ID)
	}
	for _, e := range []forward.NewEvent{waiting, leased, replayed} {
		wantStatus(t, s, e.Event.ID, forward.Pending)
	}
	wantStatus(t, s, young.Event.ID, forward.Delivered)
	if got := add(t, s, newEvent(withKey(done.Event.DedupeKey))); len(got) > 0 {
		t.Error("the key was forgotten with the event")
	}

	var many []forward.NewEvent
	for i := range 300 {
		many = append(many, newEvent(withKey(fmt.Sprint(i))))
	}
	add(t, s, many...)
	finish(forward.Delivered)
	if n, err := s.Purge(t.Context(), epoch().Add(time.Second), 200); err != nil || n != 200 {
		t.Errorf("purge removed %d of many, %v; want 200", n, err)
	}
	if n, err := s.Purge(t.Context(), epoch().Add(time.Second), 200); err != nil || n != 101 { // and waiting, which finish finished
		t.Errorf("purge removed %d of many, %v; want the other 101", n, err)
	}
}

func purgeKeys(t *testing.T, s Forwarding) {
	old := newEvent(withKey("old"))
	young := newEvent(withKey("young"), func(n *forward.NewEvent) { n.ReceivedAt = epoch().Add(time.Minute) })
	add(t, s, young, old)
	for i, want := range []int{1, 0} {
		if n, err := s.PurgeKeys(t.Context(), epoch().Add(time.Minute), 10); err != nil || n != want {
			t.Errorf("purge %d removed %d, %v; want %d", i, n, err, want)
		}
	}
	wantStatus(t, s, old.Event.ID, forward.Pending)
	if got := add(t, s, newEvent(withKey("old")), newEvent(withKey("young"))); len(got) != 1 {
		t.Errorf("%d of two were new, want 1", len(got))
	}
	if n, err := s.PurgeKeys(t.Context(), epoch().Add(time.Hour), 1); err != nil || n != 1 {
		t.Errorf("purge removed %d, %v; want no more than 1", n, err)
	}
}

func cursorMoved(t *testing.T, s Forwarding) {
	sub := s.Subscribe(t, "c1")
	e := newEvent()
	_, err := s.Append(t.Context(), forward.Batch{
		Events: []forward.NewEvent{e},
		Tasks:  []forward.Task{deliver(e)},
		Cursor: &forward.CursorMove{Subscription: sub, From: "", Cursor: "c2"},
	})
	if !errors.Is(err, forward.ErrCursorMoved) {
		t.Fatalf("Append = %v, want ErrCursorMoved", err)
	}
	wantAbsent(t, s, e.Event.ID)
	if got := s.Cursor(t, sub); got != "c1" {
		t.Errorf("the cursor moved to %q", got)
	}
}
