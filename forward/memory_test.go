package forward_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// memory is a Store without a disk, for tests in a synctest bubble: it holds to
// the same rules as the real ones and is judged by the same suite.
type memory struct {
	mu      sync.Mutex
	lease   int64
	events  map[string]*memoryEvent
	keys    map[string]time.Time
	tasks   map[string]*memoryTask
	history map[string]*forward.Delivery
	dead    map[string]forward.DeadInbound
	paused  map[string]pause
	lanes   map[string]forward.LaneState
	erased  []forward.Erasure
	cursors map[string]string
	news    []trigger.Event // in order of ID

	laneOf    map[string]string // of each delivery, finished ones too
	replays   map[string]*forward.ReplayJob
	replayDue map[string]time.Time

	fail func(method string) error // nil, or decides whether a call fails
	wait func(method string)       // nil, or runs before a call
}

type pause struct {
	reason string
	since  time.Time
}

type memoryEvent struct {
	forward.NewEvent
	deliveries []string
	status     forward.Status // without deliveries: of a dead request
	reason     string
}

type memoryTask struct {
	forward.Task
	sleeps bool  // a Poll without due time, or a delivery that waits for its turn
	turn   int64 // in its Series
}

var _ forward.Store = (*memory)(nil)

func newMemory() *memory {
	return &memory{
		events: map[string]*memoryEvent{}, keys: map[string]time.Time{}, tasks: map[string]*memoryTask{},
		history: map[string]*forward.Delivery{}, dead: map[string]forward.DeadInbound{},
		paused: map[string]pause{}, lanes: map[string]forward.LaneState{}, cursors: map[string]string{},
		laneOf: map[string]string{}, replays: map[string]*forward.ReplayJob{}, replayDue: map[string]time.Time{},
	}
}

func (m *memory) enter(ctx context.Context, method string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.wait != nil {
		m.wait(method)
	}
	m.mu.Lock()
	if m.fail != nil {
		if err := m.fail(method); err != nil {
			m.mu.Unlock()
			return err
		}
	}
	return nil
}

