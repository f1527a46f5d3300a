package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// Accounts is a fresh store for [Auth], with what other rooms read of it.
type Accounts struct {
	auth.Store

	// Dirty returns the ids of the Connections that are marked, sorted, and takes
	// the marks away.
	Dirty func(t *testing.T) []string

	// News returns what forward.Outbox has waiting.
	News func(t *testing.T) []trigger.Event

	// Routed returns the ids of the Connections that an identity key leads to, sorted.
	Routed func(t *testing.T, connector, app string, key connector.Key) []string
}

// Auth judges what a store keeps for package auth.
func Auth(t *testing.T, open func(t *testing.T) Accounts) {
	t.Helper()
	for _, rule := range []struct {
		words string
		test  func(t *testing.T, s Accounts)
	}{
		{"a state is there until it ends, and taken once", states},
		{"of many who take a state at the same time one gets it", statesTogether},
		{"only states that have ended are purged, at most as many as asked for", statesPurged},
		{"a connection comes back as it was saved", connectionWhole},
		{"a connection is changed by who has read it last, else ErrConflict", connectionConflict},
		{"of many changes on the same version one wins", connectionRace},
		{"environment, connector, account and holder are there once", connectionUnique},
		{"a ticket goes with the commit; without it nothing is stored", connectionTicket},
		{"a mark is in the same commit, and only when asked for", connectionDirty},
		{"news are in the same commit", connectionNews},
		{"params are replaced as a whole; empty ones are not none", connectionParams},
		{"identity keys lead to their connection until they change or it is erased", connectionRoutes},
		{"lists are in order of id, filtered, and continue behind an id", connectionList},
		{"due ones are those whose time has come, the longest due first", connectionsDue},
		{"the last event moves forward only, beside the version", connectionTouch},
		{"a grant is shared by identity or fingerprint, within connector and App, by those alive", grantShared},
		{"an environment has one App for a connector, changed by who has read it last", apps},
		{"Apps of a connector, in pages", appsOf},
		{"client ids in use are those of connections that are not erased", appClients},
		{"a lock is held by one owner until it is given back or ends", lockRules},
		{"of many who try a lock at the same time one gets it", locksTogether},
	} {
		t.Run(rule.words, func(t *testing.T) {
			t.Parallel()
			rule.test(t, open(t))
		})
	}
}

// noon is when the tests happen.
func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func states(t *testing.T, s Accounts) {
	ctx, until := t.Context(), noon().Add(time.Minute)
	noError(t, s.PutState(ctx, auth.State{ID: "a", Sealed: []byte("x"), Until: until}))
	if err := s.PutState(ctx, auth.State{ID: "a", Sealed: []byte("y"), Until: until}); err == nil {
		t.Error("a state was replaced")
	}
	for range 2 {
		st, err := s.PeekState(ctx, "a", noon())
		noError(t, err)
		if string(st.Sealed) != "x" || !st.Until.Equal(until) || st.ID != "a" {
			t.Errorf("peeked %+v", st)
		}
	}
	_, err := s.PeekState(ctx, "a", until)
	isError(t, err, auth.ErrState)
	_, err = s.TakeState(ctx, "a", until)
	isError(t, err, auth.ErrState)
	st, err := s.TakeState(ctx, "a", noon())
	noError(t, err)
	if string(st.Sealed) != "x" {
		t.Errorf("took %+v", st)
	}
	_, err = s.TakeState(ctx, "a", noon())
	isError(t, err, auth.ErrState)
	_, err = s.PeekState(ctx, "unknown", noon())
	isError(t, err, auth.ErrState)
}

func statesTogether(t *testing.T, s Accounts) {
	noError(t, s.PutState(t.Context(), auth.State{ID: "a", Sealed: []byte("x"), Until: noon().Add(time.Minute)}))
	if n := winners(20, func(int) bool {
		_, err := s.TakeState(t.Context(), "a", noon())
		return err == nil
	}); n != 1 {
		t.Errorf("%d got it", n)
	}
}

func statesPurged(t *testing.T, s Accounts) {
	for i := range 5 {
		noError(t, s.PutState(t.Context(), auth.State{ID: fmt.Sprint(i), Sealed: []byte("x"), Until: noon().Add(time.Duration(i) * time.Second)}))
	}
	for _, want := range []int{2, 1, 0} {
		n, err := s.PurgeStates(t.Context(), noon().Add(3*time.Second), 2)
		noError(t, err)
		if n != want {
			t.Errorf("purged %d, want %d", n, want)
		}
	}
	if _, err := s.PeekState(t.Context(), "3", noon()); err != nil {
		t.Errorf("one that had not ended is gone: %v", err)
	}
}

