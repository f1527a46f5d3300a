package interactor_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

func connectJira(t *testing.T, in *interactortest.Server, atlassian *jiratest.Server, account, person string, watches int) auth.Connection {
	t.Helper()
	link, err := in.AuthURL(t.Context(), interactor.ConnectRequest{Connector: jira.Name, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	if err := atlassian.Consent(t.Context(), link, person); err != nil {
		t.Fatal(err)
	}
	conn, err := in.Auth.Find(t.Context(), auth.Query{Connector: jira.Name, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "every watch is held and its starting point known", func() bool {
		n := 0
		for s, err := range in.Subscriptions.Subscriptions(t.Context(), subscription.Query{Environment: "*", Connection: conn.ID}) {
			if err != nil {
				t.Fatal(err)
			}
			if s.Healthy() && s.Cursor != "" {
				n++
			}
		}
		return n == watches
	})
	return conn
}

// One grant with two sites is one Connection with two Identities; what happens
// at both arrives once, by dynamic webhooks, admin webhooks and searches alike.
func TestJiraArrives(t *testing.T) {
	t.Parallel()
	atlassian := jiratest.NewServer()
	t.Cleanup(atlassian.Close)
	sites := map[string]*jiratest.Site{}
	for _, name := range []string{"acme", "globex"} {
		sites[name] = atlassian.AddSite(name)
		sites[name].AddProject("ENG", "Engineering")
		sites[name].SetAdmin("alice@example.com", true)
	}
	atlassian.AddConfluence("wiki")
	inbox := forwardtest.NewReceiver(t)
	app := atlassian.App()
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{jira.New(jira.Config{
			ClientID: app.ClientID, ClientSecret: app.ClientSecret, Endpoints: atlassian.Endpoints(), Sources: []jira.Source{jira.Dynamic, jira.Admin},
		})},
		Forwarding: inbox.Settings(jira.IssueCreated, jira.IssueStatusChanged, jira.WorklogCreated),
	})
	conn := connectJira(t, in, atlassian, "user-42", "alice@example.com", 4)
	if conn.Identity != "acme.atlassian.net, globex.atlassian.net" {
		t.Errorf("identity %q", conn.Identity)
	}
	atlassian.DuplicateDeliveries(3)
	for _, site := range sites {
		key := site.CreateIssue("bob@example.com", jiratest.Issue{Project: "ENG", Summary: "The export is empty"})
		site.Transition("bob@example.com", key, "Done")
		site.AddWorklog("bob@example.com", key, time.Hour, "Found it.")
	}
	var got []string
	for range 6 {
		ev := inbox.Next()
		if ev.Account != "user-42" || ev.Connection != conn.ID {
			t.Errorf("got %+v", ev)
		}
		what := ev.Trigger
		switch ev.Trigger {
		case jira.IssueCreated:
			issue, err := trigger.Decode[jira.Issue](ev)
			if err != nil {
				t.Fatal(err)
			}
			what += " " + issue.URL
		case jira.IssueStatusChanged:
			change, err := trigger.Decode[jira.StatusChange](ev)
			if err != nil {
				t.Fatal(err)
			}
			what += " " + change.Issue.Site + " " + change.From.Name + " to " + change.To.Name
		case jira.WorklogCreated:
			log, err := trigger.Decode[jira.Worklog](ev)
			if err != nil {
				t.Fatal(err)
			}
			what += " " + log.Site
		}
		got = append(got, what)
	}
	slices.Sort(got)
	want := []string{
		"jira.issue.created https://acme.atlassian.net/browse/ENG-1", "jira.issue.created https://globex.atlassian.net/browse/ENG-1",
		"jira.issue.status_changed https://acme.atlassian.net To Do to Done", "jira.issue.status_changed https://globex.atlassian.net To Do to Done",
		"jira.worklog.created https://acme.atlassian.net", "jira.worklog.created https://globex.atlassian.net",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if err := in.Auth.Disconnect(t.Context(), conn.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "the webhooks are removed", func() bool {
		return len(sites["acme"].Hooks())+len(sites["acme"].AdminWebhooks())+len(sites["globex"].Hooks())+len(sites["globex"].AdminWebhooks()) == 0
	})
}

// A grant that Atlassian no longer honours ends the Connection once.
func TestJiraGrantIsRevoked(t *testing.T) {
	t.Parallel()
	atlassian := jiratest.NewServer()
	t.Cleanup(atlassian.Close)
	atlassian.AddSite("acme").AddProject("ENG", "Engineering")
	inbox := forwardtest.NewReceiver(t)
	app := atlassian.App()
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{jira.New(jira.Config{
			ClientID: app.ClientID, ClientSecret: app.ClientSecret, Endpoints: atlassian.Endpoints(),
		})},
		Forwarding: inbox.Settings(jira.IssueCreated),
	})
	conn := connectJira(t, in, atlassian, "user-42", "alice@example.com", 1)
	atlassian.RevokeAccess("alice@example.com")
	client, err := in.Client(t.Context(), conn.ID)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, atlassian.URL+"/oauth/token/accessible-resources", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("a revoked grant still gives an answer: %s", resp.Status)
	}
	until(t, "the connection has to be made anew", func() bool {
		c, err := in.Auth.Connection(t.Context(), conn.ID)
		return err == nil && c.Status == auth.Expired
	})
}

