package subscription

import (
	"math"
	"sync"
	"time"
)

const (
	defaultRate = 10        // calls about watches a second, for each App
	longestHold = time.Hour // a provider that wants more is asked again then
	holdAfter   = 3         // calls in a row that the provider has put off hold up all of an App
	firstShare  = 0.8       // of a second's worth of calls that new watches may use up
)

// pace spreads the calls that are made about watches, so that a thousand
// connections added at once do not storm their provider. Providers count by App.
type pace struct {
	rate func(connector string) float64

	mu   sync.Mutex
	apps map[paceKey]*paced
}

type paceKey struct{ connector, app string }

// paced is a bucket that holds one second's worth of calls, written as the time at
// which it will be full, and when the last call of those that had to be put off is
// planned.
type paced struct {
	interval time.Duration // between two calls
	slack    time.Duration // how far ahead of the interval calls may run: the burst less one
	full     time.Time
	planned  [2]time.Time
	held     time.Time // the provider wants no call before
	seen     time.Time // when it was asked last
	refusals int       // calls in a row that the provider has put off
}

// Kinds of calls.
const (
	urgent  = iota // prolong or remove what is there: it would end, or report for nothing
	creates        // waits while the other kind needs the rate
)

func newPace(rate func(connector string) float64) *pace {
	return &pace{rate: rate, apps: make(map[paceKey]*paced)}
}

func (p *pace) app(connector, app string) *paced {
	key := paceKey{connector, app}
	a := p.apps[key]
	if a == nil {
		rate := p.rate(connector)
		if !(rate > 0) { // nor NaN
			rate = defaultRate
		}
		a = &paced{interval: time.Duration(math.Ceil(float64(time.Second) / rate))}
		a.slack = time.Duration(math.Max(1, math.Floor(rate))-1) * a.interval
		p.apps[key] = a
	}
	return a
}

// ask returns now when a call may be made, which then counts, and otherwise when
// to ask again. Those who are told to wait are planned one after another.
func (p *pace) ask(connector, app string, kind int, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.app(connector, app)
	if a.seen.Sub(now) > time.Minute { // the clock was put back
		*a = paced{interval: a.interval, slack: a.slack, full: now.Add(a.slack)}
	}
	a.seen = now
	slack := a.slack
	if kind == creates {
		slack = time.Duration(float64(slack) * firstShare)
	}
	start := a.full.Add(-slack)
	if a.held.After(start) {
		start = a.held
	}
	if !start.After(now) {
		if a.full.Before(now) {
			a.full = now
		}
		a.full = a.full.Add(a.interval)
		return now
	}
	at := a.planned[kind].Add(a.interval)
	if at.Before(start) {
		at = start
	}
	a.planned[kind] = at
	return at
}

// refused notes that the provider wants no such call for a while. It may mean one
// end user; when it says so again and again it means all.
func (p *pace) refused(connector, app string, now time.Time, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.app(connector, app)
	if a.refusals++; a.refusals < holdAfter {
		return
	}
	if until := now.Add(min(d, longestHold)); until.After(a.held) {
		a.held = until
	}
}

// accepted notes that a call has succeeded.
func (p *pace) accepted(connector, app string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.app(connector, app).refusals = 0
}
