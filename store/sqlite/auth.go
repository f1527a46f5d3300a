package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/interactorhq/interactor/auth"
)

var _ auth.Store = (*Store)(nil)

// PutState implements [auth.States].
func (s *Store) PutState(ctx context.Context, st auth.State) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.sql(`INSERT INTO consent (id, sealed, until) VALUES (?, ?, ?)`).text(st.ID).blob(notNil(st.Sealed)).time(st.Until).exec()
		return err
	})
}

// PeekState implements [auth.States].
func (s *Store) PeekState(ctx context.Context, id string, now time.Time) (st auth.State, err error) {
	err = s.read(ctx, func(c *conn) error {
		st, err = stateByID(c, id, now)
		return err
	})
	return st, err
}

// TakeState implements [auth.States].
func (s *Store) TakeState(ctx context.Context, id string, now time.Time) (auth.State, error) {
	var taken auth.State // not a result: the write may go on after ctx has ended
	err := s.write(ctx, func(c *conn) (err error) {
		if taken, err = stateByID(c, id, now); err != nil {
			return err
		}
		_, err = c.sql(`DELETE FROM consent WHERE id = ?`).text(id).exec()
		return err
	})
	if err != nil {
		return auth.State{}, err
	}
	return taken, nil
}

func stateByID(c *conn, id string, now time.Time) (auth.State, error) {
	st := auth.State{ID: id}
	found, err := c.sql(`SELECT sealed, until FROM consent WHERE id = ? AND until > ?`).text(id).time(now).one(func(r row) {
		st.Sealed, st.Until = r.blob(0), r.time(1)
	})
	if err != nil {
		return auth.State{}, err
	}
	if !found {
		return auth.State{}, auth.ErrState
	}
	return st, nil
}

// PurgeStates implements [auth.States].
func (s *Store) PurgeStates(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := s.write(ctx, func(c *conn) (err error) {
		n, err = c.sql(`DELETE FROM consent WHERE id IN (SELECT id FROM consent WHERE until < ? ORDER BY until LIMIT ?)`).
			time(before).int(int64(limit)).exec()
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// SaveApp implements [auth.Apps].
func (s *Store) SaveApp(ctx context.Context, a auth.AppRecord) error {
	return s.writeRouting(ctx, func(c *conn) error {
		if a.Version == 0 {
			_, err := c.sql(`INSERT INTO app (id, environment, connector, client, external, deleted, sealed, created, updated, version)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`).text(a.ID).text(a.Environment).text(a.Connector).text(a.ClientID).
				bool(a.External).bool(a.Deleted).blob(a.Sealed).time(a.CreatedAt).time(a.UpdatedAt).exec()
			if isUnique(err) {
				return auth.ErrConflict
			}
			return err
		}
		n, err := c.sql(`UPDATE app SET client = ?, external = ?, deleted = ?, sealed = ?, updated = ?, version = version + 1
			WHERE id = ? AND version = ?`).text(a.ClientID).bool(a.External).bool(a.Deleted).blob(a.Sealed).time(a.UpdatedAt).
			text(a.ID).int(a.Version).exec()
		if err == nil && n == 0 {
			return auth.ErrConflict
		}
		return err
	})
}

const selectApp = `SELECT id, environment, connector, client, external, deleted, sealed, created, updated, version FROM app `

// AppByID implements [auth.Apps].
func (s *Store) AppByID(ctx context.Context, id string) (auth.AppRecord, error) {
	return s.app(ctx, func(c *conn) *stmt { return c.sql(selectApp + `WHERE id = ?`).text(id) })
}

// AppOf implements [auth.Apps].
func (s *Store) AppOf(ctx context.Context, environment, connector string) (auth.AppRecord, error) {
	return s.app(ctx, func(c *conn) *stmt {
		return c.sql(selectApp + `WHERE environment = ? AND connector = ?`).text(environment).text(connector)
	})
}

func (s *Store) app(ctx context.Context, query func(*conn) *stmt) (a auth.AppRecord, err error) {
	err = s.read(ctx, func(c *conn) error {
		found, err := query(c).one(func(r row) { a = appRecord(r) })
		if err == nil && !found {
			return auth.ErrNoApp
		}
		return err
	})
	return a, err
}

func appRecord(r row) auth.AppRecord {
	return auth.AppRecord{
		ID: r.text(0), Environment: r.text(1), Connector: r.text(2), ClientID: r.text(3), External: r.bool(4),
		Deleted: r.bool(5), Sealed: r.blob(6), CreatedAt: r.time(7), UpdatedAt: r.time(8), Version: r.int(9),
	}
}

// AppsOf implements [auth.Apps].
func (s *Store) AppsOf(ctx context.Context, connector, after string, limit int) (list []auth.AppRecord, err error) {
	err = s.read(ctx, func(c *conn) error {
		list = nil
		return c.sql(selectApp + `WHERE connector = ? AND id > ? ORDER BY id LIMIT ?`).text(connector).text(after).int(int64(limit)).
			each(func(r row) error {
				list = append(list, appRecord(r))
				return nil
			})
	})
	return list, err
}

// AppClients implements [auth.Apps].
func (s *Store) AppClients(ctx context.Context, app string) (clients []string, err error) {
	err = s.read(ctx, func(c *conn) error {
		clients = nil
		return c.sql(`SELECT DISTINCT client FROM connection WHERE app = ? AND app <> '' AND erased = 0 ORDER BY client`).text(app).each(func(r row) error {
			clients = append(clients, r.text(0))
			return nil
		})
	})
	return clients, err
}

// locks of the room "auth" live in memory: one process has the file.
type locks struct {
	mu   sync.Mutex
	held map[string]heldLock
}

type heldLock struct {
	owner string
	until time.Time
}

// TryLock implements [auth.Locks].
func (s *Store) TryLock(ctx context.Context, name, owner string, now, until time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	if h, ok := s.locks.held[name]; ok && h.owner != owner && h.until.After(now) {
		return false, nil
	}
	if s.locks.held == nil {
		s.locks.held = make(map[string]heldLock)
	}
	s.locks.held[name] = heldLock{owner, until}
	return true, nil
}

// Unlock implements [auth.Locks].
func (s *Store) Unlock(_ context.Context, name, owner string) error {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	if s.locks.held[name].owner == owner {
		delete(s.locks.held, name)
	}
	return nil
}
