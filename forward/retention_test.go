package forward_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// large is a request with one item of 100 KiB.
func large(key string) request {
	return request{Team: "T1", Items: []item{{Key: key, Text: strings.Repeat("x", 100<<10)}}}
}

// told collects names of news.
type told struct {
	mu    sync.Mutex
	names []string
}

func (n *told) notify(_ context.Context, ev trigger.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names = append(n.names, ev.Trigger)
}

func (n *told) count(name string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, have := range n.names {
		if have == name {
			count++
		}
	}
	return count
}

// At the limit, with nothing that may go, requests are refused, what is there is
// delivered, and then requests are taken again.
func TestStoreAtItsLimit(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
		if down.Load() {
			return 500, nil
		}
		return 204, nil
	}}
	var news told
	m := newMemory()
	bubble(t, r, forward.Config{Store: m, Notify: news.notify, Limits: forward.Limits{MaxStore: 2 << 20}}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		accepted := map[string]bool{}
		var refused *httptest.ResponseRecorder
		for i := 0; refused == nil && i < 100; i++ {
			key := fmt.Sprint(i)
			if w := post(t, f, hook, "default-key", large(key)); w.Code == http.StatusServiceUnavailable {
				refused = w
			} else if w.Code == http.StatusAccepted {
				accepted[key] = true
			}
			pass(time.Second)
		}
		if refused == nil || refused.Header().Get("Retry-After") != "60" {
			t.Fatalf("refused with %+v, want 503 and Retry-After", refused)
		}
		if n := len(accepted); n < 15 || n > 22 {
			t.Errorf("%d events of 100 KiB fit into 2 MiB", n)
		}
		if err := f.Publish(t.Context(), trigger.Event{Trigger: "invoice.paid", Environment: "env_A"}); !errors.Is(err, forward.ErrStoreFull) {
			t.Errorf("Publish: %v", err)
		}
		if s := f.Stats(); !s.StoreFull || s.Full < 2 || s.StoreBytes < 2<<20 || news.count(forward.StoreFull) != 1 {
			t.Errorf("stats %+v, told %v", s, news.names)
		}
		if w := post(t, f, hook, "default-key", request{Team: "T1", Signal: "revoked"}); w.Code != http.StatusAccepted {
			t.Errorf("a request that stores nothing got %d", w.Code)
		}
		tried := len(r.deliveries())
		pass(time.Minute)
		if len(r.deliveries()) == tried {
			t.Error("nothing was tried while the store was full")
		}

		down.Store(false)
		pass(time.Hour)
		if w := post(t, f, hook, "default-key", large("after")); w.Code != http.StatusAccepted || f.Stats().StoreFull {
			t.Errorf("status %d when there was room again", w.Code)
		}
		accepted["after"] = true
		pass(time.Minute)
		if news.count(forward.StoreFull) != 1 || news.count(forward.StoreRecovered) != 1 {
			t.Errorf("told %v", news.names)
		}
		last := map[string]bool{}
		for _, d := range r.deliveries() {
			last[d.event.ID] = true
		}
		if len(last) != len(accepted) {
			t.Errorf("%d events arrived, %d were accepted", len(last), len(accepted))
		}
	})
}

// While finished events can go nobody is refused, and duplicates are recognised
// although their events have gone.
func TestFinishedEventsGoFirst(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	var news told
	m := newMemory()
	bubble(t, r, forward.Config{Store: m, Notify: news.notify, Limits: forward.Limits{MaxStore: 2 << 20}}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		for i := range 100 {
			if w := post(t, f, hook, "default-key", large(fmt.Sprint(i))); w.Code != http.StatusAccepted {
				t.Fatalf("request %d got %d", i, w.Code)
			}
			pass(time.Second)
		}
		kept := all(t, f, "env_A")
		if len(kept) < 5 || len(kept) > 20 || kept[len(kept)-1].ID != r.deliveries()[99].event.ID {
			t.Errorf("%d events are kept, want the newest", len(kept))
		}
		mustPost(t, f, hook, "default-key", large("0"))
		pass(time.Minute)
		if n := len(r.deliveries()); n != 100 || f.Stats().Duplicates != 1 || len(news.names) > 0 {
			t.Errorf("%d deliveries, %+v, told %v", n, f.Stats(), news.names)
		}
	})
}

// A store that does not tell its size is no reason to refuse anybody.
func TestSizeThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.fail = func(method string) error {
			if method == "Size" {
				return errors.New("no")
			}
			return nil
		}
		r := &receiver{}
		f := build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("gone.away")), Transport: r, Limits: forward.Limits{MaxStore: 2 << 20}})
		running(t, f)
		mustPost(t, f, hook, "default-key", one("k"))
		pass(time.Minute)
		if len(r.deliveries()) != 1 {
			t.Error("it was not delivered")
		}
	})
}

// The same over SQLite, whose size is counted in pages.
func TestSQLiteAtItsLimit(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	var arrived sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		arrived.Store(r.Header.Get("Webhook-Id"), true)
	}))
	defer server.Close()
	f := build(t, forward.Config{
		Store: open(t, file(t)), Limits: forward.Limits{MaxStore: 2 << 20},
		Settings: forward.Settings{
			URL: server.URL, Triggers: trigger.List("*"), Secrets: []string{webhook.NewSecret()}, Retry: []time.Duration{100 * time.Millisecond, 100 * time.Millisecond,
				time.Second, time.Second, time.Second, time.Second, time.Second, time.Second, time.Second, time.Second},
		},
	})
	start(t, f)
	accepted := 0
	until(t, "the store is full", func() bool {
		w := post(t, f, hook, "default-key", large(fmt.Sprint(accepted)))
		if w.Code == http.StatusAccepted {
			accepted++
		}
		return w.Code == http.StatusServiceUnavailable
	})
	down.Store(false)
	until(t, "all arrived", func() bool {
		n := 0
		arrived.Range(func(any, any) bool { n++; return true })
		return n == accepted
	})
	until(t, "requests are taken again", func() bool {
		return post(t, f, hook, "default-key", large("after")).Code == http.StatusAccepted
	})
}
