package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/forward"
)

// dead makes an event whose delivery has failed for good.
func (in *installation) dead(t testing.TB, key, environment string) api.Event {
	t.Helper()
	e := in.example(t, key)
	in.now.Add(1000)
	tasks, err := in.store.Claim(t.Context(), forward.ClaimRequest{Lane: "dest:" + environment, Now: in.config.Now(), Limit: 100, Bytes: 1 << 20, Lease: time.Minute})
	if err != nil || len(tasks) != 1 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	o := forward.Outcome{Task: tasks[0], Status: forward.Dead, Reason: "out of tries", Attempt: forward.Attempt{At: in.config.Now()}}
	if lost, err := in.store.Finish(t.Context(), []forward.Outcome{o}); err != nil || len(lost) > 0 {
		t.Fatalf("finishing: %v, %v", lost, err)
	}
	return e
}

func TestReplays(t *testing.T) {
	t.Parallel()
	in := install(t)
	in.dead(t, in.devKey, in.dev)
	in.dead(t, in.key, in.prod)
	since := in.config.Now()
	in.dead(t, in.key, in.prod)
	in.example(t, in.key) // pending
	in.now.Add(1000)
	for body, want := range map[string]string{
		`{"status":"dead","dry_run":true}`:                                                  `{"count":2}`,
		`{"status":"delivered","dry_run":true}`:                                             `{"count":0}`,
		`{"account":"user-42","dry_run":true}`:                                              `{"count":2}`,
		`{"since":"` + since.Format(time.RFC3339) + `","dry_run":true}`:                     `{"count":1}`,
		`{"status":"dead","until":"` + since.Format(time.RFC3339) + `","dry_run":true}`:     `{"count":1}`,
		`{"connector":"shop","trigger":"shop.order.placed","connection":"","dry_run":true}`: `{"count":2}`,
		`{"connector":"webhook","dry_run":true}`:                                            `{"count":0}`,
	} {
		if got := in.call(t, "POST", "/replays", in.key, body); got.status != 200 || strings.TrimSpace(got.body) != want {
			t.Errorf("%s: %d %s, want %s", body, got.status, got.body, want)
		}
	}
	first := in.call(t, "POST", "/replays", in.key, `{"status":"dead","connector":"shop","dry_run":false}`, "Idempotency-Key", "k")
	again := in.call(t, "POST", "/replays", in.key, `{"status":"dead","connector":"shop","dry_run":false}`, "Idempotency-Key", "k")
	var made api.Replay
	first.json(t, &made)
	want := api.Replay{
		ID: made.ID, State: "running", CreatedAt: in.config.Now(),
		Filter: api.ReplayFilter{Connector: "shop", Status: "dead", Until: in.config.Now()},
	}
	if text, _ := json.Marshal(made); first.status != 202 || again.body != first.body || again.header.Get("Idempotent-Replayed") != "true" || string(text) != mustMarshal(t, want) {
		t.Errorf("made: %d %s, want %+v; again: %d %s", first.status, first.body, want, again.status, again.body)
	}
	ids := []string{made.ID}
	for range 4 {
		in.now.Add(1000)
		in.call(t, "POST", "/replays", in.key, `{"status":"dead"}`).json(t, &made)
		ids = append(ids, made.ID)
	}
	slices.Reverse(ids)
	var listed []string
	for path := "/replays?limit=2"; ; {
		var page api.List[api.Replay]
		in.get(t, path, &page)
		for _, j := range page.Items {
			listed = append(listed, j.ID)
		}
		if page.Next == "" {
			break
		}
		path = "/replays?limit=2&cursor=" + page.Next
	}
	if !slices.Equal(listed, ids) {
		t.Errorf("GET /replays in pages: %v, want %v", listed, ids)
	}
	for range 2 {
		if got := in.call(t, "DELETE", "/replays/"+ids[0], in.key, ""); got.status != 204 {
			t.Errorf("cancelling: %d %s", got.status, got.body)
		}
	}
	in.get(t, "/replays/"+ids[0], &made)
	if made.State != "cancelled" || made.Reason == "" || made.EndedAt == nil || !made.EndedAt.Equal(in.config.Now()) {
		t.Errorf("cancelled: %+v", made)
	}
	for range 16 {
		in.call(t, "POST", "/replays", in.key, `{"status":"dead"}`)
	}
	if got := in.call(t, "POST", "/replays", in.key, `{"status":"dead"}`); got.status != 409 || got.code() != "too_many_replays" {
		t.Errorf("the 21st at a time: %d %s", got.status, got.body)
	}
}

func mustMarshal(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReplaysRefused(t *testing.T) {
	t.Parallel()
	in := install(t)
	later := in.config.Now().Add(time.Hour).Format(time.RFC3339)
	for _, row := range []struct{ body, field string }{
		{`{}`, "status"},
		{`{"dry_run":true}`, "status"},
		{`{"until":"` + later + `"}`, "status"},
		{`{"status":"pending"}`, "status"},
		{`{"status":"paused","dry_run":true}`, "status"},
		{`{"status":"all"}`, "status"},
		{`{"status":7}`, "status"},
		{`{"status":"dead","dry_run":"yes"}`, "dry_run"},
		{`{"status":"dead","dry_run":null}`, "dry_run"},
		{`{"since":"yesterday"}`, "since"},
		{`{"since":"` + later + `"}`, "since"},
		{`{"since":"2026-11-23T15:00:00Z","until":"2026-11-23T14:00:00Z"}`, "since"},
		{`{"environment":"` + in.dev + `","status":"dead"}`, "environment"},
		{`{"account":"` + strings.Repeat("x", 513) + `"}`, "account"},
	} {
		got := in.call(t, "POST", "/replays", in.key, row.body)
		if got.status != 400 || got.code() != "invalid_body" || got.field() != row.field || len(got.body) > 500 {
			t.Errorf("%s: %d %s, want 400 about %s", row.body, got.status, got.body, row.field)
		}
	}
	var l api.List[api.Replay]
	in.get(t, "/replays", &l)
	if len(l.Items) != 0 {
		t.Errorf("refused, and made: %+v", l.Items)
	}
}

func TestReplayDelivery(t *testing.T) {
	t.Parallel()
	in := install(t)
	e := in.dead(t, in.key, in.prod)
	path := fmt.Sprintf("/deliveries/%s/replay", e.Deliveries[0].ID)
	first := in.call(t, "POST", path, in.key, "", "Idempotency-Key", "k")
	again := in.call(t, "POST", path, in.key, "", "Idempotency-Key", "k")
	var d api.Delivery
	first.json(t, &d)
	if first.status != 202 || again.body != first.body || !d.Replay || d.Event != e.ID || d.Status != "pending" || d.ID == e.Deliveries[0].ID {
		t.Errorf("replayed: %d %s; again: %d %s", first.status, first.body, again.status, again.body)
	}
	in.get(t, "/events/"+e.ID, &e)
	if len(e.Deliveries) != 2 || e.Status != "pending" || e.Deliveries[1].ID != d.ID {
		t.Errorf("the event is %+v", e)
	}
}
