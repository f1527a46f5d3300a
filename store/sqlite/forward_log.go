package sqlite

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// eventColumns are what readEvent reads, of e (event) and p (payload).
const eventColumns = `e.id, e.trigger, e.time, e.connector, e.account, e.connection, e.deployment, e.environment,
	e.test, e.dedupe, p.payload, p.raw`

// eventWidth is how many they are.
const eventWidth = 12

func readEvent(r row, at int) trigger.Event {
	return trigger.Event{
		ID: r.text(at), Trigger: r.text(at + 1), Time: r.time(at + 2), Connector: r.text(at + 3),
		Account: r.text(at + 4), Connection: r.text(at + 5), Deployment: r.text(at + 6), Environment: r.text(at + 7),
		Test: r.bool(at + 8), DedupeKey: r.text(at + 9), Payload: r.blob(at + 10), Raw: r.blob(at + 11),
	}
}

// readRecord reads eventColumns, then e.status, e.received, e.reason and the
// reason of its lane's pause, NULL when it is not paused.
func readRecord(r row) forward.Record {
	rec := forward.Record{Event: readEvent(r, 0), ReceivedAt: r.time(eventWidth + 1), Reason: r.text(eventWidth + 2)}
	state, paused := r.int(eventWidth), !r.null(eventWidth+3)
	rec.Status = statusOf(state, paused)
	if rec.Status == forward.Paused {
		rec.Reason = r.text(eventWidth + 3)
	}
	return rec
}

// recordSelect reads events with what readRecord wants. An event waits in the
// lane of its first delivery.
const recordSelect = `SELECT ` + eventColumns + `, e.status, e.received, e.reason,
		CASE e.status WHEN 0 THEN (SELECT coalesce(pause.reason, '') FROM task JOIN pause ON pause.lane = task.lane
			WHERE task.id = e.delivery) END
	FROM event e `

// Record implements [forward.Log].
func (s *Store) Record(ctx context.Context, id string) (forward.Record, error) {
	var rec forward.Record
	err := s.read(ctx, func(c *conn) error {
		found, err := c.sql(recordSelect + `LEFT JOIN payload p ON p.n = e.payload WHERE e.id = ?`).text(id).
			one(func(r row) { rec = readRecord(r) })
		if err != nil {
			return err
		}
		if !found {
			return forward.ErrNotFound
		}
		rec.Deliveries, err = deliveries(c, id)
		return err
	})
	if err != nil {
		return forward.Record{}, err
	}
	return rec, nil
}

