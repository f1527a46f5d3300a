package jiratest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// everything is what an admin webhook can be told.
func (a *app) watchEverything() {
	a.t.Helper()
	if _, err := a.acme.AddAdminWebhook(alice, jiratest.AdminWebhook{Name: "all", URL: a.hooks, Events: []string{
		"jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created", "comment_updated", "comment_deleted",
		"worklog_created", "worklog_updated", "worklog_deleted", "attachment_created", "attachment_deleted", "issuelink_created", "issuelink_deleted",
		"sprint_created", "sprint_started", "sprint_closed", "jira:version_created", "jira:version_released", "jira:version_deleted", "project_created",
	}}); err != nil {
		a.t.Fatal(err)
	}
}

// Every method that changes something tells of it, and of nothing else.
func TestEvents(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(site *jiratest.Site, key, other string)
		want string // events, sorted
	}{
		{"create", func(s *jiratest.Site, _, _ string) { s.CreateIssue(bob, jiratest.Issue{Project: "ENG"}) }, "jira:issue_created/issue_created"},
		{"update", func(s *jiratest.Site, key, _ string) { s.Update(bob, key, map[string]string{"summary": "x"}) }, "jira:issue_updated/issue_updated"},
		{"no change", func(s *jiratest.Site, key, _ string) { s.Update(bob, key, map[string]string{"priority": "Medium"}) }, ""},
		{"assign", func(s *jiratest.Site, key, _ string) { s.Assign(bob, key, bob) }, "jira:issue_updated/issue_assigned"},
		{"assign and more", func(s *jiratest.Site, key, _ string) {
			s.Update(bob, key, map[string]string{"assignee": bob, "summary": "x"})
		}, "jira:issue_updated/issue_updated"},
		{"transition", func(s *jiratest.Site, key, _ string) { s.Transition(bob, key, "Done") }, "jira:issue_updated/issue_generic"},
		{"bulk", func(s *jiratest.Site, key, other string) {
			s.BulkUpdate(bob, []string{key, other}, map[string]string{"labels": "x"})
		}, twice("jira:issue_updated/issue_updated")},
		{"comment", func(s *jiratest.Site, key, _ string) { s.Comment(bob, key, "x") }, "comment_created jira:issue_updated/issue_commented"},
		{"edit a comment", func(s *jiratest.Site, key, _ string) { s.EditComment(bob, key, "10000", "x") }, "comment_updated jira:issue_updated/issue_comment_edited"},
		{"delete a comment", func(s *jiratest.Site, key, _ string) { s.DeleteComment(bob, key, "10000") }, "comment_deleted jira:issue_updated/issue_comment_deleted"},
		{"worklog", func(s *jiratest.Site, key, _ string) { s.AddWorklog(bob, key, time.Hour, "") }, "jira:issue_updated/issue_updated worklog_created"},
		{"edit a worklog", func(s *jiratest.Site, key, _ string) { s.EditWorklog(bob, key, "10000", time.Minute, "") }, "jira:issue_updated/issue_updated worklog_updated"},
		{"delete a worklog", func(s *jiratest.Site, key, _ string) { s.DeleteWorklog(bob, key, "10000") }, "jira:issue_updated/issue_updated worklog_deleted"},
		{"attach", func(s *jiratest.Site, key, _ string) { s.Attach(bob, key, "a.png", 1) }, "attachment_created jira:issue_updated/issue_updated"},
		{"link", func(s *jiratest.Site, key, other string) { s.Link(bob, key, other) }, "issuelink_created " + twice("jira:issue_updated/issue_updated")},
		{"sprint", func(s *jiratest.Site, _, _ string) { s.CreateSprint("S") }, "sprint_created"},
		{"start", func(s *jiratest.Site, _, _ string) { s.StartSprint(1) }, "sprint_started"},
		{"close", func(s *jiratest.Site, _, _ string) { s.CloseSprint(1) }, "sprint_closed"},
		{"plan", func(s *jiratest.Site, key, _ string) { s.PlanIssue(bob, key, 1) }, "jira:issue_updated/issue_updated"},
		{"version", func(s *jiratest.Site, _, _ string) { s.CreateVersion("ENG", "2") }, "jira:version_created"},
		{"release", func(s *jiratest.Site, _, _ string) { s.ReleaseVersion("10000") }, "jira:version_released"},
		{"merge versions", func(s *jiratest.Site, _, _ string) { s.MergeVersions("10000", "10001") }, "jira:version_deleted"},
		{"project", func(s *jiratest.Site, _, _ string) { s.AddProject("OPS", "Operations") }, "project_created"},
		{"delete", func(s *jiratest.Site, key, _ string) { s.DeleteIssue(bob, key) }, "attachment_deleted comment_deleted issuelink_deleted jira:issue_deleted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
			other := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
			a.acme.Comment(alice, key, "first")
			a.acme.AddWorklog(alice, key, time.Hour, "first")
			a.acme.Attach(alice, key, "first.txt", 1)
			a.acme.Link(alice, other, key)
			a.acme.CreateSprint("First")
			a.acme.CreateVersion("ENG", "1")
			a.acme.CreateVersion("ENG", "1.1")
			a.watchEverything()
			tt.do(a.acme, key, other)
			if got := strings.Join(a.events(), " "); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			for _, c := range a.calls() {
				var body map[string]any
				decode(t, c.Body, &body)
				secondary := tt.name == "bulk" || tt.name == "delete" && body["webhookEvent"] != "jira:issue_deleted"
				if got := c.Header.Get("X-Atlassian-Webhook-Flow"); got != map[bool]string{true: "Secondary", false: "Primary"}[secondary] {
					t.Errorf("%v by the flow %s", body["webhookEvent"], got)
				}
				if (body["bulkOperationMetaData"] != nil) != (tt.name == "bulk") || (body["mergedTo"] != nil) != (tt.name == "merge versions") {
					t.Errorf("%s", c.Body)
				}
			}
		})
	}
}

