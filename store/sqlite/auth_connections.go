package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// connectionDoc is what no query asks for.
type connectionDoc struct {
	Identity     string               `json:"identity,omitempty"`
	Reason       string               `json:"reason,omitempty"`
	Since        time.Time            `json:"since,omitzero"`
	Scopes       []string             `json:"scopes,omitempty"`
	Missing      []string             `json:"missing,omitempty"`
	NeedsConsent bool                 `json:"needs_consent,omitempty"`
	ExpiresAt    time.Time            `json:"expires_at,omitzero"`
	CreatedAt    time.Time            `json:"created_at,omitzero"`
	Identities   []connector.Identity `json:"identities,omitempty"`
	Values       map[string]string    `json:"values,omitempty"`
	RefreshTries int                  `json:"refresh_tries,omitempty"`
	LastRefresh  time.Time            `json:"last_refresh,omitzero"`
	Params       trigger.Overrides    `json:"params,omitempty"` // since schema version 2
}

// SaveConnection implements [auth.Connections].
func (s *Store) SaveConnection(ctx context.Context, w auth.Write) (version int64, err error) {
	r := w.Record
	doc, err := json.Marshal(connectionDoc{
		Identity: r.Identity, Reason: r.Reason, Since: r.Since, Scopes: r.Scopes, Missing: r.Missing,
		NeedsConsent: r.NeedsConsent, ExpiresAt: r.ExpiresAt, CreatedAt: r.CreatedAt,
		Identities: r.Identities, Values: r.Values, RefreshTries: r.RefreshTries, LastRefresh: r.LastRefresh,
		Params: r.Params,
	})
	if err != nil {
		return 0, fmt.Errorf("sqlite: encode connection %s: %w", r.ID, err)
	}
	err = s.writeRouting(ctx, func(c *conn) error {
		if w.Ticket != "" {
			n, err := c.sql(`DELETE FROM consent WHERE id = ?`).text(w.Ticket).exec()
			if err != nil {
				return err
			}
			if n == 0 {
				return auth.ErrState
			}
		}
		if err := writeConnection(c, r, string(doc)); err != nil {
			return err
		}
		if w.Routes {
			if err := writeIdentities(c, r); err != nil {
				return err
			}
		}
		if err := insertNews(c, w.News); err != nil {
			return err
		}
		if !w.Dirty.IsZero() {
			return markDirty(c, r.ID, w.Dirty)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return r.Version + 1, nil
}

func writeConnection(c *conn, r auth.Record, doc string) error {
	if r.Version == 0 {
		_, err := c.sql(`INSERT INTO connection (id, environment, connector, account, holder, app, client, status, closing, erased,
			refresh_at, last_event, grant_hash, token, secrets, doc, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`).
			text(r.ID).text(r.Environment).text(r.Connector).text(r.Account).text(r.Holder).text(r.App).text(r.ClientID).
			text(string(r.Status)).bool(r.Closing).bool(r.Erased).time(r.RefreshAt).time(r.LastEvent).text(r.Grant).
			blob(r.Token).blob(r.Secrets).text(doc).exec()
		if isUnique(err) {
			return auth.ErrConflict
		}
		return err
	}
	n, err := c.sql(`UPDATE connection SET app = ?, client = ?, status = ?, closing = ?, erased = ?, refresh_at = ?,
		grant_hash = ?, token = ?, secrets = ?, doc = ?, version = version + 1 WHERE id = ? AND version = ?`).
		text(r.App).text(r.ClientID).text(string(r.Status)).bool(r.Closing).bool(r.Erased).time(r.RefreshAt).
		text(r.Grant).blob(r.Token).blob(r.Secrets).text(doc).text(r.ID).int(r.Version).exec()
	if err == nil && n == 0 {
		return auth.ErrConflict
	}
	return err
}

// writeIdentities makes the rows of who a connection is equal to its record;
// erased ones have none.
func writeIdentities(c *conn, r auth.Record) error {
	if _, err := c.sql(`DELETE FROM identity WHERE connection = ?`).text(r.ID).exec(); err != nil {
		return err
	}
	if _, err := c.sql(`DELETE FROM route WHERE connection = ? AND subscription = ''`).text(r.ID).exec(); err != nil {
		return err
	}
	if r.Erased {
		return nil
	}
	for _, i := range r.Identities {
		if _, err := c.sql(`INSERT OR IGNORE INTO identity (connector, app, identity, connection) VALUES (?, ?, ?, ?)`).
			text(r.Connector).text(r.App).text(i.ID).text(r.ID).exec(); err != nil {
			return err
		}
		for _, key := range i.Keys {
			if _, err := c.sql(`INSERT OR IGNORE INTO route (connector, app, key, connection, subscription) VALUES (?, ?, ?, ?, '')`).
				text(r.Connector).text(r.App).text(string(key)).text(r.ID).exec(); err != nil {
				return err
			}
		}
	}
	return nil
}

const selectConnection = `SELECT id, environment, connector, account, holder, app, client, status, closing, erased,
	refresh_at, last_event, grant_hash, token, secrets, doc, version FROM connection `

func scanConnection(r row) (auth.Record, error) {
	rec := auth.Record{
		Connection: auth.Connection{
			ID: r.text(0), Environment: r.text(1), Connector: r.text(2), Account: r.text(3),
			Status: auth.Status(r.text(7)), LastEvent: r.time(11),
		},
		Holder: r.text(4), App: r.text(5), ClientID: r.text(6), Closing: r.bool(8), Erased: r.bool(9),
		RefreshAt: r.time(10), Grant: r.text(12), Token: r.blob(13), Secrets: r.blob(14), Version: r.int(16),
	}
	var doc connectionDoc
	if err := json.Unmarshal([]byte(r.text(15)), &doc); err != nil {
		return rec, fmt.Errorf("sqlite: connection %s: %w", rec.ID, err)
	}
	rec.Identity, rec.Reason, rec.Since, rec.Scopes, rec.Missing = doc.Identity, doc.Reason, doc.Since, doc.Scopes, doc.Missing
	rec.NeedsConsent, rec.ExpiresAt, rec.CreatedAt = doc.NeedsConsent, doc.ExpiresAt, doc.CreatedAt
	rec.Identities, rec.Values, rec.RefreshTries, rec.LastRefresh = doc.Identities, doc.Values, doc.RefreshTries, doc.LastRefresh
	rec.Params = doc.Params
	return rec, nil
}

func (s *Store) connections(ctx context.Context, query func(*conn) *stmt) (list []auth.Record, err error) {
	err = s.read(ctx, func(c *conn) error {
		list = nil
		return query(c).each(func(r row) error {
			rec, err := scanConnection(r)
			list = append(list, rec)
			return err
		})
	})
	return list, err
}

// ConnectionByID implements [auth.Connections].
func (s *Store) ConnectionByID(ctx context.Context, id string) (auth.Record, error) {
	list, err := s.connections(ctx, func(c *conn) *stmt { return c.sql(selectConnection + `WHERE id = ?`).text(id) })
	if err != nil {
		return auth.Record{}, err
	}
	if len(list) == 0 {
		return auth.Record{}, auth.ErrNotFound
	}
	return list[0], nil
}

// ConnectionsAfter implements [auth.Connections].
func (s *Store) ConnectionsAfter(ctx context.Context, q auth.Query, limit int) ([]auth.Record, error) {
	text, args := listConnections(q)
	return s.connections(ctx, func(c *conn) *stmt {
		st := c.sql(text)
		for _, a := range args {
			st = st.text(a)
		}
		return st.int(int64(limit))
	})
}

func listConnections(q auth.Query) (text string, args []string) {
	where, args := []string{`id > ?`}, []string{q.After}
	and := func(column, v string) {
		if v != "" {
			where, args = append(where, column+` = ?`), append(args, v)
		}
	}
	if q.Environment != "*" {
		where, args = append(where, `environment = ?`), append(args, q.Environment)
	}
	and(`connector`, q.Connector)
	and(`account`, q.Account)
	and(`status`, string(q.Status))
	return selectConnection + `WHERE ` + strings.Join(where, ` AND `) + ` ORDER BY id LIMIT ?`, args
}

const dueConnections = `SELECT id FROM connection WHERE refresh_at IS NOT NULL AND refresh_at <= ? ORDER BY refresh_at LIMIT ?`

// ConnectionsDue implements [auth.Connections].
func (s *Store) ConnectionsDue(ctx context.Context, now time.Time, limit int) (ids []string, err error) {
	err = s.read(ctx, func(c *conn) error {
		ids = nil
		return c.sql(dueConnections).time(now).int(int64(limit)).each(func(r row) error {
			ids = append(ids, r.text(0))
			return nil
		})
	})
	return ids, err
}

// TouchConnection implements [auth.Connections].
func (s *Store) TouchConnection(ctx context.Context, id string, lastEvent time.Time) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.sql(`UPDATE connection SET last_event = ?1 WHERE id = ?2 AND coalesce(last_event, 0) < ?1`).time(lastEvent).text(id).exec()
		return err
	})
}

const (
	sharesGrant = `SELECT 1 FROM connection WHERE connector = ? AND app = ? AND grant_hash = ? AND grant_hash <> ''
		AND id <> ? AND closing = 0 AND erased = 0 LIMIT 1`
	sharesIdentity = `SELECT 1 FROM identity i JOIN connection c ON c.id = i.connection
		WHERE i.connector = ? AND i.app = ? AND i.identity = ? AND c.id <> ? AND c.closing = 0 AND c.erased = 0 LIMIT 1`
)

// SharesGrant implements [auth.Connections].
func (s *Store) SharesGrant(ctx context.Context, r auth.Record) (shared bool, err error) {
	err = s.read(ctx, func(c *conn) error {
		shared, err = c.sql(sharesGrant).text(r.Connector).text(r.App).text(r.Grant).text(r.ID).one(func(row) {})
		for _, i := range r.Identities {
			if err != nil || shared {
				break
			}
			shared, err = c.sql(sharesIdentity).text(r.Connector).text(r.App).text(i.ID).text(r.ID).one(func(row) {})
		}
		return err
	})
	return shared, err
}
