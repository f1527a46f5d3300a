package subscription

import (
	"math/rand/v2"
	"testing"
	"time"
)

func pacer(rate float64) *pace { return newPace(func(string) float64 { return rate }) }

// asked plays many who want a call at the same time, each asking again when told.
// It returns when each call was made.
func asked(p *pace, kind, n int, now time.Time) (calls []time.Time, questions int) {
	waiting := make([]time.Time, n)
	for i := range waiting {
		waiting[i] = now
	}
	for len(waiting) > 0 {
		next := 0
		for i := range waiting {
			if waiting[i].Before(waiting[next]) {
				next = i
			}
		}
		at := waiting[next]
		questions++
		if again := p.ask("acme", "", kind, at); again.After(at) {
			waiting[next] = again
			continue
		}
		calls = append(calls, at)
		waiting = append(waiting[:next], waiting[next+1:]...)
	}
	return calls, questions
}

// No second has more calls than the rate, but for one second's worth at the start,
// and nobody asks more than twice.
func TestPace(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, rate := range []float64{0.5, 1, 10, 33.3, 500} {
		for kind := range 2 {
			calls, questions := asked(pacer(rate), kind, 2000, now)
			if questions > 2*len(calls) {
				t.Errorf("rate %v: %d questions for %d calls", rate, questions, len(calls))
			}
			for i, at := range calls {
				after := i + int(2*rate) + 2 // a bucket that is full at the beginning
				if after < len(calls) && calls[after].Sub(at) < time.Second {
					t.Fatalf("rate %v: calls %d to %d were made within %s", rate, i, after, calls[after].Sub(at))
				}
			}
			took := calls[len(calls)-1].Sub(now).Seconds()
			if ideal := 2000 / rate; took > ideal*1.05+2 || took < ideal*0.95-3 {
				t.Errorf("rate %v: 2000 calls took %.0f s, want about %.0f", rate, took, ideal)
			}
		}
	}
}

func TestPaceKeepsApart(t *testing.T) {
	t.Parallel()
	p, now := pacer(1), time.Now()
	for _, key := range []paceKey{{"a", ""}, {"a", "app_1"}, {"b", ""}} {
		if got := p.ask(key.connector, key.app, urgent, now); !got.Equal(now) {
			t.Errorf("%v waits for others", key)
		}
	}
	if got := p.ask("a", "app_1", urgent, now); !got.After(now) {
		t.Error("a second call at once")
	}
}

// What would end comes before what is new.
func TestPacePrefersWhatWouldEnd(t *testing.T) {
	t.Parallel()
	p, now := pacer(10), time.Now()
	made := 0
	for p.ask("acme", "", creates, now).Equal(now) {
		made++
	}
	if made < 7 || made > 9 {
		t.Errorf("%d new ones at once", made)
	}
	if got := p.ask("acme", "", urgent, now); !got.Equal(now) {
		t.Error("a renewal waits behind new ones")
	}
}

func TestPaceIsHeld(t *testing.T) {
	t.Parallel()
	p, now := pacer(10), time.Now()
	for range holdAfter {
		p.refused("acme", "", now, time.Minute)
	}
	calls, _ := asked(p, urgent, 100, now)
	if first := calls[0].Sub(now); first != time.Minute {
		t.Errorf("the first call was made after %s", first)
	}
	if last := calls[99].Sub(now); last < 68*time.Second || last > 72*time.Second {
		t.Errorf("the last of 100 was made after %s", last)
	}
	p.refused("acme", "", now, 1000*time.Hour)
	if got := p.ask("acme", "", urgent, now).Sub(now); got > longestHold {
		t.Errorf("it is held for %s", got)
	}
}

// One end user of whom the provider has had enough does not hold up the others.
func TestPaceOfOneRefusal(t *testing.T) {
	t.Parallel()
	p, now := pacer(1000), time.Now()
	for range 10 * holdAfter {
		p.refused("acme", "", now, time.Hour)
		p.accepted("acme", "")
		if got := p.ask("acme", "", urgent, now); !got.Equal(now) {
			t.Fatal("it is held")
		}
	}
}

// A clock that jumps stops nothing for long.
func TestPaceClock(t *testing.T) {
	t.Parallel()
	p, now := pacer(2), time.Now()
	for range holdAfter {
		p.refused("acme", "", now, time.Hour)
	}
	asked(p, creates, 50, now)
	for _, jump := range []time.Duration{-1000 * time.Hour, -time.Minute, time.Hour, 1000 * time.Hour} {
		at := now.Add(jump)
		calls, _ := asked(p, rand.IntN(2), 20, at)
		if last := calls[len(calls)-1].Sub(at); last > longestHold+20*time.Second {
			t.Errorf("after a jump of %s 20 calls took %s", jump, last)
		}
	}
}
