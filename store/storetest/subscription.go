package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// Subscriptions is a fresh store for [Subscription], with what other rooms keep in it.
type Subscriptions struct {
	subscription.Store

	// Connect stores an active Connection of connector "acme" and the default
	// App with an Identity that has the key, and returns its id. No mark of it is left.
	Connect func(t *testing.T, environment, key string) string

	// Revoke ends a Connection.
	Revoke func(t *testing.T, connection string)

	// News returns what forward.Outbox has waiting.
	News func(t *testing.T) []trigger.Event

	// PollDue returns when the Poll task of a Subscription is due; false: there is no task.
	PollDue func(t *testing.T, subscription string) (time.Time, bool)
}

func watchNow() time.Time { return time.UnixMilli(1_795_446_247_000).UTC() }

// Subscription judges what a store keeps for package subscription.
func Subscription(t *testing.T, open func(t *testing.T) Subscriptions) {
	t.Helper()
	for _, rule := range []struct {
		words string
		test  func(t *testing.T, s Subscriptions)
	}{
		{"a subscription is kept whole", watchKeptWhole},
		{"a comparison is committed as a whole or not at all", comparisonAtomic},
		{"of two comparisons that make the same intent one does, until it goes", oneIntent},
		{"a mark set while a comparison runs outlives it", markOutlives},
		{"a mark is leased once, and found again when the lease has run out", markLeased},
		{"a due subscription is leased once, and found again when the lease has run out", dueLeased},
		{"news are in the same commit", watchNews},
		{"saving with an older version changes nothing", watchConflict},
		{"a stored cursor is never replaced by what a provider answers", cursorStays},
		{"a poll is due when it was asked for, the earlier time wins, and it goes with its watch", pollDue},
		{"keys route to live watches of live connections of the same connector and app, each once", routing},
		{"siblings share everything but the connection, and do not count when they go", siblings},
		{"a removed watch is remembered by its id, and forgotten later", removedRemembered},
		{"the removal of a watch marks its connection in the same commit", removalMarks},
		{"a watch follows its connection to another app", watchFollowsApp},
		{"lists are in order of creation, filtered, and continue behind an id", watchLists},
	} {
		t.Run(rule.words, func(t *testing.T) {
			t.Parallel()
			rule.test(t, open(t))
		})
	}
}

func newWatch(connection string, change ...func(*subscription.Subscription)) subscription.Subscription {
	s := subscription.Subscription{
		ID: newID("sub"), Environment: "env_a", Connection: connection, Account: "user-1", Connector: "acme",
		Watch: "inbox", Resource: "box/1", Identity: "one", State: subscription.Pending, Due: watchNow(), CreatedAt: watchNow(),
	}
	s.Endpoint = s.ID
	for _, c := range change {
		c(&s)
	}
	return s
}

func (s Subscriptions) create(t *testing.T, sub subscription.Subscription) subscription.Subscription {
	t.Helper()
	if err := s.SaveComparison(t.Context(), subscription.Dirty{}, []subscription.Subscription{sub}, nil); err != nil {
		t.Fatalf("SaveComparison: %v", err)
	}
	return s.get(t, sub.ID)
}

func (s Subscriptions) get(t *testing.T, subID string) subscription.Subscription {
	t.Helper()
	sub, err := s.Subscription(t.Context(), subID)
	if err != nil {
		t.Fatalf("Subscription(%s): %v", subID, err)
	}
	return sub
}

func (s Subscriptions) save(t *testing.T, sub subscription.Subscription, o subscription.SaveOptions) subscription.Subscription {
	t.Helper()
	saved, err := s.SaveSubscription(t.Context(), sub, o)
	if err != nil {
		t.Fatalf("SaveSubscription: %v", err)
	}
	return saved
}

func watchIDs(subs []subscription.Subscription) (ids []string) {
	for _, s := range subs {
		ids = append(ids, s.ID)
	}
	return ids
}

func wantIDs(t *testing.T, what string, got []subscription.Subscription, err error, want ...string) {
	t.Helper()
	if ids := watchIDs(got); err != nil || !slices.Equal(ids, want) {
		t.Errorf("%s: got %v, %v; want %v", what, ids, err, want)
	}
}

