package jiratest_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // a machine may have none

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// found is a page of a search.
type found struct {
	Issues []struct {
		ID, Key   string
		Fields    map[string]any
		Changelog *struct {
			Total     int
			Histories []struct{ ID string }
		}
	}
	IsLast bool   `json:"isLast"`
	Next   string `json:"nextPageToken"`
}

func (f found) keys() []string {
	keys := []string{}
	for _, i := range f.Issues {
		keys = append(keys, i.Key)
	}
	return keys
}

// search follows the pages to the end, between which do runs.
func (a *app) search(token, jql, params string, do func(page int)) (keys []string) {
	a.t.Helper()
	next := ""
	for page := range 100 {
		var f found
		a.get(token, "api/3/search/jql?fields=summary&jql="+url.QueryEscape(jql)+params+"&nextPageToken="+url.QueryEscape(next), &f)
		keys = append(keys, f.keys()...)
		if f.IsLast {
			if f.Next != "" {
				a.t.Errorf("the last page has a token")
			}
			return keys
		}
		next = f.Next
		if do != nil {
			do(page)
		}
	}
	a.t.Fatal("the search does not come to an end")
	return nil
}

// ticking makes a clock that goes on by a minute with every look.
func ticking(from time.Time) func() time.Time {
	at := from
	return func() time.Time { // called with the server's lock held
		at = at.Add(time.Minute)
		return at
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	start := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	a.atlassian.SetClock(ticking(start))
	a.atlassian.SetTokenLifetime(24 * time.Hour)
	a.acme.AddProject("OPS", "Operations")
	token := a.signIn(alice)
	if err := a.atlassian.SetTimeZone(alice, "America/New_York"); err != nil {
		t.Fatal(err)
	}
	bug := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Type: "Bug", Assignee: alice, Labels: []string{"ui"}, Summary: `Say "hello"`})
	epic := a.acme.CreateIssue(bob, jiratest.Issue{Project: "ENG", Type: "Epic", Priority: "High"})
	ops := a.acme.CreateIssue(alice, jiratest.Issue{Project: "OPS", Assignee: bob})
	a.acme.Transition(alice, bug, "Done")
	middle := start.Add(time.Hour)
	a.atlassian.SetClock(func() time.Time { return middle.Add(time.Minute) })
	a.acme.Comment(bob, epic, "later")
	aliceID, bobID := a.atlassian.AccountID(alice), a.atlassian.AccountID(bob)
	ny, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		jql  string
		want string
	}{
		{"project = ENG ORDER BY key", bug + " " + epic},
		{"project = eng order by key desc", epic + " " + bug},
		{"project in (ENG, 'Operations') ORDER BY key", bug + " " + epic + " " + ops},
		{"project not in (ENG)", ops},
		{"project = ENG AND issuetype = Bug", bug},
		{"project = ENG AND issuetype != Bug", epic},
		{"type = Bug OR project = OPS ORDER BY created", bug + " " + ops},
		{"(type = Bug OR project = OPS) AND assignee = " + bobID, ops},
		{"NOT project = ENG", ops},
		{"status = Done", bug},
		{"status in ('to do', \"In Progress\") ORDER BY key", epic + " " + ops},
		{"statusCategory != done ORDER BY key", epic + " " + ops},
		{"priority = High", epic},
		{"assignee = currentUser()", bug},
		{"assignee = " + aliceID + " AND resolution = Done", bug},
		{"assignee is EMPTY", epic},
		{"assignee is not empty ORDER BY key", bug + " " + ops},
		{"assignee != " + aliceID, ops}, // what has no assignee is not found by !=
		{"labels = ui", bug},
		{"summary ~ HELLO", bug},
		{"key = " + ops, ops},
		{"id = 10001", epic},
		{"updated >= '2026/11/25 05:00'", epic}, // New York's ten o'clock
		{fmt.Sprintf("updated >= %d", middle.UnixMilli()), epic},
		{"updated < '" + middle.In(ny).Format("2006-01-02 15:04") + "' ORDER BY updated DESC", bug + " " + ops},
		{"updated >= -40m", epic},
		{"created <= -30m ORDER BY updated ASC", ops + " " + bug + " " + epic},
	} {
		if got := strings.Join(a.search(token, tt.jql, "", nil), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.jql, got, tt.want)
		}
	}
	for _, tt := range []struct{ jql, want string }{
		{"", "Unbounded"},
		{"ORDER BY key", "Unbounded"},
		{"project = ", "JQL"},
		{"project ENG", "JQL"},
		{"project = ENG AND", "JQL"},
		{"project = ENG ORDER", "JQL"},
		{"project = ENG )", "JQL"},
		{"(project = ENG", "JQL"},
		{"project = 'ENG", "completed"},
		{"project in ENG", "JQL"},
		{"colour = red", "Field 'colour' does not exist"},
		{"project = NONE", "does not exist for the field 'project'"},
		{"assignee = alice@example.com", "does not exist for the field 'assignee'"},
		{"updated >= yesterday", "Date value 'yesterday'"},
		{"assignee = membersOf()", "membersof"},
		{"project = ENG ORDER BY summary", "Not able to sort"},
		{strings.Repeat("(", 100) + "project = ENG" + strings.Repeat(")", 100), "deeply"},
		{strings.Repeat("not ", 100) + "project = ENG", "deeply"},
	} {
		status, body := a.do(token, "POST", "api/3/search/jql", map[string]any{"jql": tt.jql})
		if status != 400 || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %q", tt.jql, status, body, tt.want)
		}
	}
	for _, version := range []string{"2", "3"} {
		if status, body := a.do(token, "GET", "api/"+version+"/search?jql=project=ENG", nil); status != 410 || !strings.Contains(body, "CHANGE-2046") {
			t.Errorf("the removed search of version %s: %d %s", version, status, body)
		}
	}
}

func TestSearchShowsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.signIn(alice)
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Description: "text"})
	a.acme.Transition(alice, key, "Done")
	a.acme.Comment(alice, key, "said")
	var f found
	a.get(token, "api/2/search/jql?jql=project%20%3D%20ENG", &f)
	if i := f.Issues[0]; i.ID != "10000" || i.Key != "" || i.Fields != nil {
		t.Errorf("without fields: %+v", i)
	}
	a.get(token, "api/2/search/jql?jql=project%20%3D%20ENG&fields=summary,status&fields=comment&expand=changelog", &f)
	if i := f.Issues[0]; i.Key != key || len(i.Fields) != 3 || i.Changelog == nil || i.Changelog.Total != 1 {
		t.Errorf("%+v", i)
	}
	f = found{}
	a.get(token, "api/2/search/jql?jql=project%20%3D%20ENG&fields=*all,-comment", &f)
	if i := f.Issues[0]; i.Fields["description"] != "text" || i.Fields["comment"] != nil {
		t.Errorf("%+v", i)
	}
	a.get(token, "api/3/search/jql?jql=project%20%3D%20ENG&fields=description", &f)
	if _, ok := f.Issues[0].Fields["description"].(map[string]any); !ok {
		t.Errorf("version 3 has documents: %+v", f.Issues[0])
	}
}

