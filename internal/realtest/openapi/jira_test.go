package openapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/internal/realtest/openapi"
)

// jiraWorld is a stand-in of Atlassian with something on it, and a person's
// token. Every call is judged.
type jiraWorld struct {
	t     *testing.T
	judge *openapi.Judge

	atlassian *jiratest.Server

	base  string // of the site's API, with the version and a trailing slash
	token string
	acme  *jiratest.Site
	epic  string
	bug   string
}

const alice = "alice@example.com"

func newJiraWorld(t *testing.T, document *openapi.Document, version string) *jiraWorld {
	t.Helper()
	atlassian := jiratest.NewServer()
	t.Cleanup(atlassian.Close)
	w := &jiraWorld{t: t, atlassian: atlassian, acme: atlassian.AddSite("acme"), judge: jiraJudge(t, document, http.DefaultTransport)}
	w.base = atlassian.URL + "/ex/jira/" + w.acme.CloudID() + "/rest/api/" + version + "/"
	w.token = jiraToken(t, atlassian)
	w.acme.AddProject("ENG", "Engineering")
	w.epic = w.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Type: "Epic", Summary: "All of it"})
	w.bug = w.acme.CreateIssue(alice, jiratest.Issue{
		Project: "ENG", Type: "Bug", Summary: "It is broken", Description: "Very much so", Assignee: "bob@example.com", Labels: []string{"ui"},
		Custom: map[string]any{"customfield_10050": "x"},
	})
	w.acme.Comment(alice, w.bug, "Really?")
	w.acme.AddWorklog(alice, w.bug, 90*time.Minute, "looked")
	w.acme.DeleteWorklog(alice, w.epic, w.acme.AddWorklog(alice, w.epic, time.Hour, "wrong issue"))
	w.acme.Attach(alice, w.bug, "screen.png", 1234)
	w.acme.Link(alice, w.bug, w.epic)
	w.acme.PlanIssue(alice, w.bug, w.acme.CreateSprint("Sprint 1"))
	w.acme.ReleaseVersion(w.acme.CreateVersion("ENG", "1.0"))
	w.acme.Assign(alice, w.bug, "")
	w.acme.Transition(alice, w.bug, "Done")
	return w
}

// jiraToken signs alice in; OAuth is in no document.
func jiraToken(t *testing.T, atlassian *jiratest.Server) string {
	t.Helper()
	codes := make(chan string, 1)
	callback := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { codes <- r.FormValue("code") }))
	defer callback.Close()
	config := oauth2.Config{
		ClientID: atlassian.App().ClientID, ClientSecret: atlassian.App().ClientSecret, RedirectURL: callback.URL + "/callback",
		Scopes: []string{"read:jira-work", "write:jira-work", "read:jira-user", "manage:jira-webhook", "offline_access"},
		Endpoint: oauth2.Endpoint{
			AuthURL: atlassian.Endpoints().Authorize, TokenURL: atlassian.Endpoints().Token, AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	address := config.AuthCodeURL("s", oauth2.SetAuthURLParam("audience", "api.atlassian.com"), oauth2.SetAuthURLParam("prompt", "consent"))
	if err := atlassian.Consent(t.Context(), address, alice); err != nil {
		t.Fatal(err)
	}
	token, err := config.Exchange(t.Context(), <-codes)
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

// call makes one judged call and checks its status.
func (w *jiraWorld) call(status int, method, path string, in any) []byte {
	w.t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			w.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.judge.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != status {
		w.t.Errorf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, status, answer)
	}
	return answer
}

type object = map[string]any

// Everything that the stand-in answers, in both versions of the API.
func standInAnswers(t *testing.T, document *openapi.Document) {
	for _, version := range []string{"2", "3"} {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			w := newJiraWorld(t, document, version)
			var text any = "a text"
			if version == "3" {
				text = object{"type": "doc", "version": 1, "content": []any{object{"type": "paragraph", "content": []any{object{"type": "text", "text": "a text"}}}}}
			}
			const hook = "http://127.0.0.1:1/hook"
			w.call(200, "POST", "webhook", object{"url": hook, "webhooks": []object{
				{"jqlFilter": "project = ENG", "events": []string{"jira:issue_created", "sprint_started"}, "fieldIdsFilter": []string{"status"}},
				{"jqlFilter": "watchCount = 1", "events": []string{"comment_created"}},
			}})
			w.call(200, "GET", "webhook?startAt=0&maxResults=10", nil)
			w.call(200, "PUT", "webhook/refresh", object{"webhookIds": []int{1, 99}})
			w.call(202, "DELETE", "webhook", object{"webhookIds": []int{1, 99}})
			w.call(403, "GET", "webhook/failed", nil)

			for _, query := range []string{"jql=project%20%3D%20ENG", "jql=project%20%3D%20ENG&fields=*all&expand=changelog&maxResults=1"} {
				w.call(200, "GET", "search/jql?"+query, nil)
			}
			var page struct {
				Token string `json:"nextPageToken"`
			}
			search := object{"jql": "updated >= '-1d' ORDER BY updated ASC", "fields": []string{"summary", "status"}, "maxResults": 1}
			if err := json.Unmarshal(w.call(200, "POST", "search/jql", search), &page); err != nil || page.Token == "" {
				t.Errorf("no second page: %v", err)
			}
			search["nextPageToken"] = page.Token
			w.call(200, "POST", "search/jql", search)
			w.call(400, "GET", "search/jql?jql=", nil)
			w.call(400, "GET", "search/jql?jql="+url.QueryEscape("nonsense ~~"), nil)
			w.call(410, "GET", "search?jql=project%20%3D%20ENG", nil)

			queries := []string{
				"project = ENG", "NOT (status IN (Done, 'To Do') OR assignee IS EMPTY) AND reporter = currentUser() ORDER BY key ASC, updated DESC",
				"project = NOPE AND project != NOPE", "universe = 42", "invalid query",
			}
			for _, how := range []string{"", "?validation=strict", "?validation=warn", "?validation=none"} {
				w.call(200, "POST", "jql/parse"+how, object{"queries": queries})
			}

			w.call(200, "GET", "issue/"+w.bug, nil)
			w.call(200, "GET", "issue/"+w.bug+"?fields=summary,comment&expand=changelog", nil)
			w.call(404, "GET", "issue/ENG-99", nil)
			w.call(200, "GET", "issue/"+w.bug+"/changelog?maxResults=1", nil)
			w.call(200, "GET", "issue/"+w.bug+"/comment", nil)
			w.call(201, "POST", "issue/"+w.bug+"/comment", object{"body": text})
			w.call(200, "GET", "issue/"+w.bug+"/worklog", nil)
			w.call(200, "GET", "worklog/updated?since=0", nil)
			w.call(200, "GET", "worklog/deleted?since=0", nil)
			w.call(200, "POST", "worklog/list", object{"ids": []int{10000, 99}})

			var created struct {
				Key string `json:"key"`
			}
			fields := object{"project": object{"key": "ENG"}, "issuetype": object{"name": "Task"}, "summary": "New", "description": text}
			if err := json.Unmarshal(w.call(201, "POST", "issue", object{"fields": fields}), &created); err != nil || !strings.HasPrefix(created.Key, "ENG-") {
				t.Errorf("created %+v, %v", created, err)
			}
			w.call(400, "POST", "issue", object{"fields": object{"summary": "No project"}})
			w.call(204, "PUT", "issue/"+created.Key, object{"fields": object{"summary": "Newer"}})
			w.call(204, "DELETE", "issue/"+created.Key, nil)

			for _, path := range []string{"myself", "project", "project/search", "project/ENG", "project/ENG/versions", "field", "issuetype", "status", "serverInfo"} {
				w.call(200, "GET", path, nil)
			}
			w.token = "expired"
			w.call(401, "GET", "myself", nil)
			w.judge.Require(
				"registerDynamicWebhooks 200", "getDynamicWebhooksForApp 200", "refreshWebhooks 200", "deleteWebhookById 202", "getFailedWebhooks 403",
				"searchJql 200", "searchJql 400", "searchJqlPost 200", "searchForIssuesUsingJql 410", "parseJqlQueries 200", "getIssue 200", "getIssue 404", "getChangeLogs 200",
				"getComments 200", "addComment 201", "getIssueWorklog 200", "getIdsOfWorklogsModifiedSince 200", "getIdsOfWorklogsDeletedSince 200",
				"getWorklogsForIds 200", "createIssue 201", "createIssue 400", "editIssue 204", "deleteIssue 204", "getCurrentUser 200", "getCurrentUser 401",
				"getAllProjects 200", "searchProjects 200", "getProject 200", "getProjectVersions 200", "getFields 200", "getIssueAllTypes 200",
				"getStatuses 200", "getServerInfo 200",
			)
		})
	}
}

