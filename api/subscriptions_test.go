package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	in := install(t)
	at := time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	watch := func(n int, change func(*subscription.Subscription)) string {
		t.Helper()
		s := subscription.Subscription{
			ID: id.New("sub", at.Add(time.Duration(n)*time.Second)), Environment: in.prod, Connection: fmt.Sprint("conn_", n%2), Account: "user-42",
			Connector: "shop", Watch: "orders", Resource: fmt.Sprint("shops/", n), State: subscription.Active, CreatedAt: at,
			Triggers: []string{"shop.order.placed"},
		}
		s.Endpoint = s.ID
		change(&s)
		if err := in.store.SaveComparison(t.Context(), subscription.Dirty{}, []subscription.Subscription{s}, nil); err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	first := watch(0, func(s *subscription.Subscription) {
		s.Held = connector.Held{ID: "remote-1", ExpiresAt: at.Add(48 * time.Hour), Secret: "its-key"}
		s.HeldSince, s.LastRenewal, s.RenewAt, s.Due = at, at.Add(time.Hour), at.Add(24*time.Hour), at.Add(24*time.Hour)
		s.Sealed = []byte("its-key")
	})
	second := watch(1, func(s *subscription.Subscription) {
		s.State, s.LastError, s.Tries, s.Connector = subscription.Refused, "no such shop", 1, "other"
	})
	third := watch(2, func(s *subscription.Subscription) { s.State, s.Due = subscription.Pending, at })
	watch(3, func(s *subscription.Subscription) { s.Environment = in.dev })
	watch(4, func(s *subscription.Subscription) { s.State = subscription.Removed })

	for query, want := range map[string][]string{
		"":                             {first, second, third},
		"healthy=true":                 {first},
		"healthy=false":                {second, third},
		"connection=conn_1":            {second},
		"connector=shop":               {first, third},
		"limit=2":                      {first, second},
		"limit=2&cursor=" + second:     {third},
		"connector=shop&healthy=false": {third},
	} {
		var page api.List[api.Subscription]
		in.get(t, "/subscriptions?"+query, &page)
		var got []string
		for _, s := range page.Items {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, want) || (page.Next != "") != (query == "limit=2") {
			t.Errorf("?%s: %v, want %v; next %q", query, got, want, page.Next)
		}
	}
	got := in.call(t, "GET", "/subscriptions?limit=1", in.key, "")
	if want := `{"items":[{"id":"` + first + `","connection":"conn_0","account":"user-42","connector":"shop","watch":"orders","resource":"shops/0",` +
		`"remote_id":"remote-1","triggers":["shop.order.placed"],"state":"active","healthy":true,"last_error":"","tries":0,` +
		`"created_at":"2026-11-23T15:04:05Z","held_since":"2026-11-23T15:04:05Z","last_renewal_at":"2026-11-23T16:04:05Z",` +
		`"renew_at":"2026-11-24T15:04:05Z","expires_at":"2026-11-25T15:04:05Z","next_try_at":"2026-11-24T15:04:05Z","rejected":[]}],"next":"` + first + `"}` + "\n"; got.body != want {
		t.Errorf("got\n%swant\n%s", got.body, want)
	}

	part := watch(5, func(s *subscription.Subscription) {
		s.Rejected = []subscription.Rejection{{
			Filter: trigger.Filter{Trigger: "shop.order.placed", Params: map[string]string{"status": "nwe"}}, Reason: "there is no such status", Later: true,
		}}
	})
	var page api.List[api.Subscription]
	in.get(t, "/subscriptions?healthy=false&cursor="+third, &page)
	if len(page.Items) != 1 || page.Items[0].ID != part || page.Items[0].Healthy || len(page.Items[0].Rejected) != 1 ||
		page.Items[0].Rejected[0].Params["status"] != "nwe" || page.Items[0].Rejected[0].Reason != "there is no such status" {
		t.Errorf("rejected in part: %+v", page.Items)
	}
}
