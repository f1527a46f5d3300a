package sqlite

import (
	"context"
	"net/http"
	"strings"

	"github.com/interactorhq/interactor/forward"
)

// Finish implements [forward.Queue].
func (s *Store) Finish(ctx context.Context, outcomes []forward.Outcome) ([]int, error) {
	headers := make([][2]string, len(outcomes))
	bytes := 0
	for i := range outcomes {
		a := &outcomes[i].Attempt
		headers[i] = [2]string{headerText(a.RequestHeader), headerText(a.ResponseHeader)}
		bytes += 512 + len(headers[i][0]) + len(headers[i][1]) + len(a.Response)
	}
	var lost []int
	err := s.writePatient(ctx, bytes, func(c *conn) error {
		lost = nil
		for i := range outcomes {
			held, err := s.finish(c, &outcomes[i], headers[i])
			if err != nil {
				return err
			}
			if !held {
				lost = append(lost, i)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return lost, nil
}

// finish records one outcome and says whether its lease was still held.
func (s *Store) finish(c *conn, o *forward.Outcome, headers [2]string) (held bool, err error) {
	a := &o.Attempt
	n, err := c.sql(`INSERT INTO attempt (prev, task, at, took, url, code, error, request_header, response_header, response,
			class, dns, connect, tls, first_byte, reused)
		SELECT attempt, id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM task
		WHERE id = ? AND lease = ? AND lease <> 0 AND kind = 'deliver'`).
		int(dueAt(a.At)).int(a.Took.Microseconds()).text(a.URL).int(int64(a.StatusCode)).text(a.Error).
		text(headers[0]).text(headers[1]).blob(a.Response).text(string(a.Class)).
		int(a.Timing.DNS.Microseconds()).int(a.Timing.Connect.Microseconds()).int(a.Timing.TLS.Microseconds()).
		int(a.Timing.FirstByte.Microseconds()).bool(a.Timing.Reused).text(o.Task.ID).int(o.Task.Lease).exec()
	if err != nil || n == 0 {
		return false, err
	}
	state, reason, attempt := stateOf(o.Status), o.Reason, c.db.LastInsertRowID()
	if o.Task.Job != "" {
		if state, reason, err = replayOutcome(c, o.Task.Job, state, reason); err != nil {
			return false, err
		}
	}
	st := c.sql(`UPDATE task SET lease = 0, tries = tries + 1, attempt = ?, status = ?, reason = ?, due = ? WHERE id = ?`).
		int(attempt).int(state).text(reason)
	if state == pending {
		st.int(dueAt(o.Due))
	} else {
		st.blob(nil)
	}
	if _, err := st.text(o.Task.ID).exec(); err != nil {
		return false, err
	}
	if state != pending {
		if err := finishEvent(c, o.Task.Event.ID, state, reason); err != nil {
			return false, err
		}
		if o.Task.Series != "" {
			if err := nextInSeries(c, &o.Task, a.At.Add(a.Took)); err != nil {
				return false, err
			}
		}
	}
	if err := laneOutcome(c, o); err != nil {
		return false, err
	}
	return true, nil
}

// finishEvent gives an event the state that a delivery has reached.
func finishEvent(c *conn, id string, state int64, reason string) error {
	if state == delivered || state == dead {
		n, err := c.sql(`UPDATE event SET status = ?, reason = ? WHERE id = ? AND deliveries = 1`).
			int(state).text(reason).text(id).exec()
		if err != nil || n > 0 {
			return err
		}
	}
	return settleEvent(c, id)
}

// settleEvent gives an event the state that its deliveries make: pending as long
// as one of them is, then the least finished of the newest one to each
// destination. Those that were cancelled do not count, unless there is no other.
func settleEvent(c *conn, id string) error {
	newest := map[string]string{}
	states := map[string]int64{}
	reasons := map[string]string{}
	waits := false
	err := eachDelivery(c, id, `id, lane, status, reason`, func(r row) error {
		task, to, state := r.text(0), mainLane(r.text(1)), r.int(2)
		waits = waits || state == pending
		older := newest[to]
		if old := states[to]; older == "" || (state == cancelled) == (old == cancelled) && task > older || old == cancelled && state != cancelled {
			newest[to], states[to], reasons[to] = task, state, r.text(3)
		}
		return nil
	})
	if err != nil || waits {
		return err // it is pending already
	}
	state, reason := int64(delivered), ""
	for to, s := range states {
		if s != delivered {
			state, reason = dead, reasons[to]
		}
	}
	_, err = c.sql(`UPDATE event SET status = ?, reason = ? WHERE id = ?`).int(state).text(reason).text(id).exec()
	return err
}

// moreDeliveries makes an event that is stored pending again, because of a
// delivery that joins those it has. It says whether the event is there.
func moreDeliveries(c *conn, id string) (bool, error) {
	n, err := c.sql(`UPDATE event SET status = 0, reason = '', deliveries = deliveries + 1 WHERE id = ?`).text(id).exec()
	return n > 0, err
}

// eachDelivery calls scan with columns of each delivery of an event, oldest first.
func eachDelivery(c *conn, event, columns string, scan func(row) error) error {
	return c.sql(`SELECT ` + columns + ` FROM task
		WHERE id = (SELECT delivery FROM event WHERE event.id = ?1)
		UNION ALL
		SELECT ` + columns + ` FROM task INDEXED BY task_later WHERE event = ?1 AND later = 1
		ORDER BY 1`).text(event).each(scan)
}

// dueTime is when a task is due, as it is stored; ok: it does not sleep.
type dueTime struct {
	at int64
	ok bool
}

// leaseHeld says whether a task is leased with its token. A due time that was set
// after the lease began is returned: somebody wants it sooner.
func leaseHeld(c *conn, t forward.Task) (sooner dueTime, held bool, err error) {
	held, err = c.sql(`SELECT due FROM task WHERE id = ? AND lease = ? AND lease <> 0 AND kind <> 'deliver'`).
		text(t.ID).int(t.Lease).one(func(r row) {
		if due := r.time(0); !due.IsZero() && due.UnixMilli() != dueAt(t.Due) {
			sooner = dueTime{due.UnixMilli(), true}
		}
	})
	return sooner, held, err
}

// finishTask ends the lease of a task of kind expand or poll. leaseHeld was true.
func finishTask(c *conn, f *forward.Finished, sooner dueTime) error {
	due := dueTime{dueAt(f.Due), !f.Due.IsZero()}
	if sooner.ok && (!due.ok || sooner.at < due.at) {
		due = sooner
	}
	if !due.ok && f.Task.Kind != forward.Poll {
		_, err := c.sql(`DELETE FROM task WHERE id = ?`).text(f.Task.ID).exec()
		return err
	}
	st := c.sql(`UPDATE task SET lease = 0, tries = ?, error = ?, due = ? WHERE id = ?`).int(int64(f.Tries)).text(f.Error)
	if due.ok {
		st.int(due.at)
	} else {
		st.blob(nil)
	}
	_, err := st.text(f.Task.ID).exec()
	return err
}

// headerText writes a header as "Name: value" lines, the order of names open.
func headerText(h http.Header) string {
	if len(h) == 0 {
		return ""
	}
	var b strings.Builder
	for name, values := range h {
		for _, v := range values {
			b.WriteString(name)
			b.WriteString(": ")
			if strings.ContainsAny(v, "\r\n") { // cannot come over HTTP
				v = strings.NewReplacer("\r", " ", "\n", " ").Replace(v)
			}
			b.WriteString(v)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// parseHeader reads what headerText wrote; nil for none.
func parseHeader(text string) http.Header {
	if text == "" {
		return nil
	}
	h := http.Header{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		h[name] = append(h[name], value)
	}
	return h
}