// An issue that changes between two pages is seen again in the order of
// changes, and none is missed.
func TestSearchPages(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.atlassian.SetClock(ticking(time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)))
	a.atlassian.SetTokenLifetime(24 * time.Hour)
	token := a.signIn(alice)
	var keys []string
	for range 7 {
		keys = append(keys, a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"}))
	}
	got := a.search(token, "project = ENG ORDER BY updated ASC", "&maxResults=3", func(page int) {
		if page == 0 {
			a.acme.Update(alice, keys[0], map[string]string{"summary": "changed"})
			a.acme.DeleteIssue(alice, keys[4])
		}
	})
	want := append(slices.Delete(slices.Clone(keys), 4, 5), keys[0])
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	a.atlassian.SetPageSize(2)
	if got := a.search(token, "project = ENG ORDER BY key", "", nil); len(got) != 6 {
		t.Errorf("in pages of two: %q", got)
	}
	var f found
	a.get(token, "api/3/search/jql?fields=summary&jql=project%20%3D%20ENG&maxResults=2", &f)
	for _, bad := range []string{"x", "eyJxIjoieCJ9", f.Next + "A"} {
		if status, _ := a.do(token, "GET", "api/3/search/jql?jql=project%20%3D%20ENG&nextPageToken="+bad, nil); status != 400 {
			t.Errorf("token %q: status %d", bad, status)
		}
	}
	if status, _ := a.do(token, "GET", "api/3/search/jql?jql=key%20%3D%20ENG-1&nextPageToken="+f.Next, nil); status != 400 {
		t.Errorf("another query's token: status %d", status)
	}
}

func TestSearchLag(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	a.atlassian.SetClock(func() time.Time { return now })
	token := a.signIn(alice)
	a.atlassian.SetSearchLag(10 * time.Second)
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	if got := a.search(token, "project = ENG", "", nil); len(got) != 0 {
		t.Errorf("found at once: %q", got)
	}
	a.get(token, "api/3/issue/"+key, &struct{}{})
	a.atlassian.SetClock(func() time.Time { return now.Add(10 * time.Second) })
	if got := a.search(token, "project = ENG", "", nil); len(got) != 1 {
		t.Errorf("not found after 10 s: %q", got)
	}
}

func TestChangelogAndWorklogs(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	start := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	a.atlassian.SetClock(ticking(start))
	a.atlassian.SetTokenLifetime(24 * time.Hour)
	token := a.signIn(alice)
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	a.acme.Update(alice, key, map[string]string{"summary": "a", "priority": "High", "labels": "x y", "customfield_10050": "v"})
	a.acme.Update(alice, key, map[string]string{"summary": "a"}) // no change
	a.acme.Assign(alice, key, bob)
	var log struct {
		Total  int
		Values []struct {
			ID    string
			Items []struct {
				ID       string `json:"fieldId"`
				From, To *string
			}
		}
	}
	a.get(token, "api/3/issue/"+key+"/changelog", &log)
	if log.Total != 2 || len(log.Values[0].Items) != 4 || log.Values[1].Items[0].ID != "assignee" || *log.Values[1].Items[0].To != a.atlassian.AccountID(bob) {
		t.Errorf("%+v", log)
	}
	id := a.acme.AddWorklog(alice, key, time.Hour, "a")
	gone := a.acme.AddWorklog(alice, key, time.Hour, "b")
	a.acme.DeleteWorklog(alice, key, gone)
	var updated, deleted struct {
		Values []struct {
			ID int `json:"worklogId"`
		}
		LastPage bool  `json:"lastPage"`
		Until    int64 `json:"until"`
	}
	a.get(token, fmt.Sprintf("api/3/worklog/updated?since=%d", start.UnixMilli()), &updated)
	a.get(token, fmt.Sprintf("api/3/worklog/deleted?since=%d", start.UnixMilli()), &deleted)
	if len(updated.Values) != 1 || fmt.Sprint(updated.Values[0].ID) != id || !updated.LastPage || len(deleted.Values) != 1 || fmt.Sprint(deleted.Values[0].ID) != gone {
		t.Errorf("%+v, %+v", updated, deleted)
	}
	a.get(token, fmt.Sprintf("api/3/worklog/updated?since=%d", updated.Until+1), &updated)
	if len(updated.Values) != 0 {
		t.Errorf("%+v", updated)
	}
	a.acme.EditWorklog(alice, key, id, 2*time.Hour, "c")
	status, body := a.do(token, "POST", "api/3/worklog/list", map[string]any{"ids": []int{10000, 99}})
	if status != 200 || !strings.Contains(body, `"timeSpent":"2h"`) || !strings.Contains(body, `"issueId":"10000"`) {
		t.Errorf("%d %s", status, body)
	}
}
