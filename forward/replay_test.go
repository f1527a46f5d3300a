package forward_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// past stores finished events of an Environment, a second apart, the last one a
// minute ago, and returns their ids.
func past(t testing.TB, s forward.Store, environment string, status forward.Status, n int) (ids []string) {
	t.Helper()
	var b forward.Batch
	for i := range n {
		at := time.Now().Add(-time.Minute - time.Duration(n-i)*time.Second)
		ev := trigger.Event{
			ID: id.New("evt", at), Trigger: noteAdded, Connector: "acme", Environment: environment,
			Account: "user-1", Time: at.UTC().Truncate(time.Millisecond), Payload: []byte(`{"text":"x"}`),
		}
		b.Events = append(b.Events, forward.NewEvent{Event: ev, ReceivedAt: at})
		b.Tasks = append(b.Tasks, forward.Task{ID: id.New("dlv", at), Kind: forward.Deliver, Lane: "dest:" + environment, Due: at, Lease: 1, Event: ev})
		ids = append(ids, ev.ID)
	}
	tasks, err := s.Append(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []forward.Outcome
	for _, task := range tasks {
		o := forward.Outcome{Task: task, Status: status, Attempt: forward.Attempt{At: task.Due}}
		if status == forward.Dead {
			o.Reason = "out of tries"
		}
		outcomes = append(outcomes, o)
	}
	if lost, err := s.Finish(t.Context(), outcomes); err != nil || len(lost) > 0 {
		t.Fatal(lost, err)
	}
	return ids
}

func replayAll(t testing.TB, f *forward.Forwarder, q forward.Query) string {
	t.Helper()
	n, err := f.ReplayAll(t.Context(), q)
	if err != nil {
		t.Fatalf("ReplayAll: %v", err)
	}
	return n
}

func replayJob(t testing.TB, f *forward.Forwarder, id string) forward.ReplayJob {
	t.Helper()
	j, err := f.ReplayJob(t.Context(), id)
	if err != nil {
		t.Fatalf("ReplayJob: %v", err)
	}
	return j
}

// arrived are the ids that a receiver got, in order.
func arrived(r *receiver) (ids []string) {
	for _, d := range r.deliveries() {
		ids = append(ids, d.header.Get("Webhook-Id"))
	}
	return ids
}

var deadOfA = forward.Query{Environment: "env_A", Status: forward.Dead}

// What the dry run counts is what is replayed: each event once, oldest first,
// under its own id, and nothing of anybody else's.
//
//nolint:paralleltest // ids are ordered by one clock, and each bubble has another one
func TestReplayAll(t *testing.T) {
	r, m := &receiver{}, newMemory()
	bubble(t, r, forward.Config{Store: m, Directory: two(settings("*"), settings("*")), Limits: forward.Limits{PerLane: 1}}, func(t *testing.T, f *forward.Forwarder) {
		const n = 3000 // more than wait at a time
		ids := past(t, m, "env_A", forward.Dead, n)
		past(t, m, "env_B", forward.Dead, 10)
		past(t, m, "env_A", forward.Delivered, 10)
		if got, err := f.Count(t.Context(), deadOfA); err != nil || got != n {
			t.Errorf("Count = %d, %v; want %d", got, err, n)
		}
		job := replayAll(t, f, deadOfA)
		began := time.Now().UTC()
		if j := replayJob(t, f, job); j.State != forward.ReplayRunning || j.Selected != 0 || !j.Query.Until.Equal(began) || !j.Created.Equal(began) {
			t.Errorf("without Run it is %+v", j)
		}
		peak := 0
		r.wait = func(context.Context, int) {
			m.mu.Lock()
			defer m.mu.Unlock()
			peak = max(peak, m.queued(job))
		}
		running(t, f)
		pass(time.Minute)
		if got := arrived(r); !slices.Equal(got, ids) {
			t.Fatalf("%d events arrived, want the %d dead ones once each, oldest first", len(got), n)
		}
		if peak > 1024 {
			t.Errorf("%d of its deliveries waited at a time", peak)
		}
		j := replayJob(t, f, job)
		if j.State != forward.ReplayDone || j.Selected != n || j.Delivered != n || j.Dead+j.Queued+j.Cancelled+j.Undecodable != 0 || j.Ended.IsZero() || j.Ended.After(began.Add(time.Minute)) {
			t.Errorf("it ended as %+v", j)
		}
		for _, i := range []int{0, n / 2, n - 1} {
			rec, err := f.Event(t.Context(), ids[i])
			if err != nil || rec.Status != forward.Delivered || len(rec.Deliveries) != 2 || !rec.Deliveries[1].Replay {
				t.Errorf("event %d: %+v, %v", i, rec, err)
			}
		}
		if got, err := f.Count(t.Context(), deadOfA); err != nil || got != 0 {
			t.Errorf("Count after = %d, %v; want 0", got, err)
		}
		if got := m.waiting(); got != 0 {
			t.Errorf("%d tasks are left", got)
		}
	})
}

// A replay does not replay what came of it, nor what was received after it.
func TestReplayEnds(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	bubble(t, r, forward.Config{Store: m}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		past(t, m, "env_A", forward.Delivered, 1500) // more than wait at a time: it goes on selecting
		r.answer = func(n int, ev trigger.Event) (int, http.Header) {
			if n <= 100 { // each delivery brings about one more event
				mustPost(t, f, hook, "default-key", one(fmt.Sprint(time.Now().UnixNano(), ev.ID)))
			}
			return http.StatusNoContent, nil
		}
		r.wait = func(context.Context, int) { <-time.After(time.Second) }
		job := replayAll(t, f, forward.Query{Environment: "env_A", Since: time.Now().Add(-time.Hour)})
		pass(10 * time.Minute)
		if j := replayJob(t, f, job); j.State != forward.ReplayDone || j.Selected != 1500 || len(r.deliveries()) < 1600 {
			t.Errorf("it ended as %+v", j)
		}
	})
}

