package jira_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

// checkRig asks about params at a site with the project ENG.
type checkRig struct {
	server *jiratest.Server
	acme   *jiratest.Site
	c      *jira.Connector
	s      *connector.Session
}

func newCheckRig(t *testing.T, source jira.Source) *checkRig {
	t.Helper()
	server := newAtlassian(t)
	r := &checkRig{server: server, acme: acmeWith(server), c: jira.New(config(server, source))}
	r.s = connect(t, server, r.c, alice, everyScope)
	return r
}

func (r *checkRig) check(t *testing.T, watch string, params map[string]string) error {
	t.Helper()
	f := trigger.Filter{Trigger: jira.IssueCreated, Params: params}
	sub := &connector.Subscription{ID: "sub_1", Watch: watch, Identity: r.s.Identities[0], Filters: []trigger.Filter{f}}
	return r.c.CheckParams(t.Context(), r.s, sub, f)
}

type params = map[string]string

var watchesOf = map[jira.Source]string{jira.Dynamic: "dynamic-issues", jira.Admin: "admin-issues", jira.Poll: "poll"}

// What Jira says about a query and a project is what a person reads; what names
// something that is not there is asked about again.
func TestParamsAreChecked(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		source jira.Source
		params params
		param  string // that is rejected; empty: none
		say    string
		later  bool
	}{
		{name: "nothing to check", source: jira.Dynamic, params: params{"field": "status"}},
		{name: "a blank query", source: jira.Poll, params: params{"jql": " "}},
		{name: "a query", source: jira.Dynamic, params: params{"jql": " project = ENG AND issuetype IN (Bug, Task)"}},
		{name: "any query", source: jira.Poll, params: params{"jql": "assignee = currentUser() AND updated > -5d"}},
		{name: "a project by key", source: jira.Dynamic, params: params{"project": "ENG"}},
		{name: "another site", source: jira.Dynamic, params: params{"jql": "project = NOPE", "site": "globex.atlassian.net"}},
		{name: "what webhooks cannot", source: jira.Dynamic, params: params{"jql": "summary ~ export"}, param: "jql", say: `"summary" is no field`},
		{name: "ORDER BY", source: jira.Poll, params: params{"jql": "project = ENG ORDER BY key"}, param: "jql", say: "ORDER BY"},
		{name: "ORDER BY", source: jira.Admin, params: params{"jql": "project = ENG order by key"}, param: "jql", say: "ORDER BY"},
		{name: "no JQL", source: jira.Poll, params: params{"jql": "project ENG"}, param: "jql", say: "'ENG' is not expected here"},
		{name: "an open quote", source: jira.Poll, params: params{"jql": `project = "ENG`}, param: "jql", say: "a quoted text does not end"},
		{name: "a project in a query", source: jira.Dynamic, params: params{"jql": "project = NOPE"}, param: "jql", say: "'NOPE' does not exist for the field 'project'", later: true},
		{name: "a field", source: jira.Admin, params: params{"jql": "universe = 42"}, param: "jql", say: "Field 'universe' does not exist", later: true},
		{name: "a project", source: jira.Dynamic, params: params{"project": "NOPE"}, param: "project", say: "No project could be found with key 'NOPE'.", later: true},
		{name: "a project in small letters", source: jira.Poll, params: params{"project": "eng"}, param: "project", say: "'eng'", later: true},
		{name: "both, the project wrong", source: jira.Poll, params: params{"jql": "project = ENG", "project": "NOPE"}, param: "project", say: "'NOPE'", later: true},
	} {
		t.Run(string(row.source)+" "+row.name, func(t *testing.T) {
			t.Parallel()
			r := newCheckRig(t, row.source)
			err := r.check(t, watchesOf[row.source], row.params)
			var wrong *connector.ParamError
			switch {
			case row.param == "" && err == nil:
			case row.param == "" || !errors.As(err, &wrong):
				t.Errorf("%v", err)
			case wrong.Param != row.param, wrong.Value != row.params[row.param], wrong.Later != row.later, !strings.Contains(wrong.Problem, row.say):
				t.Errorf("%+v", wrong)
			}
		})
	}
}

