package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

var _ subscription.Store = (*Store)(nil)

// markDirty marks a Connection: its watches must be compared with what is
// wanted. It belongs into the commit that makes them differ. An earlier due
// time stays; the version grows, so that a comparison under way does not
// remove the new mark.
func markDirty(c *conn, connection string, due time.Time) error {
	_, err := c.sql(`INSERT INTO dirty (connection, due) VALUES (?, ?)
		ON CONFLICT (connection) DO UPDATE SET due = min(due, excluded.due), version = version + 1`).
		text(connection).time(due).exec()
	return err
}

// voidWatchLeases is what voidLeases is for tasks: one process has the file, so
// whoever was working on these is gone.
func voidWatchLeases(c *conn) error {
	if _, err := c.sql(`UPDATE dirty SET leased = 0 WHERE leased <> 0`).exec(); err != nil {
		return err
	}
	_, err := c.sql(`UPDATE subscription SET leased = 0 WHERE leased <> 0`).exec()
	return err
}

// ClaimDirty implements [subscription.Store].
func (s *Store) ClaimDirty(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]subscription.Dirty, error) {
	var out []subscription.Dirty
	// Looking first keeps an idle Reconciler from writing.
	if due, err := s.firstDue(ctx, `SELECT min(due) FROM dirty WHERE leased <= ?`, now); err != nil || due.IsZero() || due.After(now) {
		return nil, err
	}
	err := s.write(ctx, func(c *conn) error {
		out = nil
		err := c.sql(`SELECT connection, version FROM dirty WHERE due <= ? AND leased <= ? ORDER BY due LIMIT ?`).
			time(now).int(now.UnixMilli()).int(int64(limit)).each(func(r row) error {
			out = append(out, subscription.Dirty{Connection: r.text(0), Version: r.int(1)})
			return nil
		})
		if err != nil {
			return err
		}
		for _, d := range out {
			if _, err := c.sql(`UPDATE dirty SET leased = ? WHERE connection = ?`).time(now.Add(lease)).text(d.Connection).exec(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Store) firstDue(ctx context.Context, query string, now time.Time) (due time.Time, err error) {
	err = s.read(ctx, func(c *conn) error {
		_, err := c.sql(query).int(now.UnixMilli()).one(func(r row) { due = r.time(0) })
		return err
	})
	return due, err
}

// SaveComparison implements [subscription.Store].
func (s *Store) SaveComparison(ctx context.Context, d subscription.Dirty, create, change []subscription.Subscription) error {
	return s.writeRouting(ctx, func(c *conn) error {
		for _, sub := range create {
			sub.Version = 1
			if err := insertSubscription(c, sub); err != nil {
				return err
			}
		}
		for _, sub := range change {
			if _, err := updateSubscription(c, sub, subscription.SaveOptions{KeepLease: true}); err != nil {
				return err
			}
		}
		if _, err := c.sql(`DELETE FROM dirty WHERE connection = ? AND version = ?`).text(d.Connection).int(d.Version).exec(); err != nil {
			return err
		}
		_, err := c.sql(`UPDATE dirty SET leased = 0 WHERE connection = ?`).text(d.Connection).exec()
		return err
	})
}

// MarkDirty implements [subscription.Store].
func (s *Store) MarkDirty(ctx context.Context, connection string, due time.Time) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.sql(`INSERT INTO dirty (connection, due) VALUES (?, ?)
			ON CONFLICT (connection) DO UPDATE SET due = excluded.due, leased = 0, version = version + 1`).
			text(connection).time(due).exec()
		return err
	})
}

// ClaimSubscriptions implements [subscription.Store].
func (s *Store) ClaimSubscriptions(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]subscription.Subscription, error) {
	var out []subscription.Subscription
	if due, err := s.firstDue(ctx, `SELECT min(due) FROM subscription WHERE due IS NOT NULL AND leased <= ?`, now); err != nil || due.IsZero() || due.After(now) {
		return nil, err
	}
	err := s.write(ctx, func(c *conn) error {
		var err error
		out, err = selectSubscriptions(c.sql(selectSubscription + `WHERE due <= ? AND leased <= ? ORDER BY due LIMIT ?`).
			time(now).int(now.UnixMilli()).int(int64(limit)))
		if err != nil {
			return err
		}
		for _, sub := range out {
			if _, err := c.sql(`UPDATE subscription SET leased = ? WHERE id = ?`).time(now.Add(lease)).text(sub.ID).exec(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// SaveSubscription implements [subscription.Store].
func (s *Store) SaveSubscription(ctx context.Context, sub subscription.Subscription, o subscription.SaveOptions) (saved subscription.Subscription, err error) {
	var stored subscription.Subscription // not the result: the write may go on after ctx has ended
	err = s.writeRouting(ctx, func(c *conn) (err error) {
		if stored, err = updateSubscription(c, sub, o); err != nil {
			return err
		}
		if err := insertNews(c, o.News); err != nil || sub.State != subscription.Removed {
			return err
		}
		return markDirty(c, sub.Connection, sub.EndedAt)
	})
	if err != nil {
		return sub, err
	}
	return stored, nil
}

// nextSubscription is asked every minute and after each piece of work, so it must not
// take longer the more there is that waits.
const nextSubscription = `SELECT min(at) FROM (
	SELECT min(due) AS at FROM dirty INDEXED BY dirty_due WHERE leased = 0
	UNION ALL SELECT min(max(due, leased)) FROM dirty INDEXED BY dirty_leased WHERE leased <> 0
	UNION ALL SELECT min(due) FROM subscription INDEXED BY subscription_due WHERE due IS NOT NULL AND leased = 0
	UNION ALL SELECT min(max(due, leased)) FROM subscription INDEXED BY subscription_leased WHERE leased <> 0 AND due IS NOT NULL)`

// NextSubscription implements [subscription.Store]. What is leased counts from
// the end of its lease.
func (s *Store) NextSubscription(ctx context.Context) (next time.Time, err error) {
	err = s.read(ctx, func(c *conn) error {
		_, err := c.sql(nextSubscription).one(func(r row) { next = r.time(0) })
		return err
	})
	return next, err
}

// ForgetSubscriptions implements [subscription.Store].
func (s *Store) ForgetSubscriptions(ctx context.Context, before time.Time, limit int) (n int, err error) {
	var deleted int64
	err = s.writeRouting(ctx, func(c *conn) (err error) {
		deleted, err = c.sql(`DELETE FROM subscription WHERE id IN
			(SELECT id FROM subscription WHERE state = 'removed' AND ended_at < ? LIMIT ?)`).
			time(before).int(int64(limit)).exec()
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(deleted), nil
}

// Subscription implements [subscription.Store].
func (s *Store) Subscription(ctx context.Context, id string) (sub subscription.Subscription, err error) {
	err = s.read(ctx, func(c *conn) error {
		sub, err = oneSubscription(c, id)
		return err
	})
	return sub, err
}

// SubscriptionsOf implements [subscription.Store].
func (s *Store) SubscriptionsOf(ctx context.Context, connection string) ([]subscription.Subscription, error) {
	return s.subscriptions(ctx, func(c *conn) *stmt {
		return c.sql(selectSubscription + `WHERE connection = ? AND state <> 'removed' ORDER BY id`).text(connection)
	})
}

// Siblings implements [subscription.Store].
func (s *Store) Siblings(ctx context.Context, sub subscription.Subscription) ([]subscription.Subscription, error) {
	return s.subscriptions(ctx, func(c *conn) *stmt {
		return c.sql(selectSubscription + `WHERE connector = ? AND app = ? AND watch = ? AND resource = ? AND identity = ?
			AND state <> 'removed' AND state <> 'removing' AND id <> ? ORDER BY id`).
			text(sub.Connector).text(sub.App).text(sub.Watch).text(sub.Resource).text(sub.Identity).text(sub.ID)
	})
}

// SubscriptionsAt implements [subscription.Store].
func (s *Store) SubscriptionsAt(ctx context.Context, endpoint string) ([]subscription.Subscription, error) {
	return s.subscriptions(ctx, func(c *conn) *stmt {
		return c.sql(selectSubscription + `WHERE endpoint = ? AND state <> 'removed' ORDER BY id`).text(endpoint)
	})
}

// RouteKeys implements [subscription.Store].
func (s *Store) RouteKeys(ctx context.Context, name, app, watch string, keys []connector.Key) (out []subscription.Subscription, err error) {
	err = s.read(ctx, func(c *conn) error {
		out = nil
		seen := make(map[string]bool)
		for _, key := range keys {
			subs, err := selectSubscriptions(c.sql(selectSubscription + `WHERE id IN (
				SELECT s.id FROM route r JOIN subscription s ON s.connection = r.connection
					WHERE r.connector = ?1 AND r.app = ?2 AND r.key = ?3 AND r.subscription = ''
				UNION SELECT r.subscription FROM route r
					WHERE r.connector = ?1 AND r.app = ?2 AND r.key = ?3 AND r.subscription <> '')
				AND state <> 'removed' AND state <> 'removing'
				AND connection IN (SELECT id FROM connection WHERE status <> 'revoked')
				ORDER BY id`).text(name).text(app).text(string(key)))
			if err != nil {
				return err
			}
			for _, sub := range subs {
				if !seen[sub.ID] && (watch == "" || watch == sub.Watch) {
					seen[sub.ID] = true
					out = append(out, sub)
				}
			}
		}
		return nil
	})
	return out, err
}

// SubscriptionsAfter implements [subscription.Store].
func (s *Store) SubscriptionsAfter(ctx context.Context, q subscription.Query, limit int) ([]subscription.Subscription, error) {
	where := []string{`state <> 'removed'`, `id > ?`}
	args := []string{q.After}
	and := func(cond, v string) {
		if v != "" {
			where, args = append(where, cond), append(args, v)
		}
	}
	if q.Environment != "*" {
		where, args = append(where, `environment = ?`), append(args, q.Environment)
	}
	and(`connection = ?`, q.Connection)
	and(`connector = ?`, q.Connector)
	if q.Healthy {
		where = append(where, `state = 'active' AND last_error = '' AND doc ->> '$.rejected' IS NULL`)
	}
	if q.Unhealthy {
		where = append(where, `(state <> 'active' OR last_error <> '' OR doc ->> '$.rejected' IS NOT NULL)`)
	}
	return s.subscriptions(ctx, func(c *conn) *stmt {
		st := c.sql(selectSubscription + `WHERE ` + strings.Join(where, ` AND `) + ` ORDER BY id LIMIT ?`)
		for _, a := range args {
			st = st.text(a)
		}
		return st.int(int64(limit))
	})
}

func (s *Store) subscriptions(ctx context.Context, query func(*conn) *stmt) (out []subscription.Subscription, err error) {
	err = s.read(ctx, func(c *conn) error {
		out, err = selectSubscriptions(query(c))
		return err
	})
	return out, err
}

// subscriptionDoc is what no query asks for.
type subscriptionDoc struct {
	Params   map[string]string `json:"params,omitempty"`
	Topics   []string          `json:"topics,omitempty"`
	Filters  []trigger.Filter  `json:"filters,omitempty"`
	Triggers []string          `json:"triggers,omitempty"`
	Held     connector.Held    `json:"held"`

	HeldSince   time.Time `json:"held_since,omitzero"`
	LastRenewal time.Time `json:"last_renewal,omitzero"`
	FailureTold bool      `json:"failure_told,omitempty"`

	Rejected []subscription.Rejection `json:"rejected,omitempty"`
}

const selectSubscription = `SELECT id, environment, connection, account, connector, app, watch, resource, identity, endpoint,
	state, last_error, tries, due, renew_at, created_at, ended_at, cursor, sealed, doc, version FROM subscription `

func selectSubscriptions(st *stmt) (out []subscription.Subscription, err error) {
	err = st.each(func(r row) error {
		sub := subscription.Subscription{
			ID: r.text(0), Environment: r.text(1), Connection: r.text(2), Account: r.text(3), Connector: r.text(4),
			App: r.text(5), Watch: r.text(6), Resource: r.text(7), Identity: r.text(8), Endpoint: r.text(9),
			State: subscription.State(r.text(10)), LastError: r.text(11), Tries: int(r.int(12)), Due: r.time(13),
			RenewAt: r.time(14), CreatedAt: r.time(15), EndedAt: r.time(16), Cursor: r.text(17), Sealed: r.blob(18),
			Version: r.int(20),
		}
		var doc subscriptionDoc
		if err := json.Unmarshal([]byte(r.text(19)), &doc); err != nil {
			return fmt.Errorf("sqlite: subscription %s: %w", sub.ID, err)
		}
		sub.Params, sub.Topics, sub.Filters, sub.Triggers, sub.Held = doc.Params, doc.Topics, doc.Filters, doc.Triggers, doc.Held
		sub.HeldSince, sub.LastRenewal, sub.FailureTold = doc.HeldSince, doc.LastRenewal, doc.FailureTold
		sub.Rejected = doc.Rejected
		out = append(out, sub)
		return nil
	})
	return out, err
}

func oneSubscription(c *conn, id string) (subscription.Subscription, error) {
	subs, err := selectSubscriptions(c.sql(selectSubscription + `WHERE id = ?`).text(id))
	if err != nil {
		return subscription.Subscription{}, err
	}
	if len(subs) == 0 {
		return subscription.Subscription{}, subscription.ErrNotFound
	}
	return subs[0], nil
}

func encodeDoc(sub subscription.Subscription) (string, error) {
	b, err := json.Marshal(subscriptionDoc{
		Params: sub.Params, Topics: sub.Topics, Filters: sub.Filters, Triggers: sub.Triggers, Held: sub.Held,
		HeldSince: sub.HeldSince, LastRenewal: sub.LastRenewal, FailureTold: sub.FailureTold,
		Rejected: sub.Rejected,
	})
	return string(b), err
}

func insertSubscription(c *conn, sub subscription.Subscription) error {
	doc, err := encodeDoc(sub)
	if err != nil {
		return err
	}
	if sub.Cursor == "" {
		sub.Cursor = sub.Held.Cursor
	}
	_, err = c.sql(`INSERT INTO subscription (id, environment, connection, account, connector, app, watch, resource, identity,
		endpoint, state, last_error, tries, due, renew_at, created_at, ended_at, cursor, sealed, doc, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
		text(sub.ID).text(sub.Environment).text(sub.Connection).text(sub.Account).text(sub.Connector).text(sub.App).
		text(sub.Watch).text(sub.Resource).text(sub.Identity).text(sub.Endpoint).text(string(sub.State)).text(sub.LastError).
		int(int64(sub.Tries)).time(sub.Due).time(sub.RenewAt).time(sub.CreatedAt).time(sub.EndedAt).text(sub.Cursor).
		blob(sub.Sealed).text(doc).int(sub.Version).exec()
	if isUnique(err) {
		return subscription.ErrConflict
	}
	if err != nil {
		return err
	}
	return writeRoutes(c, sub)
}

func updateSubscription(c *conn, sub subscription.Subscription, o subscription.SaveOptions) (subscription.Subscription, error) {
	doc, err := encodeDoc(sub)
	if err != nil {
		return sub, err
	}
	if sub.State == subscription.Removed {
		sub.Due = time.Time{}
	}
	n, err := c.sql(`UPDATE subscription SET app = ?, state = ?, last_error = ?, tries = ?, due = ?, renew_at = ?, ended_at = ?,
		cursor = CASE cursor WHEN '' THEN ? ELSE cursor END, sealed = ?, doc = ?, endpoint = ?,
		leased = CASE WHEN ? THEN leased ELSE 0 END, version = version + 1
		WHERE id = ? AND version = ?`).
		text(sub.App).text(string(sub.State)).text(sub.LastError).int(int64(sub.Tries)).time(sub.Due).time(sub.RenewAt).time(sub.EndedAt).
		text(sub.Held.Cursor).blob(sub.Sealed).text(doc).text(sub.Endpoint).bool(o.KeepLease).
		text(sub.ID).int(sub.Version).exec()
	if err != nil {
		return sub, err
	}
	if n == 0 {
		return sub, subscription.ErrConflict
	}
	if err := writeRoutes(c, sub); err != nil {
		return sub, err
	}
	switch {
	case sub.State == subscription.Removing || sub.State == subscription.Removed:
		// Nothing is asked any more on behalf of a watch that goes.
		if _, err := c.sql(`DELETE FROM task WHERE subscription = ? AND kind IN ('expand', 'poll')`).text(sub.ID).exec(); err != nil {
			return sub, err
		}
	case !o.Poll.IsZero():
		// While a poll is under way, another due time than the one it was claimed
		// with makes it run again right after.
		_, err := c.sql(`INSERT INTO task (id, kind, lane, due, subscription) VALUES (?, 'poll', ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET due = CASE WHEN lease <> 0 OR due IS NULL THEN excluded.due
				ELSE min(due, excluded.due) END`).
			text(sub.ID).text("conn:" + sub.Connection).time(o.Poll).text(sub.ID).exec()
		if err != nil {
			return sub, err
		}
	}
	return oneSubscription(c, sub.ID)
}

// writeRoutes makes the routes of a Subscription equal to the keys of what is held.
func writeRoutes(c *conn, sub subscription.Subscription) error {
	if _, err := c.sql(`DELETE FROM route WHERE connection = ? AND subscription = ?`).text(sub.Connection).text(sub.ID).exec(); err != nil {
		return err
	}
	if sub.State == subscription.Removing || sub.State == subscription.Removed {
		return nil
	}
	for _, key := range sub.Held.Keys {
		_, err := c.sql(`INSERT OR IGNORE INTO route (connector, app, key, connection, subscription) VALUES (?, ?, ?, ?, ?)`).
			text(sub.Connector).text(sub.App).text(string(key)).text(sub.Connection).text(sub.ID).exec()
		if err != nil {
			return err
		}
	}
	return nil
}
