package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// What was erased is not in the file any longer, once the WAL has been copied:
// not in free pages either.
func TestErasedIsOverwritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path)
	now := time.Now()
	marker := []byte("walrus-walrus-walrus")
	for i := range 50 {
		e := trigger.Event{
			ID: id.New("evt", now), Trigger: "a.b", Environment: "env_a", Connection: "conn_a", Account: "user-42",
			Payload: bytes.Repeat(marker, 1+i*20), Raw: marker, DedupeKey: string(marker) + id.New("k", now),
		}
		tasks, err := s.Append(t.Context(), forward.Batch{
			Events: []forward.NewEvent{{Event: e, ReceivedAt: now}},
			Tasks:  []forward.Task{{ID: id.New("dlv", now), Kind: forward.Deliver, Lane: "dest:env_a", Due: now, Lease: 1, Event: e}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Finish(t.Context(), []forward.Outcome{{
			Task: tasks[0], Status: forward.Delivered, Attempt: forward.Attempt{At: now, Response: bytes.Repeat(marker, 500)},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Erase(t.Context(), forward.Erasure{Environment: "env_a", Account: "user-42"}, 100); n != 50 || err != nil {
		t.Fatalf("erased %d, %v", n, err)
	}
	if err := s.Close(); err != nil { // the WAL is copied and removed
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, marker); n > 0 {
		t.Errorf("it is in the file %d times yet", n)
	}
}
