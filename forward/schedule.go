package forward

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// standardRetry is the schedule of Standard Webhooks 1.0.0: ten tries, the last
// one 75 h 35 m 5 s after the first.
func standardRetry() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// wait returns how long to wait after a failed try; tries counts those made
// before it. last: there is no further one. after is what the receiver asked
// for, which is never undercut, up to limit.
func (s Settings) wait(tries int, after, limit time.Duration) (wait time.Duration, last bool) {
	retry := s.Retry
	if len(retry) == 0 {
		retry = standardRetry()
	}
	if tries >= len(retry) {
		return 0, true
	}
	wait = jitter(retry[tries], 0.8, 1.2)
	if after = min(after, limit); after > wait {
		// Spread those who were all told the same.
		wait = jitter(after, 1, 1.1)
	}
	return wait, false
}

// pauseAfter returns after how long a time of failures only a destination is paused;
// 0: never.
func (s Settings) pauseAfter() time.Duration {
	switch {
	case s.PauseAfter < 0:
		return 0
	case s.PauseAfter == 0:
		return defaultPause
	}
	return s.PauseAfter
}

// jitter multiplies d by a random factor between low and high.
func jitter(d time.Duration, low, high float64) time.Duration {
	return time.Duration(float64(d) * (low + (high-low)*rand.Float64())) //nolint:gosec // nobody gains by guessing it
}

// backoff is the wait after n failed tries in a row to ask a provider: 5 s,
// doubled up to an hour.
func backoff(n int) time.Duration {
	d := time.Hour
	if n = max(n, 1) - 1; n < 10 {
		d = min(d, 5*time.Second<<n)
	}
	return jitter(d, 0.8, 1.2)
}

// parseRetryAfter reads the header: seconds or a date (RFC 9110, 10.2.3). A
// date in the past is no wait; what is neither is none, too.
func parseRetryAfter(value string, now time.Time) time.Duration {
	const most = 10 * 365 * 24 * 60 * 60 // beyond any limit, within a Duration
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if value[0] >= '0' && value[0] <= '9' {
		for i := range len(value) {
			if value[i] < '0' || value[i] > '9' {
				return 0
			}
		}
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > most { // digits only: too many of them
			seconds = most
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil || !at.After(now) {
		return 0
	}
	if at.Sub(now) > most*time.Second {
		return most * time.Second
	}
	return at.Sub(now)
}
