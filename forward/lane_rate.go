package forward

import (
	"math"
	"time"
)

// rateLimit is a token bucket that holds one second's worth, written as the time
// at which it will be full (the generic cell rate algorithm): one number to keep,
// and no rounding that adds up. The zero value limits nothing.
type rateLimit struct {
	interval time.Duration // between two tokens; 0: no limit
	slack    time.Duration // how far ahead of the interval tries may run: the burst less one
	full     time.Time
}

// set changes the rate, in tokens per second. A bucket begins with one token: who
// starts anew must not send what was sent just before once more.
func (r *rateLimit) set(rate float64, now time.Time) {
	if rate <= 0 {
		*r = rateLimit{}
		return
	}
	interval := time.Duration(math.Ceil(float64(time.Second) / rate))
	slack := time.Duration(math.Max(1, math.Floor(rate))-1) * interval
	if r.interval == 0 {
		r.full = now.Add(slack)
	}
	r.interval, r.slack = interval, slack
}

// free returns when there is a token: not after now when there is one.
func (r *rateLimit) free(now time.Time) time.Time {
	if empty := now.Add(r.slack + r.interval); r.full.After(empty) {
		r.full = empty // it cannot be emptier, unless the clock was put back or the rate raised
	}
	return r.full.Add(-r.slack)
}

// take takes a token; free was not after now.
func (r *rateLimit) take(now time.Time) {
	if r.interval == 0 {
		return
	}
	if r.full.Before(now) {
		r.full = now
	}
	r.full = r.full.Add(r.interval)
}

// ahead is how many tokens come in some time, at least one.
func (r *rateLimit) ahead(d time.Duration) int {
	return int(max(1, d/r.interval))
}