// What the document forbids, the stand-in does not take.
func standInRefuses(t *testing.T, document *openapi.Document) {
	w := newJiraWorld(t, document, "3")
	w.judge.Probing = true
	for _, in := range []any{
		object{}, object{"url": "http://127.0.0.1:1/"}, object{"url": 1, "webhooks": []any{}}, []any{}, "x",
		object{"url": "http://127.0.0.1:1/", "webhooks": []any{}},
		object{"url": "http://127.0.0.1:1/", "webhooks": "x"},
		object{"url": "http://127.0.0.1:1/", "webhooks": []object{{"jqlFilter": 1, "events": []string{"comment_created"}}}},
		object{"url": "http://127.0.0.1:1/", "webhooks": []object{{"jqlFilter": "project = ENG", "events": "comment_created"}}},
		object{"url": "http://127.0.0.1:1/", "hooks": []any{}, "webhooks": []object{{"jqlFilter": "project = ENG", "events": []string{"comment_created"}}}},
	} {
		w.call(400, "POST", "webhook", in)
	}
	for _, in := range []any{object{}, object{"webhookIds": "1"}, object{"webhookIds": []string{"1"}}, object{"ids": []int{1}}} {
		w.call(400, "PUT", "webhook/refresh", in)
		w.call(400, "DELETE", "webhook", in)
	}
	for _, in := range []any{object{"jql": 1}, object{"jql": "project = ENG", "maxResults": "many"}, object{"jql": "project = ENG", "startAt": 5}} {
		w.call(400, "POST", "search/jql", in)
	}
	w.call(400, "GET", "search/jql?jql=project%20%3D%20ENG&maxResults=many", nil)
	for _, in := range []any{object{}, object{"queries": "project = ENG"}, object{"queries": []string{""}}, object{"queries": []int{1}}, object{"jql": "project = ENG"}} {
		w.call(400, "POST", "jql/parse", in)
	}
	w.call(400, "POST", "jql/parse?validation=lax", object{"queries": []string{"project = ENG"}})
	w.call(400, "GET", "webhook?startAt=x", nil)
	w.judge.Require("registerDynamicWebhooks 400", "refreshWebhooks 400", "deleteWebhookById 400", "searchJqlPost 400", "parseJqlQueries 400", "getDynamicWebhooksForApp 400")
}