// A key that the project had before finds it at Jira, and no issue has it.
func TestFormerKeyOfAProject(t *testing.T) {
	t.Parallel()
	r := newCheckRig(t, jira.Dynamic)
	r.s.HTTP = &http.Client{Transport: renamed{r.s.HTTP.Transport}}
	var wrong *connector.ParamError
	if err := r.check(t, "dynamic-issues", params{"project": "OLD"}); !errors.As(err, &wrong) || !strings.Contains(wrong.Problem, `its key is "ENG"`) {
		t.Errorf("%v", err)
	}
}

// renamed answers for OLD as for ENG.
type renamed struct{ next http.RoundTripper }

func (f renamed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Path = strings.Replace(r.URL.Path, "/project/OLD", "/project/ENG", 1)
	return f.next.RoundTrip(r)
}

// That Jira does not answer the question says nothing of the watch, the grant or
// other triggers.
func TestParamsThatCannotBeAskedAbout(t *testing.T) {
	t.Parallel()
	for _, call := range []struct {
		name   string
		skip   int
		params params
	}{
		{"parse", 0, params{"jql": "project = NOPE"}},
		{"parse", 1, params{"jql": "project = NOPE"}}, // whether it may come to be
		{"project", 0, params{"project": "ENG"}},
	} {
		for _, row := range []struct {
			status          int
			rejected, later bool
			is              error // nil: none of the sentinels
		}{
			{status: 400, rejected: true},
			{status: 403, rejected: true, later: true},
			{status: 410},
			{status: 500},
			{status: 503},
			{status: 429},
			{status: 422, is: connector.ErrRefused},
		} {
			r := newCheckRig(t, jira.Dynamic)
			r.server.Fail(jiratest.Fault{Call: call.name, Skip: call.skip, Status: row.status, Times: 1})
			err := r.check(t, "dynamic-issues", call.params)
			if call.name == "project" && row.status == 410 { // Jira's own answer about the project
				row.rejected, row.later = true, true
			}
			var wrong *connector.ParamError
			if errors.As(err, &wrong) != row.rejected || err == nil {
				t.Errorf("%s answered %d: %v", call.name, row.status, err)
				continue
			}
			if row.rejected {
				if wrong.Later != row.later || !strings.Contains(wrong.Problem, "A fault that was asked for.") {
					t.Errorf("%s answered %d: %+v", call.name, row.status, wrong)
				}
				continue
			}
			for _, sentinel := range []error{connector.ErrScope, connector.ErrGone, connector.ErrRevoked, connector.ErrRefused} {
				if errors.Is(err, sentinel) != (row.is != nil && errors.Is(row.is, sentinel)) {
					t.Errorf("%s answered %d: %v is %v", call.name, row.status, err, sentinel)
				}
			}
		}
	}
}

// The gateway's 404 is about the site, and no verdict on a project.
func TestSiteThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, p := range []params{{"jql": "project = ENG"}, {"project": "ENG"}} {
		r := newCheckRig(t, jira.Dynamic)
		who := &r.s.Identities[0]
		for name, v := range who.Values {
			if name != "host" {
				who.Values[name] = strings.Repeat("0", len(v))
			}
		}
		err := r.check(t, "dynamic-issues", p)
		if err == nil || errors.Is(err, connector.ErrGone) || errors.Is(err, connector.ErrRefused) || errors.Is(err, connector.ErrScope) {
			t.Errorf("%v: %v", p, err)
		}
	}
}

// A grant that is dead is what it is; a missing scope, too.
func TestParamsOfADeadGrant(t *testing.T) {
	t.Parallel()
	r := newCheckRig(t, jira.Poll)
	r.server.RevokeAccess(alice)
	if err := r.check(t, "poll", params{"jql": "project = ENG"}); !errors.Is(err, connector.ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	server := newAtlassian(t)
	acmeWith(server)
	c := jira.New(config(server, jira.Poll))
	r = &checkRig{server: server, c: c, s: connect(t, server, c, alice, []string{"offline_access", "read:jira-user", "manage:jira-webhook"})}
	if len(r.s.Identities) == 0 {
		t.Fatal("no site")
	}
	if err := r.check(t, "poll", params{"jql": "project = ENG"}); !errors.Is(err, connector.ErrScope) {
		t.Errorf("without the scope: %v", err)
	}
}
