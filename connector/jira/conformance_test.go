package jira_test

import (
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/connectortest"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		source jira.Source
		watch  string
		topics []string
	}{
		{jira.Dynamic, "dynamic-issues", []string{"comment_created", "jira:issue_created", "jira:issue_updated"}},
		{jira.Dynamic, "dynamic-site", []string{"sprint_started"}},
		{jira.Admin, "admin-issues", []string{"jira:issue_created"}},
		{jira.Admin, "admin-site", []string{"project_created", "worklog_created"}},
		{jira.Poll, "poll", []string{"jira:issue_created"}},
	} {
		t.Run(row.watch, func(t *testing.T) {
			t.Parallel()
			c := jira.New(jira.Config{Sources: []jira.Source{row.source}})
			var acme *jiratest.Site
			session := func(site string) func(testing.TB) *connector.Session {
				return func(tb testing.TB) *connector.Session {
					tb.Helper()
					server := newAtlassian(tb)
					acme = server.AddSite(site)
					acme.AddProject("ENG", "Engineering")
					acme.SetAdmin(alice, true)
					return connect(tb, server, jira.New(config(server, row.source)), alice, everyScope)
				}
			}
			suite := connectortest.Suite{
				Connector: c, Requests: requests(row.source, row.watch),
				Provider: &connectortest.Provider{
					Session: session("acme"), Stranger: session("globex"),
					Subscription: connector.Subscription{
						ID: "sub_1", Watch: row.watch, Topics: row.topics, Address: "http://127.0.0.1:1/webhooks/jira", Secret: ownSecret,
					},
					Misspelt: misspelt(row.watch),
					Watches:  func() int { return len(acme.Hooks()) + len(acme.AdminWebhooks()) },
				},
			}
			if row.source == jira.Poll { // there is nothing to hold, and nothing comes in
				suite.Provider.Subscription, suite.Requests = connector.Subscription{}, nil
			}
			connectortest.Run(t, suite)
		})
	}
}

// misspelt are a project and a query that the stand-in does not know, of the
// watches whose triggers take any.
func misspelt(watch string) []trigger.Filter {
	if strings.HasSuffix(watch, "-site") {
		return nil
	}
	return []trigger.Filter{
		{Trigger: jira.IssueCreated, Params: map[string]string{"project": "NOPE"}},
		{Trigger: jira.IssueCreated, Params: map[string]string{"jql": "project = NOPE"}},
	}
}

// requests are those that come in through a watch.
func requests(source jira.Source, watch string) []connectortest.Request {
	files := map[string][]string{
		"dynamic-issues": {
			"issue-created", "issue-updated", "issue-assigned", "issue-moved", "issue-deleted", "comment-created", "comment-deleted",
			"issue-several-webhooks", "issue-without-webhook", "issue-commented",
		},
		"dynamic-site": {"sprint-created", "sprint-closed", "version-released"},
		"admin-issues": {"issue-updated", "comment-created"},
		"admin-site":   {"worklog-created", "attachment-created", "link-created", "project-created", "sprint-started", "board-created"},
	}
	var all []connectortest.Request
	for _, file := range files[watch] {
		q := connectortest.Request{File: "testdata/" + string(source) + "/" + file + ".http"}
		if source == jira.Dynamic {
			q.BodyUnsigned = true // the token proves who sends, not what
			q.Sign = func(in *connector.Inbound) {
				in.Header.Set("Authorization", "Bearer "+token(in.Secrets[0], in.ReceivedAt))
			}
			if file == "issue-created" {
				q.Stranger = "testdata/dynamic/issue-several-webhooks.http"
			}
		} else {
			q.Inbound = connector.Inbound{Watch: watch, Subscription: "sub_01KATE9W1B6S0Z3YV8K5QH2T4G"}
			q.Sign = func(in *connector.Inbound) {
				in.Header.Set("X-Hub-Signature", jiratest.Signature(in.Secrets[0], in.Body))
			}
		}
		all = append(all, q)
	}
	return all
}
