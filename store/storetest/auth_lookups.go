package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/internal/id"
)

func connectionList(t *testing.T, s Accounts) {
	var all []auth.Record
	for i := range 7 {
		r := someConnection([]string{"alice", "bob"}[i%2])
		r.Holder = fmt.Sprint(i)
		r.Connector = []string{"gmail", "jira"}[i/4]
		if i == 2 {
			r.Status = auth.Expired
		}
		if i == 6 {
			r.Environment = "env_2"
		}
		all = append(all, storedAs(t, s, r))
	}
	slices.SortFunc(all, func(a, b auth.Record) int { return strings.Compare(a.ID, b.ID) })
	for name, q := range map[string]auth.Query{
		"environment":            {Environment: "env_default"},
		"all environments":       {Environment: "*"},
		"connector":              {Environment: "env_default", Connector: "jira"},
		"account":                {Environment: "env_default", Account: "alice"},
		"account of a connector": {Environment: "env_default", Connector: "gmail", Account: "alice"},
		"status":                 {Environment: "env_default", Status: auth.Expired},
		"behind":                 {Environment: "*", After: all[3].ID},
		"nobody":                 {Environment: "env_3"},
	} {
		var want, got []string
		for _, r := range all {
			if (q.Environment == "*" || r.Environment == q.Environment) && (q.Connector == "" || r.Connector == q.Connector) &&
				(q.Account == "" || r.Account == q.Account) && (q.Status == "" || r.Status == q.Status) && r.ID > q.After {
				want = append(want, r.ID)
			}
		}
		for {
			page, err := s.ConnectionsAfter(t.Context(), q, 2)
			noError(t, err)
			for _, r := range page {
				got = append(got, r.ID)
			}
			if len(page) < 2 {
				break
			}
			q.After = page[len(page)-1].ID
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func connectionsDue(t *testing.T, s Accounts) {
	at := func(account string, due time.Time) string {
		r := someConnection(account)
		r.RefreshAt = due
		return storedAs(t, s, r).ID
	}
	late, now := at("late", noon()), noon().Add(time.Minute)
	first := at("first", noon().Add(-time.Minute))
	exact := at("exact", now)
	at("later", now.Add(time.Millisecond))
	at("never", time.Time{})
	for limit, want := range map[int][]string{9: {first, late, exact}, 2: {first, late}} {
		got, err := s.ConnectionsDue(t.Context(), now, limit)
		noError(t, err)
		if !slices.Equal(got, want) {
			t.Errorf("due: %v, want %v", got, want)
		}
	}
}

func connectionTouch(t *testing.T, s Accounts) {
	r := someConnection("alice")
	r.LastEvent = time.Time{}
	r = storedAs(t, s, r)
	for _, at := range []time.Time{noon(), noon().Add(-time.Hour)} {
		noError(t, s.TouchConnection(t.Context(), r.ID, at))
	}
	r.LastEvent = time.Time{} // as who read it before
	_, err := s.SaveConnection(t.Context(), auth.Write{Record: r})
	noError(t, err)
	got, err := s.ConnectionByID(t.Context(), r.ID)
	noError(t, err)
	if !got.LastEvent.Equal(noon()) {
		t.Errorf("last event is %v", got.LastEvent)
	}
}

func grantShared(t *testing.T, s Accounts) {
	for name, row := range map[string]struct {
		change func(*auth.Record)
		want   bool
	}{
		"same identity and fingerprint": {func(*auth.Record) {}, true},
		"same identity":                 {func(r *auth.Record) { r.Grant = "other" }, true},
		"same fingerprint":              {func(r *auth.Record) { r.Identities = nil }, true},
		"other environment":             {func(r *auth.Record) { r.Environment = "env_2" }, true},
		"other identity and grant":      {func(r *auth.Record) { r.Identities, r.Grant = nil, "other" }, false},
		"other App":                     {func(r *auth.Record) { r.App = "app_1" }, false},
		"other connector":               {func(r *auth.Record) { r.Connector = "gcalendar" }, false},
		"closing":                       {func(r *auth.Record) { r.Closing = true }, false},
		"erased":                        {func(r *auth.Record) { r.Erased = true }, false},
	} {
		mine := someConnection("mine " + name)
		mine.Connector, mine.Grant = "c "+name, "g "+name
		other := someConnection("other " + name)
		other.Connector, other.Grant = mine.Connector, mine.Grant
		row.change(&other)
		mine = storedAs(t, s, mine)
		storedAs(t, s, other)
		got, err := s.SharesGrant(t.Context(), mine)
		noError(t, err)
		if got != row.want {
			t.Errorf("%s: shared is %v", name, got)
		}
	}
	alone := someConnection("alone")
	alone.Connector, alone.Identities, alone.Grant = "alone", nil, ""
	twin := alone
	twin.ID, twin.Account = id.New("conn", noon()), "twin"
	storedAs(t, s, twin)
	if got, err := s.SharesGrant(t.Context(), storedAs(t, s, alone)); err != nil || got {
		t.Errorf("two without fingerprint share: %v, %v", got, err)
	}
}

func apps(t *testing.T, s Accounts) {
	ctx := t.Context()
	a := auth.AppRecord{ID: "app_1", Environment: "env_1", Connector: "gmail", ClientID: "client", External: true, Deleted: true, Sealed: []byte("x"), CreatedAt: noon(), UpdatedAt: noon()}
	noError(t, s.SaveApp(ctx, a))
	twin := a
	twin.ID = "app_2"
	isError(t, s.SaveApp(ctx, twin), auth.ErrConflict)
	a.Version = 1
	for what, got := range map[string]func() (auth.AppRecord, error){
		"by id":          func() (auth.AppRecord, error) { return s.AppByID(ctx, "app_1") },
		"by environment": func() (auth.AppRecord, error) { return s.AppOf(ctx, "env_1", "gmail") },
	} {
		if r, err := got(); err != nil || fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", a) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	a.ClientID, a.Deleted, a.External, a.Sealed = "next", false, false, nil
	noError(t, s.SaveApp(ctx, a))
	isError(t, s.SaveApp(ctx, a), auth.ErrConflict)
	r, err := s.AppByID(ctx, "app_1")
	noError(t, err)
	if r.ClientID != "next" || r.Deleted || r.External || r.Sealed != nil || r.Version != 2 {
		t.Errorf("after a change: %+v", r)
	}
	_, err = s.AppByID(ctx, "app_3")
	isError(t, err, auth.ErrNoApp)
	_, err = s.AppOf(ctx, "env_2", "gmail")
	isError(t, err, auth.ErrNoApp)
}

func appsOf(t *testing.T, s Accounts) {
	ctx := t.Context()
	for _, a := range []auth.AppRecord{
		{ID: "app_3", Environment: "env_3", Connector: "gmail", Sealed: []byte("x")},
		{ID: "app_1", Environment: "env_1", Connector: "gmail", Deleted: true},
		{ID: "app_2", Environment: "env_1", Connector: "jira"},
	} {
		a.CreatedAt, a.UpdatedAt = noon(), noon()
		noError(t, s.SaveApp(ctx, a))
	}
	for _, row := range []struct {
		connector, after string
		limit            int
		want             string
	}{
		{"gmail", "", 10, "app_1 app_3"}, {"gmail", "", 1, "app_1"}, {"gmail", "app_1", 1, "app_3"}, {"gmail", "app_3", 1, ""},
		{"jira", "", 10, "app_2"}, {"slack", "", 10, ""},
	} {
		list, err := s.AppsOf(ctx, row.connector, row.after, row.limit)
		noError(t, err)
		var ids []string
		for _, a := range list {
			ids = append(ids, a.ID)
			if one, err := s.AppByID(ctx, a.ID); err != nil || fmt.Sprintf("%+v", one) != fmt.Sprintf("%+v", a) {
				t.Errorf("%s: %+v, %v", a.ID, a, err)
			}
		}
		if got := strings.Join(ids, " "); got != row.want {
			t.Errorf("%s after %q: %q, want %q", row.connector, row.after, got, row.want)
		}
	}
}

func appClients(t *testing.T, s Accounts) {
	for i, row := range []struct {
		app, client string
		erased      bool
	}{{"app_1", "b", false}, {"app_1", "a", false}, {"app_1", "a", false}, {"app_1", "gone", true}, {"app_2", "c", false}} {
		r := someConnection(fmt.Sprint(i))
		r.App, r.ClientID, r.Erased = row.app, row.client, row.erased
		storedAs(t, s, r)
	}
	got, err := s.AppClients(t.Context(), "app_1")
	noError(t, err)
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("clients in use: %v", got)
	}
}

func lockRules(t *testing.T, s Accounts) {
	ctx, now := t.Context(), noon()
	until := now.Add(time.Minute)
	try := func(owner string, at time.Time, want bool) {
		t.Helper()
		got, err := s.TryLock(ctx, "refresh:conn_1", owner, at, until)
		noError(t, err)
		if got != want {
			t.Errorf("%s at %v: %v", owner, at.Sub(now), got)
		}
	}
	try("a", now, true)
	try("b", now, false)
	try("a", now, true)
	noError(t, s.Unlock(ctx, "refresh:conn_1", "b"))
	try("b", now, false)
	if got, err := s.TryLock(ctx, "refresh:conn_2", "b", now, until); err != nil || !got {
		t.Errorf("another lock: %v, %v", got, err)
	}
	noError(t, s.Unlock(ctx, "refresh:conn_1", "a"))
	try("b", now, true)
	try("a", until, true)
}

func locksTogether(t *testing.T, s Accounts) {
	if n := winners(20, func(i int) bool {
		got, err := s.TryLock(t.Context(), "x", fmt.Sprint(i), noon(), noon().Add(time.Minute))
		return got && err == nil
	}); n != 1 {
		t.Errorf("%d hold it", n)
	}
}
