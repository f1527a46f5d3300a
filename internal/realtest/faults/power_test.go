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
	left := filepath.Join(w.dir, fmt.Sprint("left-", w.lives+1))
	platter := filepath.Join(w.dir, fmt.Sprint("platter-", w.lives+1))
	for _, dir := range []string{left, platter} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
	p := w.launch(func(s *serviceSpec) {
		// Each border and each mode in turn, so that neighbours are far apart: the first
		// borders are those of Open, which let nothing be sent.
		s.Left, s.Platter, s.Mode = left, platter, w.modes[(nth+nth/borders)%len(w.modes)]
		s.LoseAt = w.skip + nth*37%borders
		if w.random.IntN(3) == 0 {
			s.LoseWrites = 1 + w.random.IntN(12)
		}
	})
	if !p.within(20 * time.Second) { // the load does not lead there: now, wherever it is
		_ = p.cmd.Process.Signal(syscall.SIGUSR1)
	}
	w.fault()
	if _, ok := p.said("lost"); !ok {
		w.t.Fatalf("the service ended otherwise:\n%s", p.output())
	}
	for _, old := range []string{w.service.Dir, platter} {
		if err := os.RemoveAll(old); err != nil {
			w.t.Fatal(err)
		}
	}
	w.service.Dir = left
}

// lastLife runs the service without a fault until the sender is done.
func (w *world) lastLife() {
	w.t.Helper()
	w.start(nil)
	w.lastly()
}