// However large a replay is, a new event waits for no more than one of its tries.
func TestReplayIsOvertaken(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	r.wait = func(context.Context, int) { <-time.After(time.Second) }
	bubble(t, r, forward.Config{Store: m, Limits: forward.Limits{InFlight: 8, PerLane: 4}}, func(t *testing.T, f *forward.Forwarder) {
		past(t, m, "env_A", forward.Dead, 2000)
		running(t, f)
		job := replayAll(t, f, deadOfA)
		pass(10500 * time.Millisecond)
		for i := range 20 {
			mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
			pass(700 * time.Millisecond)
		}
		pass(2 * time.Second)
		seen := 0
		for _, d := range r.deliveries() {
			if d.event.Account == "user-1" {
				continue
			}
			seen++
			if late := d.at.Sub(d.event.Time); late > time.Second {
				t.Errorf("a new event was sent after %s, behind more than one try of the replay", late)
			}
		}
		if j := replayJob(t, f, job); seen != 20 || j.State != forward.ReplayRunning || j.Delivered < 40 {
			t.Errorf("%d new events were sent, want 20, while the replay is %+v", seen, j)
		}
	})
}

func TestReplayCancelled(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	r.wait = func(context.Context, int) { <-time.After(time.Second) }
	bubble(t, r, forward.Config{Store: m, Limits: forward.Limits{PerLane: 4}}, func(t *testing.T, f *forward.Forwarder) {
		ids := past(t, m, "env_A", forward.Dead, 3000)
		running(t, f)
		job := replayAll(t, f, deadOfA)
		pass(9500 * time.Millisecond)
		at := time.Now().UTC()
		if err := f.CancelReplay(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		began := len(r.deliveries())
		if j := replayJob(t, f, job); j.State != forward.ReplayCancelled || j.Queued != 4 || j.Reason == "" {
			t.Errorf("just cancelled, with four tries in flight: %+v", j)
		}
		if err := f.CancelReplay(t.Context(), job); err != nil {
			t.Errorf("once more: %v", err)
		}
		pass(24 * time.Hour)
		got := arrived(r)
		if len(got) != began {
			t.Errorf("%d tries began after it was cancelled", len(got)-began)
		}
		j := replayJob(t, f, job)
		if j.Delivered != began || j.Queued != 0 || j.Delivered+j.Cancelled != j.Selected || j.Selected >= 3000 || !j.Ended.Equal(at) {
			t.Errorf("it ended as %+v, %d were sent", j, began)
		}
		if n := m.waiting(); n != 0 {
			t.Errorf("%d tasks are left", n)
		}
		for i, event := range ids {
			want := forward.Dead
			if slices.Contains(got, event) {
				want = forward.Delivered
			}
			rec, err := f.Event(t.Context(), event)
			if err != nil || rec.Status != want || (want == forward.Dead) != (rec.Reason == "out of tries") {
				t.Fatalf("event %d is %s (%s), %v; want %s", i, rec.Status, rec.Reason, err, want)
			}
		}
		if n, err := f.Count(t.Context(), deadOfA); err != nil || n != 3000-began {
			t.Errorf("Count = %d, %v; want all that were not sent", n, err)
		}
		if err := f.CancelReplay(t.Context(), "rpl_none"); !errors.Is(err, forward.ErrNotFound) {
			t.Errorf("an unknown one: %v", err)
		}
	})
}

// meddling does something whenever deliveries of replays were claimed.
type meddling struct {
	forward.Store
	meddle func()
}

func (m *meddling) Claim(ctx context.Context, r forward.ClaimRequest) ([]forward.Task, error) {
	tasks, err := m.Store.Claim(ctx, r)
	if strings.HasPrefix(r.Lane, "bulk:") && len(tasks) > 0 {
		m.meddle()
	}
	return tasks, err
}

// A replay that is cancelled while its deliveries are on the way from the store
// into memory sends none of them.
func TestReplayCancelledWhileClaiming(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	s := &meddling{Store: m}
	bubble(t, r, forward.Config{Store: s}, func(t *testing.T, f *forward.Forwarder) {
		past(t, m, "env_A", forward.Dead, 600)
		job := replayAll(t, f, deadOfA)
		s.meddle = func() {
			if err := f.CancelReplay(t.Context(), job); err != nil {
				t.Error(err)
			}
		}
		running(t, f)
		pass(time.Hour)
		if j := replayJob(t, f, job); len(r.deliveries()) != 0 || j.Delivered != 0 || j.Queued != 0 || j.Cancelled != j.Selected || j.Selected == 0 {
			t.Errorf("%d were sent, and it is %+v", len(r.deliveries()), j)
		}
		if n := m.waiting(); n != 0 {
			t.Errorf("%d tasks are left", n)
		}
		if n := f.Stats().Held; n != 0 {
			t.Errorf("%d tasks are held in memory", n)
		}
	})
}

// Stopped at any time, a replay goes on where it was.
func TestReplayGoesOnAfterRestart(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	r.wait = func(context.Context, int) { <-time.After(10 * time.Millisecond) }
	bubble(t, r, forward.Config{Store: m}, func(t *testing.T, f *forward.Forwarder) {
		ids := past(t, m, "env_A", forward.Dead, 3000)
		job := replayAll(t, f, deadOfA)
		for replayJob(t, f, job).State == forward.ReplayRunning {
			stop := running(t, f)
			pass(105 * time.Millisecond)
			stop()
		}
		got := arrived(r)
		slices.Sort(got)
		if !slices.Equal(got, ids) {
			t.Errorf("%d deliveries, want each of %d events once", len(got), len(ids))
		}
	})
}

// crashing is a store that fails before or after the commit of a replay's page,
// as far as the caller can tell.
type crashing struct {
	forward.Store
	crash func(commit func() error) error
}

func (c *crashing) Append(ctx context.Context, b forward.Batch) (tasks []forward.Task, err error) {
	if b.Replay == nil {
		return c.Store.Append(ctx, b)
	}
	err = c.crash(func() (err error) {
		tasks, err = c.Store.Append(ctx, b)
		return err
	})
	return tasks, err
}

func TestReplayWhenCommitsAreInDoubt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		before bool
	}{{"lost before the commit", true}, {"lost after the commit", false}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r, m := &receiver{}, newMemory()
			n := 0
			s := &crashing{m, func(commit func() error) error {
				if n++; n%2 == 0 {
					return commit()
				}
				if row.before {
					return errors.New("gone")
				}
				return errors.Join(commit(), errors.New("gone"))
			}}
			bubble(t, r, forward.Config{Store: s}, func(t *testing.T, f *forward.Forwarder) {
				ids := past(t, m, "env_A", forward.Dead, 2000)
				running(t, f)
				job := replayAll(t, f, deadOfA)
				pass(24 * time.Hour)
				got := arrived(r)
				slices.Sort(got)
				if !slices.Equal(got, ids) {
					t.Errorf("%d deliveries, want each of %d events once", len(got), len(ids))
				}
				if j := replayJob(t, f, job); j.State != forward.ReplayDone || j.Selected != 2000 || j.Delivered != 2000 {
					t.Errorf("it ended as %+v", j)
				}
			})
		})
	}
}

