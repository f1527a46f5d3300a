package faults_test

import (
	"testing"
	"time"
)

// TestFaults goes through every kind of fault, one after another, so that recovery says something.
func TestFaults(t *testing.T) { //nolint:paralleltest // one after another
	if testing.Short() {
		t.Skip("takes minutes")
	}
	var results table
	t.Cleanup(results.print)
	for _, kind := range []struct {
		name string
		run  func(t *testing.T) row
	}{
		{"power loss", powerLoss},
		{"kill -9 at each point", killAtPoints},
		{"kill -9 at random", killAtRandom},
		{"disk says it is full", fullDisk},
		{"full file system", fullFileSystem},
		{"I/O error, failed fsync", brokenDisk},
		{"failed fsync, then power loss", failedSyncThenPowerLoss},
		{"slow disk", slowDisk},
		{"long reader", longReader},
		{"damaged file", damagedFile},
		{"receiver misbehaves", badReceiver},
		{"toxiproxy", badNetwork},
		{"clock jumps", clockJumps},
		{"100 of 10,000 dead", manyDestinations},
		{"panics", panics},
		{"shutdown under load", shutdowns},
	} {
		t.Run(kind.name, func(t *testing.T) {
			begin := time.Now()
			r := kind.run(t)
			r.kind, r.took = kind.name, time.Since(begin)
			results.judge(t, r)
		})
	}
}
