package forward

import "time"

const (
	// firstWindow is where a destination begins once it has answered for the first
	// time: enough for a thousand events per second at 8 ms, and what a small
	// receiver takes without harm. Until then one try at a time is made, so that
	// many dead destinations do not take the workers away from those that live.
	firstWindow = 8

	// A destination is slower than it was when its average answer takes slowFactor
	// times as long as it used to, and slowLeast at least.
	slowFactor = 8
	slowLeast  = 500 * time.Millisecond
)

// window is how many tries of a destination may be in flight: it grows while
// they succeed, at first by one with each (which doubles it with every round trip),
// and beyond what the last setback has left of it by one a round trip; it is halved,
// once a round trip, when the destination is overloaded (slow start, additive
// increase and multiplicative decrease, as in TCP: RFC 5681). The zero value lets
// one pass, and was never answered.
type window struct {
	size float64 // 0: no answer yet
	most int
	fast float64   // up to which it grows fast; 0: there was no setback
	cut  time.Time // when it was last halved: tries that began before say nothing new

	recent, usual float64 // averages of how long an answer takes, in nanoseconds
}

// limit is how many tries may be in flight, from 1 to most.
func (w *window) limit() int {
	return max(1, min(int(w.size), w.most))
}

// answered takes note of a success. full: as many tries were in flight as may
// be; where fewer are needed, nothing is known about more.
func (w *window) answered(began time.Time, took time.Duration, full bool, now time.Time) {
	switch {
	case w.size == 0:
		w.size = firstWindow
	case !full:
	case w.fast > 0 && w.size >= w.fast:
		w.size += 1 / w.size
	default:
		w.size++
	}
	w.size = min(w.size, float64(max(w.most, 1)))
	if w.pace(took) {
		w.setback(began, now)
	}
}

// setback halves the window, unless it was since the try began.
func (w *window) setback(began, now time.Time) {
	if w.size == 0 || began.Before(w.cut) {
		return
	}
	w.cut = now
	w.size = max(w.size/2, 1)
	w.fast = w.size
}

// pace keeps the averages and reports whether answers have become far slower. What
// is slow then counts more and more as usual: a destination that stays slow is not
// starved.
func (w *window) pace(took time.Duration) bool {
	if w.usual == 0 {
		w.recent, w.usual = float64(took), float64(took)
		return false
	}
	w.recent += (float64(took) - w.recent) / 8
	if w.recent < w.usual {
		w.usual += (w.recent - w.usual) / 8
	} else {
		w.usual += (w.recent - w.usual) / 256
	}
	if w.recent < slowFactor*w.usual || w.recent < float64(slowLeast) {
		return false
	}
	w.usual *= 2
	return true
}

// restart begins anew after an outage, and soon has what the setback left.
func (w *window) restart() {
	*w = window{size: 1, most: w.most, fast: w.fast, cut: w.cut}
}
