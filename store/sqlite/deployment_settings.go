package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/interactorhq/interactor/deployment"
)

// writeForwarding is write for what changes the settings that are in force. It
// counts the change after the commit, in memory: nobody else writes to the file.
//
// It waits for the commit also when ctx ends: a write that became durable after
// it was counted would leave others with what they had read before.
func (s *Store) writeForwarding(ctx context.Context, f func(*conn) error) error {
	return s.writeCounted(ctx, &s.forwarding, f)
}

// writeRouting is the same for what the addresses of requests, their keys and
// their recipients are read from.
func (s *Store) writeRouting(ctx context.Context, f func(*conn) error) error {
	return s.writeCounted(ctx, &s.routing, f)
}

func (s *Store) writeCounted(ctx context.Context, count *atomic.Int64, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer count.Add(1)
	return s.write(context.WithoutCancel(ctx), f)
}

// RoutingVersion implements interactor.RoutingStore.
func (s *Store) RoutingVersion(context.Context) (int64, error) {
	if err := s.failure(); err != nil {
		return 0, err
	}
	// Environments are made and deleted by writeForwarding.
	return s.routing.Load() + s.forwarding.Load(), nil
}

// ForwardingVersion implements [deployment.ForwardingStore].
func (s *Store) ForwardingVersion(context.Context) (int64, error) {
	if err := s.failure(); err != nil {
		return 0, err
	}
	return s.forwarding.Load(), nil
}

// OwnForwarding implements [deployment.ForwardingStore].
func (s *Store) OwnForwarding(ctx context.Context, id string) (f deployment.StoredForwarding, err error) {
	err = s.read(ctx, func(c *conn) error {
		f, err = ownForwarding(c, id)
		return err
	})
	return f, err
}

func ownForwarding(c *conn, id string) (deployment.StoredForwarding, error) {
	f := deployment.StoredForwarding{Owner: id}
	if err := exists(c, id); err != nil {
		return f, err
	}
	if _, err := c.sql(`SELECT public, sealed, revision FROM forwarding WHERE owner = ?`).text(id).one(func(r row) {
		f.Public, f.Sealed, f.Revision = r.blob(0), r.blob(1), r.int(2)
	}); err != nil {
		return f, err
	}
	_, err := c.sql(`SELECT managed FROM forwarding WHERE owner = coalesce((SELECT deployment FROM environment WHERE id = ?1), ?1)`).
		text(id).one(func(r row) { f.Managed = r.bool(0) })
	return f, err
}

// ForwardingInForce implements [deployment.ForwardingStore].
func (s *Store) ForwardingInForce(ctx context.Context, environment string) (f deployment.StoredForwarding, err error) {
	err = s.read(ctx, func(c *conn) error {
		if f, err = ownForwarding(c, environment); err != nil || f.Revision != 0 {
			return err
		}
		var owner string
		if _, err := c.sql(`SELECT deployment FROM environment WHERE id = ?`).text(environment).one(func(r row) { owner = r.text(0) }); err != nil {
			return err
		}
		f, err = ownForwarding(c, owner)
		return err
	})
	return f, err
}

// PutForwarding implements [deployment.ForwardingStore].
func (s *Store) PutForwarding(ctx context.Context, f deployment.StoredForwarding, watches bool, at time.Time) error {
	return s.writeForwarding(ctx, func(c *conn) error {
		now, err := ownForwarding(c, f.Owner)
		if err != nil {
			return err
		}
		if now.Revision != f.Revision {
			return fmt.Errorf("%w (%s)", deployment.ErrConflict, f.Owner)
		}
		if _, err := c.sql(`DELETE FROM forwarding WHERE owner = ?`).text(f.Owner).exec(); err != nil {
			return err
		}
		if f.Public != nil {
			if err := insertForwarding(c, f); err != nil {
				return err
			}
		}
		if !watches {
			return nil
		}
		return markBelow(c, f.Owner, at)
	})
}

