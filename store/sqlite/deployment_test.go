package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/store/storetest"
)

func TestDeployment(t *testing.T) {
	t.Parallel()
	storetest.Deployment(t, func(t *testing.T) storetest.Deployments {
		s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "store.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return storetest.Deployments{
			Store: s,
			Connect: func(t *testing.T, environment string) string {
				connection := id.New("conn", time.Now())
				insertConnection(t, s, connection, environment)
				return connection
			},
			Dirty: func(t *testing.T) (marked []string) {
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
		}
	})
}

// insertConnection stores what other rooms look at of a Connection.
func insertConnection(t *testing.T, s *Store, connection, environment string) {
	t.Helper()
	if err := s.write(t.Context(), func(c *conn) error {
		_, err := c.sql(`INSERT INTO connection (id, environment) VALUES (?, ?)`).text(connection).text(environment).exec()
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