func watchKeptWhole(t *testing.T, s Subscriptions) {
	want := newWatch(s.Connect(t, "env_a", "k"), func(s *subscription.Subscription) {
		s.App, s.Params, s.Topics = "app_1", map[string]string{"box": "1"}, []string{"a", "b"}
		s.Filters = []trigger.Filter{{Trigger: "acme.mail", Params: map[string]string{"box": "1"}}}
		s.Triggers, s.LastError, s.Tries = []string{"acme.mail"}, "no answer", 3
		s.RenewAt, s.EndedAt, s.Sealed = watchNow().Add(time.Hour), watchNow().Add(time.Minute), []byte{0, 1, 2}
		s.Held = connector.Held{ID: "r1", ExpiresAt: watchNow().Add(2 * time.Hour), Values: map[string]string{"x": "y"}, Keys: []connector.Key{"h"}, Secret: "must not be kept"}
		s.Cursor = "c1"
		s.Rejected = []subscription.Rejection{{Filter: s.Filters[0], Reason: "there is no box 1", Later: true}}
	})
	got := s.create(t, want)
	want.Held.Secret = ""
	want.Version = got.Version
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func comparisonAtomic(t *testing.T, s Subscriptions) {
	conn := s.Connect(t, "env_a", "k")
	old := s.create(t, newWatch(conn))
	stale := old
	s.save(t, old, subscription.SaveOptions{})
	fresh := newWatch(conn, func(s *subscription.Subscription) { s.Resource = "box/2" })
	err := s.SaveComparison(t.Context(), subscription.Dirty{}, []subscription.Subscription{fresh}, []subscription.Subscription{stale})
	if !errors.Is(err, subscription.ErrConflict) {
		t.Fatalf("a comparison with an older version: got %v, want ErrConflict", err)
	}
	if _, err := s.Subscription(t.Context(), fresh.ID); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("what it would have created is there: %v", err)
	}
}

func oneIntent(t *testing.T, s Subscriptions) {
	conn := s.Connect(t, "env_a", "k")
	first := s.create(t, newWatch(conn))
	again := newWatch(conn)
	if err := s.SaveComparison(t.Context(), subscription.Dirty{}, []subscription.Subscription{again}, nil); !errors.Is(err, subscription.ErrConflict) {
		t.Fatalf("the same intent twice: got %v, want ErrConflict", err)
	}
	s.create(t, newWatch(s.Connect(t, "env_b", "k")))
	first.State = subscription.Removing
	s.save(t, first, subscription.SaveOptions{})
	s.create(t, again)
}

func (s Subscriptions) claimMark(t *testing.T, now time.Time) (marks []subscription.Dirty) {
	t.Helper()
	marks, err := s.ClaimDirty(t.Context(), now, time.Minute, 10)
	if err != nil {
		t.Fatalf("ClaimDirty: %v", err)
	}
	return marks
}

func markOutlives(t *testing.T, s Subscriptions) {
	ctx := t.Context()
	conn := s.Connect(t, "env_a", "k")
	if err := s.MarkDirty(ctx, conn, watchNow()); err != nil {
		t.Fatal(err)
	}
	marks := s.claimMark(t, watchNow())
	if len(marks) != 1 || marks[0].Connection != conn {
		t.Fatalf("claimed %v, want %s", marks, conn)
	}
	if err := s.MarkDirty(ctx, conn, watchNow()); err != nil { // in the same millisecond
		t.Fatal(err)
	}
	if err := s.SaveComparison(ctx, marks[0], nil, nil); err != nil {
		t.Fatal(err)
	}
	if again := s.claimMark(t, watchNow()); len(again) != 1 {
		t.Fatalf("the second mark is gone: %v", again)
	} else if err := s.SaveComparison(ctx, again[0], nil, nil); err != nil {
		t.Fatal(err)
	}
	if left := s.claimMark(t, watchNow().Add(time.Hour)); len(left) != 0 {
		t.Errorf("a finished mark is back: %v", left)
	}
}

