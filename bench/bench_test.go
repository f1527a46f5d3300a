//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

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
				{Count: 200, Window: s.window},
				{Count: 100, Rate: 1000},
			} {
				m, err := b.measure(t.Context(), "some", order)
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

func TestParseStatus(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		in     string
		status int
		whole  bool
		ok     bool
	}{
		{"", 0, false, true},
		{"HTTP/1.1 202 Accep", 0, false, true},
		{"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\n\r\nab", 202, false, true},
		{"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\n\r\nabc", 202, true, true},
		{"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nabcd", 0, false, false},
		{"HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n", 204, true, true},
		{"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 503, true, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, false, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", 0, false, false},
		{"garbage\r\n\r\n", 0, false, false},
	} {
		status, whole, err := parseStatus([]byte(row.in))
		if whole != row.whole || (err == nil) != row.ok || row.ok && row.whole && status != row.status {
			t.Errorf("%q: %d, %v, %v", row.in, status, whole, err)
		}
	}
}

// Numbers of a store that does not sync are void.
func TestMeasurementWithoutFsyncIsRefused(t *testing.T) {
	t.Parallel()
	m := measurement{Kind: ours, Events: 10, Commits: 5, WALSyncs: 3}
	if m.check() == nil {
		t.Error("5 commits with 3 fsyncs were taken")
	}
	m.WALSyncs = 4
	if err := m.check(); err != nil {
		t.Error(err)
	}
}

// Each scenario runs to its end and says something about each of its budgets. How
// fast it was is not asked.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		budgets int
		phases  int
	}{
		{"steady", 10, 4},
		{"backlog,restart", 6, 4},
		{"restart", 1, 0},
		{"dead", 4, 4},
		{"retry-storm", 3, 2},
		{"sizes", 6, 3},
		{"tls", 4, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			s.names = strings.Split(row.name, ",")
			s.warm, s.closed, s.open, s.again = 50*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond, 250*time.Millisecond
			s.events, s.destinations, s.who, s.full = 200, 5, contenders(), 400
			r := &report{Options: s.options()}
			for _, sc := range scenarios() {
				if !s.chosen(sc.name) {
					continue
				}
				if err := sc.run(s, t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			phases := map[string]bool{}
			for _, m := range r.Scenarios[s.names[0]] {
				if m.Missing != 0 || m.Refused != 0 {
					t.Errorf("got %+v", m)
				}
				phases[m.Phase] = true
			}
			if row.phases > 0 && len(phases) != row.phases {
				t.Errorf("phases %v, want %d", phases, row.phases)
			}
			if len(r.Budgets) != row.budgets {
				t.Errorf("%d budgets, want %d: %+v", len(r.Budgets), row.budgets, r.Budgets)
			}
			var out strings.Builder
			r.print(&out)
			r.markdown(&out)
			for _, b := range r.Budgets {
				if strings.Count(out.String(), b.What) != 2 {
					t.Errorf("%q is not in both tables", b.What)
				}
			}
		})
	}
}

// What was not the load that was meant is not judged; a median of the rest is, when
// it is most of the runs.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		sign   string
		bound  float64
		values []float64
		of     int
		want   string
		status int
	}{
		{"kept", atLeast, 0.8, []float64{0.7, 0.8, 0.9}, 3, withinBudget, 0},
		{"exceeded", atLeast, 0.8, []float64{0.7, 0.79, 0.9}, 3, overBudget, 1},
		{"kept, at most", atMost, 1.5, []float64{1.5}, 1, withinBudget, 0},
		{"exceeded, at most", atMost, 1.5, []float64{1.4, 1.6, 1.7}, 5, overBudget, 1},
		{"too few", atMost, 1.5, []float64{1, 1}, 4, notJudged, 2},
		{"none", atMost, 1.5, nil, 1, notJudged, 2},
		{"no bound", "", 0, []float64{3}, 1, onlyReported, 2}, // nothing was judged
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := &report{}
			r.judge("some", row.name, row.sign, row.bound, sample{row.values, row.of})
			line, status := r.verdict()
			if got := r.Budgets[0].Verdict; got != row.want || status != row.status || strings.Contains(line, "\n") {
				t.Errorf("got %q, status %d: %s", got, status, line)
			}
		})
	}
	r := &report{}
	r.judge("some", "what was not measured", atMost, 1, sample{})
	if len(r.Budgets) != 0 {
		t.Errorf("got %+v", r.Budgets)
	}
}

// A load at a fixed rate that was not offered says nothing.
func TestVoid(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		m    measurement
		void bool
	}{
		{"full load has no rate", measurement{Acked: 10, Late: 1e6}, false},
		{"as offered", measurement{Offered: 1000, Acked: 990, Late: 100}, false},
		{"too few", measurement{Offered: 1000, Acked: 900, Late: 100}, true},
		{"too late", measurement{Offered: 1000, Acked: 1000, Late: 6000}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.m.void()
			if got := row.m.Void != ""; got != row.void {
				t.Errorf("void: %q", row.m.Void)
			}
		})
	}
}

// Events that were acknowledged and never arrive are missed: raw tries only once.
func TestWhatDoesNotArriveIsMissed(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	b, err := s.newBed(t.Context(), bedOptions{kind: raw, destinations: 1, size: 64, events: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.answer(receiverOrder{Status: 500}); err != nil {
		t.Fatal(err)
	}
	e, err := b.begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.send(load{Count: 50}); err != nil {
		t.Fatal(err)
	}
	if err := e.settle(t.Context(), e.good(), 100*time.Millisecond); !errors.Is(err, errMissing) {
		t.Errorf("got %v", err)
	}
	if n := len(e.arrivals()); n != 0 || e.good() != 50 {
		t.Errorf("%d of %d have arrived", n, e.good())
	}
}

// Ratios leave out pairs of which one is void.
func TestRatio(t *testing.T) {
	t.Parallel()
	a := []measurement{{PerSecond: 4}, {PerSecond: 5, Void: "late"}, {PerSecond: 6}}
	b := []measurement{{PerSecond: 2}, {PerSecond: 2}, {}}
	if got := ratio(a, b, perSecond); len(got.values) != 1 || got.values[0] != 2 || got.of != 3 {
		t.Errorf("got %+v", got)
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
