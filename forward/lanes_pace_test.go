package forward_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// publish stores n events of env_A, of that account.
func publish(t *testing.T, f *forward.Forwarder, account string, n int) {
	t.Helper()
	for range n {
		if err := f.Publish(t.Context(), trigger.Event{Trigger: "a.b", Environment: "env_A", Account: account}); err != nil {
			t.Fatal(err)
		}
	}
}

// calls counts the calls of a store.
type calls struct {
	mu sync.Mutex
	n  map[string]int
}

func count(m *memory) *calls {
	c := &calls{n: map[string]int{}}
	m.wait = func(method string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.n[method]++
	}
	return c
}

// since returns what was called since it was called last.
func (c *calls) since() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := maps.Clone(c.n)
	clear(c.n)
	return n
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	c := count(m)
	s := settings("*")
	s.RateLimit = 5
	bubble(t, r, forward.Config{Store: m, Directory: two(s, settings("*"))}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		publish(t, f, "", 100)
		synctest.Wait()
		if n := len(r.deliveries()); n != 1 {
			t.Errorf("%d at once, want the one that a bucket begins with", n)
		}
		c.since()
		pass(10 * time.Second)
		if n := len(r.deliveries()); n != 51 {
			t.Errorf("%d in ten seconds, want 51", n)
		}
		if n := c.since(); n["Finish"] != 50 || n["Release"]+n["Append"]+n["Claim"] > 0 {
			t.Errorf("waiting for a token wrote: %v", n)
		}
		pass(10 * time.Second)
		pass(time.Minute) // the bucket is full
		publish(t, f, "", 10)
		synctest.Wait()
		if n := len(r.deliveries()); n != 105 {
			t.Errorf("%d after a minute of silence, want 105: a burst of one second's worth", n)
		}
		stop()
		for _, rec := range all(t, f, "env_A") {
			if rec, _ = f.Event(t.Context(), rec.ID); len(rec.Deliveries[0].Attempts) > 1 {
				t.Errorf("%d attempts", len(rec.Deliveries[0].Attempts))
			}
		}
	})
}

// A healthy destination is soon given all that it may have.
func TestWindowGrowsFast(t *testing.T) {
	t.Parallel()
	r := &receiver{wait: func(context.Context, int) { <-time.After(10 * time.Millisecond) }}
	bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		began := time.Now()
		const n = 3200 // one second at 32 in flight
		publish(t, f, "", n)
		pass(20 * time.Second)
		got := r.deliveries()
		if took := got[len(got)-1].at.Sub(began); len(got) != n || took > 1100*time.Millisecond {
			t.Errorf("%d deliveries took %s", len(got), took)
		}
	})
}

// An overloaded destination is tried with fewer at a time, and with more again
// when it has recovered. Concurrency bounds both.
func TestWindowShrinks(t *testing.T) {
	t.Parallel()
	var inFlight, most atomic.Int64
	var busy atomic.Bool
	slow := func(*http.Request) (*http.Response, error) {
		n := inFlight.Add(1)
		defer inFlight.Add(-1)
		most.Store(max(most.Load(), n))
		<-time.After(100 * time.Millisecond)
		code := http.StatusOK
		if busy.Load() && n > 16 {
			code = http.StatusServiceUnavailable
		}
		return &http.Response{StatusCode: code, Body: http.NoBody}, nil
	}
	s := settings("*")
	s.Concurrency = 20
	synctest.Test(t, func(t *testing.T) {
		f := build(t, forward.Config{Directory: two(s, settings("*")), Transport: roundTrip(slow)})
		running(t, f)
		peak := func() int64 { return most.Swap(0) }
		publish(t, f, "", 1000)
		pass(2 * time.Second)
		if n := peak(); n != 20 {
			t.Errorf("%d were in flight, want Settings.Concurrency, 20", n)
		}
		busy.Store(true)
		pass(3 * time.Second)
		peak()
		pass(time.Second)
		// The window grows by one a round trip. When it comes to 17, the try that is
		// one too many begins, and is answered a round trip later: till then up to 17
		// others succeed, and it may come to 18, but not to 19.
		if n := peak(); n > 18 {
			t.Errorf("%d are in flight at a destination that can take 16", n)
		}
		busy.Store(false)
		publish(t, f, "", 1000)
		pass(10 * time.Second)
		peak()
		publish(t, f, "", 100)
		pass(time.Second)
		if n := peak(); n != 20 {
			t.Errorf("%d are in flight at a destination that has recovered, want 20", n)
		}
	})
}

