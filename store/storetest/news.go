package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// someNews is news of that name.
func someNews(name string) trigger.Event {
	return trigger.Event{
		ID: newID("evt"), Trigger: name, Environment: "env_a", Account: "user-1", Connection: "conn_a",
		Time: time.UnixMilli(1_795_446_247_123).UTC(), Payload: []byte(`{"reason":"it is \"so\""}`),
	}
}

func wantNews(t *testing.T, got []trigger.Event, want ...trigger.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d news wait, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("news %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

func connectionNews(t *testing.T, s Accounts) {
	t.Helper()
	r := someConnection("alice")
	first, second, lost := someNews("connection.created"), someNews("connection.expired"), someNews("connection.failed")
	_, err := s.SaveConnection(t.Context(), auth.Write{Record: r, News: []trigger.Event{first, second}})
	noError(t, err)
	_, err = s.SaveConnection(t.Context(), auth.Write{Record: r, News: []trigger.Event{lost}}) // it is there already
	isError(t, err, auth.ErrConflict)
	wantNews(t, s.News(t), first, second)
}

func watchNews(t *testing.T, s Subscriptions) {
	t.Helper()
	sub := s.create(t, newWatch(s.Connect(t, "env_a", "k")))
	first, lost := someNews("subscription.created"), someNews("subscription.failed")
	s.save(t, sub, subscription.SaveOptions{News: []trigger.Event{first}})
	_, err := s.SaveSubscription(t.Context(), sub, subscription.SaveOptions{News: []trigger.Event{lost}}) // an older version
	isError(t, err, subscription.ErrConflict)
	wantNews(t, s.News(t), first)
}

// outbox judges what forward.Run reads.
func outbox(t *testing.T, s Forwarding) {
	t.Helper()
	a, b, c := someNews("connection.created"), someNews("connection.expired"), someNews("subscription.failed")
	s.AddNews(t, b, a) // whatever the order
	s.AddNews(t, c)
	waiting := func(limit int) []trigger.Event {
		t.Helper()
		list, err := s.WaitingNews(t.Context(), limit)
		noError(t, err)
		return list
	}
	wantNews(t, waiting(2), a, b)
	wantNews(t, waiting(9), a, b, c)
	noError(t, s.ForgetNews(t.Context(), []string{a.ID, c.ID, "evt_unknown"}))
	wantNews(t, waiting(9), b)
	s.Store = s.Reopen(t)
	wantNews(t, waiting(9), b)
	noError(t, s.ForgetNews(t.Context(), nil))
	wantNews(t, waiting(9), b)
}

// erasedNews: what is not told yet about an erased account never is.
func erasedNews(t *testing.T, s Forwarding) {
	t.Helper()
	gone, other, elsewhere := someNews("connection.created"), someNews("connection.created"), someNews("connection.created")
	other.Account, elsewhere.Environment = "user-2", "env_b"
	s.AddNews(t, gone, other, elsewhere)
	mustErase(t, s, forward.Erasure{Environment: "env_a", Account: "user-1"}, 100, 0)
	list, err := s.WaitingNews(t.Context(), 9)
	noError(t, err)
	wantNews(t, list, other, elsewhere)
}