// someConnection is a record with everything set.
func someConnection(account string) auth.Record {
	now := noon()
	return auth.Record{
		Connection: auth.Connection{
			ID: id.New("conn", now), Environment: "env_default", Connector: "gmail", Account: account, Identity: "alice@example.com",
			Status: auth.Active, Reason: "because", Since: now, Scopes: []string{"a", "b"}, Missing: []string{"c"}, NeedsConsent: true,
			LastEvent: now.Add(-time.Hour), ExpiresAt: now.Add(time.Hour), LastRefresh: now, CreatedAt: now,
			Params: trigger.Overrides{"gmail.email.labeled": {"label": "Bücher & \"Co\""}, "gmail.email.sent": {}},
		},
		App: "", ClientID: "client", Holder: "sub-1",
		Identities: []connector.Identity{{ID: "sub-1", Label: "alice@example.com", Keys: []connector.Key{"mailbox:alice"}, Values: map[string]string{"site": "x"}}},
		Values:     map[string]string{"shop": "acme"}, RefreshAt: now.Add(50 * time.Minute), RefreshTries: 2,
		Grant: "fingerprint", Token: []byte("sealed token"), Secrets: []byte("sealed fields"),
	}
}

// storedAs saves a new record and returns it with its version.
func storedAs(t *testing.T, s Accounts, r auth.Record) auth.Record {
	t.Helper()
	v, err := s.SaveConnection(t.Context(), auth.Write{Record: r, Routes: true})
	noError(t, err)
	r.Version = v
	return r
}

func connectionWhole(t *testing.T, s Accounts) {
	want := storedAs(t, s, someConnection("alice"))
	got, err := s.ConnectionByID(t.Context(), want.ID)
	noError(t, err)
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
		t.Errorf("got\n%s, want\n%s", a, b)
	}
	want.Status, want.Closing, want.Erased, want.Token, want.Secrets = auth.Revoked, true, true, nil, nil
	want.RefreshAt, want.Grant, want.App, want.ClientID = time.Time{}, "", "app_1", "other"
	want.Version, err = s.SaveConnection(t.Context(), auth.Write{Record: want})
	noError(t, err)
	got, err = s.ConnectionByID(t.Context(), want.ID)
	noError(t, err)
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
		t.Errorf("after a change got\n%s, want\n%s", a, b)
	}
	_, err = s.ConnectionByID(t.Context(), "conn_unknown")
	isError(t, err, auth.ErrNotFound)
}

func connectionConflict(t *testing.T, s Accounts) {
	r := storedAs(t, s, someConnection("alice"))
	other := r
	other.Reason = "first"
	_, err := s.SaveConnection(t.Context(), auth.Write{Record: other})
	noError(t, err)
	r.Reason = "second"
	_, err = s.SaveConnection(t.Context(), auth.Write{Record: r, Dirty: noon(), Routes: true})
	isError(t, err, auth.ErrConflict)
	got, err := s.ConnectionByID(t.Context(), r.ID)
	noError(t, err)
	if got.Reason != "first" || len(s.Dirty(t)) != 0 {
		t.Errorf("the loser left something: %+v", got)
	}
}

func connectionRace(t *testing.T, s Accounts) {
	r := storedAs(t, s, someConnection("alice"))
	if n := winners(20, func(int) bool {
		_, err := s.SaveConnection(t.Context(), auth.Write{Record: r})
		return err == nil
	}); n != 1 {
		t.Errorf("%d changes won", n)
	}
}

func connectionUnique(t *testing.T, s Accounts) {
	storedAs(t, s, someConnection("alice"))
	_, err := s.SaveConnection(t.Context(), auth.Write{Record: someConnection("alice")})
	isError(t, err, auth.ErrConflict)
	for _, change := range []func(*auth.Record){
		func(r *auth.Record) { r.Environment = "env_2" },
		func(r *auth.Record) { r.Connector = "jira" },
		func(r *auth.Record) { r.Account = "bob" },
		func(r *auth.Record) { r.Holder = "sub-2" },
	} {
		r := someConnection("alice")
		change(&r)
		storedAs(t, s, r)
	}
}

