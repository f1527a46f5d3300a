package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

func TestCheckReplays(t *testing.T) {
	t.Parallel()
	const event = `INSERT INTO event (id, environment, received, status, trigger, connector, account, connection, deployment, test, dedupe, payload, delivery, deliveries)
		VALUES ('evt_x', 'env_a', 1, 0, 'a.b', 'a', '', '', '', 0, '', 0, 'dlv_x', 1)`
	task := func(lane, job string) string {
		return `INSERT INTO task (id, kind, lane, event, due, job) VALUES ('dlv_x', 'deliver', '` + lane + `', 'evt_x', 1, '` + job + `')`
	}
	replay := func(state int, due, ended string, all int) string {
		return fmt.Sprintf(`INSERT INTO replay (id, state, due, created, ended, environment, connector, trigger, account, connection, status, until, selected_all)
			VALUES ('rpl_x', %d, %s, 1, %s, 'env_a', '', '', '', '', 'dead', 1, %d)`, state, due, ended, all)
	}
	for _, row := range []struct {
		name string
		sql  []string
		says string
	}{
		{"all is well", []string{event, task("bulk:env_a", "rpl_x"), replay(0, "1", "NULL", 1)}, ""},
		{"ended", []string{replay(1, "NULL", "1", 1)}, ""},
		{"running and never due", []string{replay(0, "NULL", "NULL", 0)}, "rpl_x runs and is never due"},
		{"running and ended", []string{replay(0, "1", "1", 0)}, "rpl_x runs and is never due"},
		{"cancelled and due", []string{replay(2, "1", "1", 0)}, "rpl_x has ended and is due"},
		{"done before its end", []string{replay(1, "NULL", "1", 0)}, "rpl_x is done before its deliveries"},
		{"done before its deliveries", []string{event, task("bulk:env_a", "rpl_x"), replay(1, "NULL", "1", 1)}, "rpl_x is done before its deliveries"},
		{"a delivery of no replay", []string{event, task("bulk:env_a", "rpl_x")}, "dlv_x waits for a replay that is not there"},
		{"a delivery of a cancelled one", []string{event, task("bulk:env_a", "rpl_x"), replay(2, "NULL", "1", 0)}, "dlv_x waits though its replay was cancelled"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
			for _, sql := range row.sql {
				mustWrite(t, s, sql)
			}
			err := s.Check(t.Context())
			if row.says == "" && err != nil || row.says != "" && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), row.says)) {
				t.Errorf("got %v, want %q", err, row.says)
			}
		})
	}
}

// In a file of version 1, where "bulk:" was no lane, what is paused stays so.
func TestPausedBeforeReplays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := sqlite3.Open("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	sections := slices.Concat(migrations()[0], []string{
		`INSERT INTO pause VALUES ('dest:env_a', 'answered 410', 1000), ('conn:conn_a', 'x', 1)`,
		fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = 1`, applicationID),
	})
	for _, section := range sections {
		if err := db.Exec(section); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path)
	for lane, want := range map[string]string{"dest:env_a": "answered 410", "bulk:env_a": "answered 410", "conn:conn_a": "x", "bulk:conn_a": ""} {
		if state, err := s.Lane(t.Context(), lane); err != nil || state.PausedReason != want {
			t.Errorf("%s: %+v, %v; want %q", lane, state, err, want)
		}
	}
	if err := s.Pause(t.Context(), "dest:env_a", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if state, err := s.Lane(t.Context(), "bulk:env_a"); err != nil || state.PausedReason != "" {
		t.Errorf("resumed: %+v, %v", state, err)
	}
}

// Filters that fit hardly anything must not make a read that never ends, nor
// hide what lies behind; and many events of the same millisecond are no loop.
func TestSelectLooksAtSoMuchAtATime(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	const n = 2*selectRows + 100
	at := time.Now().Truncate(time.Millisecond)
	var b forward.Batch
	for i := range n {
		e := trigger.Event{ID: id.New("evt", at), Environment: "env_a", Trigger: "a.b", Connector: "a"}
		if i == 0 || i == n-1 {
			e.Trigger = "a.c"
		}
		b.Events = append(b.Events, forward.NewEvent{Event: e, ReceivedAt: at}) // that nobody wants: delivered
	}
	if _, err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for _, environment := range []string{"env_a", "*"} {
		q := forward.Query{Environment: environment, Trigger: "a.c", Until: at.Add(time.Second)}
		var found, reads int
		for from := forward.Mark(""); ; reads++ {
			sel, err := s.Select(t.Context(), q, from, 10)
			if err != nil {
				t.Fatal(err)
			}
			if found += len(sel.Events); sel.Last {
				break
			}
			if from = sel.Next; reads > 3 {
				t.Fatalf("%s: no end after %d reads", environment, reads)
			}
		}
		if found != 2 || reads != 2 {
			t.Errorf("%s: found %d in %d reads, want 2 in 3", environment, found, reads+1)
		}
	}
	if _, err := s.Select(t.Context(), forward.Query{}, "nonsense", 10); err == nil {
		t.Error("a mark of somebody else's was taken")
	}
}