func markLeased(t *testing.T, s Subscriptions) {
	conn := s.Connect(t, "env_a", "k")
	if err := s.MarkDirty(t.Context(), conn, watchNow().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if early := s.claimMark(t, watchNow()); len(early) != 0 {
		t.Errorf("claimed before it was due: %v", early)
	}
	now := watchNow().Add(time.Second)
	if first := s.claimMark(t, now); len(first) != 1 {
		t.Fatalf("not claimed when due: %v", first)
	}
	if second := s.claimMark(t, now.Add(time.Second)); len(second) != 0 {
		t.Errorf("claimed twice: %v", second)
	}
	if later := s.claimMark(t, now.Add(2*time.Minute)); len(later) != 1 {
		t.Errorf("lost with its lease: %v", later)
	}
}

func dueLeased(t *testing.T, s Subscriptions) {
	ctx := t.Context()
	sub := s.create(t, newWatch(s.Connect(t, "env_a", "k")))
	claim := func(now time.Time) []subscription.Subscription {
		got, err := s.ClaimSubscriptions(ctx, now, time.Minute, 10)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if next, err := s.NextSubscription(ctx); err != nil || !next.Equal(watchNow()) {
		t.Errorf("NextSubscription: %v, %v; want %v", next, err, watchNow())
	}
	wantIDs(t, "before it is due", claim(watchNow().Add(-time.Second)), nil)
	wantIDs(t, "when due", claim(watchNow()), nil, sub.ID)
	wantIDs(t, "while leased", claim(watchNow().Add(time.Second)), nil)
	wantIDs(t, "after the lease", claim(watchNow().Add(2*time.Minute)), nil, sub.ID)
	held := s.save(t, s.get(t, sub.ID), subscription.SaveOptions{KeepLease: true})
	wantIDs(t, "saved with its lease kept", claim(watchNow().Add(2*time.Minute)), nil)
	s.save(t, held, subscription.SaveOptions{})
	wantIDs(t, "saved and given back", claim(watchNow().Add(2*time.Minute)), nil, sub.ID)
	done := s.get(t, sub.ID)
	done.Due = time.Time{}
	s.save(t, done, subscription.SaveOptions{})
	wantIDs(t, "without a due time", claim(watchNow().Add(24*time.Hour)), nil)
	if next, err := s.NextSubscription(ctx); err != nil || !next.IsZero() {
		t.Errorf("NextSubscription with nothing planned: %v, %v", next, err)
	}
}

func watchConflict(t *testing.T, s Subscriptions) {
	sub := s.create(t, newWatch(s.Connect(t, "env_a", "k")))
	newer := s.save(t, sub, subscription.SaveOptions{})
	sub.State = subscription.Removed
	if _, err := s.SaveSubscription(t.Context(), sub, subscription.SaveOptions{}); !errors.Is(err, subscription.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if got := s.get(t, sub.ID); got.State != newer.State || got.Version != newer.Version {
		t.Errorf("changed to %+v", got)
	}
}

func cursorStays(t *testing.T, s Subscriptions) {
	sub := s.create(t, newWatch(s.Connect(t, "env_a", "k")))
	sub.Held.Cursor = "start"
	if sub = s.save(t, sub, subscription.SaveOptions{}); sub.Cursor != "start" {
		t.Fatalf("the starting point was not taken: %q", sub.Cursor)
	}
	sub.Held.Cursor, sub.Cursor = "renewed", "set by hand"
	if sub = s.save(t, sub, subscription.SaveOptions{}); sub.Cursor != "start" {
		t.Errorf("the cursor became %q", sub.Cursor)
	}
}

func pollDue(t *testing.T, s Subscriptions) {
	sub := s.create(t, newWatch(s.Connect(t, "env_a", "k")))
	if _, ok := s.PollDue(t, sub.ID); ok {
		t.Fatal("there is a poll that nobody asked for")
	}
	sub = s.save(t, sub, subscription.SaveOptions{Poll: watchNow().Add(time.Hour)})
	sub = s.save(t, sub, subscription.SaveOptions{Poll: watchNow()})
	sub = s.save(t, sub, subscription.SaveOptions{Poll: watchNow().Add(2 * time.Hour)})
	if due, ok := s.PollDue(t, sub.ID); !ok || !due.Equal(watchNow()) {
		t.Errorf("due %v, %v; want %v", due, ok, watchNow())
	}
	sub.State = subscription.Removing
	s.save(t, sub, subscription.SaveOptions{})
	if _, ok := s.PollDue(t, sub.ID); ok {
		t.Error("the poll outlives its watch")
	}
}

func routing(t *testing.T, s Subscriptions) {
	ctx := t.Context()
	a, b, gone := s.Connect(t, "env_a", "alice"), s.Connect(t, "env_b", "alice"), s.Connect(t, "env_c", "alice")
	first := s.create(t, newWatch(a, func(s *subscription.Subscription) { s.Held.Keys = []connector.Key{"alice", "channel"} }))
	second := s.create(t, newWatch(b, func(s *subscription.Subscription) { s.Watch = "other" }))
	s.create(t, newWatch(gone))
	s.Revoke(t, gone)
	route := func(what, name, app, watch string, keys []connector.Key, want ...string) {
		t.Helper()
		got, err := s.RouteKeys(ctx, name, app, watch, keys)
		wantIDs(t, what, got, err, want...)
	}
	route("an identity's key", "acme", "", "", []connector.Key{"alice"}, first.ID, second.ID)
	route("both keys", "acme", "", "", []connector.Key{"channel", "alice"}, first.ID, second.ID)
	route("a held watch's key", "acme", "", "", []connector.Key{"channel"}, first.ID)
	route("limited to a watch", "acme", "", "other", []connector.Key{"alice"}, second.ID)
	route("another connector", "other", "", "", []connector.Key{"alice"})
	route("another app", "acme", "app_1", "", []connector.Key{"alice"})
	route("an unknown key", "acme", "", "", []connector.Key{"bob"})
	route("an empty key", "acme", "", "", []connector.Key{""})
	route("no key", "acme", "", "", nil)
	first.Held.Keys = nil
	first = s.save(t, first, subscription.SaveOptions{})
	route("a key that is not held any more", "acme", "", "", []connector.Key{"channel"})
	first.State = subscription.Removing
	s.save(t, first, subscription.SaveOptions{})
	route("a watch that goes", "acme", "", "", []connector.Key{"alice"}, second.ID)
}

func siblings(t *testing.T, s Subscriptions) {
	a, b, c := s.Connect(t, "env_a", "k"), s.Connect(t, "env_b", "k"), s.Connect(t, "env_c", "k")
	one := s.create(t, newWatch(a))
	two := s.create(t, newWatch(b, func(s *subscription.Subscription) { s.Endpoint = one.Endpoint }))
	s.create(t, newWatch(c, func(s *subscription.Subscription) { s.Identity = "another" }))
	s.create(t, newWatch(c, func(s *subscription.Subscription) { s.App = "app_1" }))
	got, err := s.Siblings(t.Context(), one)
	wantIDs(t, "siblings", got, err, two.ID)
	got, err = s.SubscriptionsAt(t.Context(), one.Endpoint)
	wantIDs(t, "at the shared address", got, err, one.ID, two.ID)
	two.State = subscription.Removing
	s.save(t, two, subscription.SaveOptions{})
	got, err = s.Siblings(t.Context(), one)
	wantIDs(t, "siblings once one goes", got, err)
}

func removedRemembered(t *testing.T, s Subscriptions) {
	ctx := t.Context()
	sub := s.create(t, newWatch(s.Connect(t, "env_a", "k")))
	sub.State, sub.EndedAt = subscription.Removed, watchNow()
	s.save(t, sub, subscription.SaveOptions{})
	if got := s.get(t, sub.ID); got.State != subscription.Removed || !got.Due.IsZero() {
		t.Errorf("remembered as %s, due %v", got.State, got.Due)
	}
	got, err := s.SubscriptionsAt(ctx, sub.Endpoint)
	wantIDs(t, "at its address", got, err)
	got, err = s.SubscriptionsOf(ctx, sub.Connection)
	wantIDs(t, "of its connection", got, err)
	if n, err := s.ForgetSubscriptions(ctx, watchNow(), 10); n != 0 || err != nil {
		t.Errorf("forgot %d, %v; it is not old enough", n, err)
	}
	if n, err := s.ForgetSubscriptions(ctx, watchNow().Add(time.Second), 10); n != 1 || err != nil {
		t.Errorf("forgot %d, %v; want 1", n, err)
	}
	if _, err := s.Subscription(ctx, sub.ID); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func removalMarks(t *testing.T, s Subscriptions) {
	sub := s.create(t, newWatch(s.Connect(t, "env_a", "k")))
	sub.State, sub.EndedAt = subscription.Removing, watchNow()
	sub = s.save(t, sub, subscription.SaveOptions{})
	if early := s.claimMark(t, watchNow()); len(early) != 0 {
		t.Fatalf("marked before it was removed: %v", early)
	}
	sub.State = subscription.Removed
	s.save(t, sub, subscription.SaveOptions{})
	if marks := s.claimMark(t, watchNow()); len(marks) != 1 || marks[0].Connection != sub.Connection {
		t.Errorf("marks: %v, want one of %s", marks, sub.Connection)
	}
}

func watchFollowsApp(t *testing.T, s Subscriptions) {
	sub := s.create(t, newWatch(s.Connect(t, "env_a", "k"), func(s *subscription.Subscription) { s.Held.Keys = []connector.Key{"channel"} }))
	sub.App = "app_1"
	if sub = s.save(t, sub, subscription.SaveOptions{}); sub.App != "app_1" {
		t.Errorf("its app is %q", sub.App)
	}
	for app, want := range map[string][]string{"": nil, "app_1": {sub.ID}} {
		got, err := s.RouteKeys(t.Context(), "acme", app, "", []connector.Key{"channel"})
		wantIDs(t, "routed from "+app, got, err, want...)
	}
}

func watchLists(t *testing.T, s Subscriptions) {
	ctx := t.Context()
	a, b := s.Connect(t, "env_a", "k"), s.Connect(t, "env_b", "k")
	healthy := s.create(t, newWatch(a, func(s *subscription.Subscription) { s.ID, s.State = "sub_1", subscription.Active }))
	ill := s.create(t, newWatch(a, func(s *subscription.Subscription) { s.ID, s.Resource, s.LastError = "sub_2", "box/2", "no" }))
	other := s.create(t, newWatch(b, func(s *subscription.Subscription) { s.ID, s.Environment = "sub_3", "env_b" }))
	part := s.create(t, newWatch(b, func(s *subscription.Subscription) {
		s.ID, s.Environment, s.Resource, s.State, s.Rejected = "sub_4", "env_b", "box/4", subscription.Active,
			[]subscription.Rejection{{Filter: trigger.Filter{Trigger: "acme.mail"}, Reason: "no"}}
	}))
	for _, row := range []struct {
		name string
		q    subscription.Query
		want []string
	}{
		{"all", subscription.Query{Environment: "*"}, []string{healthy.ID, ill.ID, other.ID, part.ID}},
		{"one environment", subscription.Query{Environment: "env_a"}, []string{healthy.ID, ill.ID}},
		{"healthy", subscription.Query{Environment: "*", Healthy: true}, []string{healthy.ID}},
		{"behind the first", subscription.Query{Environment: "*", After: healthy.ID}, []string{ill.ID, other.ID, part.ID}},
		{"unhealthy", subscription.Query{Environment: "env_a", Unhealthy: true}, []string{ill.ID}},
		{"unhealthy, rejected in part", subscription.Query{Environment: "*", Connection: b, Unhealthy: true}, []string{other.ID, part.ID}},
		{"of a connection", subscription.Query{Environment: "*", Connection: b}, []string{other.ID, part.ID}},
		{"of another connector", subscription.Query{Environment: "*", Connector: "nope"}, nil},
	} {
		got, err := s.SubscriptionsAfter(ctx, row.q, 10)
		wantIDs(t, row.name, got, err, row.want...)
	}
	if got, err := s.SubscriptionsAfter(ctx, subscription.Query{Environment: "*"}, 2); err != nil || len(got) != 2 {
		t.Errorf("limit 2: %d, %v", len(got), err)
	}
}
