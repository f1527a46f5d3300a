package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/interactorhq/interactor/forward"
)

// replayColumns are what readReplay reads.
const replayColumns = `id, state, created, ended, reason, environment, connector, trigger, account, connection, status,
	since, until, mark, selected_all, selected, undecodable, delivered, dead, cancelled,
	(SELECT count(*) FROM task INDEXED BY task_job WHERE job = replay.id AND job <> '' AND task.status = 0)`

func readReplay(r row) forward.ReplayJob {
	states := [...]forward.ReplayState{replayRunning: forward.ReplayRunning, replayDone: forward.ReplayDone, replayCancelled: forward.ReplayCancelled}
	return forward.ReplayJob{
		ID: r.text(0), State: states[r.int(1)], Created: r.time(2), Ended: r.time(3), Reason: r.text(4),
		Query: forward.Query{
			Environment: r.text(5), Connector: r.text(6), Trigger: r.text(7), Account: r.text(8), Connection: r.text(9),
			Status: forward.Status(r.text(10)), Since: r.time(11), Until: r.time(12),
		},
		Mark: forward.Mark(r.text(13)), All: r.bool(14),
		Selected: int(r.int(15)), Undecodable: int(r.int(16)), Delivered: int(r.int(17)), Dead: int(r.int(18)),
		Cancelled: int(r.int(19)), Queued: int(r.int(20)),
	}
}

// AddReplay implements [forward.Replays].
func (s *Store) AddReplay(ctx context.Context, j forward.ReplayJob, atMost int) error {
	return s.write(ctx, func(c *conn) error {
		q := &j.Query
		n, err := c.sql(`INSERT INTO replay (id, due, created, environment, connector, trigger, account, connection, status, since, until)
			SELECT ?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
			WHERE (SELECT count(*) FROM replay INDEXED BY replay_due WHERE due IS NOT NULL AND environment = ?3) < ?11`).
			text(j.ID).int(j.Created.UnixMilli()).text(q.Environment).text(q.Connector).text(q.Trigger).text(q.Account).
			text(q.Connection).text(string(q.Status)).time(q.Since).int(q.Until.UnixMilli()).int(int64(atMost)).exec()
		if err == nil && n == 0 {
			err = forward.ErrTooManyReplays
		}
		return err
	})
}

// ReplayJob implements [forward.Replays].
func (s *Store) ReplayJob(ctx context.Context, id string) (forward.ReplayJob, error) {
	var j forward.ReplayJob
	err := s.read(ctx, func(c *conn) error {
		found, err := c.sql(`SELECT ` + replayColumns + ` FROM replay WHERE id = ?`).text(id).
			one(func(r row) { j = readReplay(r) })
		if err == nil && !found {
			err = forward.ErrNotFound
		}
		return err
	})
	return j, err
}

// ReplayJobs implements [forward.Replays].
func (s *Store) ReplayJobs(ctx context.Context, q forward.ReplaysQuery, limit int) ([]forward.ReplayJob, error) {
	var where []string
	var values []string
	if q.Environment != "*" {
		where, values = append(where, `environment = ?`), append(values, q.Environment)
	}
	if q.After != "" {
		where, values = append(where, `id < ?`), append(values, q.After)
	}
	condition := ""
	if len(where) > 0 {
		condition = ` WHERE ` + strings.Join(where, ` AND `)
	}
	return s.replays(ctx, `SELECT `+replayColumns+` FROM replay`+condition+` ORDER BY id DESC LIMIT ?`, func(st *stmt) *stmt {
		for _, v := range values {
			st.text(v)
		}
		return st.int(int64(limit))
	})
}

// ReadyReplays implements [forward.Replays].
func (s *Store) ReadyReplays(ctx context.Context, room, limit int) ([]forward.ReplayJob, error) {
	return s.replays(ctx, `SELECT `+replayColumns+` FROM replay INDEXED BY replay_due
		WHERE due IS NOT NULL AND (SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_job
			WHERE job = replay.id AND job <> '' AND status = 0 LIMIT ?1)) < CASE selected_all WHEN 0 THEN ?1 ELSE 1 END
		ORDER BY due LIMIT ?2`, func(st *stmt) *stmt { return st.int(int64(room)).int(int64(limit)) })
}

