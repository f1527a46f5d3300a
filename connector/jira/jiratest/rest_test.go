package jiratest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// document is a text as version 3 of the API has it.
func document(text string) map[string]any {
	return map[string]any{"type": "doc", "version": 1, "content": []any{
		map[string]any{"type": "paragraph", "content": []any{map[string]any{"type": "text", "text": text}}},
	}}
}

// What a client changes through the API is there, and is told like everything else.
func TestIssuesThroughTheAPI(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		version string
		text    any
	}{{"2", "It *hurts*"}, {"3", document("It *hurts*")}, {"latest", "It *hurts*"}} {
		t.Run("version "+tt.version, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			token := a.signIn(alice)
			a.watchEverything()
			a.atlassian.HoldDeliveries()
			issue := "api/" + tt.version + "/issue"
			status, body := a.do(token, "POST", issue, map[string]any{"fields": map[string]any{
				"project": map[string]any{"key": "ENG"}, "issuetype": map[string]any{"name": "Bug"}, "priority": map[string]any{"id": "1"},
				"summary": "Broken", "description": tt.text, "labels": []string{"ui"}, "assignee": map[string]any{"accountId": a.atlassian.AccountID(bob)},
			}})
			var created struct{ ID, Key, Self string }
			decode(t, []byte(body), &created)
			if status != 201 || created.Key != "ENG-1" || created.ID != "10000" || !strings.HasPrefix(created.Self, a.atlassian.URL+"/ex/jira/"+a.acme.CloudID()+"/rest/api/") {
				t.Fatalf("%d %s", status, body)
			}
			if status, body := a.do(token, "PUT", issue+"/10000", map[string]any{"fields": map[string]any{
				"summary": "Very broken", "description": nil, "assignee": map[string]any{"accountId": ""}, "labels": []string{}, "issuetype": map[string]any{"id": "10002"}, "priority": map[string]any{"name": "Low"},
			}}); status != 204 {
				t.Errorf("%d %s", status, body)
			}
			if status, body := a.do(token, "POST", issue+"/eng-1/comment", map[string]any{"body": tt.text}); status != 201 {
				t.Errorf("%d %s", status, body)
			}
			a.acme.Comment(bob, created.Key, "second")
			var comments struct {
				Total    int
				Comments []struct{ ID string }
			}
			a.get(token, issue+"/ENG-1/comment?orderBy=-created&maxResults=1", &comments)
			if comments.Total != 2 || len(comments.Comments) != 1 || comments.Comments[0].ID != "10001" {
				t.Errorf("%+v", comments)
			}
			if status, _ := a.do(token, "DELETE", issue+"/ENG-1", nil); status != 204 {
				t.Errorf("status %d", status)
			}
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				if status, body := a.do(token, method, issue+"/ENG-1", map[string]any{"fields": map[string]any{}}); status != 404 || !strings.Contains(body, "does not exist") {
					t.Errorf("%s of what is gone: %d %s", method, status, body)
				}
			}
			a.atlassian.ReleaseDeliveries(nil)
			got := a.bodies()
			if f := got[0].Issue.Fields; f["description"] != "It *hurts*" || f["summary"] != "Broken" || f["assignee"] == nil {
				t.Errorf("told as wiki text whatever the version: %v", f)
			}
			var items []string
			for _, i := range got[1].Changelog.Items {
				items = append(items, i.ID)
			}
			if want := []string{"assignee", "description", "issuetype", "labels", "priority", "summary"}; !slices.Equal(items, want) {
				t.Errorf("changed %q, want %q", items, want)
			}
			if c := got[2]; c.Event != "comment_created" || c.Comment.Body != "It *hurts*" {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestIssuesThroughTheAPIAreChecked(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.signIn(alice)
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	good := map[string]any{"project": map[string]any{"id": "10000"}, "issuetype": map[string]any{"id": "10004"}, "summary": "x"}
	for name, tt := range map[string]struct {
		value any
		want  string
	}{
		"project":     {map[string]any{"key": "NONE"}, "valid project"},
		"issuetype":   {map[string]any{"name": "Song"}, "valid issue type"},
		"summary":     {" ", "summary"},
		"priority":    {map[string]any{"name": "Odd"}, "Priority"},
		"assignee":    {map[string]any{"accountId": "nobody"}, "does not exist"},
		"description": {"no document", "Atlassian Document"},
		"colour":      {"red", "colour"},
	} {
		fields := maps.Clone(good)
		fields[name] = tt.value
		if status, body := a.do(token, "POST", "api/3/issue", map[string]any{"fields": fields}); status != 400 || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %q", name, status, body, tt.want)
		}
		delete(fields, name)
		if _, required := good[name]; required {
			if status, _ := a.do(token, "POST", "api/3/issue", map[string]any{"fields": fields}); status != 400 {
				t.Errorf("without %s: status %d", name, status)
			}
		}
	}
	for _, in := range []any{map[string]any{"body": "text"}, map[string]any{"body": document(" ")}, map[string]any{}, "x"} {
		if status, body := a.do(token, "POST", "api/3/issue/"+key+"/comment", in); status != 400 {
			t.Errorf("comment %v: %d %s", in, status, body)
		}
	}
	if n := len(a.acme.Hooks()); n != 0 || a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"}) != "ENG-2" {
		t.Error("a refused call made an issue")
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.exchange(a.code(alice, map[string]string{"scope": scopes + " read:board-scope:jira-software read:sprint:jira-software"}), nil).Access
	a.acme.AddProject("ABC", "First")
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Custom: map[string]any{"customfield_10050": "x"}})
	a.acme.AddWorklog(alice, "ENG-1", time.Hour, "")
	a.acme.CreateVersion("ENG", "1.0")
	a.acme.CreateSprint("future")
	a.acme.StartSprint(a.acme.CreateSprint("now"))
	for path, want := range map[string][]string{
		"api/3/project":                              {`[{"avatarUrls"`, `"key":"ABC"`, `"key":"ENG"`},
		"api/3/project/search?maxResults=1":          {`"total":2`, `"isLast":false`, `"key":"ABC"`},
		"api/3/project/ENG":                          {`"key":"ENG"`, `"lead"`},
		"api/3/project/10000/versions":               {`"name":"1.0"`, `"released":false`},
		"api/3/field":                                {`"id":"customfield_10050"`, `"id":"summary"`},
		"api/3/issuetype":                            {`"name":"Epic"`, `"name":"Bug"`},
		"api/3/status":                               {`"name":"In Review"`, `"key":"indeterminate"`},
		"api/3/serverInfo":                           {`"baseUrl":"https://acme.atlassian.net"`, `"serverTime"`},
		"api/3/issue/ENG-1/worklog":                  {`"timeSpentSeconds":3600`, `"total":1`},
		"agile/1.0/board":                            {`"name":"acme board"`},
		"agile/1.0/board/1/sprint":                   {`"name":"future"`, `"name":"now"`},
		"agile/1.0/board/1/sprint?state=active":      {`"total":1`, `"state":"active"`},
		"api/3/issue/ENG-1?fields=customfield_10050": {`"fields":{"customfield_10050":"x"}`},
	} {
		status, body := a.do(token, "GET", path, nil)
		for _, part := range want {
			if status != 200 || !strings.Contains(body, part) {
				t.Errorf("%s: %d %s, want %s", path, status, body, part)
			}
		}
	}
	for path, want := range map[string]int{
		"api/3/project/NONE": 404, "agile/1.0/board/2/sprint": 404, "api/4/project": 404, "api/3/nothing": 404,
		"api/3/project/search?startAt=-1": 400, "api/3/worklog/updated?since=x": 400, "api/3/webhook/failed": 403,
	} {
		if status, body := a.do(token, "GET", path, nil); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cfg, app := a.atlassian.Config(), a.atlassian.App()
	if cfg.ClientID != app.ClientID || cfg.ClientSecret != app.ClientSecret || cfg.Endpoints != a.atlassian.Endpoints() {
		t.Errorf("%+v", cfg)
	}
}