func TestChangelogOfAnEvent(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Assignee: alice})
	a.watchEverything()
	a.atlassian.HoldDeliveries()
	a.acme.Update(bob, key, map[string]string{"assignee": "", "status": "Done"})
	a.acme.Transition(bob, key, "To Do")
	a.acme.Comment(bob, key, "x")
	a.atlassian.ReleaseDeliveries(nil)
	bodies := a.bodies()
	var got []string
	for _, b := range bodies {
		if b.Changelog == nil {
			got = append(got, b.Kind+" without")
			continue
		}
		for _, i := range b.Changelog.Items {
			got = append(got, i.ID+":"+deref(i.From)+">"+deref(i.To))
		}
	}
	want := []string{"assignee:Alice>-", "resolution:->Done", "status:To Do>Done", "resolution:Done>-", "status:Done>To Do", " without", "issue_commented without"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	comment := bodies[2]
	if comment.User != nil || comment.Comment.Body != "x" || len(comment.Issue.Fields) != 6 {
		t.Errorf("a comment event has no user, wiki text and a short issue: %+v", comment)
	}
}

func twice(s string) string { return s + " " + s }

func deref(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// What a webhook is told depends on its events, its filter, its fields, and whose it is.
func TestDynamicWebhooksAreToldWhatTheyAskedFor(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.acme.AddProject("OPS", "Operations")
	alices, bobs := a.signIn(alice), a.signIn(bob)
	register := func(token, jql string, fields []string, events ...string) int {
		status, body := a.do(token, "POST", "api/3/webhook", map[string]any{"url": a.hooks, "webhooks": []any{
			map[string]any{"jqlFilter": jql, "events": events, "fieldIdsFilter": fields},
		}})
		var out struct {
			Results []struct {
				ID int `json:"createdWebhookId"`
			} `json:"webhookRegistrationResult"`
		}
		decode(t, []byte(body), &out)
		if status != 200 || len(out.Results) != 1 || out.Results[0].ID == 0 {
			t.Fatalf("%d %s", status, body)
		}
		return out.Results[0].ID
	}
	eng := register(alices, "project = ENG", nil, "jira:issue_created", "jira:issue_updated")
	status := register(alices, "project IN (ENG, OPS)", []string{"status"}, "jira:issue_updated")
	mine := register(bobs, "assignee = "+a.atlassian.AccountID(bob), nil, "jira:issue_updated", "jira:issue_deleted")
	sprint := register(bobs, "project = OPS", nil, "sprint_started")
	a.atlassian.HoldDeliveries()
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	a.acme.Update(alice, key, map[string]string{"summary": "x"})
	a.acme.Transition(alice, key, "Done")
	a.acme.Assign(alice, key, bob)
	a.acme.Comment(alice, key, "x") // updates without a changelog touch no field
	a.acme.DeleteIssue(alice, key)
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "OPS"})
	a.acme.StartSprint(a.acme.CreateSprint("S"))
	a.atlassian.ReleaseDeliveries(nil)
	var got [][]int
	for _, b := range a.bodies() {
		got = append(got, b.Matched)
	}
	want := [][]int{{eng}, {eng}, {eng, status}, {eng, mine}, {eng, mine}, {mine}, {sprint}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Until it is distributed, an app hears only what its owner registered for.
func TestUndistributed(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	id, _ := a.register(a.signIn(alice), "project = ENG", "jira:issue_created")
	a.register(a.signIn(bob), "project = ENG", "jira:issue_created")
	a.atlassian.SetUndistributed(a.atlassian.App().ClientID, alice)
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	if got := a.bodies(); len(got) != 1 || !slices.Equal(got[0].Matched, []int{id}) {
		t.Errorf("%+v", got)
	}
	a.atlassian.SetUndistributed(a.atlassian.App().ClientID, "")
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	if got := a.bodies(); len(got) != 2 || len(got[1].Matched) != 2 {
		t.Errorf("%+v", got)
	}
}
