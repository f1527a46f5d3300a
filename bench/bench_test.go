//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/webhook"
)

// TestMain makes the test's binary what the program's is: it starts itself.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := runRole(context.Background(), role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func newSession(t *testing.T) *session {
	t.Helper()
	s := &session{
		dir: t.TempDir(), conns: 8, window: 64, size: 1024, runs: 1, progress: io.Discard,
		secret: webhook.NewSecret(), signing: webhook.NewSecret(), sealingKey: seal.NewKey(),
	}
	var err error
	if s.cert, s.key, err = makeCertificate(s.dir); err != nil {
		t.Fatal(err)
	}
	return s
}

// What each contender is sent arrives, once, at both kinds of load.
func TestEverythingArrives(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		bedOptions
	}{
		{"raw", bedOptions{kind: raw, destinations: 1, size: 1024}},
		{"relay", bedOptions{kind: relay, destinations: 1, size: 1024}},
		{"ours", bedOptions{kind: ours, destinations: 1, size: 1024}},
		{"ours, small bodies", bedOptions{kind: ours, destinations: 1, size: 64}},
		{"ours, large bodies", bedOptions{kind: ours, destinations: 1, size: 64 << 10}},
		{"ours, TLS", bedOptions{kind: ours, destinations: 1, size: 1024, tls: true}},
		{"ours, several destinations", bedOptions{kind: ours, destinations: 3, size: 1024}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			row.events = 300
			b, err := s.newBed(t.Context(), row.bedOptions)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := b.close(); err != nil {
					t.Error(err)
				}
			}()
			for _, order := range []load{
				{Count: 200, Window: s.window, Skip: -1, Only: -1},
				{Count: 100, Rate: 1000, Skip: -1, Only: -1},
			} {
				m, err := b.measure(t.Context(), order)
				if err != nil {
					t.Fatal(err)
				}
				if m.Events != order.Count || m.Duplicates != 0 || m.Ack.P50 <= 0 || m.CPU <= 0 {
					t.Errorf("got %+v", m)
				}
			}
			for cell, want := range map[int]int64{cellSent: 300, cellAcked: 300, cellRefused: 0, cellReceived: 300, cellDuplicates: 0, cellUnknown: 0, cellTries: 300} {
				if got := b.board.cell[cell].Load(); got != want {
					t.Errorf("cell %d is %d, want %d", cell, got, want)
				}
			}
		})
	}
}

// Numbers of a store that does not sync are void.
func TestMeasurementWithoutFsyncIsRefused(t *testing.T) {
	t.Parallel()
	m := measurement{Events: 10, Commits: 5, WALSyncs: 4}
	if m.check(ours) == nil {
		t.Error("5 commits with 4 fsyncs were taken")
	}
	m.WALSyncs = 5
	if err := m.check(ours); err != nil {
		t.Error(err)
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	for _, size := range []int{64, 65, 200, 1024, 64 << 10} {
		b := body(size)
		putSeq(b, 1234567890)
		if len(b) != size || findSeq(b) != 1234567890 {
			t.Errorf("%d bytes instead of %d: %s", len(b), size, b)
		}
	}
	for _, bad := range []string{"", `"seq":"`, `"seq":"12345"`, `"seq":"123456789x"`} {
		if got := findSeq([]byte(bad)); got != -1 {
			t.Errorf("%q has the number %d", bad, got)
		}
	}
}