// A destination that is down is asked now and then, with one event, while the
// others wait without write and without attempt.
func TestBreaker(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	r, m := &receiver{}, newMemory()
	c := count(m)
	flaky := func(req *http.Request) (*http.Response, error) {
		res, err := r.RoundTrip(req)
		if down.Load() {
			return nil, syscall.ECONNREFUSED
		}
		return res, err
	}
	synctest.Test(t, func(t *testing.T) {
		f := build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("*")), Transport: roundTrip(flaky)})
		stop := running(t, f)
		publish(t, f, "", 200)
		pass(10 * time.Minute)
		if n := f.Stats().Held; n > 1 {
			t.Errorf("%d are in memory while nothing is sent", n)
		}
		c.since()
		before := len(r.deliveries())
		pass(time.Hour)
		tries := len(r.deliveries()) - before
		if tries < 50 || tries > 75 {
			t.Errorf("%d tries an hour, want about one a minute", tries)
		}
		if n := c.since(); n["Finish"] != tries || n["Claim"] > 2*tries || n["Release"] > 1 || n["Append"] > 0 {
			t.Errorf("it wrote %v for %d tries", n, tries)
		}
		if s := f.Stats(); s.Resting != 1 || s.Held > 1 {
			t.Errorf("%d rest and %d are in memory, want 1 and at most 1", s.Resting, s.Held)
		}
		down.Store(false)
		before = len(r.deliveries())
		pass(75 * time.Second)
		if n := len(r.deliveries()) - before; n < 130 {
			t.Errorf("%d were delivered in the minute after it came back", n)
		}
		pass(80 * time.Hour)
		stop()
		for _, rec := range all(t, f, "env_A") {
			if rec.Status != forward.Delivered {
				t.Errorf("%s is %s", rec.ID, rec.Status)
			}
		}
	})
}

// Definite answers about single events do not open the breaker.
func TestBreakerStaysClosed(t *testing.T) {
	t.Parallel()
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) { return 404, nil }}
	bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		publish(t, f, "", 300)
		synctest.Wait()
		if n := len(r.deliveries()); n != 300 {
			t.Errorf("%d of 300 were tried at once", n)
		}
	})
}

// 429 and 503 with Retry-After are meant for all that go there, also after a restart.
func TestLaneHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			r := &receiver{answer: func(n int, _ trigger.Event) (int, http.Header) {
				if n == 2 {
					return code, http.Header{"Retry-After": {"600"}}
				}
				return 200, nil
			}}
			bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
				stop := running(t, f)
				publish(t, f, "", 1)
				synctest.Wait()
				publish(t, f, "", 1)
				synctest.Wait()
				publish(t, f, "", 20)
				pass(5 * time.Minute)
				stop()
				stop = running(t, f)
				pass(5*time.Minute - time.Millisecond)
				if n := len(r.deliveries()); n != 2 {
					t.Fatalf("%d tries before the time that the receiver named", n-2)
				}
				pass(2 * time.Minute)
				stop()
				if n := len(r.deliveries()); n != 23 {
					t.Errorf("%d deliveries afterwards, want 23", n)
				}
			})
		})
	}
}

// Resume ends a wait that a receiver has asked for by mistake.
func TestResumeEndsRetryAfter(t *testing.T) {
	t.Parallel()
	r := &receiver{answer: func(n int, _ trigger.Event) (int, http.Header) {
		if n == 1 {
			return 429, http.Header{"Retry-After": {"86400"}}
		}
		return 200, nil
	}}
	bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		publish(t, f, "", 1)
		synctest.Wait()
		publish(t, f, "", 3)
		pass(time.Hour)
		if err := f.Resume(t.Context(), "env_A"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(r.deliveries()); n != 4 {
			t.Errorf("%d tries, want 4: the first event has its own time", n)
		}
	})
}