// A query and a project with a typo are shown with what Jira says of them; the
// other triggers work, the one in the same watch, too.
func TestJiraParamsWithATypo(t *testing.T) {
	t.Parallel()
	atlassian := jiratest.NewServer()
	t.Cleanup(atlassian.Close)
	acme := atlassian.AddSite("acme")
	acme.AddProject("ENG", "Engineering")
	inbox := forwardtest.NewReceiver(t)
	app := atlassian.App()
	forwarding := inbox.Settings()
	forwarding.Triggers = []trigger.Filter{
		{Trigger: jira.IssueCreated, Params: map[string]string{"jql": "project = EMG"}},
		{Trigger: jira.IssueUpdated, Params: map[string]string{"jql": "project IN (ENG) AND"}},
		{Trigger: jira.CommentCreated, Params: map[string]string{"project": "EGN"}},
		{Trigger: jira.IssueStatusChanged},
	}
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{jira.New(jira.Config{
			ClientID: app.ClientID, ClientSecret: app.ClientSecret, Endpoints: atlassian.Endpoints(),
		})},
		Forwarding: forwarding,
	})
	conn := connectJira(t, in, atlassian, "user-42", "alice@example.com", 0) // none is healthy
	var all []subscription.Subscription
	until(t, "three triggers are rejected, and the starting point of the fourth is known", func() bool {
		n, started := 0, false
		all = nil
		for s, err := range in.Subscriptions.Subscriptions(t.Context(), subscription.Query{Environment: "*", Connection: conn.ID}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
			n += len(s.Rejected)
			started = started || s.State == subscription.Active && s.Cursor != ""
		}
		return n == 3 && started
	})
	for _, s := range all {
		for _, r := range s.Rejected {
			want, later, state := map[string]string{
				jira.IssueCreated:   "The value 'EMG' does not exist for the field 'project'.",
				jira.IssueUpdated:   "it ends after AND or OR",
				jira.CommentCreated: "No project could be found with key 'EGN'.",
			}[r.Filter.Trigger], r.Filter.Trigger != jira.IssueUpdated, subscription.Refused
			if r.Filter.Trigger == jira.CommentCreated {
				state = subscription.Active
			}
			if want == "" || !strings.Contains(r.Reason, want) || r.Later != later || s.State != state {
				t.Errorf("%s: %+v", s.State, r)
			}
		}
	}
	if hooks := acme.Hooks(); len(hooks) != 1 {
		t.Errorf("Jira holds %+v", hooks)
	}
	if c, err := in.Auth.Connection(t.Context(), conn.ID); err != nil || c.Status != auth.Active {
		t.Errorf("%+v, %v", c, err)
	}
	acme.Transition("bob@example.com", acme.CreateIssue("bob@example.com", jiratest.Issue{Project: "ENG"}), "Done")
	if ev := inbox.Next(); ev.Trigger != jira.IssueStatusChanged {
		t.Errorf("got %+v", ev)
	}
}
