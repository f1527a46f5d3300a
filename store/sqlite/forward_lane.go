package sqlite

import (
	"context"
	"strings"
	"time"

	"github.com/interactorhq/interactor/forward"
)

// Lane implements [forward.Queue].
func (s *Store) Lane(ctx context.Context, name string) (state forward.LaneState, err error) {
	name = mainLane(name)
	err = s.read(ctx, func(c *conn) error {
		state = forward.LaneState{}
		_, err := c.sql(`SELECT reason, since FROM pause WHERE lane = ?`).text(name).
			one(func(r row) { state.PausedReason, state.PausedSince = r.text(0), r.time(1) })
		if err != nil {
			return err
		}
		_, err = c.sql(`SELECT nullif(failing, 0), nullif(rest, 0) FROM lane WHERE lane = ?`).text(name).
			one(func(r row) { state.FailingSince, state.RestUntil = r.time(0), r.time(1) })
		return err
	})
	return state, err
}

// Pause implements [forward.Queue].
func (s *Store) Pause(ctx context.Context, name, reason string, since time.Time) error {
	return s.write(ctx, func(c *conn) error {
		if !since.IsZero() {
			return pauseLane(c, name, reason, since)
		}
		if _, err := c.sql(`DELETE FROM lane WHERE lane = ?`).text(mainLane(name)).exec(); err != nil {
			return err
		}
		for _, name := range bothLanes(name) {
			if _, err := c.sql(`DELETE FROM pause WHERE lane = ?`).text(name).exec(); err != nil {
				return err
			}
		}
		return nil
	})
}

// pauseLane leaves a lane as it is that is paused already: the first reason counts.
func pauseLane(c *conn, name, reason string, since time.Time) error {
	for _, name := range bothLanes(name) {
		_, err := c.sql(`INSERT INTO pause (lane, reason, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`).
			text(name).text(reason).int(since.UnixMilli()).exec()
		if err != nil {
			return err
		}
	}
	return nil
}

// laneOutcome records what an outcome says about its lane: mostly nothing.
func laneOutcome(c *conn, o *forward.Outcome) error {
	if o.Pause != "" {
		if err := pauseLane(c, o.Task.Lane, o.Pause, o.Attempt.At); err != nil {
			return err
		}
	}
	if o.Recovered {
		// What a receiver asked for by another try that has ended meanwhile stays.
		n, err := c.sql(`DELETE FROM lane WHERE lane = ? AND rest <= ?`).text(mainLane(o.Task.Lane)).int(dueAt(o.Attempt.At)).exec()
		if err == nil && n == 0 {
			_, err = c.sql(`UPDATE lane SET failing = 0 WHERE lane = ?`).text(mainLane(o.Task.Lane)).exec()
		}
		if err != nil {
			return err
		}
	}
	if !o.Failing.IsZero() {
		_, err := c.sql(`INSERT INTO lane (lane, failing) VALUES (?, ?) ON CONFLICT DO UPDATE SET failing = excluded.failing`).
			text(mainLane(o.Task.Lane)).int(o.Failing.UnixMilli()).exec()
		if err != nil {
			return err
		}
	}
	if !o.Rest.IsZero() {
		// Rounded up, for it must not be undercut.
		_, err := c.sql(`INSERT INTO lane (lane, rest) VALUES (?, ?) ON CONFLICT DO UPDATE SET rest = max(rest, excluded.rest)`).
			text(mainLane(o.Task.Lane)).int(o.Rest.Add(time.Millisecond - 1).UnixMilli()).exec()
		return err
	}
	return nil
}

// joinSeries stores a delivery behind those of its series that are not finished.
// While there are any, it is neither leased nor due.
func (s *Store) joinSeries(c *conn, t *forward.Task, later bool) error {
	waits, err := c.sql(`SELECT 1 FROM task INDEXED BY task_series
		WHERE lane = ? AND series = ? AND series <> '' AND status = 0 LIMIT 1`).text(t.Lane).text(t.Series).one(func(row) {})
	if err != nil {
		return err
	}
	st := c.sql(`INSERT INTO task (id, kind, lane, event, later, replay, tries, trace, job, series, turn, lease, due)
		VALUES (?, 'deliver', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
		text(t.ID).text(t.Lane).text(t.Event.ID).bool(later).bool(t.Replay).int(int64(t.Tries)).
		text(t.Trace).text(t.Job).text(t.Series).int(s.nextLease()) // it grows for ever, also when the clock is put back
	if waits {
		t.Lease = 0
		st.int(0).blob(nil)
	} else {
		st.int(t.Lease).int(dueAt(t.Due))
	}
	_, err = st.exec()
	return err
}

// nextInSeries makes the delivery due that comes after one which is finished.
func nextInSeries(c *conn, t *forward.Task, now time.Time) error {
	_, err := c.sql(`UPDATE task SET due = ? WHERE due IS NULL AND id = (SELECT id FROM task INDEXED BY task_series
		WHERE lane = ? AND series = ? AND series <> '' AND status = 0 ORDER BY turn LIMIT 1)`).
		int(dueAt(now)).text(t.Lane).text(t.Series).exec()
	return err
}

// mainLane is the lane that speaks for a destination: of "bulk:…" it is "dest:…".
func mainLane(name string) string {
	if environment, bulk := strings.CutPrefix(name, "bulk:"); bulk {
		return "dest:" + environment
	}
	return name
}

// bothLanes are those that are paused together.
func bothLanes(name string) []string {
	name = mainLane(name)
	if environment, dest := strings.CutPrefix(name, "dest:"); dest {
		return []string{name, "bulk:" + environment}
	}
	return []string{name}
}