// One that waits does not hold up another, and goes on when it can.
func TestReplayToPausedDestination(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	bubble(t, r, forward.Config{Store: m, Directory: two(settings("*"), settings("*"))}, func(t *testing.T, f *forward.Forwarder) {
		past(t, m, "env_A", forward.Dead, 1500)
		past(t, m, "env_B", forward.Dead, 1500)
		if err := m.Pause(t.Context(), "dest:env_A", "answered 410", time.Now()); err != nil {
			t.Fatal(err)
		}
		running(t, f)
		a := replayAll(t, f, deadOfA)
		b := replayAll(t, f, forward.Query{Environment: "env_B", Status: forward.Dead})
		pass(time.Hour)
		if j := replayJob(t, f, a); j.State != forward.ReplayRunning || j.Delivered != 0 || j.Queued != 1024 {
			t.Errorf("that of the paused one is %+v", j)
		}
		if j := replayJob(t, f, b); j.State != forward.ReplayDone || j.Delivered != 1500 {
			t.Errorf("the other one is %+v", j)
		}
		if err := f.Resume(t.Context(), "env_A"); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if j := replayJob(t, f, a); j.State != forward.ReplayDone || j.Delivered != 1500 {
			t.Errorf("resumed, it is %+v", j)
		}
	})
}