// insertForwarding gives the row a revision that no row has had.
func insertForwarding(c *conn, f deployment.StoredForwarding) error {
	sealed := f.Sealed
	if sealed == nil {
		sealed = []byte{}
	}
	_, err := c.sql(`INSERT INTO forwarding (owner, public, sealed, managed) VALUES (?, ?, ?, ?)`).
		text(f.Owner).blob(f.Public).blob(sealed).bool(f.Managed && tableOf(f.Owner) == "deployment").exec()
	return err
}

// markBelow marks the connections that the settings of owner apply to.
func markBelow(c *conn, owner string, at time.Time) error {
	if tableOf(owner) == "environment" {
		return markEnvironmentDirty(c, owner, at)
	}
	var environments []string
	if err := c.sql(`SELECT id FROM environment e WHERE deployment = ? AND deleted IS NULL
		AND NOT EXISTS (SELECT 1 FROM forwarding f WHERE f.owner = e.id)`).text(owner).each(func(r row) error {
		environments = append(environments, r.text(0))
		return nil
	}); err != nil {
		return err
	}
	for _, e := range environments {
		if err := markEnvironmentDirty(c, e, at); err != nil {
			return err
		}
	}
	return nil
}

// markEnvironmentDirty is markDirty for every connection of an environment.
func markEnvironmentDirty(c *conn, environment string, at time.Time) error {
	_, err := c.sql(`INSERT INTO dirty (connection, due) SELECT id, ? FROM connection WHERE environment = ?
		ON CONFLICT (connection) DO UPDATE SET due = min(due, excluded.due), version = version + 1`).time(at).text(environment).exec()
	return err
}

// PutKey implements [deployment.KeyStore].
func (s *Store) PutKey(ctx context.Context, k deployment.Key, oldUntil time.Time) error {
	return s.write(ctx, func(c *conn) error {
		if err := exists(c, k.Environment); err != nil {
			return err
		}
		var owner string
		var current bool
		if _, err := c.sql(`SELECT environment, until IS NULL FROM api_key WHERE hash = ?`).blob(k.Hash).one(func(r row) {
			owner, current = r.text(0), r.bool(1)
		}); err != nil {
			return err
		}
		switch {
		case owner != "" && owner != k.Environment:
			return deployment.ErrKeyTaken
		case current:
			return nil
		}
		old := c.sql(`DELETE FROM api_key WHERE environment = ?`).text(k.Environment)
		if !oldUntil.IsZero() {
			_ = old.end(nil)
			old = c.sql(`UPDATE api_key SET until = min(coalesce(until, ?1), ?1) WHERE environment = ?2`).time(oldUntil).text(k.Environment)
		}
		return run(
			old,
			c.sql(`DELETE FROM api_key WHERE environment = ? AND until <= ?`).text(k.Environment).time(k.IssuedAt),
			c.sql(`INSERT INTO api_key (hash, environment, issued, until) VALUES (?, ?, ?, NULL)
				ON CONFLICT (hash) DO UPDATE SET issued = excluded.issued, until = NULL`).blob(k.Hash).text(k.Environment).time(k.IssuedAt),
		)
	})
}

// EnvironmentByKey implements [deployment.KeyStore].
func (s *Store) EnvironmentByKey(ctx context.Context, hash []byte) (e deployment.Environment, k deployment.Key, err error) {
	err = s.read(ctx, func(c *conn) error {
		found, err := c.sql(`SELECT e.id, e.deployment, e.name, e.created,
				(SELECT issued FROM api_key now WHERE now.environment = e.id AND now.until IS NULL), k.hash, k.issued, k.until
			FROM api_key k JOIN environment e ON e.id = k.environment AND e.deleted IS NULL WHERE k.hash = ?`).blob(hash).one(func(r row) {
			e = scanEnvironment(r)
			k = deployment.Key{Environment: e.ID, Hash: r.blob(5), IssuedAt: r.time(6), Until: r.time(7)}
		})
		if err == nil && !found {
			err = fmt.Errorf("%w: no such key", deployment.ErrNotFound)
		}
		return err
	})
	return e, k, err
}
