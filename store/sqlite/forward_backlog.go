package sqlite

import (
	"context"
	"time"

	"github.com/interactorhq/interactor/forward"
)

// Backlog implements [forward.Log]. It steps through the index of what waits, on
// a reader: writes go on meanwhile.
func (s *Store) Backlog(ctx context.Context, now time.Time) (forward.Backlog, error) {
	var b forward.Backlog
	err := s.read(ctx, func(c *conn) error {
		b = forward.Backlog{}
		for _, part := range []struct {
			from, to string // ';' is what follows ':'
			waiting  *forward.Waiting
		}{
			{"dest:", "dest;", &b.Deliveries}, {"bulk:", "bulk;", &b.Replays}, {"conn:", "conn;", &b.Calls},
		} {
			_, err := c.sql(`SELECT coalesce(sum(NOT paused AND due <= ?), 0), coalesce(sum(NOT paused AND due > ?), 0), coalesce(sum(paused), 0)
				FROM (SELECT due, lane IN (SELECT lane FROM pause) AS paused FROM task INDEXED BY task_due
					WHERE lease = 0 AND due IS NOT NULL AND lane >= ? AND lane < ?)`).
				int(now.UnixMilli()).int(now.UnixMilli()).text(part.from).text(part.to).one(func(r row) {
				*part.waiting = forward.Waiting{Due: r.int(0), Scheduled: r.int(1), Paused: r.int(2)}
			})
			if err != nil {
				return err
			}
		}
		// Those that have no due time yet: another one of their series comes first.
		_, err := c.sql(`SELECT coalesce(sum(NOT paused), 0), coalesce(sum(paused), 0)
			FROM (SELECT lane IN (SELECT lane FROM pause) AS paused FROM task INDEXED BY task_series
				WHERE series <> '' AND status = 0 AND lease = 0 AND due IS NULL)`).one(func(r row) {
			b.Deliveries.Scheduled += r.int(0)
			b.Deliveries.Paused += r.int(1)
		})
		if err != nil {
			return err
		}
		_, err = c.sql(`SELECT count(*) FROM pause WHERE lane NOT LIKE 'bulk:%'`).one(func(r row) { b.PausedLanes = int(r.int(0)) })
		return err
	})
	if err != nil {
		return forward.Backlog{}, err
	}
	return b, nil
}
