package sqlite

import (
	"context"
	"errors"
	"time"
)

// purgeStep is how many events are removed in one go: other writes wait for it.
const purgeStep = 64

// Purge implements [forward.Retention].
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	removed := 0
	for from, more := int64(0), true; more && removed < limit; {
		// Found by a reader, so that old pending events, which stay, delay no write.
		// The next step goes on where this one ends: they are passed once.
		var ids []string
		err := s.read(ctx, func(c *conn) (err error) {
			ids, from, more, err = finishedBefore(c, before, from, min(purgeStep, limit-removed))
			return err
		})
		if err != nil {
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
		removed += n
	}
	return removed, nil
}

// finishedBefore looks, from a place in the order of storing on, for finished
// events that were received before a time. It returns where to go on, and whether
// there may be more: events are stored in about the order in which they were
// received, so a long run without an old one is the end.
func finishedBefore(c *conn, before time.Time, from int64, limit int) (ids []string, next int64, more bool, err error) {
	const run = 4096
	next = from
	seen, old := 0, false
	err = c.sql(`SELECT n, received, status, id FROM event WHERE n > ? ORDER BY n LIMIT ?`).int(from).int(run).each(func(r row) error {
		seen++
		next = r.int(0)
		if r.int(1) >= before.UnixMilli() {
			return nil
		}
		old = true
		if r.int(2) != pending {
			if ids = append(ids, r.text(3)); len(ids) == limit {
				return errEnough
			}
		}
		return nil
	})
	if isEnough(err) {
		return ids, next, true, nil
	}
	return ids, next, old && seen == run, err
}

// purgeEvent removes a finished event and all that belongs to it.
func purgeEvent(c *conn, id string) (bool, error) {
	var payload int64
	found, err := c.sql(`SELECT payload FROM event WHERE id = ? AND status <> 0`).text(id).
		one(func(r row) { payload = r.int(0) })
	if err != nil || !found {
		return false, err
	}
	return true, removeEvent(c, id, payload)
}

// removeEvent removes an event and all that belongs to it.
func removeEvent(c *conn, id string, payload int64) error {
	var tasks []string
	var last []int64
	err := eachDelivery(c, id, `id, attempt`, func(r row) error {
		tasks, last = append(tasks, r.text(0)), append(last, r.int(1))
		return nil
	})
	if err != nil {
		return err
	}
	for i, task := range tasks {
		for n := last[i]; n != 0; {
			var prev int64
			if _, err := c.sql(`DELETE FROM attempt WHERE n = ? RETURNING prev`).int(n).
				one(func(r row) { prev = r.int(0) }); err != nil {
				return err
			}
			n = prev
		}
		if _, err := c.sql(`DELETE FROM task WHERE id = ?`).text(task).exec(); err != nil {
			return err
		}
	}
	if _, err := c.sql(`DELETE FROM payload WHERE n = ?`).int(payload).exec(); err != nil {
		return err
	}
	if _, err := c.sql(`DELETE FROM inbound WHERE id = ?`).text(id).exec(); err != nil {
		return err
	}
	_, err = c.sql(`DELETE FROM event WHERE id = ?`).text(id).exec()
	return err
}

// PurgeKeys implements [forward.Retention]. Keys are in no order of age: an index
// of it would cost every event more than looking at all keys now and then does.
func (s *Store) PurgeKeys(ctx context.Context, before time.Time, limit int) (int, error) {
	removed := 0
	for from, more := []byte{}, true; more && removed < limit; {
		var keys [][]byte
		err := s.read(ctx, func(c *conn) (err error) {
			keys, from, more, err = keysBefore(c, before, from, min(4*purgeStep, limit-removed))
			return err
		})
		if err != nil {
			return removed, err
		}
		if len(keys) == 0 {
			continue
		}
		var n int64
		err = s.write(ctx, func(c *conn) error {
			n = 0
			for _, key := range keys {
				gone, err := c.sql(`DELETE FROM dedupe WHERE key = ? AND at < ?`).blob(key).int(before.UnixMilli()).exec()
				if err != nil {
					return err
				}
				n += gone
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		removed += int(n)
	}
	return removed, nil
}

// keysBefore looks, from a key on, for keys that were stored before a time. It
// returns where to go on, and whether there are more.
func keysBefore(c *conn, before time.Time, from []byte, limit int) (keys [][]byte, next []byte, more bool, err error) {
	const run = 16384 // looked at by one read
	next = from
	seen := 0
	err = c.sql(`SELECT key, at FROM dedupe WHERE key > ? ORDER BY key LIMIT ?`).blob(from).int(run).each(func(r row) error {
		seen++
		old := r.int(1) < before.UnixMilli()
		if old || seen == run {
			next = r.blob(0)
		}
		if old {
			if keys = append(keys, next); len(keys) == limit {
				return errEnough
			}
		}
		return nil
	})
	if isEnough(err) {
		return keys, next, true, nil
	}
	return keys, next, seen == run, err
}

// Size implements [forward.Retention]: pages that are in use, in the file and in
// the part of the WAL that is not copied yet. The file itself does not shrink, as
// free pages are used again; and the WAL's own size has its own bound.
func (s *Store) Size(ctx context.Context) (int64, error) {
	var pages, free, size int64
	// By the writer, which is never busy for long, unlike four readers.
	err := s.write(ctx, func(c *conn) error {
		return errors.Join(
			scanInt(c, `PRAGMA page_count`, &pages),
			scanInt(c, `PRAGMA freelist_count`, &free),
			scanInt(c, `PRAGMA page_size`, &size),
		)
	})
	return (pages - free) * size, err
}
