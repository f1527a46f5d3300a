package forward_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

// tally counts events by id.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
	at   int
	then func() // runs once, when at have arrived
}

func (c *tally) take(_ context.Context, ev trigger.Event) error {
	c.mu.Lock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[ev.ID]++
	reached := len(c.seen) == c.at && c.seen[ev.ID] == 1
	c.mu.Unlock()
	if reached {
		c.then()
	}
	return nil
}

// What is on the disk at any moment is enough to go on: a replay whose process
// has died delivers what was not recorded as delivered, once, and nothing else.
func TestReplayGoesOnFromTheFile(t *testing.T) {
	t.Parallel()
	const n = 1200 // more than wait at a time
	db := open(t, file(t))
	backup := filepath.Join(t.TempDir(), "backup.db")
	first := &tally{at: n / 2, then: func() {
		if err := db.Backup(t.Context(), backup); err != nil {
			t.Error(err)
		}
	}}
	cfg := forward.Config{Store: db, Settings: forward.Settings{Triggers: trigger.List("*")}, OnEvent: first.take}
	f := build(t, cfg)
	ids := past(t, db, "", forward.Dead, n)
	past(t, db, "", forward.Delivered, 10)
	if got, err := f.Count(t.Context(), forward.Query{Status: forward.Dead}); err != nil || got != n {
		t.Fatalf("Count = %d, %v; want %d", got, err, n)
	}
	job := replayAll(t, f, forward.Query{Status: forward.Dead})
	stop := start(t, f)
	finish := func(f *forward.Forwarder) { // as long as the test may run
		for replayJob(t, f, job).State != forward.ReplayDone {
			breathe()
		}
	}
	finish(f)
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	again, err := sqlite.Open(t.Context(), sqlite.Config{Path: backup})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	var want []string
	for _, event := range ids {
		rec, err := again.Record(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Status != forward.Delivered {
			want = append(want, event)
		}
	}
	second := &tally{}
	cfg.Store, cfg.OnEvent = again, second.take
	f = build(t, cfg)
	if j := replayJob(t, f, job); j.State != forward.ReplayRunning || len(want) == 0 || len(want) == n {
		t.Fatalf("%d events are left in %+v: the copy was not made halfway", len(want), j)
	}
	stop = start(t, f)
	finish(f)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for event, times := range second.seen {
		if got = append(got, event); times != 1 {
			t.Errorf("%s was delivered %d times", event, times)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d events were delivered after the restart, want the %d that were left", len(got), len(want))
	}
	if len(first.seen) != n {
		t.Errorf("%d events were delivered without a restart, want %d", len(first.seen), n)
	}
	for _, s := range []*sqlite.Store{db, again} {
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if j := replayJob(t, f, job); j.Delivered != n || j.Selected != n || j.Queued != 0 {
		t.Errorf("it ended as %+v", j)
	}
}