func (s *Store) replays(ctx context.Context, sql string, bind func(*stmt) *stmt) ([]forward.ReplayJob, error) {
	var list []forward.ReplayJob
	err := s.read(ctx, func(c *conn) error {
		list = nil
		return bind(c.sql(sql)).each(func(r row) error {
			list = append(list, readReplay(r))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// CancelReplay implements [forward.Replays].
func (s *Store) CancelReplay(ctx context.Context, id, reason string, at time.Time) error {
	return s.write(ctx, func(c *conn) error {
		n, err := c.sql(`UPDATE replay SET state = 2, due = NULL, ended = ?, reason = ? WHERE id = ? AND state = 0`).
			int(at.UnixMilli()).text(reason).text(id).exec()
		if err != nil {
			return err
		}
		if n == 0 {
			found, err := c.sql(`SELECT 1 FROM replay WHERE id = ?`).text(id).one(func(row) {})
			if err == nil && !found {
				err = forward.ErrNotFound
			}
			return err
		}
		return endCancelled(c, id)
	})
}

// endCancelled ends those deliveries of a cancelled replay that wait. Of another
// replay it changes nothing.
func endCancelled(c *conn, replay string) error {
	var reason string
	found, err := c.sql(`SELECT reason FROM replay WHERE id = ? AND state = 2`).text(replay).
		one(func(r row) { reason = cancelReason(replay, r.text(0)) })
	if err != nil || !found {
		return err
	}
	type delivery struct{ id, event string }
	var waiting []delivery
	err = c.sql(`SELECT id, event FROM task INDEXED BY task_job WHERE job = ? AND job <> '' AND status = 0 AND lease = 0`).text(replay).
		each(func(r row) error {
			waiting = append(waiting, delivery{r.text(0), r.text(1)})
			return nil
		})
	if err != nil {
		return err
	}
	for _, d := range waiting {
		_, err := c.sql(`UPDATE task SET status = 3, reason = ?, due = NULL WHERE id = ?`).text(reason).text(d.id).exec()
		if err != nil {
			return err
		}
		if err := settleEvent(c, d.event); err != nil {
			return err
		}
	}
	_, err = c.sql(`UPDATE replay SET cancelled = cancelled + ? WHERE id = ?`).int(int64(len(waiting))).text(replay).exec()
	return err
}

func cancelReason(replay, reason string) string { return "replay " + replay + ": " + reason }

// endAllCancelled is endCancelled for all replays, when a store is opened: what
// was leased waits again.
func endAllCancelled(c *conn) error {
	var replays []string
	err := c.sql(`SELECT DISTINCT job FROM task INDEXED BY task_job WHERE job <> '' AND status = 0`).each(func(r row) error {
		replays = append(replays, r.text(0))
		return nil
	})
	for _, id := range replays {
		if err == nil {
			err = endCancelled(c, id)
		}
	}
	return err
}

// replayOutcome counts what became of a delivery of a replay. One that would
// have to be tried again ends when its replay was cancelled.
func replayOutcome(c *conn, replay string, state int64, reason string) (int64, string, error) {
	stopped := false
	if state == pending {
		var why string
		found, err := c.sql(`SELECT reason FROM replay WHERE id = ? AND state = 2`).text(replay).one(func(r row) { why = r.text(0) })
		if err != nil || !found {
			return state, reason, err
		}
		stopped, state, reason = true, cancelled, cancelReason(replay, why)
	}
	_, err := c.sql(`UPDATE replay SET delivered = delivered + ?, dead = dead + ?, cancelled = cancelled + ? WHERE id = ?`).
		bool(state == delivered).bool(state == dead).bool(stopped).text(replay).exec()
	return state, reason, err
}

// replayThere reports whether a replay is running where a step starts.
func replayThere(c *conn, step *forward.ReplayStep) error {
	there, err := c.sql(`SELECT 1 FROM replay WHERE id = ? AND state = 0 AND mark = ?`).
		text(step.Replay).text(string(step.From)).one(func(row) {})
	if err == nil && !there {
		err = fmt.Errorf("sqlite: replay %s: %w", step.Replay, forward.ErrReplayMoved)
	}
	return err
}

// moveReplay moves a replay on; the deliveries of the step are stored. At its
// end, with nothing left to wait for, it is done.
func moveReplay(c *conn, step *forward.ReplayStep) error {
	_, err := c.sql(`UPDATE replay SET due = ?, mark = ?, selected = selected + ?,
			undecodable = undecodable + ?, selected_all = ? WHERE id = ?`).
		int(step.At.UnixMilli()).text(string(step.To)).int(int64(step.Selected)).int(int64(step.Undecodable)).bool(step.Last).
		text(step.Replay).exec()
	if err != nil || !step.Last {
		return err
	}
	_, err = c.sql(`UPDATE replay SET state = 1, due = NULL, ended = ? WHERE id = ?
		AND NOT EXISTS (SELECT 1 FROM task INDEXED BY task_job WHERE job = replay.id AND job <> '' AND status = 0)`).
		int(step.At.UnixMilli()).text(step.Replay).exec()
	return err
}

// PurgeReplays implements [forward.Replays].
func (s *Store) PurgeReplays(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := s.write(ctx, func(c *conn) (err error) {
		n, err = c.sql(`DELETE FROM replay WHERE id IN (
			SELECT id FROM replay INDEXED BY replay_ended WHERE ended IS NOT NULL AND ended < ?
				AND NOT EXISTS (SELECT 1 FROM task INDEXED BY task_job WHERE job = replay.id AND job <> '' AND status = 0)
			ORDER BY ended LIMIT ?)`).int(before.UnixMilli()).int(int64(limit)).exec()
		return err
	})
	return int(n), err
}

// Delivery implements [forward.Log].
func (s *Store) Delivery(ctx context.Context, id string) (forward.Delivery, error) {
	var d forward.Delivery
	err := s.read(ctx, func(c *conn) error {
		event := ""
		found, err := c.sql(`SELECT event FROM task WHERE id = ? AND kind = 'deliver'`).text(id).one(func(r row) { event = r.text(0) })
		if err != nil {
			return err
		}
		if found {
			list, err := deliveries(c, event)
			if err != nil {
				return err
			}
			for _, d = range list {
				if d.ID == id {
					return nil
				}
			}
		}
		return forward.ErrNotFound
	})
	if err != nil {
		return forward.Delivery{}, err
	}
	return d, nil
}
