package api_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/forward"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	in := install(t)
	var ids []string
	for range 5 {
		in.now.Add(1000)
		ids = append(ids, in.example(t, in.key).ID)
	}
	slices.Reverse(ids) // newest first
	var got []string
	for path := "/events?limit=2"; ; {
		var page api.List[api.Event]
		in.get(t, path, &page)
		for _, e := range page.Items {
			got = append(got, e.ID)
			if e.Deliveries != nil || !e.Test || e.Type != "shop.order.placed" || e.Connector != "shop" || e.Account != "user-42" || e.Status != "pending" || string(e.Payload) != `{"id":"1"}` {
				t.Errorf("listed: %+v", e)
			}
		}
		if page.Next == "" {
			break
		}
		path = "/events?limit=2&cursor=" + page.Next
	}
	if !slices.Equal(got, ids) {
		t.Errorf("GET /events in pages: %v, want %v", got, ids)
	}
	since := in.config.Now().Add(-2 * time.Second).Format(time.RFC3339)
	for query, want := range map[string]int{
		"connector=shop": 5, "connector=webhook": 0, "trigger=shop.order.placed": 5, "account=user-42": 5, "account=x": 0,
		"status=pending": 5, "status=dead": 0, "since=" + since: 3, "until=" + since: 2, "connection=conn_01KATE9W1B6S0Z3YV8K5QH2T4G": 0,
	} {
		var l api.List[api.Event]
		in.get(t, "/events?"+query, &l)
		if len(l.Items) != want {
			t.Errorf("GET /events?%s: %d, want %d", query, len(l.Items), want)
		}
	}
	var e api.Event
	in.get(t, "/events/"+ids[0], &e)
	if len(e.Deliveries) != 1 || e.Deliveries[0].Replay || e.Deliveries[0].Event != ids[0] || e.Deliveries[0].NextAt == nil {
		t.Errorf("GET /events/%s: %+v", ids[0], e)
	}
	replayed := in.call(t, "POST", "/events/"+ids[0]+"/replay", in.key, "")
	var d api.Delivery
	replayed.json(t, &d)
	if replayed.status != 202 || !d.Replay || d.Event != ids[0] || d.ID == e.Deliveries[0].ID {
		t.Errorf("replay: %d %s", replayed.status, replayed.body)
	}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	in := install(t)
	ev := in.example(t, in.key)
	replay := "/events/" + ev.ID + "/replay"
	first := in.call(t, "POST", replay, in.key, "", "Idempotency-Key", "k1")
	second := in.call(t, "POST", replay, in.key, "", "Idempotency-Key", "k1")
	if first.status != 202 || second.status != 202 || first.body != second.body || first.header.Get("Idempotent-Replayed") != "" || second.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("repeated: %v, %v", first, second)
	}
	var e api.Event
	in.get(t, "/events/"+ev.ID, &e)
	if len(e.Deliveries) != 2 {
		t.Errorf("%d deliveries after a repeated replay, want 2", len(e.Deliveries))
	}
	other := in.example(t, in.key)
	for name, row := range map[string]struct{ path, body, key string }{
		"another event":    {"/events/" + other.ID + "/replay", "", "k1"},
		"another endpoint": {"/events/test", `{"trigger":"shop.order.placed"}`, "k1"},
		"another body":     {replay, "{}", "k1"},
	} {
		if got := in.call(t, "POST", row.path, in.key, row.body, "Idempotency-Key", row.key); got.status != 409 || got.code() != "idempotency_conflict" {
			t.Errorf("%s with the same key: %d %s", name, got.status, got.body)
		}
	}
	// Another environment's key of the same text is another one.
	if got := in.call(t, "POST", "/events/test", in.devKey, `{"trigger":"shop.order.placed"}`, "Idempotency-Key", "k1"); got.status != 202 || got.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("another environment: %v", got)
	}
	// Errors are not kept.
	for _, body := range []string{`{"trigger":"shop.nothing"}`, `{"trigger":"shop.order.placed"}`} {
		got := in.call(t, "POST", "/events/test", in.key, body, "Idempotency-Key", "k2")
		if (got.status == 202) != strings.Contains(body, "placed") {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	for name, headers := range map[string][]string{
		"empty": {"Idempotency-Key", ""}, "long": {"Idempotency-Key", strings.Repeat("x", 256)}, "two": {"Idempotency-Key", "a", "Idempotency-Key", "b"},
	} {
		if got := in.call(t, "POST", replay, in.key, "", headers...); got.status != 400 || got.field() != "Idempotency-Key" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	in.now.Add((24 * time.Hour).Milliseconds())
	if got := in.call(t, "POST", replay, in.key, "", "Idempotency-Key", "k1"); got.status != 202 || got.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("a day later: %v", got)
	}
}

// slow holds the first example back until it is told to go on.
type slow struct {
	api.Forwarder
	calls       *atomic.Int32
	began, goOn chan struct{}
}

func (s slow) SendExample(ctx context.Context, environment, name, account string) (forward.Record, error) {
	if s.calls.Add(1) == 1 {
		close(s.began)
		<-s.goOn
	}
	return s.Forwarder.SendExample(ctx, environment, name, account)
}

func TestIdempotencyTogether(t *testing.T) {
	t.Parallel()
	in := install(t)
	s := slow{in.forwarder, new(atomic.Int32), make(chan struct{}), make(chan struct{})}
	h := in.with(t, func(c *api.Config) { c.Forwarder = s })
	var wg sync.WaitGroup
	wg.Go(func() {
		if got := h.call(t, "POST", "/events/test", in.key, `{"trigger":"shop.order.placed"}`, "Idempotency-Key", "k"); got.status != 202 {
			t.Errorf("the first: %d %s", got.status, got.body)
		}
	})
	<-s.began
	if got := h.call(t, "POST", "/events/test", in.key, `{"trigger":"shop.order.placed"}`, "Idempotency-Key", "k"); got.status != 409 || got.code() != "idempotency_conflict" || got.header.Get("Retry-After") == "" {
		t.Errorf("while the first is worked on: %d %s", got.status, got.body)
	}
	close(s.goOn)
	wg.Wait()
	if got := h.call(t, "POST", "/events/test", in.key, `{"trigger":"shop.order.placed"}`, "Idempotency-Key", "k"); got.status != 202 || got.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("after the first: %d %s", got.status, got.body)
	}
	var l api.List[api.Event]
	in.get(t, "/events", &l)
	if len(l.Items) != 1 {
		t.Errorf("%d events, want 1", len(l.Items))
	}
}
