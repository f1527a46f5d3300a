package jira_test

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

func TestTriggersShareOneWebhook(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	acme.AddProject("OPS", "Operations")
	r := newRig(t, server, config(server), alice,
		trigger.Filter{Trigger: jira.IssueCreated, Params: map[string]string{"project": "OPS"}},
		trigger.Filter{Trigger: jira.IssueStatusChanged, Params: map[string]string{"project": "ENG"}},
		trigger.Filter{Trigger: jira.IssueAssigned, Params: map[string]string{"project": "ENG"}},
		trigger.Filter{Trigger: jira.CommentCreated, Params: map[string]string{"jql": "project = OPS AND issuetype IN (Bug, Task)"}},
		trigger.Filter{Trigger: jira.SprintStarted})
	hooks := acme.Hooks()
	var said []string
	for _, h := range hooks {
		said = append(said, h.JQL+": "+strings.Join(h.Events, ","))
		if h.URL != r.hooks.URL+"/webhooks/jira" || time.Until(h.ExpiresAt) < 29*24*time.Hour {
			t.Errorf("%+v", h)
		}
	}
	slices.Sort(said)
	want := []string{
		`project != null: sprint_started`,
		`project = OPS AND issuetype IN (Bug, Task): comment_created`,
		`project IN ("ENG", "OPS"): jira:issue_created,jira:issue_updated`,
	}
	if !slices.Equal(said, want) {
		t.Errorf("Jira holds\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
	ops := acme.CreateIssue(alice, jiratest.Issue{Project: "OPS"})
	acme.CreateIssue(alice, eng("another project"))
	acme.Transition(alice, ops, "Done") // reported, and not wanted
	acme.Comment(bob, ops, "text")
	acme.StartSprint(acme.CreateSprint("Sprint"))
	r.settle()
	r.want(map[string]int{jira.IssueCreated: 1, jira.CommentCreated: 1, jira.SprintStarted: 1})
}

// What is wrong with one webhook, Jira says within an answer 200.
func TestRefusedWebhook(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	c := jira.New(config(server))
	s := connect(t, server, c, alice, everyScope)
	sub := func(id, jql string) *connector.Subscription {
		return &connector.Subscription{
			ID: id, Watch: "dynamic-issues", Identity: s.Identities[0], Topics: []string{"jira:issue_created"},
			Params: map[string]string{"jql": jql}, Address: server.URL + "/webhooks/jira",
		}
	}
	for _, row := range []struct{ jql, want string }{
		{"project = NOPE", "NOPE"},                    // Jira's own words
		{"summary ~ export", `"summary" is no field`}, // ours, before it is asked
		{"project = ENG ORDER BY key", "ORDER BY"},
		{"assignee = currentUser()", "is a function"},
		{"project IS NOT EMPTY", `"IS" is no operator`},
		{"(project = ENG", "leaves a bracket open"},
		{"project = ENG AND", "ends after AND or OR"},
		{`project = "ENG`, "a quoted text does not end"},
		{"project = ENG)", "closes a bracket"},
		{"project IN ENG", "a list is expected"},
		{"project = ENG status = Done", "where AND or OR is"},
	} {
		held, err := c.Subscribe(t.Context(), s, sub("sub_1", row.jql))
		if !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %+v, %v", row.jql, held, err)
		}
	}
	for n, jql := range []string{"project = ENG", "NOT (project = ENG OR key = ENG-1)", `status NOT IN ("In Progress", 'To Do')`, "priority != High", "cf[10011] = x"} {
		if _, err := c.Subscribe(t.Context(), s, sub("sub_"+string(rune('a'+n)), jql)); err != nil && !strings.Contains(err.Error(), "ENG-1") {
			t.Errorf("%s: %v", jql, err)
		}
	}
	if n := len(acme.Hooks()); n < 4 {
		t.Fatalf("Jira holds %d", n)
	}
	for len(acme.Hooks()) < 5 {
		if _, err := c.Subscribe(t.Context(), s, sub("sub_more", "project != ENG")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Subscribe(t.Context(), s, sub("sub_6", "priority = Low"))
	if !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "limit of 5") || !strings.Contains(err.Error(), "each different jql takes one") {
		t.Errorf("the sixth: %v", err)
	}
	// Where there is no room for both, a change of the filter replaces.
	change := sub("sub_a", "priority = Low")
	change.Held.ID = heldBy(t, c, s, "sub_a")
	held, err := c.Subscribe(t.Context(), s, change)
	if err != nil || held.ID == change.Held.ID || len(acme.Hooks()) != 5 {
		t.Errorf("%+v, %v; Jira holds %d", held, err, len(acme.Hooks()))
	}
}

// Where one webhook has to go before the next can come, a deletion in between is
// lost, and that is told. Where both fit, nothing is.
func TestReplacedWithoutRoom(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ others, gaps int }{{4, 1}, {3, 0}} {
		server := newAtlassian(t)
		acme := acmeWith(server)
		now := time.Now()
		r := newRigAt(t, func() time.Time { return now }, server, config(server), alice, trigger.List(jira.IssueCreated, jira.IssueDeleted)...)
		s := r.subs[0]
		for n := range row.others {
			other := *s
			other.ID, other.Held = "sub_other_"+strconv.Itoa(n), connector.Held{}
			if _, err := r.c.Subscribe(t.Context(), r.session, &other); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(time.Minute)
		s.Filters[0].Params, s.Filters[1].Params = map[string]string{"project": "ENG"}, map[string]string{"project": "ENG"}
		r.hold(s)
		if len(r.gaps) != row.gaps || row.gaps > 0 && !strings.Contains(r.gaps[0], "Issue Deleted") {
			t.Errorf("beside %d others: gaps %q", row.others, r.gaps)
		}
		now = now.Add(time.Minute)
		r.hold(s)
		if len(r.gaps) != row.gaps {
			t.Errorf("beside %d others: told again: %q", row.others, r.gaps)
		}
		if n := len(acme.Hooks()); n != 1+row.others {
			t.Errorf("beside %d others: Jira holds %d", row.others, n)
		}
	}
}

// heldBy is the id of the webhook that a Subscription has.
func heldBy(t *testing.T, c *jira.Connector, s *connector.Session, id string) string {
	t.Helper()
	all, err := c.List(t.Context(), s, &connector.Subscription{ID: id, Watch: "dynamic-issues", Identity: s.Identities[0]})
	if err != nil || len(all) != 1 {
		t.Fatalf("List gave %+v, %v", all, err)
	}
	return all[0].ID
}

// A registration whose answer is lost is found again by what was registered.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	c := jira.New(config(server))
	s := connect(t, server, c, alice, everyScope)
	sub := &connector.Subscription{
		ID: "sub_1", Watch: "dynamic-issues", Identity: s.Identities[0], Topics: []string{"jira:issue_created"}, Address: server.URL + "/webhooks/jira",
	}
	foreign := *sub // another Connection of the same person
	foreign.ID = "sub_2"
	other, err := c.Subscribe(t.Context(), s, &foreign)
	if err != nil {
		t.Fatal(err)
	}
	server.Fail(jiratest.Fault{Call: "register", Lost: true})
	var retry *connector.RetryError
	if _, err := c.Subscribe(t.Context(), s, sub); !errors.As(err, &retry) {
		t.Fatalf("Subscribe: %v", err)
	}
	all, err := c.List(t.Context(), s, sub)
	if err != nil || len(all) != 1 || all[0].ID == other.ID || all[0].Address != sub.Address || len(all[0].Keys) != 1 || all[0].ExpiresAt.IsZero() {
		t.Fatalf("List gave %+v, %v", all, err)
	}
	held, err := c.Subscribe(t.Context(), s, sub)
	if err != nil || held.ID != all[0].ID || len(acme.Hooks()) != 2 {
		t.Fatalf("Subscribe gave %+v, %v; Jira holds %d", held, err, len(acme.Hooks()))
	}
	// What a crash left behind with another filter is removed.
	sub.Topics, sub.Held = []string{"comment_created"}, connector.Held{}
	if held, err = c.Subscribe(t.Context(), s, sub); err != nil || len(acme.Hooks()) != 2 {
		t.Fatalf("Subscribe gave %+v, %v; Jira holds %d", held, err, len(acme.Hooks()))
	}
	sub.Held = *held
	if err := c.Unsubscribe(t.Context(), s, sub); err != nil {
		t.Fatal(err)
	}
	if hooks := acme.Hooks(); len(hooks) != 1 || other.ID != strconv.Itoa(hooks[0].ID) {
		t.Errorf("Jira holds %+v", hooks)
	}
}

func TestRenewBeforeDay30(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	clock := &settable{at: time.Now()}
	server.SetClock(clock.now)
	acme := acmeWith(server)
	r := newRigAt(t, clock.now, server, config(server), alice, trigger.List(jira.IssueCreated)...)
	sub := r.subs[0]
	for range 8 { // 120 days
		clock.add(15 * 24 * time.Hour)
		held, err := r.c.Renew(t.Context(), r.session, sub)
		if err != nil {
			t.Fatal(err)
		}
		if left := held.ExpiresAt.Sub(clock.now()); held.ID != sub.Held.ID || left < 29*24*time.Hour || left > 31*24*time.Hour || !slices.Equal(held.Keys, sub.Held.Keys) {
			t.Fatalf("%+v, %s left", held, left)
		}
		sub.Held = *held
	}
	acme.CreateIssue(alice, eng("told after 120 days"))
	r.settle()
	if n := len(r.of(jira.IssueCreated)) + len(r.refused); n != 1 {
		t.Errorf("told %d, refused %v", n, r.refused)
	}
	clock.add(31 * 24 * time.Hour)
	if _, err := r.c.Renew(t.Context(), r.session, sub); !errors.Is(err, connector.ErrGone) {
		t.Errorf("Renew after 31 days: %v", err) // Jira ignores the id without a word
	}
}

// What a webhook that was replaced tells late still arrives.
func TestReplacedWebhook(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	r := newRig(t, server, config(server), alice, trigger.List(jira.IssueDeleted)...)
	key := acme.CreateIssue(alice, eng("goes"))
	server.HoldDeliveries()
	acme.DeleteIssue(alice, key)
	sub := r.subs[0]
	sub.Topics = []string{"jira:issue_created", "jira:issue_deleted"}
	sub.Filters = trigger.List(jira.IssueCreated, jira.IssueDeleted)
	former := sub.Held.ID
	r.hold(sub)
	if sub.Held.ID == former || len(acme.Hooks()) != 2 {
		t.Fatalf("%+v; Jira holds %d", sub.Held, len(acme.Hooks()))
	}
	server.ReleaseDeliveries(nil)
	r.want(map[string]int{jira.IssueDeleted: 1})
	if len(r.gaps) > 0 {
		t.Errorf("gaps: %q", r.gaps)
	}
}

// Ids of webhooks repeat from site to site: a delivery reaches the right ones.
func TestSameIDOnTwoSites(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme, globex := server.AddSite("acme"), server.AddSite("globex")
	server.AddConfluence("wiki")
	for _, site := range []*jiratest.Site{acme, globex} {
		site.AddProject("ENG", "Engineering")
	}
	r := newRig(t, server, config(server), alice, trigger.List(jira.IssueCreated)...)
	only := newRigAt(t, time.Now, server, narrowly(t, server, jira.Dynamic), bob,
		trigger.Filter{Trigger: jira.IssueCreated, Params: map[string]string{"site": "globex.atlassian.net"}})
	if ids := r.session.Identities; len(ids) != 2 || ids[0].Label != "acme.atlassian.net" || ids[1].Label != "globex.atlassian.net" {
		t.Fatalf("identities %+v", ids)
	}
	if a, b := acme.Hooks(), globex.Hooks(); len(a) != 1 || len(b) != 2 || a[0].ID != b[0].ID {
		t.Fatalf("Jira holds %+v and %+v", a, b)
	}
	acme.CreateIssue(alice, eng("at acme"))
	globex.CreateIssue(alice, eng("at globex"))
	r.settle()
	r.want(map[string]int{jira.IssueCreated: 2})
	only.want(map[string]int{jira.IssueCreated: 1})
	keys := []string{r.told[0].Key, r.told[1].Key}
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"acme.atlassian.net issue 10000", "globex.atlassian.net issue 10000"}) {
		t.Errorf("keys %q", keys)
	}
	for _, s := range only.subs {
		if s.Identity.Label == "acme.atlassian.net" {
			if s.Held.ID != "none" {
				t.Errorf("held at acme: %+v", s.Held)
			}
			if held, err := only.c.Renew(t.Context(), only.session, s); err != nil || held.ID != "none" {
				t.Errorf("Renew gave %+v, %v", held, err)
			}
			if err := only.c.Unsubscribe(t.Context(), only.session, s); err != nil {
				t.Errorf("Unsubscribe: %v", err)
			}
		}
	}
}

