package forward_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/forward"
)

func TestRunNotRunningThenRunning(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
		for i := range 5 {
			mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
		}
		pass(time.Hour)
		if n := len(r.deliveries()); n != 0 {
			t.Fatalf("%d deliveries without Run", n)
		}
		began := time.Now()
		stop := running(t, f)
		synctest.Wait()
		stop()
		got := r.deliveries()
		if len(got) != 5 || !got[4].at.Equal(began) {
			t.Errorf("deliveries %v, want 5 at once", got)
		}
		// And again.
		mustPost(t, f, hook, "default-key", one("x"))
		running(t, f)
		synctest.Wait()
		if n := len(r.deliveries()); n != 6 {
			t.Errorf("%d deliveries after the second Run, want 6", n)
		}
	})
}

func TestSecondRun(t *testing.T) {
	t.Parallel()
	bubble(t, &receiver{}, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		if err := f.Run(t.Context()); !errors.Is(err, forward.ErrRunning) {
			t.Errorf("a second Run: %v", err)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	t.Run("tries in flight finish", func(t *testing.T) {
		t.Parallel()
		r := &receiver{wait: func(context.Context, int) { <-time.After(3 * time.Second) }}
		bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
			stop := running(t, f)
			mustPost(t, f, hook, "default-key", one("k"))
			synctest.Wait()
			began := time.Now()
			stop()
			if took := time.Since(began); took != 3*time.Second {
				t.Errorf("stopping took %s", took)
			}
			rec, _ := f.Event(t.Context(), r.deliveries()[0].event.ID)
			if rec.Status != forward.Delivered {
				t.Errorf("status %s", rec.Status)
			}
		})
	})
	t.Run("what does not is put back without an attempt", func(t *testing.T) {
		t.Parallel()
		var fast atomic.Bool
		fast.Store(true)
		r := &receiver{wait: func(ctx context.Context, _ int) {
			if !fast.Load() {
				<-ctx.Done()
			}
		}}
		s := settings("*")
		s.Timeout = time.Minute
		cfg := forward.Config{
			Directory: two(s, settings("gone.away")),
			Limits:    forward.Limits{DrainTimeout: 4 * time.Second, PerLane: 2},
		}
		bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
			stop := running(t, f)
			mustPost(t, f, hook, "default-key", one("first")) // who never answered gets one try at a time
			synctest.Wait()
			fast.Store(false)
			for i := range 9 {
				mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
			}
			synctest.Wait()
			began := time.Now()
			stop()
			if took := time.Since(began); took != 4*time.Second {
				t.Errorf("stopping took %s, want DrainTimeout", took)
			}
			if n := len(r.deliveries()) - 1; n != 2 {
				t.Errorf("%d tries at a time, want PerLane, 2", n)
			}
			for _, rec := range all(t, f, "env_A") {
				rec, _ = f.Event(t.Context(), rec.ID)
				if answered := rec.ID == r.deliveries()[0].event.ID; !answered && (rec.Status != forward.Pending || len(rec.Deliveries[0].Attempts) != 0) {
					t.Errorf("put back: %+v", rec)
				}
			}
			fast.Store(true)
			running(t, f)
			synctest.Wait()
			for _, rec := range all(t, f, "env_A") {
				if rec.Status != forward.Delivered {
					t.Errorf("after the restart: %s", rec.Status)
				}
			}
		})
	})
}

// A commit that is made while Run ends is put back, not kept by nobody.
func TestCommitWhileRunEnds(t *testing.T) {
	r := &receiver{}
	m := newMemory()
	var held atomic.Bool
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m.wait = func(method string) {
			if method == "Append" && held.Load() {
				<-release
			}
		}
		f := build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("gone.away")), Transport: r})
		stop := running(t, f)
		mustPost(t, f, hook, "default-key", one("first")) // makes the lane known
		synctest.Wait()
		held.Store(true)
		answered := make(chan int)
		go func() { answered <- post(t, f, hook, "default-key", one("second")).Code }()
		synctest.Wait()
		stop()
		close(release)
		if code := <-answered; code != http.StatusAccepted {
			t.Fatalf("status %d", code)
		}
		if n := len(r.deliveries()); n != 1 {
			t.Fatalf("%d deliveries after the end of Run", n)
		}
		running(t, f)
		synctest.Wait()
		if n := len(r.deliveries()); n != 2 {
			t.Errorf("%d deliveries, want 2", n)
		}
	})
}

// An event whose commit ends after a Run that began meanwhile has looked into
// the store is delivered at once all the same.
func TestEventStoredWhileRunBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, m := &receiver{}, newMemory()
		f := build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("*")), Transport: r})
		var once sync.Once
		m.wait = func(method string) {
			if method == "Append" {
				once.Do(func() {
					running(t, f)
					pass(time.Second)
				})
			}
		}
		publish(t, f, "", 1)
		pass(time.Second)
		if n := len(r.deliveries()); n != 1 {
			t.Errorf("%d deliveries a second after the commit, want 1", n)
		}
	})
}