// One dead destination of many changes nothing for the others: not by a nanosecond.
func TestDeadDestinationChangesNothing(t *testing.T) {
	t.Parallel()
	const others = 50
	delays := func(t *testing.T, dead bool, limits forward.Limits) (all []string) {
		r := &receiver{}
		d := two(settings("*"), settings("*"))
		for i := range others {
			d.settings[fmt.Sprint("env_", i)] = settings("*")
		}
		down := settings("*")
		down.URL = "https://dead.example/"
		d.settings["env_dead"] = down
		var hangs atomic.Bool
		transport := func(req *http.Request) (*http.Response, error) {
			if req.URL.Host != "dead.example" {
				<-time.After(20 * time.Millisecond)
				return r.RoundTrip(req)
			}
			if !hangs.Load() {
				<-time.After(time.Millisecond)
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			}
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		synctest.Test(t, func(t *testing.T) {
			f := build(t, forward.Config{Directory: d, Transport: roundTrip(transport), Limits: limits})
			running(t, f)
			send := func(env string) {
				if err := f.Publish(t.Context(), trigger.Event{Trigger: "a.b", Environment: env, Time: time.Now()}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 600 {
				for n := range 3 {
					send(fmt.Sprint("env_", (i+n*7)%others))
				}
				if dead {
					hangs.Store(i > 100) // it was well once, and had all that one can have
					for range 40 {
						send("env_dead")
					}
				}
				pass(50 * time.Millisecond)
			}
			pass(time.Minute)
			for _, got := range r.deliveries() {
				all = append(all, fmt.Sprint(got.event.Environment, " ", got.event.Time.UnixMilli(), " after ", got.at.Sub(got.event.Time)))
			}
		})
		slices.Sort(all)
		return all
	}
	for name, limits := range map[string]forward.Limits{
		"defaults": {}, "little memory": {InMemory: 64 << 10}, "few workers": {InFlight: 16, PerLane: 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			without, with := delays(t, false, limits), delays(t, true, limits)
			if len(without) != 1800 || !slices.Equal(without, with) {
				late := 0
				for i := range min(len(with), len(without)) {
					if with[i] != without[i] {
						late++
					}
				}
				t.Errorf("%d and %d deliveries, of which %d differ", len(without), len(with), late)
			}
		})
	}
}

// What waits for thousands of destinations that are down is in the store.
func TestManyDeadDestinations(t *testing.T) {
	t.Parallel()
	const n = 300
	d := two(settings("*"), settings("*"))
	for i := range n {
		d.settings[fmt.Sprint("env_", i)] = settings("*")
	}
	r := &receiver{wait: func(ctx context.Context, _ int) { <-ctx.Done() }}
	const memory = 128 << 10
	bubble(t, r, forward.Config{Directory: d, Limits: forward.Limits{InMemory: memory}}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		for i := range 3 * n {
			if err := f.Publish(t.Context(), trigger.Event{Trigger: "a.b", Environment: fmt.Sprint("env_", i%n)}); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			pass(time.Minute)
			if s := f.Stats(); s.Bytes > 2*memory || s.Held > 512 {
				t.Fatalf("%d tasks of %d bytes are in memory", s.Held, s.Bytes)
			}
		}
		r.mu.Lock()
		r.wait = nil
		r.mu.Unlock()
		pass(12 * time.Hour)
		stop()
		for _, rec := range all(t, f, "*") {
			if rec.Status != forward.Delivered {
				t.Fatalf("%s of %s is %s", rec.ID, rec.Environment, rec.Status)
			}
		}
	})
}

// Replays wait until nothing else does, and share rate, window, breaker and pause.
func TestBulkGoesLast(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	s := settings("*")
	s.RateLimit = 1
	bubble(t, r, forward.Config{Store: m, Directory: two(s, settings("*"))}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		publish(t, f, "", 5)
		pass(time.Minute)
		if len(r.deliveries()) != 5 {
			t.Fatal("the events were not delivered")
		}
		var b forward.Batch
		for _, rec := range all(t, f, "env_A") {
			b.Tasks = append(b.Tasks, forward.Task{
				ID: id.New("dlv", time.Now()), Kind: forward.Deliver, Lane: "bulk:env_A", Due: time.Now(), Event: rec.Event, Replay: true,
			})
		}
		if _, err := m.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		f.Wake()
		synctest.Wait()
		publish(t, f, "", 5)
		pass(5*time.Second - time.Millisecond)
		seen, fresh := map[string]bool{}, 0
		for i, got := range r.deliveries() {
			if i >= 5 && !seen[got.event.ID] {
				fresh++
			}
			seen[got.event.ID] = true
		}
		if n := len(r.deliveries()); n != 10 || fresh != 4 {
			t.Errorf("%d deliveries of which %d were no replays; want 10 and, after the one that was alone, 4", n, fresh)
		}
		if err := m.Pause(t.Context(), "dest:env_A", "by hand", time.Now()); err != nil {
			t.Fatal(err)
		}
		stop()
		stop = running(t, f)
		pass(time.Hour)
		if n := len(r.deliveries()); n != 10 {
			t.Errorf("%d deliveries while paused", n-10)
		}
		if err := f.Resume(t.Context(), "env_A"); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		stop()
		if n := len(r.deliveries()); n != 15 {
			t.Errorf("%d deliveries in the end, want 15", n)
		}
	})
}

// They go last also while what goes first is in the store, for want of memory.
func TestBulkWaitsForTheBacklog(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	cfg := forward.Config{Store: m, Limits: forward.Limits{InMemory: 4 << 10, PerLane: 1}}
	bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
		r.wait = func(context.Context, int) { <-time.After(time.Second) }
		large := fmt.Appendf(nil, "%01000d", 1)
		large[0] = '1'
		add := func(n int) {
			for range n {
				if err := f.Publish(t.Context(), trigger.Event{Trigger: "a.b", Environment: "env_A", Payload: large}); err != nil {
					t.Fatal(err)
				}
			}
		}
		add(5)
		stop := running(t, f)
		pass(time.Minute)
		stop()
		var b forward.Batch
		for _, rec := range all(t, f, "env_A") {
			b.Tasks = append(b.Tasks, forward.Task{
				ID: id.New("dlv", time.Now()), Kind: forward.Deliver, Lane: "bulk:env_A", Due: time.Now(), Event: rec.Event, Replay: true,
			})
		}
		if _, err := m.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		add(20)
		running(t, f)
		pass(time.Minute)
		seen := map[string]bool{}
		for i, got := range r.deliveries() {
			if again := seen[got.event.ID]; again != (i >= 25) {
				t.Errorf("delivery %d is a replay: %v", i+1, again)
			}
			seen[got.event.ID] = true
		}
		if n := len(r.deliveries()); n != 30 {
			t.Errorf("%d deliveries, want 30", n)
		}
	})
}