// Who does not administer a site reads that it takes an administrator.
func TestAdminWebhookTakesAnAdministrator(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	acme.SetAdmin(alice, false)
	c := jira.New(config(server, jira.Admin))
	s := connect(t, server, c, alice, everyScope)
	sub := &connector.Subscription{ID: "sub_1", Watch: "admin-site", Identity: s.Identities[0], Topics: []string{"project_created"}, Address: server.URL, Secret: ownSecret}
	if _, err := c.Subscribe(t.Context(), s, sub); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "Administer Jira") {
		t.Errorf("Subscribe: %v", err)
	}
	acme.SetAdmin(alice, true)
	held, err := c.Subscribe(t.Context(), s, sub)
	if err != nil {
		t.Fatal(err)
	}
	if hooks := acme.AdminWebhooks(); len(hooks) != 1 || !strings.HasSuffix(hooks[0].URL, "?site=acme.atlassian.net") || hooks[0].JQL != "" {
		t.Errorf("Jira holds %+v", hooks)
	}
	if held.ExpiresAt.IsZero() {
		t.Error("nobody would look whether it is still there")
	}
	sub.Held = *held
	acme.DropAdminWebhooks()
	if _, err := c.Renew(t.Context(), s, sub); !errors.Is(err, connector.ErrGone) {
		t.Errorf("Renew: %v", err)
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acmeWith(server)
	globex := server.AddSite("globex")
	c := jira.New(config(server))
	s := connect(t, server, c, alice, everyScope)
	account := server.AccountID(alice)
	id := s.Identities[1]
	if id.ID != account+"@"+globex.CloudID() || id.Values["account"] != account || id.Values["cloud"] != globex.CloudID() ||
		!slices.Equal(id.Keys, []connector.Key{connector.NewKey("site", "globex.atlassian.net"), connector.NewKey("cloud", globex.CloudID())}) {
		t.Errorf("%+v", id)
	}
	// A site that is suspended does not answer; the next one says who it is.
	server.Fail(jiratest.Fault{Call: "myself", Status: http.StatusNotFound})
	again, err := c.Identify(t.Context(), s)
	if err != nil || len(again) != 2 || again[0].ID != s.Identities[0].ID {
		t.Errorf("%+v, %v", again, err)
	}
	server.Fail(jiratest.Fault{Call: "resources", Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second})
	var retry *connector.RetryError
	if _, err := c.Identify(t.Context(), s); !errors.As(err, &retry) || retry.After != 7*time.Second {
		t.Errorf("%v", err)
	}
}