// failing sets fail while others use the store.
func (m *memory) failing(fail func(method string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *memory) held(t forward.Task) *memoryTask {
	have := m.tasks[t.ID]
	if have == nil || have.Lease == 0 || have.Lease != t.Lease {
		return nil
	}
	return have
}

// first returns the unfinished task of a series that was stored first.
func (m *memory) first(lane, series string) (first *memoryTask) {
	for _, t := range m.tasks {
		if t.Lane == lane && t.Series == series && (first == nil || t.turn < first.turn) {
			first = t
		}
	}
	return first
}

func memoryKey(e trigger.Event) string {
	scope := e.Connection
	if scope == "" {
		scope = e.Environment + "\x00" + e.Connector
	}
	return scope + "\x00" + e.Trigger + "\x00" + cmp.Or(e.DedupeKey, e.ID)
}

func (m *memory) Append(ctx context.Context, b forward.Batch) ([]forward.Task, error) {
	if err := m.enter(ctx, "Append"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for _, f := range b.Finished {
		if m.held(f.Task) == nil {
			return nil, forward.ErrLeaseLost
		}
	}
	ids := map[string]bool{}
	for _, t := range b.Tasks {
		if ids[t.ID] || m.tasks[t.ID] != nil || m.history[t.ID] != nil {
			return nil, fmt.Errorf("a task %s is there already", t.ID)
		}
		ids[t.ID] = true
	}
	if c := b.Cursor; c != nil && m.cursors[c.Subscription] != c.From && m.cursors[c.Subscription] != c.Cursor {
		return nil, forward.ErrCursorMoved
	}
	if b.Replay != nil && !m.there(b.Replay) {
		return nil, forward.ErrReplayMoved
	}
	left := map[string]bool{}
	for _, n := range b.Events {
		if n.Inbound != "" && m.events[n.Inbound] != nil {
			m.events[n.Inbound].status, m.events[n.Inbound].reason = forward.Delivered, ""
		}
		e := n.Event
		key := memoryKey(e)
		if _, known := m.keys[key]; known {
			left[e.ID] = true
			continue
		}
		m.keys[key] = n.ReceivedAt
		m.events[e.ID] = &memoryEvent{NewEvent: n, status: forward.Delivered}
	}
	for _, d := range b.Dead {
		m.dead[d.ID] = d
		ev := &memoryEvent{status: forward.Dead, reason: d.Reason}
		ev.Event.ID, ev.Event.Connector, ev.Event.Environment = d.ID, d.Connector, d.Environment
		ev.Event.Deployment, ev.Event.Account, ev.Event.Connection = d.Deployment, d.Account, d.Connection
		ev.ReceivedAt = d.ReceivedAt
		m.events[d.ID] = ev
	}
	var stored []forward.Task
	for _, t := range b.Tasks {
		if t.Kind == forward.Deliver {
			ev := m.events[t.Event.ID]
			if left[t.Event.ID] || ev == nil {
				continue
			}
			ev.deliveries = append(ev.deliveries, t.ID)
			t.Event = ev.Event
			m.laneOf[t.ID] = t.Lane
			m.history[t.ID] = &forward.Delivery{ID: t.ID, Event: t.Event.ID, Status: forward.Pending, NextAt: t.Due, Replay: t.Replay}
		}
		if t.Kind == forward.Expand && t.Merge != "" {
			maps.DeleteFunc(m.tasks, func(_ string, o *memoryTask) bool {
				return o.Kind == forward.Expand && o.Subscription == t.Subscription && o.Merge == t.Merge && o.Lease == 0
			})
		}
		if t.Lease != 0 {
			m.lease++
			t.Lease = m.lease
		}
		have := &memoryTask{Task: t, sleeps: t.Kind == forward.Poll && t.Due.IsZero()}
		if t.Series != "" {
			m.lease++
			have.turn = m.lease
			if m.first(t.Lane, t.Series) != nil {
				t.Lease, have.Lease, have.sleeps = 0, 0, true
			}
		}
		m.tasks[t.ID] = have
		stored = append(stored, t)
	}
	if b.Replay != nil {
		m.move(b.Replay)
	}
	if c := b.Cursor; c != nil {
		m.cursors[c.Subscription] = c.Cursor
	}
	for _, f := range b.Finished {
		t := m.tasks[f.Task.ID]
		if f.Due.IsZero() && t.Kind != forward.Poll {
			delete(m.tasks, t.ID)
			continue
		}
		t.Lease, t.Due, t.sleeps, t.Tries = 0, f.Due, f.Due.IsZero(), f.Tries
	}
	return stored, nil
}

func (m *memory) Lanes(ctx context.Context, until time.Time, limit int) ([]forward.LaneDue, error) {
	if err := m.enter(ctx, "Lanes"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	soonest := map[string]time.Time{}
	for _, t := range m.tasks {
		if _, p := m.paused[mainLane(t.Lane)]; p || t.Lease != 0 || t.sleeps || t.Due.After(until) {
			continue
		}
		if at, ok := soonest[t.Lane]; !ok || t.Due.Before(at) {
			soonest[t.Lane] = t.Due
		}
	}
	var lanes []forward.LaneDue
	for name, due := range soonest {
		lanes = append(lanes, forward.LaneDue{Lane: name, Due: due})
	}
	slices.SortFunc(lanes, func(a, b forward.LaneDue) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Lane, b.Lane))
	})
	return lanes[:min(limit, len(lanes))], nil
}

