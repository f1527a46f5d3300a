package forward

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	throttleLines  = 10          // of one subject within throttleWindow
	throttleWindow = time.Minute // counted from the first of them
	throttleKeys   = 1024        // subjects that are told apart
)

// throttle bounds how often the same is logged when a stranger decides how often
// it happens. What was left out is counted, and said with the next line of the
// same subject. The zero value is ready for use, by several goroutines.
type throttle struct {
	mu       sync.Mutex
	subjects map[string]*throttled
}

type throttled struct {
	since      time.Time
	lines      int
	suppressed int64
}

// allow reports whether a line about subject may be written now, and how many
// were left out since the last one.
func (t *throttle) allow(subject string, now time.Time) (suppressed int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.subjects[subject]
	if s == nil {
		if len(t.subjects) >= throttleKeys {
			subject = "" // all further ones share one
			s = t.subjects[subject]
		}
		if s == nil {
			s = &throttled{since: now}
			if t.subjects == nil {
				t.subjects = make(map[string]*throttled)
			}
			t.subjects[subject] = s
		}
	}
	if d := now.Sub(s.since); d >= throttleWindow || d < 0 { // a clock may be set back
		s.since, s.lines = now, 0
	}
	if s.lines >= throttleLines {
		s.suppressed++
		return 0, false
	}
	s.lines++
	suppressed, s.suppressed = s.suppressed, 0
	return suppressed, true
}

// seldom writes a line unless there were too many about its subject.
func (f *Forwarder) seldom(ctx context.Context, t *throttle, subject string, level slog.Level, message string, args ...any) {
	suppressed, ok := t.allow(subject, f.now())
	if !ok {
		return
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	f.log.Log(ctx, level, message, args...) //nolint:sloglint // callers give constants
}
