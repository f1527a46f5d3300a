package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

var _ forward.Store = (*Store)(nil)

// Append implements [forward.Queue].
func (s *Store) Append(ctx context.Context, b forward.Batch) ([]forward.Task, error) {
	// What can be done before is not done on the goroutine everybody waits for.
	p, err := plan(b)
	if err != nil {
		return nil, err
	}
	var stored []forward.Task
	err = s.writeOwned(ctx, p.bytes, func(c *conn) (err error) {
		stored, err = s.append(c, b, p)
		return err
	}, func() { s.disown(ctx, stored) })
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// batchPlan is what a Batch needs beside itself.
type batchPlan struct {
	bytes int
	keys  [][]byte // of Events
	first []string // delivery that is stored with each of Events
	count []int64  // how many deliveries are
	event []int    // of each Task: which of Events it names, or -1
}

func plan(b forward.Batch) (batchPlan, error) {
	p := batchPlan{
		bytes: 512 * len(b.Tasks),
		keys:  make([][]byte, len(b.Events)),
		first: make([]string, len(b.Events)),
		count: make([]int64, len(b.Events)),
		event: make([]int, len(b.Tasks)),
	}
	index := make(map[string]int, len(b.Events))
	for i, e := range b.Events {
		p.keys[i] = dedupeKey(e.Event)
		p.bytes += 1024 + len(e.Event.Payload) + len(e.Event.Raw)
		index[e.Event.ID] = i
	}
	for i, t := range b.Tasks {
		p.bytes += len(t.Thin)
		p.event[i] = -1
		switch t.Kind {
		case forward.Deliver:
			if n, ok := index[t.Event.ID]; ok {
				p.event[i] = n
				if p.count[n]++; p.count[n] == 1 {
					p.first[n] = t.ID
				}
			}
		case forward.Expand, forward.Poll:
		default:
			return p, fmt.Errorf("sqlite: Tasks[%d] is of unknown kind %q", i, t.Kind)
		}
	}
	for _, d := range b.Dead {
		p.bytes += 1024 + len(d.Request)
	}
	return p, nil
}

// append runs in a transaction. What makes it fail for the caller's reasons is
// looked at before the first change.
func (s *Store) append(c *conn, b forward.Batch, p batchPlan) ([]forward.Task, error) {
	dues, err := stillOurs(c, b)
	if err != nil {
		return nil, err
	}
	known := make([]bool, len(b.Events))
	for i := range b.Events {
		stored, err := insertEvent(c, &b.Events[i], p.keys[i], p.first[i], p.count[i])
		if err != nil {
			return nil, err
		}
		known[i] = !stored
	}
	tasks, err := s.insertTasks(c, b, p, known)
	if err != nil {
		return nil, err
	}
	for i := range b.Dead {
		if err := insertDead(c, &b.Dead[i]); err != nil {
			return nil, err
		}
	}
	if b.Replay != nil {
		if err := moveReplay(c, b.Replay); err != nil {
			return nil, err
		}
	}
	if m := b.Cursor; m != nil {
		_, err := c.sql(`UPDATE subscription SET cursor = ? WHERE id = ?`).text(m.Cursor).text(m.Subscription).exec()
		if err != nil {
			return nil, err
		}
	}
	for i := range b.Finished {
		if err := finishTask(c, &b.Finished[i], dues[i]); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

// stillOurs reports, before anything is changed, whether the batch's leases are
// held and its cursor and replay are where they were, and when the finished tasks were due.
func stillOurs(c *conn, b forward.Batch) ([]dueTime, error) {
	dues := make([]dueTime, len(b.Finished))
	for i, f := range b.Finished {
		due, held, err := leaseHeld(c, f.Task)
		if err != nil {
			return nil, err
		}
		if !held {
			return nil, fmt.Errorf("sqlite: task %s: %w", f.Task.ID, forward.ErrLeaseLost)
		}
		dues[i] = due
	}
	if m := b.Cursor; m != nil {
		var now string
		found, err := c.sql(`SELECT cursor FROM subscription WHERE id = ?`).text(m.Subscription).one(func(r row) { now = r.text(0) })
		if err != nil {
			return nil, err
		}
		if found && now != m.From && now != m.Cursor {
			return nil, fmt.Errorf("sqlite: subscription %s: %w", m.Subscription, forward.ErrCursorMoved)
		}
	}
	if b.Replay != nil {
		if err := replayThere(c, b.Replay); err != nil {
			return nil, err
		}
	}
	return dues, nil
}

// insertTasks stores the tasks, less the deliveries of events that were known
// before or are gone, and returns what it stored.
func (s *Store) insertTasks(c *conn, b forward.Batch, p batchPlan, known []bool) ([]forward.Task, error) {
	var tasks []forward.Task
	if len(b.Tasks) > 0 {
		tasks = make([]forward.Task, 0, len(b.Tasks))
	}
	token := int64(0)
	for i, t := range b.Tasks {
		later := false
		if t.Kind == forward.Deliver {
			if n := p.event[i]; n >= 0 {
				if known[n] {
					continue
				}
				t.Event = b.Events[n].Event
				later = p.first[n] != t.ID
			} else {
				found, err := moreDeliveries(c, t.Event.ID)
				if err != nil {
					return nil, err
				}
				if later = true; !found {
					continue // its event was purged
				}
			}
		}
		if t.Lease != 0 {
			if token == 0 {
				token = s.nextLease()
			}
			t.Lease = token
		}
		if err := s.insertTask(c, &t, later); err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// insertEvent stores an event unless its key is known.
func insertEvent(c *conn, n *forward.NewEvent, key []byte, delivery string, deliveries int64) (bool, error) {
	e := &n.Event
	if n.Inbound != "" { // understood at last
		_, err := c.sql(`UPDATE event SET status = 1, reason = '' WHERE id = ? AND status = 2
			AND EXISTS (SELECT 1 FROM inbound WHERE inbound.id = event.id)`).text(n.Inbound).exec()
		if err != nil {
			return false, err
		}
	}
	added, err := c.sql(`INSERT INTO dedupe (key, at) VALUES (?, ?) ON CONFLICT DO NOTHING`).
		blob(key).int(n.ReceivedAt.UnixMilli()).exec()
	if err != nil || added == 0 {
		return false, err
	}
	payload := int64(0)
	if e.Payload != nil || e.Raw != nil {
		if _, err := c.sql(`INSERT INTO payload (payload, raw) VALUES (?, ?)`).blob(e.Payload).blob(e.Raw).exec(); err != nil {
			return false, err
		}
		payload = c.db.LastInsertRowID()
	}
	state := int64(pending)
	if deliveries == 0 { // nobody wants it: kept for the log
		state = delivered
	}
	_, err = c.sql(`INSERT INTO event (id, environment, received, status, trigger, connector, account, connection,
			deployment, time, test, dedupe, inbound, payload, delivery, deliveries)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
		text(e.ID).text(e.Environment).int(n.ReceivedAt.UnixMilli()).int(state).text(e.Trigger).text(e.Connector).
		text(e.Account).text(e.Connection).text(e.Deployment).time(e.Time).bool(e.Test).text(dedupeText(e)).
		text(n.Inbound).int(payload).text(delivery).int(deliveries).exec()
	return err == nil, err
}

// insertDead stores a request that was not understood, and the event that shows it.
func insertDead(c *conn, d *forward.DeadInbound) error {
	_, err := c.sql(`INSERT INTO inbound (id, endpoint, request) VALUES (?, ?, ?)`).
		text(d.ID).text(d.Endpoint).blob(notNil(d.Request)).exec()
	if err != nil {
		return err
	}
	_, err = c.sql(`INSERT INTO event (id, environment, received, status, trigger, connector, account, connection,
			deployment, test, dedupe, reason, payload)
		VALUES (?, ?, ?, 2, '', ?, ?, ?, ?, 0, '', ?, 0)`).
		text(d.ID).text(d.Environment).int(d.ReceivedAt.UnixMilli()).text(d.Connector).text(d.Account).
		text(d.Connection).text(d.Deployment).text(d.Reason).exec()
	return err
}

// insertTask stores a task; a waiting one that it merges with makes room.
func (s *Store) insertTask(c *conn, t *forward.Task, later bool) error {
	if t.Kind == forward.Deliver && t.Series != "" {
		return s.joinSeries(c, t, later)
	}
	if t.Kind == forward.Deliver {
		_, err := c.sql(`INSERT INTO task (id, kind, lane, due, lease, event, later, replay, tries, trace)
			VALUES (?, 'deliver', ?, ?, ?, ?, ?, ?, ?, ?)`).
			text(t.ID).text(t.Lane).int(dueAt(t.Due)).int(t.Lease).text(t.Event.ID).bool(later).bool(t.Replay).
			int(int64(t.Tries)).text(t.Trace).exec()
		if err == nil && t.Job != "" {
			_, err = c.sql(`UPDATE task SET job = ? WHERE id = ?`).text(t.Job).text(t.ID).exec()
		}
		return err
	}
	if t.Kind == forward.Expand && t.Merge != "" {
		_, err := c.sql(`DELETE FROM task INDEXED BY task_merge
			WHERE subscription = ? AND subscription <> '' AND merge = ? AND kind = 'expand' AND lease = 0`).
			text(t.Subscription).text(t.Merge).exec()
		if err != nil {
			return err
		}
	}
	st := c.sql(`INSERT INTO task (id, kind, lane, due, lease, tries, subscription, merge, thin, trace)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).text(t.ID).text(string(t.Kind)).text(t.Lane)
	if t.Kind == forward.Poll {
		st.time(t.Due) // may sleep
	} else {
		st.int(dueAt(t.Due))
	}
	_, err := st.int(t.Lease).int(int64(t.Tries)).text(t.Subscription).text(t.Merge).blob(t.Thin).text(t.Trace).exec()
	return err
}

// dueAt is when a task is due that must not sleep: the zero Time is at once.
func dueAt(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// dedupeText is what is kept of an event's DedupeKey for people to see.
func dedupeText(e *trigger.Event) string {
	if e.DedupeKey == e.ID || len(e.DedupeKey) > maxPlainKey {
		return ""
	}
	return e.DedupeKey
}

// maxPlainKey is how long a key is kept as it is. Keys of one connection mostly
// grow with time, so that new ones come to lie in the same page; hashes are all
// over the place.
const maxPlainKey = 32

// dedupeKey names an occurrence: who and which trigger (hashed, 12 bytes, which
// nobody can choose), then the key, as it is or hashed.
func dedupeKey(e trigger.Event) []byte {
	text := e.DedupeKey
	if text == "" {
		text = e.ID
	}
	key := dedupeScope(e)
	if len(text) <= maxPlainKey {
		return append(append(key, 't'), text...)
	}
	sum := sha256.Sum256([]byte(text))
	return append(append(key, 'h'), sum[:20]...)
}

// dedupeScope is what all keys of one Connection and Trigger begin with.
func dedupeScope(e trigger.Event) []byte {
	scope := make([]byte, 0, 128)
	if e.Connection != "" {
		scope = appendText(append(scope, 'c'), e.Connection)
	} else { // a Forwarder without accounts
		scope = appendText(appendText(append(scope, 'e'), e.Environment), e.Connector)
	}
	scope = appendText(scope, e.Trigger)
	sum := sha256.Sum256(scope)
	return append(make([]byte, 0, scopeSize+1+maxPlainKey), sum[:scopeSize]...)
}

// scopeSize is how many bytes of a key its scope takes.
const scopeSize = 12

// appendText appends a text so that no two sequences of texts are the same bytes.
func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
