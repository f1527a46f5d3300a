package forward_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
)

// asking runs a test with a connector whose Expand is given.
func asking(t *testing.T, expand func(sub *connector.Subscription, n *connector.Notice) (*connector.Expansion, error), test func(t *testing.T, f *forward.Forwarder, m *memory, d *directory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d := two(settings("*"), settings("gone.away"))
		key := " " + string(connector.NewKey("team", "T1"))
		d.people[key] = d.people[key][:1]
		d.cursors = func(sub string) string {
			return m.cursor(sub)
		}
		f := build(t, forward.Config{
			Store: m, Directory: d, Transport: &receiver{},
			Connectors: []connector.Connector{&acme{secret: "default-key", expand: expand}},
		})
		test(t, f, m, d)
	})
}

func thin(says, merge string) request { return request{Team: "T1", Thin: says, Merge: merge} }

func occurrences(keys ...string) []connector.Notice {
	var r request
	for _, k := range keys {
		r.Items = append(r.Items, item{Key: k})
	}
	return []connector.Notice{r.notice()}
}

func TestExpandPages(t *testing.T) {
	t.Parallel()
	var seen []string
	asking(t, func(sub *connector.Subscription, n *connector.Notice) (*connector.Expansion, error) {
		seen = append(seen, fmt.Sprintf("%s %s", sub.Cursor, n.Thin))
		page := len(seen)
		return &connector.Expansion{
			Notices: occurrences(fmt.Sprintf("k%d", page)), Cursor: fmt.Sprintf("c%d", page), More: page < 3,
		}, nil
	}, func(t *testing.T, f *forward.Forwarder, m *memory, _ *directory) {
		running(t, f)
		mustPost(t, f, hook, "default-key", thin("look", ""))
		synctest.Wait()
		if want := []string{` "look"`, `c1 "look"`, `c2 "look"`}; !slices.Equal(seen, want) {
			t.Errorf("asked %q, want %q", seen, want)
		}
		if got := all(t, f, "env_A"); len(got) != 3 || m.cursor("sub_A1") != "c3" || got[0].Status != forward.Delivered {
			t.Errorf("%d events, cursor %q", len(got), m.cursor("sub_A1"))
		}
		if m.waiting() != 0 {
			t.Errorf("%d tasks left", m.waiting())
		}
	})
}

func TestExpandIsSerialAndMerges(t *testing.T) {
	t.Parallel()
	var running_, most, calls atomic.Int32
	asking(t, func(*connector.Subscription, *connector.Notice) (*connector.Expansion, error) {
		most.Store(max(most.Load(), running_.Add(1)))
		calls.Add(1)
		<-time.After(time.Minute)
		running_.Add(-1)
		return nil, nil
	}, func(t *testing.T, f *forward.Forwarder, m *memory, _ *directory) {
		running(t, f)
		for i := range 20 {
			mustPost(t, f, hook, "default-key", thin(fmt.Sprint(i), "mailbox"))
			synctest.Wait()
		}
		pass(time.Hour)
		if most.Load() != 1 {
			t.Errorf("%d at a time for one Connection", most.Load())
		}
		if n := calls.Load(); n > 3 {
			t.Errorf("asked %d times, notices did not merge", n)
		}
		if m.waiting() != 0 {
			t.Errorf("%d tasks left", m.waiting())
		}
	})
}

func TestExpandSetbacks(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		err       error // of the first tries
		tries     int32 // that fail
		low, high time.Duration
		signal    string
		lost      bool
	}{
		{"any error", errors.New("hiccup"), 1, 4 * time.Second, 6 * time.Second, "", false},
		{"many errors", errors.New("hiccup"), 5, 2 * time.Minute, 4 * time.Minute, "", false},
		{"errors for days", errors.New("hiccup"), 60, 40 * time.Hour, 60 * time.Hour, "", false},
		{"asked to wait", &connector.RetryError{After: 10 * time.Minute, Err: errors.New("429")}, 1, 10 * time.Minute, 11 * time.Minute, "", false},
		{"revoked", connector.ErrRevoked, 1, 48 * time.Minute, 72 * time.Minute, "conn_A1 expired", false},
		{"scope", fmt.Errorf("no: %w", connector.ErrScope), 1, 48 * time.Minute, 72 * time.Minute, "conn_A1 scope", false},
		{"watch gone", connector.ErrGone, 1, 4 * time.Second, 6 * time.Second, "conn_A1 gone", false},
		{"refused", connector.ErrRefused, 1, 0, 0, "conn_A1 gap", true},
		{"panic", nil, 1, 4 * time.Second, 6 * time.Second, "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			asking(t, func(*connector.Subscription, *connector.Notice) (*connector.Expansion, error) {
				if calls.Add(1) <= row.tries {
					if row.err == nil {
						panic("expand")
					}
					return nil, row.err
				}
				return &connector.Expansion{Notices: occurrences("k")}, nil
			}, func(t *testing.T, f *forward.Forwarder, m *memory, d *directory) {
				running(t, f)
				began := time.Now()
				mustPost(t, f, hook, "default-key", thin("look", ""))
				pass(100 * time.Hour)
				got := all(t, f, "env_A")
				if row.lost != (len(got) == 0) {
					t.Fatalf("%d events", len(got))
				}
				if len(got) > 0 {
					if after := got[0].ReceivedAt.Sub(began); after < row.low || after > row.high {
						t.Errorf("it worked after %s, want %s to %s", after, row.low, row.high)
					}
				}
				if signals := fmt.Sprint(d.signals); signals != fmt.Sprint([]string{row.signal}) && signals != "[]"+row.signal {
					t.Errorf("signals %v, want %q", d.signals, row.signal)
				}
				if m.waiting() != 0 {
					t.Errorf("%d tasks left", m.waiting())
				}
			})
		})
	}
}