func TestReplayOfDeadRequests(t *testing.T) {
	t.Parallel()
	r, m, product := &receiver{}, newMemory(), &acme{secret: "default-key"}
	d := two(settings("*"), settings("*"))
	bubble(t, r, forward.Config{Store: m, Directory: d, Connectors: []connector.Connector{product}}, func(t *testing.T, f *forward.Forwarder) {
		team := func(n int, do string) request {
			q := request{Team: "TA", Do: do}
			for i := range n {
				q.Items = append(q.Items, item{Key: fmt.Sprint(do, n, i)})
			}
			return q
		}
		for _, q := range []request{team(2, "confuse"), team(1, "panic in Decode"), {Do: "confuse", Team: "nobody"}} {
			mustPost(t, f, hook+"/app_A", "key-of-A", q)
			pass(time.Second)
		}
		mustPost(t, f, hook, "default-key", request{Do: "confuse", Team: "T1", Items: []item{{Key: "k"}}}) // of no Environment
		ids := past(t, m, "env_A", forward.Dead, 1)
		pass(time.Second)
		product.mu.Lock()
		product.upgraded = true
		product.mu.Unlock()
		d.breaks(errors.New("the directory is away"))
		job := replayAll(t, f, deadOfA)
		running(t, f)
		pass(time.Minute)
		if j := replayJob(t, f, job); j.State != forward.ReplayRunning || j.Selected != 0 {
			t.Errorf("without the directory it is %+v: what may go well later must not be given up", j)
		}
		d.breaks(nil)
		pass(time.Hour)
		j := replayJob(t, f, job)
		if j.State != forward.ReplayDone || j.Selected != 4 || j.Undecodable != 2 || j.Delivered != 3 {
			t.Errorf("it ended as %+v", j)
		}
		if got := r.deliveries(); len(got) != 3 || !slices.Contains(arrived(r), ids[0]) {
			t.Errorf("%d events arrived, want two that were decoded and one that was dead", len(got))
		}
		for _, rec := range all(t, f, "env_A") {
			for _, d := range mustEvent(t, f, rec.ID).Deliveries[min(1, len(rec.Deliveries)):] {
				if rec.ID != ids[0] && !d.Replay {
					t.Errorf("a delivery of what was decoded again is no replay: %+v", d)
				}
			}
		}
		if n, err := f.Count(t.Context(), deadOfA); err != nil || n != 2 {
			t.Errorf("Count = %d, %v; want the two that cannot be decoded", n, err)
		}
		everywhere := replayAll(t, f, forward.Query{Environment: "*", Status: forward.Dead, Connector: "acme"})
		pass(time.Minute)
		if j := replayJob(t, f, everywhere); j.State != forward.ReplayDone || j.Selected != 3 || j.Undecodable != 2 || j.Delivered != 2 {
			t.Errorf("that of all environments ended as %+v", j)
		}
	})
}

