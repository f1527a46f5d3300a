package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/interactorhq/interactor/forward"
)

// leaseStep is how many tokens are set aside at Open: more than a process can use.
const leaseStep = 1 << 40

// startLeases gives back what was being worked on when the file was last in use:
// one process has the file, so whoever held these leases is gone. Tokens go on
// where nobody can have got to, so that one from before never fits again.
func (s *Store) startLeases(c *conn) error {
	if _, err := c.sql(`UPDATE task SET lease = 0 WHERE lease <> 0`).exec(); err != nil {
		return err
	}
	if err := endAllCancelled(c); err != nil {
		return err
	}
	_, err := c.sql(`UPDATE lease SET token = token + ? RETURNING token`).int(leaseStep).
		one(func(r row) { s.lease = r.int(0) - leaseStep })
	return err
}

// nextLease returns a token that is greater than all before; on the writer's
// goroutine only.
func (s *Store) nextLease() int64 {
	s.lease++
	return s.lease
}

// Lanes implements [forward.Queue]. It takes one step through the index for each
// lane that has something waiting, however much that is.
func (s *Store) Lanes(ctx context.Context, until time.Time, limit int) ([]forward.LaneDue, error) {
	var lanes []forward.LaneDue
	err := s.read(ctx, func(c *conn) error {
		lanes = nil
		return eachLane(c, func(lane string, due time.Time) {
			if !due.After(until) {
				lanes = append(lanes, forward.LaneDue{Lane: lane, Due: due})
			}
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(lanes, func(a, b forward.LaneDue) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Lane, b.Lane))
	})
	return lanes[:min(limit, len(lanes))], nil
}

// eachLane calls f with each lane that has waiting tasks and is not paused, and
// the due time of the first of them.
func eachLane(c *conn, f func(lane string, due time.Time)) error {
	paused := map[string]bool{}
	err := c.sql(`SELECT lane FROM pause`).each(func(r row) error {
		paused[r.text(0)] = true
		return nil
	})
	if err != nil {
		return err
	}
	for lane := ""; ; {
		found, err := c.sql(`SELECT lane, due FROM task INDEXED BY task_due
			WHERE lease = 0 AND due IS NOT NULL AND lane > ? ORDER BY lane, due LIMIT 1`).text(lane).
			one(func(r row) {
				if lane = r.text(0); !paused[lane] {
					f(lane, r.time(1))
				}
			})
		if err != nil || !found {
			return err
		}
	}
}

// OldestDue implements [forward.Log]. What waits in a paused lane does not count.
func (s *Store) OldestDue(ctx context.Context) (time.Time, error) {
	var oldest time.Time
	err := s.read(ctx, func(c *conn) error {
		oldest = time.Time{}
		return eachLane(c, func(_ string, due time.Time) {
			if oldest.IsZero() || due.Before(oldest) {
				oldest = due
			}
		})
	})
	return oldest, err
}

// Claim implements [forward.Queue]. How long a lease holds is of no importance
// here: only this process can have it.
func (s *Store) Claim(ctx context.Context, r forward.ClaimRequest) ([]forward.Task, error) {
	var tasks []forward.Task
	err := s.writeOwned(ctx, 0, func(c *conn) (err error) {
		tasks, err = s.claim(c, r)
		return err
	}, func() { s.disown(ctx, tasks) })
	if err != nil {
		return nil, err
	}
	return tasks, nil
}

// disown gives back leases of a caller that has gone before it learned of them.
// When that is not possible, the store has failed or is closed, and opening it
// does.
func (s *Store) disown(ctx context.Context, tasks []forward.Task) {
	tasks = slices.DeleteFunc(tasks, func(t forward.Task) bool { return t.Lease == 0 })
	if len(tasks) > 0 {
		_ = s.Release(context.WithoutCancel(ctx), tasks)
	}
}

func (s *Store) claim(c *conn, r forward.ClaimRequest) ([]forward.Task, error) {
	paused, err := c.sql(`SELECT 1 FROM pause WHERE lane = ?`).text(r.Lane).one(func(row) {})
	if err != nil || paused {
		return nil, err
	}
	var (
		tasks []forward.Task
		bytes int64
		token = s.nextLease()
	)
	err = c.sql(`SELECT t.id, t.kind, t.due, t.tries, t.replay, t.subscription, t.thin, t.merge, t.series,
			length(p.payload), length(p.raw), t.trace, t.job, ` + eventColumns + `
		FROM (SELECT id, kind, due, tries, replay, subscription, thin, merge, event, series, trace, job FROM task INDEXED BY task_due
			WHERE lane = ? AND lease = 0 AND due IS NOT NULL AND due <= ? ORDER BY due, id LIMIT ?) t
		LEFT JOIN event e ON e.id = t.event
		LEFT JOIN payload p ON p.n = e.payload
		ORDER BY t.due, t.id`).
		text(r.Lane).int(r.Now.UnixMilli()).int(int64(r.Limit)).
		each(func(row row) error {
			t := forward.Task{
				ID: row.text(0), Kind: forward.Kind(row.text(1)), Lane: r.Lane, Due: row.time(2), Lease: token,
				Tries: int(row.int(3)), Replay: row.bool(4),
				Subscription: row.text(5), Thin: row.blob(6), Merge: row.text(7), Series: row.text(8), Trace: row.text(11),
			}
			if t.Kind == forward.Deliver {
				if bytes += row.int(9) + row.int(10); bytes > r.Bytes && r.Bytes > 0 && len(tasks) > 0 {
					return errEnough
				}
				t.Job, t.Event = row.text(12), readEvent(row, 13)
			} else if bytes += int64(len(t.Thin)); bytes > r.Bytes && r.Bytes > 0 && len(tasks) > 0 {
				return errEnough
			}
			tasks = append(tasks, t)
			return nil
		})
	if err != nil && !isEnough(err) {
		return nil, err
	}
	for i := range tasks {
		if _, err := c.sql(`UPDATE task SET lease = ? WHERE id = ?`).int(token).text(tasks[i].ID).exec(); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

// Release implements [forward.Queue].
func (s *Store) Release(ctx context.Context, tasks []forward.Task) error {
	return s.write(ctx, func(c *conn) error {
		var replays []string
		for i := range tasks {
			_, err := c.sql(`UPDATE task SET lease = 0 WHERE id = ? AND lease = ? AND lease <> 0`).
				text(tasks[i].ID).int(tasks[i].Lease).exec()
			if err != nil {
				return err
			}
			if job := tasks[i].Job; job != "" && !slices.Contains(replays, job) {
				replays = append(replays, job)
			}
		}
		for _, job := range replays {
			if err := endCancelled(c, job); err != nil {
				return err
			}
		}
		return nil
	})
}
