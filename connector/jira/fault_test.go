package jira_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

func acmeWith(server *jiratest.Server) *jiratest.Site {
	acme := server.AddSite("acme")
	acme.AddProject("ENG", "Engineering")
	acme.SetAdmin(alice, true)
	return acme
}

func eng(summary string) jiratest.Issue { return jiratest.Issue{Project: "ENG", Summary: summary} }

// A token that expires while pages of a search are read changes nothing.
func TestTokenExpiresWithinASearch(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	r := newRig(t, server, config(server, jira.Poll), alice, trigger.List(jira.IssueCreated, jira.CommentCreated)...)
	server.SetPageSize(1)
	for range 3 {
		acme.Comment(bob, acme.CreateIssue(alice, eng("one")), "text")
	}
	for more := true; more; {
		server.ExpireTokens()
		out, err := r.page(r.subs[0], false)
		if err != nil {
			t.Fatal(err)
		}
		more = out.More
	}
	r.want(map[string]int{jira.IssueCreated: 3, jira.CommentCreated: 3})
	if n := server.Status(alice).Refreshes; n < 3 {
		t.Errorf("%d refreshes", n)
	}
}

func TestRevokedGrant(t *testing.T) {
	t.Parallel()
	for _, source := range []jira.Source{jira.Dynamic, jira.Admin, jira.Poll} {
		t.Run(string(source), func(t *testing.T) {
			t.Parallel()
			server := newAtlassian(t)
			acmeWith(server)
			r := newRig(t, server, config(server, source), alice, trigger.List(jira.IssueCreated)...)
			server.RevokeAccess(alice)
			sub := r.subs[0]
			if _, err := r.page(sub, false); !errors.Is(err, connector.ErrRevoked) {
				t.Errorf("Expand: %v", err)
			}
			if source == jira.Poll {
				return
			}
			if _, err := r.c.Subscribe(t.Context(), r.session, sub); !errors.Is(err, connector.ErrRevoked) {
				t.Errorf("Subscribe: %v", err)
			}
			if _, err := r.c.Renew(t.Context(), r.session, sub); !errors.Is(err, connector.ErrRevoked) {
				t.Errorf("Renew: %v", err)
			}
			if err := r.c.Unsubscribe(t.Context(), r.session, sub); !errors.Is(err, connector.ErrRevoked) {
				t.Errorf("Unsubscribe: %v", err)
			}
			if _, err := r.c.Identify(t.Context(), r.session); !errors.Is(err, connector.ErrRevoked) {
				t.Errorf("Identify: %v", err)
			}
		})
	}
}

func TestMissingScope(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acmeWith(server)
	c := jira.New(config(server))
	s := connect(t, server, c, alice, []string{"offline_access", "read:jira-user", "read:jira-work"})
	sub := &connector.Subscription{ID: "sub_1", Watch: "dynamic-issues", Identity: s.Identities[0], Topics: []string{"jira:issue_created"}, Address: server.URL}
	if _, err := c.Subscribe(t.Context(), s, sub); !errors.Is(err, connector.ErrScope) || errors.Is(err, connector.ErrRevoked) {
		t.Errorf("Subscribe: %v", err)
	}
}

// An hour of failures is waited out, and nothing is lost or told twice.
func TestProviderFailsForAnHour(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	clock := &settable{at: time.Now()}
	server.SetClock(clock.now)
	acme := acmeWith(server)
	r := newRigAt(t, clock.now, server, config(server), alice, trigger.List(jira.IssueCreated, jira.IssueDeleted)...)
	server.Fail(jiratest.Fault{For: time.Hour, Status: http.StatusServiceUnavailable, RetryAfter: 30 * time.Second})
	server.LoseDeliveries(1)
	acme.CreateIssue(alice, eng("lost on the way"))
	for range 60 {
		_, err := r.page(r.subs[0], false)
		var retry *connector.RetryError
		if !errors.As(err, &retry) || retry.After != 30*time.Second {
			t.Fatalf("Expand: %v", err)
		}
		clock.add(time.Minute)
	}
	r.catchUp()
	acme.CreateIssue(alice, eng("delivered"))
	r.settle()
	r.want(map[string]int{jira.IssueCreated: 2})
	if len(r.gaps) > 0 {
		t.Errorf("gaps: %q", r.gaps)
	}
}

// What nobody listened to for longer than Jira repeats it is looked up; what a
// search cannot find is told as a gap, once.
func TestAwayForADay(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	clock := &settable{at: time.Now()}
	server.SetClock(clock.now)
	acme := acmeWith(server)
	r := newRigAt(t, clock.now, server, config(server), alice, trigger.List(jira.IssueCreated, jira.IssueDeleted)...)
	server.LoseDeliveries(1000)
	key := acme.CreateIssue(alice, eng("stays"))
	acme.DeleteIssue(alice, acme.CreateIssue(alice, eng("goes")))
	acme.Comment(alice, key, "text")
	clock.add(24 * time.Hour)
	server.SetPageSize(1)
	acme.CreateIssue(alice, eng("stays too"))
	r.catchUp()
	r.catchUp()
	r.want(map[string]int{jira.IssueCreated: 2})
	if len(r.gaps) != 1 || !strings.Contains(r.gaps[0], "Issue Deleted") {
		t.Errorf("gaps: %q", r.gaps)
	}
}

