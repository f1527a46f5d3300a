package sqlite

import (
	"context"
	"slices"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// keyStep is how many dedupe keys are removed in one go: other writes wait for it.
const keyStep = 1024

// PutErasure implements [forward.Retention].
func (s *Store) PutErasure(ctx context.Context, e forward.Erasure) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.sql(`INSERT INTO erasure (environment, account, due) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`).
			text(e.Environment).text(e.Account).int(e.At.UnixMilli()).exec()
		return err
	})
}

// Erasures implements [forward.Retention].
func (s *Store) Erasures(ctx context.Context) ([]forward.Erasure, error) {
	var list []forward.Erasure
	err := s.read(ctx, func(c *conn) error {
		list = nil
		return c.sql(`SELECT environment, account, due FROM erasure ORDER BY due, environment, account`).each(func(r row) error {
			list = append(list, forward.Erasure{Environment: r.text(0), Account: r.text(1), At: r.time(2)})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// EndErasure implements [forward.Retention].
func (s *Store) EndErasure(ctx context.Context, e forward.Erasure) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.sql(`DELETE FROM erasure WHERE environment = ? AND account = ?`).text(e.Environment).text(e.Account).exec()
		return err
	})
}

// Erase implements [forward.Retention]. Each step can be the last one before a
// crash: keys go before the events that tell which ones they are.
func (s *Store) Erase(ctx context.Context, e forward.Erasure, limit int) (int, error) {
	removed := 0
	for removed < limit {
		step := min(purgeStep, limit-removed)
		events, err := s.eventsOf(ctx, e, step)
		if err != nil {
			return removed, err
		}
		if err := s.eraseScopes(ctx, scopesOf(events)); err != nil {
			return removed, err
		}
		n := 0
		err = s.wipe(ctx, func(c *conn) (err error) {
			n, err = eraseEvents(c, events)
			return err
		})
		if err != nil {
			return removed, err
		}
		if removed += n; len(events) < step {
			break
		}
	}
	if removed == limit {
		return removed, nil // there may be more
	}
	var scopes []string
	for _, connection := range e.Connections {
		for _, name := range e.Triggers {
			scopes = append(scopes, string(dedupeScope(trigger.Event{Connection: connection, Trigger: name})))
		}
	}
	if err := s.eraseScopes(ctx, scopes); err != nil {
		return removed, err
	}
	return removed, s.wipe(ctx, func(c *conn) error {
		if _, err := c.sql(`DELETE FROM news WHERE environment = ? AND account = ?`).text(e.Environment).text(e.Account).exec(); err != nil {
			return err
		}
		for _, connection := range e.Connections {
			if err := eraseExpands(c, "conn:"+connection); err != nil {
				return err
			}
		}
		return nil
	})
}

// eventsOf returns some events of an account: what their keys are made of.
func (s *Store) eventsOf(ctx context.Context, e forward.Erasure, limit int) (events []trigger.Event, err error) {
	err = s.read(ctx, func(c *conn) error {
		events = nil
		return c.sql(`SELECT id, connection, environment, connector, trigger, dedupe FROM event INDEXED BY event_account
			WHERE environment = ? AND account = ? AND account <> '' LIMIT ?`).
			text(e.Environment).text(e.Account).int(int64(limit)).each(func(r row) error {
			events = append(events, trigger.Event{
				ID: r.text(0), Connection: r.text(1), Environment: r.text(2), Connector: r.text(3), Trigger: r.text(4), DedupeKey: r.text(5),
			})
			return nil
		})
	})
	return events, err
}

// scopesOf returns what the keys of events with a Connection begin with, each once.
func scopesOf(events []trigger.Event) (scopes []string) {
	for i := range events {
		if events[i].Connection == "" {
			continue
		}
		if scope := string(dedupeScope(events[i])); !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// eraseScopes removes all keys that begin with one of the scopes.
func (s *Store) eraseScopes(ctx context.Context, scopes []string) error {
	for _, scope := range scopes {
		from, to := []byte(scope), append([]byte(scope), 0xff) // behind the scope stands t or h
		for more := true; more; {
			err := s.wipe(ctx, func(c *conn) error {
				n, err := c.sql(`DELETE FROM dedupe WHERE key IN (SELECT key FROM dedupe WHERE key > ? AND key < ? LIMIT ?)`).
					blob(from).blob(to).int(keyStep).exec()
				more = n == keyStep
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// eraseEvents removes events, and the keys of those that have no Connection. The
// key of one that was too long to be kept beside it is a hash, and stays.
func eraseEvents(c *conn, events []trigger.Event) (removed int, err error) {
	for _, e := range events {
		if e.Connection == "" {
			if _, err := c.sql(`DELETE FROM dedupe WHERE key = ?`).blob(dedupeKey(e)).exec(); err != nil {
				return 0, err
			}
		}
		// Read here and not before: one that was purged meanwhile may have left its
		// place to another one's payload.
		var payload int64
		found, err := c.sql(`SELECT payload FROM event WHERE id = ?`).text(e.ID).one(func(r row) { payload = r.int(0) })
		if err != nil {
			return 0, err
		}
		if !found {
			continue
		}
		if err := removeEvent(c, e.ID, payload); err != nil {
			return 0, err
		}
		removed++
	}
	return removed, nil
}

// eraseExpands removes what waits in the lane of a Connection, or is leased. Polls
// belong to their watch, and go with it.
func eraseExpands(c *conn, lane string) error {
	_, err := c.sql(`DELETE FROM task WHERE id IN (
		SELECT id FROM task INDEXED BY task_due WHERE lane = ?1 AND lease = 0 AND due IS NOT NULL AND kind = 'expand'
		UNION ALL
		SELECT id FROM task INDEXED BY task_leased WHERE lease <> 0 AND lane = ?1 AND kind = 'expand')`).text(lane).exec()
	return err
}

// wipe is write for what must not linger: pages that become free are overwritten.
func (s *Store) wipe(ctx context.Context, f func(*conn) error) error {
	return s.write(ctx, func(c *conn) error {
		if err := c.script(`PRAGMA secure_delete = ON`); err != nil {
			return err
		}
		err := f(c)
		if e := c.script(`PRAGMA secure_delete = FAST`); err == nil {
			err = e
		}
		return err
	})
}
