package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/realtest/faults/disk"
)

// chainLength is how many losses one store goes through.
const chainLength = 25

// borders are how many borders of fsyncs are tried, from the start of the process.
const borders = 90

// powerLoss takes the power away at every border of an fsync in turn, and between the writes that
// follow it; what was not synced is dropped, reordered, torn or kept.
func powerLoss(t *testing.T) row {
	losses := options.of(120, 1000)
	var sum row
	for chain := 0; sum.faults < losses; chain++ {
		t.Run(fmt.Sprint("store ", chain+1), func(t *testing.T) {
			w := newPowerWorld(t, "power loss", "")
			w.behave([]behaviour{late, hangs}[chain%2], 0.5) // so that events depend on what is stored
			for range min(chainLength, losses-sum.faults) {
				w.losePower(sum.faults + w.row.faults)
			}
			w.lastLife()
			sum = sum.add(w.settle())
		})
		if t.Failed() {
			break
		}
	}
	return sum
}

// newPowerWorld has a receiver and a sender already, and a service without a life yet.
func newPowerWorld(t *testing.T, kind string, bug planted) *world {
	t.Helper()
	w := newWorld(t, kind, func(s *serviceSpec, _ *inboxSpec) { s.Planted = bug })
	body := 600
	if w.random.IntN(4) == 0 {
		body, w.skip = 24<<10, 70 // so that the WAL is copied into the file under load
	}
	w.modes = disk.Modes()
	w.send(func(s *senderSpec) { s.Body, s.Pause = body, 2*time.Millisecond })
	return w
}

// losePower is a life that ends by a loss of power: the nth of them, which chooses where.
func (w *world) losePower(nth int) {
	w.t.Helper()
	left, platter := w.mkdir("left"), w.mkdir("platter")
	p := w.launch(func(s *serviceSpec) {
		// Each border and each mode in turn, so that neighbours are far apart: the first
		// borders are those of Open, which let nothing be sent.
		s.Left, s.Platter, s.Mode = left, platter, w.modes[(nth+nth/borders)%len(w.modes)]
		s.LoseAt = w.skip + nth*37%borders
		if w.random.IntN(3) == 0 {
			s.LoseWrites = 1 + w.random.IntN(12)
		}
	})
	w.lost(p)
	w.replace(left)
}

// lost waits until the power of a life is lost.
func (w *world) lost(p *process) {
	w.t.Helper()
	if !p.within(20 * time.Second) { // the load does not lead there: now, wherever it is
		_ = p.cmd.Process.Signal(syscall.SIGUSR1)
	}
	w.fault()
	if _, ok := p.said("lost"); !ok {
		w.t.Fatalf("the service ended otherwise:\n%s", p.output())
	}
}

// replace goes on with what was left of the files.
func (w *world) replace(left string) {
	w.t.Helper()
	if err := os.RemoveAll(w.service.Dir); err != nil {
		w.t.Fatal(err)
	}
	w.service.Dir = left
}

// mkdir makes a directory for the life that comes next.
func (w *world) mkdir(name string) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, fmt.Sprint(name, "-", w.lives+1))
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// failedSyncThenPowerLoss lets an fsync fail, after which the system believes to have written what
// it has not. The store is opened anew on the running machine, where it reads what is not on the
// disk; then the power is lost.
func failedSyncThenPowerLoss(t *testing.T) row {
	w := newWorld(t, "", nil)
	w.behave(late, 0.5)
	w.send(func(s *senderSpec) { s.Pause = time.Millisecond })
	for range options.of(4, 20) {
		durable, platter := w.mkdir("durable"), w.mkdir("platter")
		p := w.start(func(s *serviceSpec) {
			s.Platter, s.Left, s.LoseAt, s.Disk, s.KillNth = platter, durable, -1, diskSync, 1+w.random.IntN(40)
		})
		w.fault()
		if _, ok := p.said("failed"); !ok {
			t.Fatalf("the store did not fail:\n%s", p.output())
		}
		w.behave(hangs, 1) // so that events depend on what is stored
		left, platter := w.mkdir("left"), w.mkdir("platter")
		p = w.start(func(s *serviceSpec) {
			s.Durable, s.Platter, s.Left, s.Mode = durable, platter, left, disk.Drop
			s.LoseAt = 60 + w.random.IntN(60) // Open has returned
		})
		w.lost(p)
		w.replace(left)
		w.behave(late, 0.5)
	}
	w.lastLife()
	return w.settle()
}

// lastLife runs the service without a fault until the sender is done.
func (w *world) lastLife() {
	w.t.Helper()
	w.behave(fine, 1)
	w.start(nil)
	w.lastly()
}
