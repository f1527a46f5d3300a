package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/store/storetest"
	"github.com/interactorhq/interactor/subscription"
)

func openTemp(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "store.db")})
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSubscription(t *testing.T) {
	t.Parallel()
	storetest.Subscription(t, func(t *testing.T) storetest.Subscriptions {
		s := openTemp(t)
		return storetest.Subscriptions{
			Store: s,
			Connect: func(t *testing.T, environment, key string) string {
				connection := id.New("conn", time.Now())
				insertConnection(t, s, connection, environment)
				must(t, s.write(t.Context(), func(c *conn) error {
					_, err := c.sql(`INSERT INTO route (connector, app, key, connection) VALUES ('acme', '', ?, ?)`).text(key).text(connection).exec()
					return err
				}))
				return connection
			},
			Revoke: func(t *testing.T, connection string) {
				must(t, s.write(t.Context(), func(c *conn) error {
					_, err := c.sql(`UPDATE connection SET status = 'revoked' WHERE id = ?`).text(connection).exec()
					return err
				}))
			},
			News: s.waitingNews,
			PollDue: func(t *testing.T, subscription string) (due time.Time, ok bool) {
				must(t, s.read(t.Context(), func(c *conn) (err error) {
					ok, err = c.sql(`SELECT due FROM task WHERE id = ? AND kind = 'poll'`).text(subscription).one(func(r row) { due = r.time(0) })
					return err
				}))
				return due, ok
			},
		}
	})
}

func TestAPollUnderWayIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := openTemp(t)
	now := time.Now().Truncate(time.Millisecond)
	sub := subscription.Subscription{ID: "sub_1", Connection: "conn_1", Connector: "acme", State: subscription.Active, CreatedAt: now}
	must(t, s.SaveComparison(t.Context(), subscription.Dirty{}, []subscription.Subscription{sub}, nil))
	sub.Version = 1
	sub, err := s.SaveSubscription(t.Context(), sub, subscription.SaveOptions{Poll: now})
	must(t, err)
	tasks, err := s.Claim(t.Context(), claimAll("conn:conn_1", now))
	must(t, err)
	if len(tasks) != 1 {
		t.Fatalf("claimed %d polls", len(tasks))
	}
	// The provider says that something was missed while the poll is under way.
	_, err = s.SaveSubscription(t.Context(), sub, subscription.SaveOptions{Poll: now.Add(time.Second), KeepLease: true})
	must(t, err)
	_, err = s.Append(t.Context(), finished(tasks[0], now.Add(6*time.Hour)))
	must(t, err)
	if tasks, err = s.Claim(t.Context(), claimAll("conn:conn_1", now.Add(time.Second))); err != nil || len(tasks) != 1 {
		t.Errorf("the poll was not due again: %v, %v", tasks, err)
	}
}

func TestWatchLeasesAreVoidAtOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(t.Context(), Config{Path: path})
	must(t, err)
	now := time.Now()
	sub := subscription.Subscription{ID: "sub_1", Connection: "conn_1", State: subscription.Pending, Due: now, CreatedAt: now}
	must(t, s.SaveComparison(t.Context(), subscription.Dirty{}, []subscription.Subscription{sub}, nil))
	must(t, s.MarkDirty(t.Context(), "conn_1", now))
	for range 2 {
		subs, err := s.ClaimSubscriptions(t.Context(), now, time.Hour, 1)
		must(t, err)
		marks, err := s.ClaimDirty(t.Context(), now, time.Hour, 1)
		must(t, err)
		if len(subs) != 1 || len(marks) != 1 {
			t.Fatalf("claimed %d watches and %d marks, want one each", len(subs), len(marks))
		}
		must(t, s.Close())
		s, err = Open(t.Context(), Config{Path: path})
		must(t, err)
	}
	must(t, s.Close())
}

// What is asked all the time takes the same steps whatever waits.
func TestWhatIsDueIsFoundInFewSteps(t *testing.T) {
	t.Parallel()
	now := time.Now()
	steps := func(n int) (total int) {
		s := openTemp(t)
		var all []subscription.Subscription
		for i := range n {
			all = append(all, subscription.Subscription{
				ID: fmt.Sprintf("sub_%06d", i), Connection: fmt.Sprint("conn_", i), State: subscription.Active,
				Due: now.Add(time.Duration(i+1) * time.Hour), CreatedAt: now,
			})
		}
		must(t, s.SaveComparison(t.Context(), subscription.Dirty{}, all, nil))
		must(t, s.write(t.Context(), func(c *conn) error {
			for i := range n {
				if err := markDirty(c, fmt.Sprint("conn_", i), now.Add(time.Duration(i+1)*time.Hour)); err != nil {
					return err
				}
			}
			return nil
		}))
		// Some of them are being worked on.
		for range 3 {
			_, err := s.ClaimSubscriptions(t.Context(), now.Add(10*time.Hour), time.Hour, 1)
			must(t, err)
			_, err = s.ClaimDirty(t.Context(), now.Add(10*time.Hour), time.Hour, 1)
			must(t, err)
		}
		must(t, s.read(t.Context(), func(c *conn) error {
			st := c.sql(nextSubscription)
			_, err := st.one(func(row) {})
			total = st.s.Status(sqlite3.STMTSTATUS_VM_STEP, true)
			return err
		}))
		return total
	}
	few, many := steps(20), steps(2000)
	if few == 0 || many > few+10 {
		t.Errorf("%d steps with 20 watches, %d with 2000", few, many)
	}
}

func TestCheckFindsWhatNobodyGoesOnWith(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, sql, want string }{
		{"a pending watch without a due time", `UPDATE subscription SET state = 'pending'`, "never due"},
		{"a removed watch that is due", `UPDATE subscription SET state = 'removed', due = 1`, "removed and due"},
		{"a closing connection that nobody marks", `UPDATE connection SET closing = 1, status = 'revoked'`, "closing"},
		{"a poll of a watch that is gone", `INSERT INTO task (id, kind, lane, due, subscription) VALUES ('sub_2', 'poll', 'conn:x', 1, 'sub_2')`, "watch that is gone"},
		{"a route to a watch that is gone", `INSERT INTO route VALUES ('acme', '', 'k', 'conn_1', 'sub_2')`, "leads to a watch"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := openTemp(t)
			insertConnection(t, s, "conn_1", "env_a")
			sub := subscription.Subscription{ID: "sub_1", Connection: "conn_1", State: subscription.Active, CreatedAt: time.Now()}
			must(t, s.SaveComparison(t.Context(), subscription.Dirty{}, []subscription.Subscription{sub}, nil))
			must(t, s.Check(t.Context()))
			must(t, s.write(t.Context(), func(c *conn) error { return c.script(row.sql) }))
			if err := s.Check(t.Context()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want something with %q", err, row.want)
			}
		})
	}
}