func deliveries(c *conn, event string) ([]forward.Delivery, error) {
	var list []forward.Delivery
	var last []int64
	err := eachDelivery(c, event, `id, status, due, reason, replay, attempt,
		(SELECT coalesce(pause.reason, '') FROM pause WHERE pause.lane = task.lane)`, func(r row) error {
		d := forward.Delivery{
			ID: r.text(0), Event: event, Status: statusOf(r.int(1), !r.null(6)),
			Reason: r.text(3), Replay: r.bool(4),
		}
		switch d.Status {
		case forward.Pending:
			d.NextAt = r.time(2)
		case forward.Paused:
			d.Reason = r.text(6)
		default: // it has ended
		}
		list, last = append(list, d), append(last, r.int(5))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Attempts, err = attempts(c, last[i]); err != nil {
			return nil, err
		}
		if n := len(list[i].Attempts); n > 0 {
			list[i].URL = list[i].Attempts[n-1].URL
		}
	}
	return list, nil
}

// attempts follows the chain from the last one and returns it oldest first.
func attempts(c *conn, last int64) ([]forward.Attempt, error) {
	var list []forward.Attempt
	err := c.sql(`WITH RECURSIVE chain (n, depth) AS (
			SELECT ?, 0
			UNION ALL
			SELECT attempt.prev, depth + 1 FROM chain JOIN attempt USING (n) WHERE attempt.prev <> 0
		)
		SELECT at, took, url, code, error, request_header, response_header, response,
			class, dns, connect, tls, first_byte, reused
		FROM chain JOIN attempt USING (n) ORDER BY depth DESC`).int(last).each(func(r row) error {
		list = append(list, forward.Attempt{
			At: r.time(0), Took: micros(r.int(1)), URL: r.text(2),
			StatusCode: int(r.int(3)), Error: r.text(4),
			RequestHeader: parseHeader(r.text(5)), ResponseHeader: parseHeader(r.text(6)), Response: r.blob(7),
			Class: forward.ErrorClass(r.text(8)), Timing: forward.Timing{
				DNS: micros(r.int(9)), Connect: micros(r.int(10)), TLS: micros(r.int(11)), FirstByte: micros(r.int(12)),
				Reused: r.bool(13),
			},
		})
		return nil
	})
	return list, err
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// Records implements [forward.Log].
func (s *Store) Records(ctx context.Context, q forward.Query, limit int) ([]forward.Record, error) {
	var list []forward.Record
	err := s.read(ctx, func(c *conn) error {
		list = nil
		sel := selection{order: `e.received DESC, e.n DESC`}
		if q.Environment == "*" { // no index has all of them by time; they were stored in about that order
			sel.order = `e.n DESC`
		} else {
			sel.add(`e.environment = ?`, q.Environment)
		}
		sel.members(q)
		if err := sel.status(c, q.Status); err != nil {
			return err
		}
		if err := sel.after(c, q); err != nil {
			return err
		}
		return sel.each(c, limit, func(r row) error {
			list = append(list, readRecord(r))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// selection is what a Query means in SQL.
type selection struct {
	where  []string
	values []any // texts and int64s
	order  string
}

func (sel *selection) add(condition string, v ...any) {
	sel.where = append(sel.where, condition)
	sel.values = append(sel.values, v...)
}

func (sel *selection) members(q forward.Query) {
	for _, f := range []struct{ column, value string }{
		{`e.account`, q.Account}, {`e.connector`, q.Connector},
		{`e.trigger`, q.Trigger}, {`e.connection`, q.Connection},
	} {
		if f.value != "" {
			sel.add(f.column+` = ?`, f.value)
		}
	}
	if !q.Since.IsZero() {
		sel.add(`e.received >= ?`, q.Since.UnixMilli())
	}
	if !q.Until.IsZero() {
		sel.add(`e.received < ?`, q.Until.UnixMilli())
	}
}

func (sel *selection) status(c *conn, status forward.Status) error {
	switch status {
	case "":
	case forward.Pending, forward.Paused:
		few, err := fewWaiting(c)
		if err != nil {
			return err
		}
		if few { // else there are enough of them wherever one looks
			sel.add(`e.id IN (` + waitingEvents + `)`)
		}
		not := `NOT `
		if status == forward.Paused {
			not = ``
		}
		sel.add(`e.status = 0 AND ` + not + `EXISTS (SELECT 1 FROM task JOIN pause ON pause.lane = task.lane WHERE task.id = e.delivery)`)
	case forward.Dead:
		sel.add(`e.status = 2`) // as its index says
	default:
		sel.add(`e.status = ?`, stateOf(status))
	}
	return nil
}

// after continues behind an event.
func (sel *selection) after(c *conn, q forward.Query) error {
	if q.After == "" {
		return nil
	}
	var received, n int64
	found, err := c.sql(`SELECT received, n FROM event WHERE id = ?`).text(q.After).
		one(func(r row) { received, n = r.int(0), r.int(1) })
	switch {
	case err != nil:
		return err
	case found && q.Environment == "*":
		sel.add(`e.n < ?`, n)
	case found:
		sel.add(`(e.received, e.n) < (?, ?)`, received, n)
	default: // purged meanwhile; ids are ordered by time, too
		sel.add(`e.id < ?`, q.After)
	}
	return nil
}

// each calls scan with the rows. Payloads are read of those that are returned.
func (sel *selection) each(c *conn, limit int, scan func(row) error) error {
	condition := ""
	if len(sel.where) > 0 {
		condition = `WHERE ` + strings.Join(sel.where, ` AND `)
	}
	st := c.sql(recordSelect + `LEFT JOIN payload p ON p.n = e.payload ` + condition + ` ORDER BY ` + sel.order + ` LIMIT ?`)
	for _, v := range sel.values {
		switch v := v.(type) {
		case string:
			st.text(v)
		case int64:
			st.int(v)
		}
	}
	return st.int(int64(limit)).each(scan)
}

// waitingEvents are those with a delivery that is not finished: due, leased, or
// behind another one of its series. No index of events holds them, for each would
// be changed twice on the way of every event.
const waitingEvents = `SELECT event FROM task INDEXED BY task_due WHERE lease = 0 AND due IS NOT NULL AND kind = 'deliver'
	UNION ALL SELECT event FROM task INDEXED BY task_leased WHERE lease <> 0 AND kind = 'deliver'
	UNION ALL SELECT event FROM task INDEXED BY task_series WHERE series <> '' AND status = 0`

// fewWaiting says whether it is less work to look at all that waits than to look
// for it among all events.
func fewWaiting(c *conn) (bool, error) {
	const few = 20_000
	var n int64
	_, err := c.sql(`SELECT count(*) FROM (SELECT 1 FROM (` + waitingEvents + `) LIMIT ?)`).int(few).one(func(r row) { n = r.int(0) })
	return n < few, err
}

// Inbound implements [forward.Log].
func (s *Store) Inbound(ctx context.Context, id string) (forward.DeadInbound, error) {
	var d forward.DeadInbound
	err := s.read(ctx, func(c *conn) error {
		found, err := c.sql(`SELECT i.id, e.connector, i.endpoint, e.connection, e.account, e.deployment, e.environment,
				e.received, e.reason, i.request
			FROM inbound i JOIN event e ON e.id = i.id WHERE i.id = ?`).text(id).one(func(r row) {
			d = forward.DeadInbound{
				ID: r.text(0), Connector: r.text(1), Endpoint: r.text(2), Connection: r.text(3), Account: r.text(4),
				Deployment: r.text(5), Environment: r.text(6), ReceivedAt: r.time(7), Reason: r.text(8), Request: r.blob(9),
			}
		})
		if err == nil && !found {
			err = forward.ErrNotFound
		}
		return err
	})
	if err != nil {
		return forward.DeadInbound{}, err
	}
	return d, nil
}

// errEnough ends a scan that has what it wants.
var errEnough = errors.New("sqlite: enough")

func isEnough(err error) bool { return errors.Is(err, errEnough) }
