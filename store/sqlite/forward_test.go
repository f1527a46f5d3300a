package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/store/storetest"
)

func TestForward(t *testing.T) {
	t.Parallel()
	storetest.Forward(t, func(t *testing.T) storetest.Forwarding {
		path := filepath.Join(t.TempDir(), "store.db")
		s := openTest(t, path)
		return storetest.Forwarding{
			Store: s,
			Reopen: func(t *testing.T) forward.Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openTest(t, path)
				return s
			},
			Subscribe: func(t *testing.T, cursor string) string {
				sub := id.New("sub", time.Now())
				mustWrite(t, s, `INSERT INTO subscription (id, environment, connection, account, connector, app, watch,
					resource, identity, endpoint, state, created_at, cursor, doc, version)
					VALUES ('`+sub+`', 'env_a', 'conn_a', 'user-42', 'gitea', '', 'repo', '', '', '`+sub+`', 'active', 1, '`+cursor+`', '{}', 1)`)
				return sub
			},
			Cursor: func(t *testing.T, subscription string) (cursor string) {
				err := s.read(t.Context(), func(c *conn) error {
					_, err := c.sql(`SELECT cursor FROM subscription WHERE id = ?`).text(subscription).
						one(func(r row) { cursor = r.text(0) })
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return cursor
			},
			Check: func(t *testing.T) {
				if err := s.Check(t.Context()); err != nil {
					t.Error(err)
				}
			},
		}
	})
}

// openTest opens a store that is closed with the test.
func openTest(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path})
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

func mustWrite(t testing.TB, s *Store, sql string) {
	t.Helper()
	err := s.write(t.Context(), func(c *conn) error {
		_, err := c.sql(sql).exec()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