// A webhook that Jira has lost is noticed by the next search, made anew, and
// what was missed meanwhile is told, or told to be lost.
func TestWebhookIsLost(t *testing.T) {
	t.Parallel()
	for _, source := range []jira.Source{jira.Dynamic, jira.Admin} {
		t.Run(string(source), func(t *testing.T) {
			t.Parallel()
			server := newAtlassian(t)
			clock := &settable{at: time.Now()}
			server.SetClock(clock.now)
			acme := acmeWith(server)
			r := newRigAt(t, clock.now, server, config(server, source), alice, trigger.List(jira.IssueCreated, jira.IssueDeleted)...)
			acme.ExpireHooks()
			acme.DropAdminWebhooks()
			clock.add(time.Minute)
			acme.CreateIssue(alice, eng("nobody told"))
			out, err := r.page(r.subs[0], false)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(r.signals, connector.SignalGone) {
				t.Fatalf("signals %v, %+v", r.signals, out)
			}
			r.again(r.subs[0])
			r.catchUp()
			acme.CreateIssue(alice, eng("told"))
			r.settle()
			r.want(map[string]int{jira.IssueCreated: 2})
			if len(r.gaps) != 1 {
				t.Errorf("gaps: %q", r.gaps)
			}
		})
	}
}

// Jira's clock may be hours off: nothing from before the account was connected
// is told, and everything after it is.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			server := newAtlassian(t)
			clock := &settable{at: time.Now()}
			server.SetClock(func() time.Time { return clock.now().Add(skew) })
			acme := acmeWith(server)
			if err := server.SetTimeZone(alice, "America/Los_Angeles"); err != nil {
				t.Fatal(err)
			}
			old := acme.CreateIssue(alice, eng("from before"))
			acme.Transition(alice, old, "Done")
			clock.add(time.Second)
			r := newRigAt(t, clock.now, server, config(server, jira.Poll), alice, trigger.List("jira.*")...)
			clock.add(time.Second)
			acme.CreateIssue(alice, eng("new"))
			acme.Assign(alice, old, bob)
			clock.add(2 * time.Hour)
			r.catchUp()
			acme.Transition(bob, old, "In Progress")
			clock.add(time.Minute)
			r.catchUp()
			r.catchUp()
			r.want(map[string]int{jira.IssueCreated: 1, jira.IssueUpdated: 2, jira.IssueAssigned: 1, jira.IssueStatusChanged: 1})
		})
	}
}

// Jira's index follows after the data: what it does not find yet, the next search does.
func TestSearchLag(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	clock := &settable{at: time.Now()}
	server.SetClock(clock.now)
	server.SetSearchLag(2 * time.Minute)
	acme := acmeWith(server)
	r := newRigAt(t, clock.now, server, config(server, jira.Poll), alice, trigger.List(jira.IssueCreated)...)
	clock.add(time.Second)
	acme.CreateIssue(alice, eng("late in the index"))
	for range 5 {
		r.catchUp()
		clock.add(time.Minute)
	}
	r.want(map[string]int{jira.IssueCreated: 1})
}

// Many changes of one issue between two searches are more than an issue carries
// in a search's answer.
func TestMoreThanASearchShows(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	r := newRig(t, server, config(server, jira.Poll), alice, trigger.List(jira.IssueUpdated, jira.IssueStatusChanged, jira.WorklogCreated)...)
	key := acme.CreateIssue(alice, eng("busy"))
	for i := range 130 {
		acme.Transition(alice, key, []string{"In Progress", "Done"}[i%2])
	}
	for range 30 {
		acme.AddWorklog(bob, key, time.Hour, "")
	}
	r.catchUp()
	r.want(map[string]int{jira.IssueUpdated: 160, jira.IssueStatusChanged: 130, jira.WorklogCreated: 30})
}

// Two programs that work on one Connection do not make two webhooks, and what
// both are told has one key.
func TestTwoOnOneConnection(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	r := newRig(t, server, config(server), alice, trigger.List(jira.IssueCreated, jira.IssueStatusChanged)...)
	other := *r.subs[0]
	other.Held = connector.Held{}
	held, err := r.c.Subscribe(t.Context(), r.session, &other)
	if err != nil || held.ID != r.subs[0].Held.ID || len(acme.Hooks()) != 1 {
		t.Fatalf("Subscribe gave %+v, %v; Jira holds %d", held, err, len(acme.Hooks()))
	}
	server.LoseDeliveries(1)
	key := acme.CreateIssue(alice, eng("lost, and found by both"))
	server.DuplicateDeliveries(1)
	acme.Transition(alice, key, "Done")
	r.settle()
	for range 2 {
		out, err := r.c.Expand(t.Context(), r.session, &other, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range out.Notices {
			r.notice(n, r.subs)
		}
		r.catchUp()
	}
	r.want(map[string]int{jira.IssueCreated: 1, jira.IssueStatusChanged: 1})
	if r.twice < 4 {
		t.Errorf("only %d were told again", r.twice)
	}
}

// A site that was renamed or suspended refuses; that is for a person to read.
func TestSiteIsGone(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acmeWith(server)
	r := newRig(t, server, config(server), alice, trigger.List(jira.IssueCreated)...)
	sub := r.subs[0]
	if err := r.c.Unsubscribe(t.Context(), r.session, sub); err != nil {
		t.Fatal(err)
	}
	sub.Held = connector.Held{}
	server.Fail(jiratest.Fault{Call: "register", Status: http.StatusNotFound})
	// ErrGone would mean: make it again.
	if _, err := r.c.Subscribe(t.Context(), r.session, sub); !errors.Is(err, connector.ErrRefused) || errors.Is(err, connector.ErrGone) {
		t.Errorf("Subscribe: %v", err)
	}
}
