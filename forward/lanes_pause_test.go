package forward_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// A destination that has failed for five days, restarts or not, is paused and
// told; its events are kept and catch up.
func TestPausedAfterFailuresOnly(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
		if down.Load() {
			return 500, nil
		}
		return 200, nil
	}}
	var mu sync.Mutex
	var news []string
	cfg := forward.Config{
		Directory: two(settings(forward.DestinationPaused), settings("*")),
		Notify: func(_ context.Context, ev trigger.Event) {
			mu.Lock()
			defer mu.Unlock()
			if ev.Trigger != forward.DeliveryExhausted {
				news = append(news, ev.Trigger+" "+string(ev.Payload))
			}
		},
	}
	bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		hours := func(n int) {
			for range n {
				publish(t, f, "", 1)
				pass(time.Hour)
			}
		}
		paused := func() bool {
			_, since, err := f.Paused(t.Context(), "env_A")
			if err != nil {
				t.Fatal(err)
			}
			return !since.IsZero()
		}
		hours(60)
		stop()
		stop = running(t, f)
		hours(59)
		if paused() {
			t.Fatal("it was paused before its time")
		}
		hours(3)
		if !paused() {
			t.Fatal("it was not paused after five days of failures")
		}
		n := len(r.deliveries())
		hours(5)
		if got := len(r.deliveries()); got != n {
			t.Errorf("%d tries of a paused destination", got-n)
		}
		waiting := 0
		for rec, err := range f.Events(t.Context(), forward.Query{Environment: "env_A", Status: forward.Paused}) {
			if err != nil || !strings.HasPrefix(rec.Reason, "every try has failed since 2000-01-01T00:00:00Z") {
				t.Errorf("%s is paused because %q, %v", rec.ID, rec.Reason, err)
			}
			waiting++
		}
		if waiting < 50 {
			t.Errorf("%d events are paused", waiting)
		}
		if err := f.Resume(t.Context(), "env_A"); err != nil {
			t.Fatal(err)
		}
		hours(3) // it still fails: that is no reason to pause at once
		if paused() {
			t.Error("it was paused again at the first failure")
		}
		down.Store(false)
		hours(30)
		down.Store(true)
		hours(119)
		if paused() {
			t.Error("failures before a success counted")
		}
		down.Store(false)
		hours(30)
		stop()
		for _, rec := range all(t, f, "env_A") {
			if rec.Status == forward.Pending || rec.Status == forward.Paused {
				t.Errorf("%s is %s", rec.ID, rec.Status)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(news) != 3 || !strings.HasPrefix(news[0], "destination.paused ") || !strings.Contains(news[0], "every try has failed since") ||
			!strings.HasPrefix(news[1], "destination.recovered ") {
			t.Errorf("news %q", news)
		}
	})
}

// Each of these is a reason not to pause.
func TestAClockThatJumpsPausesNothing(t *testing.T) {
	t.Parallel()
	var offset atomic.Int64
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) { return 500, nil }}
	s := settings("*")
	for range 40 {
		s.Retry = append(s.Retry, time.Minute)
	}
	cfg := forward.Config{
		Directory: two(s, settings("*")),
		Now:       func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
	}
	bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		publish(t, f, "", 3)
		pass(5 * time.Minute)
		offset.Store(int64(365 * 24 * time.Hour))
		pass(5 * time.Minute)
		stop() // what the store says is as wrong
		running(t, f)
		pass(5 * time.Minute)
		if _, since, err := f.Paused(t.Context(), "env_A"); err != nil || !since.IsZero() {
			t.Errorf("after a quarter of an hour of failures it is paused since %v, %v", since, err)
		}
		if n := len(r.deliveries()); n < 6 {
			t.Errorf("%d tries were made", n)
		}
	})
}

// What was planned on a clock that was ahead does not keep what is due now waiting.
func TestAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	var offset atomic.Int64
	offset.Store(int64(365 * 24 * time.Hour))
	var calm atomic.Bool
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
		if calm.Load() {
			return 200, nil
		}
		return 503, http.Header{"Retry-After": {"3600"}}
	}}
	cfg := forward.Config{
		Directory: two(settings("*"), settings("*")),
		Now:       func() time.Time { return time.Now().Add(time.Duration(offset.Load())).Round(0) },
	}
	bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		publish(t, f, "", 1)
		pass(time.Minute) // its destination rests for an hour, a year ahead
		offset.Store(0)
		calm.Store(true)
		publish(t, f, "", 1)
		pass(2 * time.Minute)
		if n := len(r.deliveries()); n != 2 {
			t.Errorf("%d tries, want 2: what is due now does not wait for a year", n)
		}
		offset.Store(int64(400 * 24 * time.Hour)) // nobody tells the timers
		pass(2 * time.Minute)
		if n := len(r.deliveries()); n != 3 {
			t.Errorf("%d tries, want 3: the first one is due at last", n)
		}
	})
}

