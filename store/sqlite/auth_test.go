package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/store/storetest"
)

func TestAuth(t *testing.T) {
	t.Parallel()
	storetest.Auth(t, func(t *testing.T) storetest.Accounts {
		s := openForAuth(t)
		return storetest.Accounts{
			Store: s,
			Dirty: func(t *testing.T) (marked []string) {
				t.Helper()
				if err := s.write(t.Context(), func(c *conn) error {
					marked = nil
					if err := c.sql(`SELECT connection FROM dirty ORDER BY connection`).each(func(r row) error {
						marked = append(marked, r.text(0))
						return nil
					}); err != nil {
						return err
					}
					_, err := c.sql(`DELETE FROM dirty`).exec()
					return err
				}); err != nil {
					t.Fatal(err)
				}
				return marked
			},
			News: s.waitingNews,
			Routed: func(t *testing.T, name, app string, key connector.Key) (ids []string) {
				t.Helper()
				if err := s.read(t.Context(), func(c *conn) error {
					ids = nil
					return c.sql(`SELECT connection FROM route WHERE connector = ? AND app = ? AND key = ? AND subscription = '' ORDER BY connection`).
						text(name).text(app).text(string(key)).each(func(r row) error {
						ids = append(ids, r.text(0))
						return nil
					})
				}); err != nil {
					t.Fatal(err)
				}
				return ids
			},
		}
	})
}

func openForAuth(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "auth.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// What is asked often, or of many, goes by an index.
func TestAuthPlans(t *testing.T) {
	t.Parallel()
	s := openForAuth(t)
	list := func(q auth.Query) string { text, _ := listConnections(q); return text }
	for name, want := range map[string]struct{ sql, index string }{
		"of an environment":        {list(auth.Query{Environment: "e"}), "connection_environment"},
		"of a connector":           {list(auth.Query{Environment: "e", Connector: "c"}), "connection_connector"},
		"of an account":            {list(auth.Query{Environment: "e", Account: "a"}), "connection_account"},
		"of account and connector": {list(auth.Query{Environment: "e", Connector: "c", Account: "a"}), "connection_"},
		"of a status":              {list(auth.Query{Environment: "e", Status: auth.Expired}), "connection_status"},
		"due":                      {dueConnections, "connection_refresh"},
		"shared grant":             {sharesGrant, "connection_grant"},
		"shared identity":          {sharesIdentity, "PRIMARY KEY"},
	} {
		var plan strings.Builder
		if err := s.read(t.Context(), func(c *conn) error {
			plan.Reset()
			return c.sql(`EXPLAIN QUERY PLAN ` + want.sql).each(func(r row) error {
				plan.WriteString(r.text(3) + "\n")
				return nil
			})
		}); err != nil {
			t.Fatal(name, err)
		}
		if !strings.Contains(plan.String(), want.index) || strings.Contains(plan.String(), "SCAN") {
			t.Errorf("%s goes without its index:\n%s", name, plan.String())
		}
	}
}

// Locks are gone with the process that held them.
func TestAuthLocksEndWithStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth.db")
	now := time.Now()
	for range 2 {
		s, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.TryLock(t.Context(), "x", t.TempDir(), now, now.Add(time.Hour)); err != nil || !got {
			t.Errorf("locked: %v, %v", got, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
