package forward

import (
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seeded returns a source for a randomised test, which says its seed when the test
// fails. SEED=n repeats one.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("SEED=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 2))
}

// Replays stand before the same gate as what else goes to their destination.
func TestBulkSharesTheGate(t *testing.T) {
	t.Parallel()
	e := newEngine(t.Context(), &Forwarder{now: time.Now}, nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	bulk, main, other := e.lane(bulkLane("env_1")), e.lane(destLane("env_1")), e.lane(destLane("env_2"))
	if bulk == main || bulk.gate != main.gate || main.gate.main != main || main.gate.bulk != bulk || other.gate == main.gate {
		t.Error("they do not")
	}
}

// The limit against a bucket that counts tokens.
func TestRateLimitModel(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	for range 300 {
		rate := math.Exp(rng.Float64()*math.Log(1e8)) / 100 // 0.01 to 1e6
		now := time.Unix(1e9, 0)
		var r rateLimit
		r.set(rate, now)
		burst := math.Max(1, math.Floor(rate))
		tokens, at := 1.0, now
		for range 200 {
			now = now.Add(time.Duration(rng.ExpFloat64() / rate * float64(time.Second) * rng.Float64() * 3))
			tokens = math.Min(burst, tokens+now.Sub(at).Seconds()*rate)
			at = now
			free := r.free(now)
			want := now.Add(time.Duration(math.Max(0, 1-tokens) / rate * float64(time.Second)))
			// Intervals are whole nanoseconds, rounded up.
			if d := max(free.Sub(now), 0) - want.Sub(now); d < -2 || d > time.Duration(burst+300) {
				t.Fatalf("at %v a second with %v tokens: free in %s, want %s", rate, tokens, free.Sub(now), want.Sub(now))
			}
			if rng.IntN(3) == 0 && free.After(now) {
				now = free
				tokens, at = math.Min(burst, tokens+now.Sub(at).Seconds()*rate), now
			}
			if !r.free(now).After(now) {
				r.take(now)
				tokens--
			}
		}
	}
}

func TestRateLimitClock(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	var r rateLimit
	if r.free(now).After(now) {
		t.Error("no limit limits")
	}
	r.set(2, now)
	r.take(now)
	if back := now.Add(-time.Hour); r.free(back).Sub(back) > time.Second {
		t.Errorf("a clock that was put back makes a wait of %s", r.free(back).Sub(back))
	}
	r.set(0.01, now)
	r.take(now)
	r.set(100, now)
	if wait := r.free(now).Sub(now); wait > 10*time.Millisecond {
		t.Errorf("a raised rate still makes a wait of %s", wait)
	}
}

// Whatever happens, a window lets at least one pass and at most what it may.
func TestWindowModel(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	for range 300 {
		w := window{most: 1 + rng.IntN(64)}
		now := time.Unix(1e9, 0)
		for range 500 {
			now = now.Add(time.Duration(rng.Int64N(int64(time.Second))))
			began := now.Add(-time.Duration(rng.Int64N(int64(time.Second))))
			before := w.size
			switch rng.IntN(8) {
			case 0:
				cut := began.Before(w.cut)
				w.setback(began, now)
				if want := math.Max(1, before/2); before > 0 && !cut && w.size != want || (cut || before == 0) && w.size != before {
					t.Fatalf("a setback made %v of %v", w.size, before)
				}
			case 1:
				if rng.IntN(10) == 0 {
					w.restart()
				}
			default:
				full := rng.IntN(2) == 0
				w.answered(began, 10*time.Millisecond, full, now)
				if grown := w.size - before; before > 0 && (grown < 0 || grown > 1 || !full && grown != 0) {
					t.Fatalf("an answer made %v of %v", w.size, before)
				}
			}
			if n := w.limit(); n < 1 || n > w.most {
				t.Fatalf("%d of %d may be in flight", n, w.most)
			}
		}
	}
}

func TestWindowLatency(t *testing.T) {
	t.Parallel()
	w := window{most: 32}
	now := time.Unix(1e9, 0)
	w.setback(now, now)
	if w.limit() != 1 {
		t.Errorf("%d may be in flight at a destination that has not answered yet", w.limit())
	}
	answer := func(n int, took time.Duration) {
		for range n {
			now = now.Add(took)
			w.answered(now.Add(-took), took, true, now)
		}
	}
	answer(100, 20*time.Millisecond)
	if w.limit() != 32 {
		t.Fatalf("%d may be in flight", w.limit())
	}
	answer(100, 150*time.Millisecond)
	if w.limit() != 32 {
		t.Errorf("%d may be in flight: slower, and still fast", w.limit())
	}
	answer(10, 10*time.Second)
	if n := w.limit(); n > 16 {
		t.Errorf("%d may be in flight at a destination that has become 60 times slower", n)
	}
	answer(3000, 10*time.Second)
	if n := w.limit(); n != 32 {
		t.Errorf("%d may be in flight at one that stays slow", n)
	}
}

func TestBreakerTimes(t *testing.T) {
	t.Parallel()
	var b breaker
	for range breakAfter - 1 {
		if d := b.outage(false); d != 0 {
			t.Fatal("it opened too early")
		}
	}
	for i := range 100 {
		d, want := b.outage(i > 0), min(time.Second<<min(i, 6), time.Minute)
		if d < want*8/10 || d > want*12/10 || !b.open {
			t.Fatalf("it opened for %s, want %s ±20 %%", d, want)
		}
		if b.outage(false) != 0 || b.alive(false) || !b.open {
			t.Fatal("what was on its way before it opened counted")
		}
	}
	if !b.alive(true) || b != (breaker{}) {
		t.Fatal("a probe that got through did not close it")
	}
}

// The schedule against its rules: which wait comes, what it may be, and when it ends.
func TestRetryScheduleModel(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	total := time.Duration(0)
	for _, wait := range standardRetry() {
		total += wait
	}
	if want := 75*time.Hour + 35*time.Minute + 5*time.Second; total != want || len(standardRetry()) != 9 {
		t.Errorf("the standard schedule takes %s in %d waits", total, len(standardRetry()))
	}
	for range 3000 {
		var s Settings
		waits := standardRetry()
		if rng.IntN(3) > 0 {
			waits = nil
			for range 1 + rng.IntN(maxRetries) {
				waits = append(waits, minWait+time.Duration(rng.Int64N(int64(maxWait))))
			}
			s.Retry = waits
		}
		limit := time.Second + time.Duration(rng.Int64N(int64(48*time.Hour)))
		for tries := range len(waits) + 3 {
			var after time.Duration
			if rng.IntN(2) == 0 {
				after = time.Duration(rng.Int64N(int64(96 * time.Hour)))
			}
			got, last := s.wait(tries, after, limit)
			if last != (tries >= len(waits)) {
				t.Fatalf("after %d of %d waits: last %v", tries, len(waits), last)
			}
			if last {
				continue
			}
			least, most := waits[tries]*8/10, waits[tries]*12/10
			asked := min(after, limit)
			if got < asked || got < least || got > max(most, asked+asked/10+1) {
				t.Fatalf("wait %d of %s became %s, asked for %s of at most %s", tries, waits[tries], got, after, limit)
			}
		}
	}
}