func TestExpandAgainWhenTheConnectorSays(t *testing.T) {
	t.Parallel()
	var at []time.Time
	asking(t, func(_ *connector.Subscription, n *connector.Notice) (*connector.Expansion, error) {
		at = append(at, time.Now())
		if n != nil {
			return &connector.Expansion{Next: time.Now().Add(42 * time.Minute)}, nil
		}
		return &connector.Expansion{Notices: occurrences("late")}, nil
	}, func(t *testing.T, f *forward.Forwarder, _ *memory, _ *directory) {
		running(t, f)
		mustPost(t, f, hook, "default-key", thin("look", ""))
		pass(2 * time.Hour)
		if len(at) != 2 || at[1].Sub(at[0]) != 42*time.Minute || len(all(t, f, "env_A")) != 1 {
			t.Errorf("asked at %v", at)
		}
	})
}

// A poll is kept, at whatever pace, and Wake makes a new one start at once.
func TestPoll(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	asking(t, func(_ *connector.Subscription, n *connector.Notice) (*connector.Expansion, error) {
		if n != nil {
			return nil, errors.New("a poll has no notice")
		}
		if calls.Add(1) == 2 {
			return nil, errors.New("hiccup")
		}
		return &connector.Expansion{Notices: occurrences(fmt.Sprint(calls.Load())), Cursor: fmt.Sprint(calls.Load()), Next: time.Now().Add(10 * time.Minute)}, nil
	}, func(t *testing.T, f *forward.Forwarder, m *memory, _ *directory) {
		running(t, f)
		pass(time.Second)
		m.mu.Lock()
		m.tasks["sub_A1"] = &memoryTask{Task: forward.Task{ID: "sub_A1", Kind: forward.Poll, Lane: "conn:conn_A1", Due: time.Now(), Subscription: "sub_A1"}}
		m.mu.Unlock()
		f.Wake()
		synctest.Wait()
		if calls.Load() != 1 {
			t.Fatalf("%d calls after Wake", calls.Load())
		}
		pass(61 * time.Minute)
		if n := calls.Load(); n != 8 { // 1, hiccup, its retry, and every 10 minutes
			t.Errorf("%d calls in an hour, want 8", n)
		}
		if m.waiting() != 1 || m.cursor("sub_A1") != fmt.Sprint(calls.Load()) {
			t.Errorf("%d tasks, cursor %q", m.waiting(), m.cursor("sub_A1"))
		}
	})
}

func TestExpandOfARemovedSubscriptionIsDropped(t *testing.T) {
	t.Parallel()
	asking(t, nil, func(t *testing.T, f *forward.Forwarder, m *memory, d *directory) {
		mustPost(t, f, hook, "default-key", thin("look", ""))
		d.mu.Lock()
		clear(d.people)
		d.mu.Unlock()
		running(t, f)
		synctest.Wait()
		if m.waiting() != 0 {
			t.Errorf("%d tasks left", m.waiting())
		}
	})
}

// A crash between pages repeats from the stored cursor; a lost lease ends it.
func TestExpandStoreFailsBetweenPages(t *testing.T) {
	t.Parallel()
	var seen []string
	asking(t, func(sub *connector.Subscription, _ *connector.Notice) (*connector.Expansion, error) {
		seen = append(seen, sub.Cursor)
		next := map[string]string{"": "c1", "c1": "c2", "c2": "c2"}[sub.Cursor]
		return &connector.Expansion{Notices: occurrences(next), Cursor: next, More: next != "c2"}, nil
	}, func(t *testing.T, f *forward.Forwarder, m *memory, _ *directory) {
		var appends atomic.Int32
		m.fail = func(method string) error {
			if method == "Append" && appends.Add(1) == 3 { // 1: the notice; 2: page 1; 3: page 2
				return errors.New("disk full")
			}
			return nil
		}
		running(t, f)
		mustPost(t, f, hook, "default-key", thin("look", ""))
		pass(time.Hour)
		if want := []string{"", "c1", "c1"}; !slices.Equal(seen, want) {
			t.Errorf("asked with cursors %q, want %q", seen, want)
		}
		if got := all(t, f, "env_A"); len(got) != 2 || m.waiting() != 0 {
			t.Errorf("%d events, want 2; %d tasks left", len(got), m.waiting())
		}
	})
}
