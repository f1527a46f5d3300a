package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/interactorhq/interactor/forward"
)

// A file of version 1 is read as before: its attempts have neither class nor
// timing, and its events are erased like others.
func TestAttemptsOfVersion1(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range migrations()[0] {
		if err := db.Exec(section); err != nil {
			t.Fatal(err)
		}
	}
	err = db.Exec(`PRAGMA application_id = 0x696e7472; PRAGMA user_version = 1;
		INSERT INTO payload (n, payload) VALUES (7, x'7b7d');
		INSERT INTO event (id, environment, received, status, trigger, connector, account, connection, deployment, test, dedupe, payload, delivery, deliveries)
			VALUES ('evt_1', 'env_a', 5, 1, 'a.b', 'a', 'user-42', 'conn_a', 'dep_a', 0, 'k', 7, 'dlv_1', 1);
		INSERT INTO task (id, kind, lane, tries, event, status, attempt) VALUES ('dlv_1', 'deliver', 'dest:env_a', 1, 'evt_1', 1, 3);
		INSERT INTO attempt (n, prev, task, at, took, url, code, error, request_header, response_header, response)
			VALUES (3, 0, 'dlv_1', 6, 1500, 'https://a.example', 200, '', '', '', x'6f6b')`)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path)
	rec, err := s.Record(t.Context(), "evt_1")
	if err != nil || len(rec.Deliveries) != 1 || len(rec.Deliveries[0].Attempts) != 1 {
		t.Fatalf("record %+v, %v", rec, err)
	}
	if a := rec.Deliveries[0].Attempts[0]; a.Class != "" || a.Timing != (forward.Timing{}) || a.Took != 1500*time.Microsecond || string(a.Response) != "ok" {
		t.Errorf("attempt %+v", a)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if n, err := s.Erase(t.Context(), forward.Erasure{Environment: "env_a", Account: "user-42"}, 10); n != 1 || err != nil {
		t.Errorf("erased %d, %v", n, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
