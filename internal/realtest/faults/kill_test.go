package faults_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/realtest/faults/disk"
)

// killPoints are where the service ends itself: around each commit, in the middle of one, and in
// the middle of a send.
func killPoints() []string {
	points := []string{"send:before", "send:after"}
	for _, call := range []string{"append", "claim", "finish", "release", "purge"} {
		points = append(points, call+":before", call+":after")
	}
	for _, op := range []disk.Op{disk.Write, disk.Sync, disk.Synced} {
		points = append(points, "disk:"+string(op)+":"+string(disk.WAL))
	}
	for _, op := range []disk.Op{disk.Write, disk.Sync} { // copying the WAL into the file
		points = append(points, "disk:"+string(op)+":"+string(disk.Main))
	}
	return points
}

// killAtPoints ends the service at each point in turn.
func killAtPoints(t *testing.T) row {
	points := killPoints()
	kills := options.of(2*len(points), 10*len(points))
	w := newWorld(t, "", nil)
	w.behave(late, 1)
	w.send(func(s *senderSpec) { s.Pause = 2 * time.Millisecond })
	for i := range kills {
		point := points[i%len(points)]
		p := w.start(func(s *serviceSpec) {
			s.KillAt, s.KillNth, s.Purge = point, 1+w.random.IntN(8), true
			switch point {
			case "claim:before", "claim:after", "release:before", "release:after", "disk:write:main", "disk:sync:main":
				s.KillNth = 1 // rare
			}
			s.Drain = 100 * time.Millisecond
		})
		if point == "release:before" || point == "release:after" {
			w.release(p)
		}
		if !p.within(20 * time.Second) {
			t.Fatalf("%s was not reached", point)
		}
		if !p.killed() {
			t.Fatalf("%s was not reached: %v\n%s", point, p.cmd.ProcessState, p.output())
		}
		w.fault()
	}
	w.lastLife()
	return w.settle()
}

// release makes the service give tasks back: it is ended politely while its receiver hangs.
func (w *world) release(p *process) {
	w.t.Helper()
	w.behave(hangs, 1)
	w.until("something is on its way", func() bool { return !strings.Contains(w.get("http://"+w.address+"/stats"), "Trying:0") })
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.within(20 * time.Second)
	w.behave(late, 1)
}

// killAtRandom ends the service at any moment, also while it starts.
func killAtRandom(t *testing.T) row {
	w := newWorld(t, "", nil)
	w.behave(late, 0.5)
	w.send(func(s *senderSpec) { s.Pause = time.Millisecond })
	for i := range options.of(40, 320) {
		p := w.launch(func(s *serviceSpec) { s.Checksums = i%2 == 0 })
		most := 300 * time.Millisecond
		if i%4 == 3 {
			most = 50 * time.Millisecond
		}
		p.within(time.Duration(w.random.Int64N(int64(most))))
		w.kill()
	}
	w.lastLife()
	return w.settle()
}