func connectionTicket(t *testing.T, s Accounts) {
	noError(t, s.PutState(t.Context(), auth.State{ID: "ticket", Sealed: []byte("x"), Until: noon()}))
	r := someConnection("alice")
	_, err := s.SaveConnection(t.Context(), auth.Write{Record: r, Ticket: "ticket"})
	noError(t, err)
	r = someConnection("bob")
	_, err = s.SaveConnection(t.Context(), auth.Write{Record: r, Ticket: "ticket", Dirty: noon()})
	isError(t, err, auth.ErrState)
	_, err = s.ConnectionByID(t.Context(), r.ID)
	isError(t, err, auth.ErrNotFound)

	noError(t, s.PutState(t.Context(), auth.State{ID: "kept", Sealed: []byte("x"), Until: noon().Add(time.Minute)}))
	_, err = s.SaveConnection(t.Context(), auth.Write{Record: someConnection("alice"), Ticket: "kept"})
	isError(t, err, auth.ErrConflict)
	if _, err := s.PeekState(t.Context(), "kept", noon()); err != nil {
		t.Errorf("a commit that failed took the ticket: %v", err)
	}
}

func connectionDirty(t *testing.T, s Accounts) {
	r := someConnection("alice")
	v, err := s.SaveConnection(t.Context(), auth.Write{Record: r, Dirty: noon()})
	noError(t, err)
	if got := s.Dirty(t); !slices.Equal(got, []string{r.ID}) {
		t.Errorf("marked %v", got)
	}
	r.Version = v
	_, err = s.SaveConnection(t.Context(), auth.Write{Record: r})
	noError(t, err)
	if got := s.Dirty(t); len(got) != 0 {
		t.Errorf("marked without need: %v", got)
	}
}

func connectionParams(t *testing.T, s Accounts) {
	r := storedAs(t, s, someConnection("alice"))
	for _, want := range []trigger.Overrides{{"gmail.email.sent": {}}, {"a.b": {"x": "1"}}, nil} {
		r.Params = want
		v, err := s.SaveConnection(t.Context(), auth.Write{Record: r, Dirty: noon()})
		noError(t, err)
		r.Version = v
		got, err := s.ConnectionByID(t.Context(), r.ID)
		noError(t, err)
		if !got.Params.Equal(want) {
			t.Errorf("got %v, want %v", got.Params, want)
		}
		if marked := s.Dirty(t); !slices.Equal(marked, []string{r.ID}) {
			t.Errorf("with %v, marked %v", want, marked)
		}
	}
}

func connectionRoutes(t *testing.T, s Accounts) {
	r := storedAs(t, s, someConnection("alice"))
	bob := someConnection("bob")
	bob = storedAs(t, s, bob)
	both := []string{r.ID, bob.ID}
	slices.Sort(both)
	expect := func(key connector.Key, app string, want ...string) {
		t.Helper()
		if got := s.Routed(t, "gmail", app, key); !slices.Equal(got, want) {
			t.Errorf("%q of App %q leads to %v, want %v", key, app, got, want)
		}
	}
	expect("mailbox:alice", "", both...)
	expect("mailbox:alice", "app_1")
	r.Identities = []connector.Identity{{ID: "sub-1", Keys: []connector.Key{"mailbox:new", "mailbox:new"}}}
	var err error
	r.Version, err = s.SaveConnection(t.Context(), auth.Write{Record: r, Routes: true})
	noError(t, err)
	expect("mailbox:alice", "", bob.ID)
	expect("mailbox:new", "", r.ID)
	r.App = "app_1"
	r.Version, err = s.SaveConnection(t.Context(), auth.Write{Record: r, Routes: true})
	noError(t, err)
	expect("mailbox:new", "")
	expect("mailbox:new", "app_1", r.ID)
	r.Erased = true
	_, err = s.SaveConnection(t.Context(), auth.Write{Record: r, Routes: true})
	noError(t, err)
	expect("mailbox:new", "app_1")
}

// winners runs do n times at once and returns how often it said yes.
func winners(n int, do func(i int) bool) int {
	var yes atomic.Int64
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			if do(i) {
				yes.Add(1)
			}
		})
	}
	work.Wait()
	return int(yes.Load())
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
