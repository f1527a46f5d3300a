package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/store/storetest"
	"github.com/interactorhq/interactor/trigger"
)

func TestForward(t *testing.T) {
	t.Parallel()
	storetest.Forward(t, func(t *testing.T) storetest.Forwarding {
		path := filepath.Join(t.TempDir(), "store.db")
		s := openTest(t, path)
		return storetest.Forwarding{
			Store: s,
			AddNews: func(t *testing.T, news ...trigger.Event) {
				if err := s.write(t.Context(), func(c *conn) error { return insertNews(c, news) }); err != nil {
					t.Fatal(err)
				}
			},
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
					VALUES ('`+sub+`', 'env_a', 'conn_a', 'user-42', 'gitea', '', 'repo', '`+sub+`', '', '`+sub+`', 'active', 1, '`+cursor+`', '{}', 1)`)
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

// What is leased to a caller who has gone must not stay leased.
func TestLeasesOfACallerWhoHasGone(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, row := range []struct {
		name string
		call func(ctx context.Context, s *Store) error
	}{
		{"Append", func(ctx context.Context, s *Store) error {
			e := trigger.Event{ID: id.New("evt", now), Environment: "env_a"}
			_, err := s.Append(ctx, forward.Batch{
				Events: []forward.NewEvent{{Event: e, ReceivedAt: now}},
				Tasks:  []forward.Task{{ID: id.New("dlv", now), Kind: forward.Deliver, Lane: "dest:env_a", Due: now, Lease: 1, Event: e}},
			})
			return err
		}},
		{"Claim", func(ctx context.Context, s *Store) error {
			_, err := s.Claim(ctx, forward.ClaimRequest{Lane: "dest:env_a", Now: now, Limit: 10})
			return err
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v, vfs := faulty(t)
			s := openFaulty(t, filepath.Join(t.TempDir(), "store.db"), vfs)
			if row.name == "Claim" {
				e := trigger.Event{ID: id.New("evt", now), Environment: "env_a"}
				_, err := s.Append(t.Context(), forward.Batch{
					Events: []forward.NewEvent{{Event: e, ReceivedAt: now}},
					Tasks:  []forward.Task{{ID: id.New("dlv", now), Kind: forward.Deliver, Lane: "dest:env_a", Due: now, Event: e}},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			inSync, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			v.set(func(op, _ string) error {
				if op == "sync" {
					once.Do(func() { close(inSync); <-goOn })
				}
				return nil
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- row.call(ctx, s) }()
			<-inSync
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Fatalf("it returned %v", err)
			}
			close(goOn)
			s.writerSet(t, func() {}) // after the commit
			eventually(t, func() bool {
				lanes, err := s.Lanes(t.Context(), now, 10)
				return err == nil && len(lanes) == 1
			})
		})
	}
}