func mustEvent(t testing.TB, f *forward.Forwarder, id string) forward.Record {
	t.Helper()
	rec, err := f.Event(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// What is purged while a replay is on its way to it is left out.
func TestReplayOfPurgedEvents(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	bubble(t, r, forward.Config{Store: m, Limits: forward.Limits{Retention: time.Hour}}, func(t *testing.T, f *forward.Forwarder) {
		past(t, m, "env_A", forward.Dead, 3000) // the oldest is 51 minutes old
		if err := m.Pause(t.Context(), "dest:env_A", "x", time.Now()); err != nil {
			t.Fatal(err)
		}
		job := replayAll(t, f, deadOfA)
		running(t, f)
		pass(2 * time.Hour)
		if err := f.Resume(t.Context(), "env_A"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		j := replayJob(t, f, job)
		if j.State != forward.ReplayDone || j.Delivered != 1024 || j.Selected != 1024 || len(r.deliveries()) != 1024 {
			t.Errorf("it ended as %+v, want what it held already: pending work is never purged", j)
		}
		pass(2 * time.Hour)
		if _, err := f.ReplayJob(t.Context(), job); !errors.Is(err, forward.ErrNotFound) {
			t.Errorf("two hours after its end, with one hour of retention: %v", err)
		}
	})
}

func TestReplayDelivery(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	bubble(t, r, forward.Config{Store: m}, func(t *testing.T, f *forward.Forwarder) {
		event := past(t, m, "env_A", forward.Dead, 1)[0]
		running(t, f)
		first := mustEvent(t, f, event).Deliveries[0]
		if d, err := f.Delivery(t.Context(), first.ID); err != nil || d.Event != event || d.Status != forward.Dead {
			t.Errorf("Delivery = %+v, %v", d, err)
		}
		d, err := f.ReplayDelivery(t.Context(), first.ID)
		if err != nil || d.ID == first.ID || d.Event != event || !d.Replay {
			t.Fatalf("ReplayDelivery = %+v, %v", d, err)
		}
		synctest.Wait()
		if got := arrived(r); !slices.Equal(got, []string{event}) {
			t.Errorf("arrived %v, want %s", got, event)
		}
		if rec := mustEvent(t, f, event); rec.Status != forward.Delivered || len(rec.Deliveries) != 2 || rec.Deliveries[1].ID != d.ID {
			t.Errorf("the event is %+v", rec)
		}
		for _, unknown := range []string{"", "dlv_none", event} {
			if _, err := f.ReplayDelivery(t.Context(), unknown); !errors.Is(err, forward.ErrNotFound) {
				t.Errorf("ReplayDelivery(%q): %v", unknown, err)
			}
		}
	})
}

func TestReplayQueries(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := build(t, forward.Config{Directory: two(settings("*"), settings("*"))})
	for _, row := range []struct {
		name, field, says string
		q                 forward.Query
	}{
		{"nothing", "status", `set "dead"`, forward.Query{}},
		{"only an end", "status", `set "dead"`, forward.Query{Until: now}},
		{"a name as long as a book", "account", "bytes", forward.Query{Account: strings.Repeat("x", 513)}},
		{"pending", "status", "on their way", forward.Query{Status: forward.Pending}},
		{"paused", "status", "resumed", forward.Query{Status: forward.Paused}},
		{"of deliveries", "status", "must be", forward.Query{Status: forward.Cancelled}},
		{"page", "after", "no pages", forward.Query{Status: forward.Dead, After: "evt_x"}},
		{"the wrong way round", "since", "nothing", forward.Query{Since: now, Until: now.Add(-time.Hour)}},
		{"an empty time", "since", "nothing", forward.Query{Since: now.Add(-time.Hour), Until: now.Add(-time.Hour)}},
		{"future", "since", "nothing", forward.Query{Since: now.Add(time.Hour)}},
	} {
		row.q.Environment = "env_A"
		var wrong *forward.QueryError
		if _, err := f.ReplayAll(t.Context(), row.q); !errors.As(err, &wrong) || wrong.Field != row.field || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: ReplayAll = %v", row.name, err)
		}
		if _, err := f.Count(t.Context(), row.q); !errors.As(err, &wrong) {
			t.Errorf("%s: Count = %v", row.name, err)
		}
	}
	if _, err := f.ReplayAll(t.Context(), forward.Query{Status: forward.Dead}); !errors.Is(err, forward.ErrNoEnvironment) {
		t.Errorf("without environment: %v", err)
	}
	for range 20 {
		replayAll(t, f, deadOfA)
	}
	if _, err := f.ReplayAll(t.Context(), deadOfA); !errors.Is(err, forward.ErrTooManyReplays) {
		t.Errorf("the 21st at a time: %v", err)
	}
	n := 0
	for j, err := range f.Replays(t.Context(), forward.ReplaysQuery{Environment: "env_A"}) {
		if err != nil || j.Query.Environment != "env_A" {
			t.Fatalf("%+v, %v", j, err)
		}
		n++
	}
	for _, err := range f.Replays(t.Context(), forward.ReplaysQuery{}) {
		if !errors.Is(err, forward.ErrNoEnvironment) {
			t.Errorf("replays without environment: %v", err)
		}
	}
	if n != 20 {
		t.Errorf("%d replays are listed, want 20", n)
	}
}
