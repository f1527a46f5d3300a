package faults_test

import (
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/realtest/faults/disk"
)

// TestPlantedBugs puts three bugs into the service, one at a time, and demands that the suite loses
// events by them: what cannot fail proves nothing.
func TestPlantedBugs(t *testing.T) { //nolint:paralleltest // one after another
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const most = 12 // faults, by which an event has to be lost
	judge := func(t *testing.T, w *world) {
		t.Helper()
		w.quiet = 3 * time.Second
		w.lastLife()
		r := w.settle()
		if r.lost <= r.waiting {
			t.Errorf("the bug was not noticed: %d faults, %d acknowledged, none lost", r.faults, r.acknowledged)
		}
		t.Logf("%d faults: %d of %d acknowledged events are lost", r.faults, r.lost, r.acknowledged)
	}
	kills := func(bug planted) func(t *testing.T) {
		return func(t *testing.T) {
			w := newWorld(t, string(bug), func(s *serviceSpec, _ *inboxSpec) { s.Planted = bug })
			w.behave(late, 1)
			w.send(func(s *senderSpec) { s.Workers, s.Pause = 8, 5*time.Millisecond })
			for range most {
				p := w.start(nil)
				p.within(100*time.Millisecond + time.Duration(w.random.Int64N(int64(100*time.Millisecond))))
				w.kill()
			}
			judge(t, w)
		}
	}
	losses := func(bug planted) func(t *testing.T) {
		return func(t *testing.T) {
			w := newPowerWorld(t, string(bug), bug)
			w.behave(late, 1)
			w.skip = 30 // events are on their way
			if bug == plantedUnsynced {
				w.modes = []disk.Mode{disk.Drop} // others damage the file, and the store says so
			}
			for nth := range most {
				w.losePower(nth)
			}
			judge(t, w)
		}
	}
	t.Run(string(plantedEarly)+", kill -9", kills(plantedEarly))
	t.Run(string(plantedEarly)+", power loss", losses(plantedEarly))
	t.Run(string(plantedUnsynced)+", power loss", losses(plantedUnsynced))
	t.Run(string(plantedRecorded)+", kill -9", kills(plantedRecorded))
	t.Run(string(plantedRecorded)+", power loss", losses(plantedRecorded))
}
