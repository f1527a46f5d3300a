package interactor_test

import (
	"slices"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// Two people with the same trigger list; one of them has a query of her own. The
// watch at the provider follows it, and so does what arrives.
func TestParamsOfAConnectionFromEndToEnd(t *testing.T) {
	t.Parallel()
	atlassian := jiratest.NewServer()
	t.Cleanup(atlassian.Close)
	site := atlassian.AddSite("acme")
	site.AddProject("ENG", "Engineering")
	site.AddProject("OPS", "Operations")
	inbox := forwardtest.NewReceiver(t)
	app := atlassian.App()
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{jira.New(jira.Config{
			ClientID: app.ClientID, ClientSecret: app.ClientSecret, Endpoints: atlassian.Endpoints(),
		})},
		Forwarding: inbox.Settings(jira.IssueCreated),
	})
	ctx := t.Context()
	settled := func() bool {
		n := 0
		for s, err := range in.Subscriptions.Subscriptions(ctx, subscription.Query{Environment: "*"}) {
			if err != nil || !s.Healthy() {
				return false
			}
			n++
		}
		return n == 2
	}
	conn := map[string]auth.Connection{}
	for account, email := range map[string]string{"user-1": "alice@example.com", "user-2": "bob@example.com"} {
		link, err := in.AuthURL(ctx, interactor.ConnectRequest{Connector: jira.Name, Account: account})
		if err != nil {
			t.Fatal(err)
		}
		if err := atlassian.Consent(ctx, link, email); err != nil {
			t.Fatal(err)
		}
		if conn[account], err = in.Auth.Find(ctx, auth.Query{Connector: jira.Name, Account: account}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "both are watched", settled)
	// create makes an issue in each project and returns who was told of which.
	create := func(want int) (got []string) {
		t.Helper()
		for _, project := range []string{"ENG", "OPS"} {
			site.CreateIssue("carol@example.com", jiratest.Issue{Project: project, Summary: "It is slow"})
		}
		for range want {
			ev := inbox.Next()
			issue, err := trigger.Decode[jira.Issue](ev)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, ev.Account+" "+issue.Key[:3])
		}
		slices.Sort(got)
		return got
	}
	if got := create(4); !slices.Equal(got, []string{"user-1 ENG", "user-1 OPS", "user-2 ENG", "user-2 OPS"}) {
		t.Errorf("by the trigger list: %q", got)
	}
	if _, err := in.SetParams(ctx, conn["user-2"].ID, trigger.Overrides{jira.IssueCreated: {"jql": "project = OPS"}}); err != nil {
		t.Fatal(err)
	}
	narrowed := func() bool {
		for s, err := range in.Subscriptions.Subscriptions(ctx, subscription.Query{Environment: "*", Connection: conn["user-2"].ID}) {
			if err != nil || s.Params["jql"] == "" {
				return false
			}
		}
		return settled()
	}
	until(t, "the watch follows", narrowed)
	if got := create(3); !slices.Equal(got, []string{"user-1 ENG", "user-1 OPS", "user-2 OPS"}) {
		t.Errorf("with a query of its own: %q", got)
	}
	if _, err := in.SetParams(ctx, conn["user-2"].ID, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the watch follows again", func() bool { return !narrowed() && settled() })
	if got := create(4); len(got) != 4 || got[3] != "user-2 OPS" {
		t.Errorf("by the trigger list again: %q", got)
	}
}