func TestNotPausedAfterFailures(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		change  func(*forward.Settings)
		handler bool
		away    time.Duration // between two Runs
		tries   int           // that succeed: every n-th
	}{
		{name: "never", change: func(s *forward.Settings) { s.PauseAfter = -1 }},
		{name: "later", change: func(s *forward.Settings) { s.PauseAfter = 1000 * time.Hour }},
		{name: "a handler in this process", change: func(s *forward.Settings) { s.URL = "" }, handler: true},
		{name: "it was us who were away", change: func(*forward.Settings) {}, away: 119 * time.Hour},
		{name: "some succeed", change: func(*forward.Settings) {}, tries: 50},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := settings("*")
			row.change(&s)
			r := &receiver{answer: func(n int, _ trigger.Event) (int, http.Header) {
				if row.tries > 0 && n%row.tries == 0 {
					return 200, nil
				}
				return 500, nil
			}}
			cfg := forward.Config{Directory: two(s, settings("*"))}
			if row.handler {
				cfg.OnEvent = func(context.Context, trigger.Event) error { return errors.New("not today") }
			}
			bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
				stop := running(t, f)
				n := 200
				if row.away > 0 {
					publish(t, f, "", 1)
					pass(30 * time.Minute)
					stop()
					pass(row.away)
					stop = running(t, f)
					n = 0
					publish(t, f, "", 100)
					pass(50 * time.Minute)
				}
				for range n {
					publish(t, f, "", 1)
					pass(time.Hour)
				}
				stop()
				if reason, _, err := f.Paused(t.Context(), "env_A"); reason != "" || err != nil {
					t.Errorf("paused: %s, %v", reason, err)
				}
			})
		})
	}
}

// Since when a destination fails is written when that changes, not with each try.
func TestFailingIsWrittenOnTransitions(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
		if down.Load() {
			return 404, nil
		}
		return 200, nil
	}}
	watch := &watched{memory: newMemory()}
	bubble(t, r, forward.Config{Store: watch}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		for _, step := range []struct {
			down bool
			want string
		}{
			{false, ""}, {true, "f"}, {true, ""}, {true, ""}, {false, "r"}, {false, ""}, {true, "f"}, {false, "r"},
		} {
			down.Store(step.down)
			publish(t, f, "", 1)
			synctest.Wait()
			if got := watch.taken(); got != step.want {
				t.Errorf("after %+v: %q", step, got)
			}
		}
		stop()
	})
}

// watched notes what outcomes say about their lanes.
type watched struct {
	*memory
	mu   sync.Mutex
	said string
}

func (w *watched) Finish(ctx context.Context, outcomes []forward.Outcome) ([]int, error) {
	w.mu.Lock()
	for _, o := range outcomes {
		if o.Recovered {
			w.said += "r"
		}
		if !o.Failing.IsZero() {
			w.said += "f"
		}
		if !o.Rest.IsZero() || o.Pause != "" {
			w.said += "?"
		}
	}
	w.mu.Unlock()
	return w.memory.Finish(ctx, outcomes)
}

func (w *watched) taken() (said string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	said, w.said = w.said, ""
	return said
}

// Events of an account that a receiver refuses hold up those that came later of
// the same account, and nobody else's, however many there are.
func TestOrdered(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	refuse.Store(true)
	r := &receiver{answer: func(_ int, ev trigger.Event) (int, http.Header) {
		if ev.Account == "user-A1" && refuse.Load() {
			return 400, nil
		}
		return 200, nil
	}}
	s := settings("*")
	s.Ordered = true
	const n = 300
	bubble(t, r, forward.Config{Directory: two(s, settings()), Limits: forward.Limits{InMemory: 32 << 10}}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		for i := range n { // from a provider: user-A1's
			mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
		}
		publish(t, f, "user-A2", n)
		pass(time.Second)
		by := map[string]int{}
		for _, got := range r.deliveries() {
			by[got.event.Account]++
		}
		if by["user-A1"] != 1 || by["user-A2"] != n {
			t.Errorf("tries by account: %v, want 1 and %d", by, n)
		}
		refuse.Store(false)
		pass(time.Minute)
		stop()
		var order []string
		for _, got := range r.deliveries() {
			if got.event.Account == "user-A1" {
				order = append(order, string(got.event.Payload))
			}
		}
		if len(order) != n+1 {
			t.Fatalf("%d tries, want %d", len(order), n+1)
		}
		for i := range n {
			if want := fmt.Sprintf(`{"text":"%d"}`, i); order[i+1] != want {
				t.Fatalf("%s came at %d, want %s", order[i+1], i, want)
			}
		}
	})
}
