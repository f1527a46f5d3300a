package sqlite

import (
	"context"
	"time"
)

// purgeStep is how many events are removed in one go: other writes wait for it.
const purgeStep = 64

// Purge implements [forward.Retention].
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	removed := 0
	for removed < limit {
		// Found by a reader, so that old pending events, which stay, delay no write.
		var ids []string
		err := s.read(ctx, func(c *conn) error {
			ids = ids[:0]
			return c.sql(`SELECT id FROM event INDEXED BY event_received
				WHERE received < ? AND status <> 0 ORDER BY received LIMIT ?`).
				int(before.UnixMilli()).int(int64(min(purgeStep, limit-removed))).each(func(r row) error {
				ids = append(ids, r.text(0))
				return nil
			})
		})
		if err != nil || len(ids) == 0 {
			return removed, err
		}
		n := 0
		err = s.write(ctx, func(c *conn) error {
			n = 0
			for _, id := range ids {
				gone, err := purgeEvent(c, id)
				if err != nil {
					return err
				}
				if gone {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		if removed += n; n == 0 {
			return removed, nil // all of them were just replayed
		}
	}
	return removed, nil
}

// purgeEvent removes a finished event and all that belongs to it.
func purgeEvent(c *conn, id string) (bool, error) {
	var payload int64
	found, err := c.sql(`SELECT payload FROM event WHERE id = ? AND status <> 0`).text(id).
		one(func(r row) { payload = r.int(0) })
	if err != nil || !found {
		return false, err
	}
	var tasks []string
	var last []int64
	err = eachDelivery(c, id, `id, attempt`, func(r row) error {
		tasks, last = append(tasks, r.text(0)), append(last, r.int(1))
		return nil
	})
	if err != nil {
		return false, err
	}
	for i, task := range tasks {
		for n := last[i]; n != 0; {
			var prev int64
			if _, err := c.sql(`DELETE FROM attempt WHERE n = ? RETURNING prev`).int(n).
				one(func(r row) { prev = r.int(0) }); err != nil {
				return false, err
			}
			n = prev
		}
		if _, err := c.sql(`DELETE FROM task WHERE id = ?`).text(task).exec(); err != nil {
			return false, err
		}
	}
	if _, err := c.sql(`DELETE FROM payload WHERE n = ?`).int(payload).exec(); err != nil {
		return false, err
	}
	if _, err := c.sql(`DELETE FROM inbound WHERE id = ?`).text(id).exec(); err != nil {
		return false, err
	}
	_, err = c.sql(`DELETE FROM event WHERE id = ?`).text(id).exec()
	return err == nil, err
}

// PurgeKeys implements [forward.Retention].
func (s *Store) PurgeKeys(ctx context.Context, before time.Time, limit int) (int, error) {
	removed := 0
	for removed < limit {
		step := min(4*purgeStep, limit-removed)
		var n int64
		err := s.write(ctx, func(c *conn) (err error) {
			n, err = c.sql(`DELETE FROM dedupe WHERE key IN (
				SELECT key FROM dedupe INDEXED BY dedupe_at WHERE at < ? ORDER BY at LIMIT ?)`).
				int(before.UnixMilli()).int(int64(step)).exec()
			return err
		})
		if err != nil {
			return removed, err
		}
		if removed += int(n); n < int64(step) {
			break
		}
	}
	return removed, nil
}
