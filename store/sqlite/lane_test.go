package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// A file of schema version 1 is brought up to date with what waits in it, and a
// destination that was paused stays so, now with its replays.
func TestMigrateLanesFromVersion1(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := sqlite3.Open("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(db)
	for _, section := range migrations()[0] {
		if err := c.script(section); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(c.script(fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = 1;
		INSERT INTO event (id, environment, received, status, trigger, connector, account, connection, deployment, test, dedupe, payload, delivery, deliveries)
			VALUES ('evt_1', 'env_a', 1, 0, 'a.b', 'a', 'user', 'conn', 'dep', 0, '', 0, 'dlv_1', 1);
		INSERT INTO task (id, kind, lane, due, event) VALUES ('dlv_1', 'deliver', 'dest:env_a', 1, 'evt_1');
		INSERT INTO pause VALUES ('dest:env_a', 'gone', 2);`, applicationID)), c.close())
	if err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for _, lane := range []string{"dest:env_a", "bulk:env_a"} {
		if state, err := s.Lane(t.Context(), lane); err != nil || state.PausedReason != "gone" || !state.PausedSince.Equal(time.UnixMilli(2)) {
			t.Errorf("%s is %+v, %v", lane, state, err)
		}
	}
	if err := s.Pause(t.Context(), "dest:env_a", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	tasks, err := s.Claim(t.Context(), claimAll("dest:env_a", time.Now()))
	if err != nil || len(tasks) != 1 || tasks[0].Series != "" {
		t.Fatalf("claimed %+v, %v", tasks, err)
	}
	lost, err := s.Finish(t.Context(), []forward.Outcome{{Task: tasks[0], Status: forward.Delivered, Attempt: forward.Attempt{At: time.Now()}}})
	if err != nil || len(lost) > 0 {
		t.Errorf("Finish: %v, %v", lost, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// However many deliveries wait behind one, a claim looks at none of them.
func TestClaimPassesOverSeries(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	now := time.Now()
	var b forward.Batch
	for range 1000 {
		e := trigger.Event{ID: id.New("evt", now), Environment: "env_a"}
		b.Events = append(b.Events, forward.NewEvent{Event: e, ReceivedAt: now})
		b.Tasks = append(b.Tasks, forward.Task{ID: id.New("dlv", now), Kind: forward.Deliver, Lane: "dest:env_a", Due: now, Event: e, Series: "a"})
	}
	if _, err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]int64{
		`SELECT count(*) FROM task INDEXED BY task_due WHERE lane = 'dest:env_a' AND lease = 0 AND due IS NOT NULL`:                   1,
		`SELECT count(*) FROM task INDEXED BY task_series WHERE lane = 'dest:env_a' AND series = 'a' AND series <> '' AND status = 0`: 1000,
	} {
		var n int64
		if err := s.read(t.Context(), func(c *conn) error { return scanInt(c, sql, &n) }); err != nil || n != want {
			t.Errorf("%d, want %d, %v: %s", n, want, err, sql)
		}
	}
	if tasks, err := s.Claim(t.Context(), claimAll("dest:env_a", now)); err != nil || len(tasks) != 1 {
		t.Errorf("claimed %d, %v", len(tasks), err)
	}
}