func (m *memory) Claim(ctx context.Context, r forward.ClaimRequest) ([]forward.Task, error) {
	if err := m.enter(ctx, "Claim"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if _, p := m.paused[mainLane(r.Lane)]; p {
		return nil, nil
	}
	var due []*memoryTask
	for _, t := range m.tasks {
		if t.Lane == r.Lane && t.Lease == 0 && !t.sleeps && !t.Due.After(r.Now) {
			due = append(due, t)
		}
	}
	slices.SortFunc(due, func(a, b *memoryTask) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	var tasks []forward.Task
	var bytes int64
	for _, t := range due {
		bytes += int64(len(t.Event.Payload) + len(t.Event.Raw) + len(t.Thin))
		if len(tasks) == r.Limit || (len(tasks) > 0 && bytes > r.Bytes) {
			break
		}
		m.lease++
		t.Lease = m.lease
		tasks = append(tasks, t.Task)
	}
	return tasks, nil
}

func (m *memory) Finish(ctx context.Context, outcomes []forward.Outcome) (lost []int, err error) {
	if err := m.enter(ctx, "Finish"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	for i, o := range outcomes {
		t := m.held(o.Task)
		if t == nil {
			lost = append(lost, i)
			continue
		}
		o = m.count(t, o)
		d := m.history[t.ID]
		d.Attempts = append(d.Attempts, o.Attempt)
		d.URL, d.Status, d.Reason, d.NextAt = o.Attempt.URL, o.Status, o.Reason, time.Time{}
		m.outcome(o)
		if o.Status == forward.Pending {
			d.NextAt = o.Due
			t.Lease, t.Due, t.Tries = 0, o.Due, t.Tries+1
			continue
		}
		delete(m.tasks, t.ID)
		if t.Series == "" {
			continue
		}
		if next := m.first(t.Lane, t.Series); next != nil {
			next.sleeps, next.Due = false, o.Attempt.At.Add(o.Attempt.Took)
		}
	}
	return lost, nil
}

// outcome records what an outcome says about its lane.
func (m *memory) outcome(o forward.Outcome) {
	if o.Pause != "" {
		m.pause(o.Task.Lane, pause{o.Pause, o.Attempt.At})
	}
	lane := mainLane(o.Task.Lane)
	state := m.lanes[lane]
	if o.Recovered {
		state.FailingSince = time.Time{}
		if !state.RestUntil.After(o.Attempt.At) {
			state.RestUntil = time.Time{}
		}
	}
	if !o.Failing.IsZero() {
		state.FailingSince = o.Failing
	}
	if o.Rest.After(state.RestUntil) {
		state.RestUntil = o.Rest
	}
	m.lanes[lane] = state
}

// mainLane is the lane that speaks for a destination.
func mainLane(lane string) string {
	if environment, bulk := strings.CutPrefix(lane, "bulk:"); bulk {
		return "dest:" + environment
	}
	return lane
}

// pause pauses a destination with its replays, unless it is paused.
func (m *memory) pause(lane string, p pause) {
	lane = mainLane(lane)
	if _, is := m.paused[lane]; is {
		return
	}
	m.paused[lane] = p
	if environment, dest := strings.CutPrefix(lane, "dest:"); dest {
		m.paused["bulk:"+environment] = p
	}
}

func (m *memory) Release(ctx context.Context, tasks []forward.Task) error {
	if err := m.enter(ctx, "Release"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, t := range tasks {
		if have := m.held(t); have != nil {
			have.Lease = 0
			m.endCancelled(have.Job)
		}
	}
	return nil
}

func (m *memory) Pause(ctx context.Context, lane, reason string, since time.Time) error {
	if err := m.enter(ctx, "Pause"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if !since.IsZero() {
		m.pause(lane, pause{reason, since})
		return nil
	}
	lane = mainLane(lane)
	delete(m.lanes, lane)
	delete(m.paused, lane)
	if environment, dest := strings.CutPrefix(lane, "dest:"); dest {
		delete(m.paused, "bulk:"+environment)
	}
	return nil
}

func (m *memory) Lane(ctx context.Context, lane string) (forward.LaneState, error) {
	if err := m.enter(ctx, "Lane"); err != nil {
		return forward.LaneState{}, err
	}
	defer m.mu.Unlock()
	lane = mainLane(lane)
	state := m.lanes[lane]
	state.PausedReason, state.PausedSince = m.paused[lane].reason, m.paused[lane].since
	return state, nil
}

func (m *memory) record(e *memoryEvent) forward.Record {
	rec := forward.Record{Event: e.Event, ReceivedAt: e.ReceivedAt, Status: e.status, Reason: e.reason}
	for _, id := range e.deliveries {
		d := *m.history[id]
		if t := m.tasks[id]; t != nil {
			if p, ok := m.paused[mainLane(t.Lane)]; ok && d.Status == forward.Pending {
				d.Status, d.Reason = forward.Paused, p.reason
			}
		}
		d.Attempts = slices.Clone(d.Attempts)
		rec.Deliveries = append(rec.Deliveries, d)
	}
	if len(rec.Deliveries) > 0 {
		rec.Status, rec.Reason = m.statusOf(rec.Deliveries)
	}
	return rec
}

func (m *memory) Record(ctx context.Context, id string) (forward.Record, error) {
	if err := m.enter(ctx, "Record"); err != nil {
		return forward.Record{}, err
	}
	defer m.mu.Unlock()
	e := m.events[id]
	if e == nil {
		return forward.Record{}, forward.ErrNotFound
	}
	return m.record(e), nil
}

// fits reports whether a query selects an event, q.After aside.
func fits(q forward.Query, rec forward.Record) bool {
	fits := func(want, have string) bool { return want == "" || want == have }
	return (q.Environment == "*" || q.Environment == rec.Environment) && fits(q.Connector, rec.Connector) &&
		fits(q.Trigger, rec.Trigger) && fits(q.Account, rec.Account) && fits(q.Connection, rec.Connection) &&
		fits(string(q.Status), string(rec.Status)) &&
		(q.Since.IsZero() || !rec.ReceivedAt.Before(q.Since)) && (q.Until.IsZero() || rec.ReceivedAt.Before(q.Until))
}

func (m *memory) Records(ctx context.Context, q forward.Query, limit int) ([]forward.Record, error) {
	if err := m.enter(ctx, "Records"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var found []forward.Record
	for _, e := range m.events {
		rec := m.record(e)
		if fits(q, rec) && (q.After == "" || rec.ID < q.After) {
			rec.Deliveries = nil
			found = append(found, rec)
		}
	}
	slices.SortFunc(found, func(a, b forward.Record) int { return cmp.Compare(b.ID, a.ID) })
	return found[:min(limit, len(found))], nil
}

func (m *memory) Inbound(ctx context.Context, id string) (forward.DeadInbound, error) {
	if err := m.enter(ctx, "Inbound"); err != nil {
		return forward.DeadInbound{}, err
	}
	defer m.mu.Unlock()
	d, ok := m.dead[id]
	if !ok {
		return d, forward.ErrNotFound
	}
	return d, nil
}

func (m *memory) OldestDue(ctx context.Context) (oldest time.Time, err error) {
	if err := m.enter(ctx, "OldestDue"); err != nil {
		return oldest, err
	}
	defer m.mu.Unlock()
	for _, t := range m.tasks {
		if _, is := m.paused[mainLane(t.Lane)]; is || t.Lease != 0 {
			continue
		}
		if !t.sleeps && (oldest.IsZero() || t.Due.Before(oldest)) {
			oldest = t.Due
		}
	}
	return oldest, nil
}

func (m *memory) Backlog(ctx context.Context, now time.Time) (b forward.Backlog, err error) {
	if err := m.enter(ctx, "Backlog"); err != nil {
		return b, err
	}
	defer m.mu.Unlock()
	for name := range m.paused {
		if !strings.HasPrefix(name, "bulk:") { // of a destination that is paused
			b.PausedLanes++
		}
	}
	for _, t := range m.tasks {
		if t.Lease != 0 || t.sleeps && t.Kind == forward.Poll {
			continue
		}
		w := &b.Calls
		switch kind, _, _ := strings.Cut(t.Lane, ":"); kind {
		case "dest":
			w = &b.Deliveries
		case "bulk":
			w = &b.Replays
		}
		switch _, paused := m.paused[t.Lane]; {
		case paused:
			w.Paused++
		case t.sleeps || t.Due.After(now):
			w.Scheduled++
		default:
			w.Due++
		}
	}
	return b, nil
}

func (m *memory) Purge(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err := m.enter(ctx, "Purge"); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	oldest := slices.SortedFunc(maps.Keys(m.events), func(a, b string) int {
		return cmp.Or(m.events[a].ReceivedAt.Compare(m.events[b].ReceivedAt), cmp.Compare(a, b))
	})
	for _, id := range oldest {
		e := m.events[id]
		waits := slices.ContainsFunc(e.deliveries, func(d string) bool { return m.tasks[d] != nil })
		if n < limit && e.ReceivedAt.Before(before) && !waits {
			for _, d := range e.deliveries {
				delete(m.history, d)
			}
			delete(m.events, id)
			delete(m.dead, id)
			n++
		}
	}
	return n, nil
}

func (m *memory) PurgeKeys(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err := m.enter(ctx, "PurgeKeys"); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	for key, at := range m.keys {
		if n < limit && at.Before(before) {
			delete(m.keys, key)
			n++
		}
	}
	return n, nil
}

func (m *memory) WaitingNews(ctx context.Context, limit int) ([]trigger.Event, error) {
	if err := m.enter(ctx, "WaitingNews"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	return slices.Clone(m.news[:min(limit, len(m.news))]), nil
}

// addNews is what another room's commit does.
func (m *memory) addNews(news ...trigger.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.news = append(m.news, news...)
	slices.SortFunc(m.news, func(a, b trigger.Event) int { return cmp.Compare(a.ID, b.ID) })
}

func (m *memory) ForgetNews(ctx context.Context, ids []string) error {
	if err := m.enter(ctx, "ForgetNews"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.news = slices.DeleteFunc(m.news, func(ev trigger.Event) bool { return slices.Contains(ids, ev.ID) })
	return nil
}

func (m *memory) PutErasure(ctx context.Context, e forward.Erasure) error {
	if err := m.enter(ctx, "PutErasure"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if !slices.ContainsFunc(m.erased, func(o forward.Erasure) bool { return o.Environment == e.Environment && o.Account == e.Account }) {
		m.erased = append(m.erased, forward.Erasure{Environment: e.Environment, Account: e.Account, At: e.At})
	}
	return nil
}

func (m *memory) Erasures(ctx context.Context) ([]forward.Erasure, error) {
	if err := m.enter(ctx, "Erasures"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(m.erased), func(a, b forward.Erasure) int { return a.At.Compare(b.At) }), nil
}

func (m *memory) EndErasure(ctx context.Context, e forward.Erasure) error {
	if err := m.enter(ctx, "EndErasure"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.erased = slices.DeleteFunc(m.erased, func(o forward.Erasure) bool { return o.Environment == e.Environment && o.Account == e.Account })
	return nil
}

func (m *memory) Erase(ctx context.Context, e forward.Erasure, limit int) (n int, err error) {
	if err := m.enter(ctx, "Erase"); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	m.news = slices.DeleteFunc(m.news, func(ev trigger.Event) bool { return ev.Environment == e.Environment && ev.Account == e.Account })
	forget := func(connection string) {
		maps.DeleteFunc(m.keys, func(key string, _ time.Time) bool { return strings.HasPrefix(key, connection+"\x00") })
	}
	for id, ev := range m.events {
		if n == limit || ev.Event.Environment != e.Environment || ev.Event.Account != e.Account {
			continue
		}
		for _, d := range ev.deliveries {
			delete(m.history, d)
			delete(m.tasks, d)
		}
		if ev.Event.Connection != "" {
			forget(ev.Event.Connection)
		} else {
			delete(m.keys, memoryKey(ev.Event))
		}
		delete(m.events, id)
		delete(m.dead, id)
		n++
	}
	if n == limit {
		return n, nil
	}
	for _, connection := range e.Connections {
		forget(connection)
		maps.DeleteFunc(m.tasks, func(_ string, t *memoryTask) bool {
			return t.Kind == forward.Expand && t.Lane == "conn:"+connection
		})
	}
	return n, nil
}

func (m *memory) Size(ctx context.Context) (n int64, err error) {
	if err := m.enter(ctx, "Size"); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	for _, e := range m.events {
		n += int64(512 + len(e.Event.Payload) + len(e.Event.Raw))
		for _, d := range e.deliveries {
			for _, a := range m.history[d].Attempts {
				n += int64(256 + len(a.Response))
			}
		}
	}
	for _, d := range m.dead {
		n += int64(len(d.Request))
	}
	for _, t := range m.tasks {
		n += int64(256 + len(t.Thin))
	}
	return n + int64(64*len(m.keys)), nil
}

// reopen does what a restart does: leases are void.
func (m *memory) reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.tasks {
		t.Lease = 0
	}
	for id := range m.replays {
		m.endCancelled(id)
	}
}

// waiting returns how many tasks there are.
func (m *memory) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tasks)
}

func (m *memory) cursor(subscription string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursors[subscription]
}
