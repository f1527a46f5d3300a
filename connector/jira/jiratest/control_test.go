package jiratest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	a.atlassian.SetClock(func() time.Time { return now })
	a.atlassian.SetTokenLifetime(24 * time.Hour)
	token := a.signIn(alice)
	status := func(path string) int {
		s, _ := a.do(token, http.MethodGet, path, nil)
		return s
	}
	a.atlassian.Fail(jiratest.Fault{Call: "myself", Skip: 1, Times: 2, Status: 503})
	for i, want := range []int{200, 503, 503, 200} {
		if got := status("api/3/myself"); got != want || status("api/3/project") != 200 {
			t.Errorf("call %d: %d, want %d", i+1, got, want)
		}
	}
	a.atlassian.Fail(jiratest.Fault{For: time.Hour, Status: 502})
	a.atlassian.SetClock(func() time.Time { return now.Add(time.Hour - time.Second) })
	if got := status("api/3/myself"); got != 502 {
		t.Errorf("within the hour: %d", got)
	}
	if got := a.refresh("any"); got.Status != 502 {
		t.Errorf("the token endpoint within the hour: %+v", got)
	}
	a.atlassian.SetClock(func() time.Time { return now.Add(time.Hour) })
	if got := status("api/3/myself"); got != 200 {
		t.Errorf("after the hour: %d", got)
	}
	a.atlassian.Fail(jiratest.Fault{Times: 100, Status: 500})
	a.atlassian.Recover()
	if got := status("api/3/myself"); got != 200 {
		t.Errorf("after Recover: %d", got)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.signIn(alice)
	a.atlassian.Fail(jiratest.Fault{Call: "search", Status: 429, RetryAfter: 1500 * time.Millisecond})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.atlassian.URL+"/ex/jira/"+a.acme.CloudID()+"/rest/api/3/search/jql?jql=project=ENG", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := a.atlassian.Transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "2" || resp.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

// A lost answer was carried out: the webhook is there, and nobody knows its id.
func TestLostRegistration(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.signIn(alice)
	a.atlassian.Fail(jiratest.Fault{Call: "register", Lost: true})
	body := map[string]any{"url": a.hooks, "webhooks": []any{map[string]any{"jqlFilter": "project = ENG", "events": []string{"comment_created"}}}}
	if status, answer := a.do(token, http.MethodPost, "api/3/webhook", body); status != 0 {
		t.Errorf("%d %s", status, answer)
	}
	if n := len(a.acme.Hooks()); n != 1 {
		t.Errorf("%d webhooks", n)
	}
	a.acme.ExpireHooks()
	a.acme.SkipHookIDs(10)
	if id, _ := a.register(token, "project = ENG", "comment_created"); id != 12 {
		t.Errorf("id %d", id)
	}
}

func TestSettledGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.register(a.signIn(alice), "project = ENG", "jira:issue_created")
	a.atlassian.SetRetryDelay(time.Hour)
	a.answer = func(int) int { return http.StatusServiceUnavailable }
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.atlassian.Settled(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	a.atlassian.Close() // ends what waits for its retry
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	a.atlassian.Close()
}

// Whoever is wrong about their own data is told at once, and the server goes on.
func TestPanicsOnWrongData(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	for want, f := range map[string]func(){
		`no project "NONE"`:    func() { a.acme.CreateIssue(alice, jiratest.Issue{Project: "NONE"}) },
		`no issue "ENG-9"`:     func() { a.acme.Assign(alice, "ENG-9", bob) },
		`no status "Odd"`:      func() { a.acme.Transition(alice, key, "Odd") },
		`no field "odd"`:       func() { a.acme.Update(alice, key, map[string]string{"odd": "x"}) },
		`no comment "1"`:       func() { a.acme.DeleteComment(alice, key, "1") },
		`no worklog "1"`:       func() { a.acme.DeleteWorklog(alice, key, "1") },
		`no sprint 9`:          func() { a.acme.StartSprint(9) },
		`no version "9"`:       func() { a.acme.ReleaseVersion("9") },
		`no issue type "Song"`: func() { a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Type: "Song"}) },
	} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, want) {
					t.Errorf("panicked with %q, want %q in it", got, want)
				}
			}()
			f()
		}()
	}
	if a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"}) == "" {
		t.Error("the server does not go on")
	}
}
