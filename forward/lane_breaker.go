package forward

import "time"

const (
	breakAfter = 5               // outages in a row open the breaker
	breakFirst = time.Second     // for so long at first, doubled each time
	breakMost  = 1 * time.Minute // and at most
)

// breaker keeps a destination that is down from being tried, but for one probe at
// a time. What counts is that nobody is there: no answer in time, no connection, an
// overloaded or failing server (429, 5xx). A definite answer about one event (404,
// say) shows that somebody is. The zero value is closed.
type breaker struct {
	outages int  // in a row
	opened  int  // how often in a row
	open    bool // until a probe gets through
	probing bool // it is on its way
}

// outage takes note of a try that met nobody, and returns how long the breaker
// opens for, 0 when it does not. While it is open, what was already on its way when
// it opened says nothing new.
func (b *breaker) outage(probe bool) time.Duration {
	switch {
	case b.open && !probe:
		return 0
	case !b.open:
		if b.outages++; b.outages < breakAfter {
			return 0
		}
	}
	d := breakFirst << min(b.opened, 10)
	b.open, b.outages = true, 0
	b.opened++
	return jitter(min(d, breakMost), 0.8, 1.2)
}

// alive takes note of an answer, and reports whether that closed the breaker.
func (b *breaker) alive(probe bool) bool {
	if b.open && !probe {
		return false
	}
	was := b.open
	*b = breaker{}
	return was
}
