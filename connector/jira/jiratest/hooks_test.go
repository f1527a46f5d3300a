package jiratest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

func TestRegisterRefusesItemByItem(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.signIn(alice)
	for _, tt := range []struct {
		name, jql, event string
		want             string // empty: it is taken
	}{
		{"all well", "project = ENG AND status IN ('To Do', Done)", "jira:issue_updated", ""},
		{"assignee", "assignee != " + a.atlassian.AccountID(bob), "comment_created", ""},
		{"a field that filters cannot have", "watchCount = 1", "comment_created", "The clause watchCount is unsupported"},
		{"an operator that filters cannot have", "project ~ ENG", "comment_created", "The operator ~ is unsupported"},
		{"a date", "updated >= -1d", "comment_created", "updated is unsupported"},
		{"an order", "project = ENG ORDER BY key", "comment_created", "order by is unsupported"},
		{"a function", "assignee = currentUser()", "comment_created", "Functions are unsupported"},
		{"nothing", "", "comment_created", "must not be empty"},
		{"no JQL", "project =", "comment_created", "JQL"},
		{"a project that does not exist", "project = NONE", "comment_created", "does not exist"},
		{"an event for administrators", "project = ENG", "worklog_created", "worklog_created is unsupported"},
	} {
		id, wrong := a.register(token, tt.jql, tt.event)
		switch {
		case tt.want == "" && (id == 0 || wrong != nil):
			t.Errorf("%s: %v", tt.name, wrong)
		case tt.want != "" && (id != 0 || !strings.Contains(strings.Join(wrong, " "), tt.want)):
			t.Errorf("%s: id %d, %q, want %q", tt.name, id, wrong, tt.want)
		}
	}
	status, body := a.do(token, "POST", "api/3/webhook", map[string]any{"url": a.hooks, "webhooks": []any{
		map[string]any{"jqlFilter": "project = ENG", "events": []string{"comment_created"}},
		map[string]any{"jqlFilter": "x = y", "events": []string{"comment_created"}},
		map[string]any{"jqlFilter": "project = ENG", "events": []string{"comment_deleted"}},
	}})
	if want := `{"webhookRegistrationResult":[{"createdWebhookId":3},{"errors":["The clause x is unsupported"]},{"createdWebhookId":4}]}`; status != 200 || body != want {
		t.Errorf("%d %s", status, body)
	}
	for _, address := range []string{"", "ftp://127.0.0.1/", "http://example.com/hook", "/hook"} {
		if status, body := a.do(token, "POST", "api/3/webhook", map[string]any{"url": address, "webhooks": []any{
			map[string]any{"jqlFilter": "project = ENG", "events": []string{"comment_created"}},
		}}); status != 400 {
			t.Errorf("address %q: %d %s", address, status, body)
		}
	}
}

func TestFiveWebhooksAndOneAddress(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	other := a.atlassian.AddSite("other")
	other.AddProject("ENG", "Engineering")
	token := a.signIn(alice)
	for i := range 5 {
		if _, wrong := a.register(token, "project = ENG", "comment_created"); wrong != nil {
			t.Fatalf("webhook %d: %v", i+1, wrong)
		}
	}
	if id, wrong := a.register(token, "project = ENG", "comment_created"); id != 0 || !strings.Contains(fmt.Sprint(wrong), "limit of 5") {
		t.Errorf("the sixth: %d, %v", id, wrong)
	}
	if _, wrong := a.register(a.signIn(bob), "project = ENG", "comment_created"); wrong != nil {
		t.Errorf("another person: %v", wrong)
	}
	path := "/ex/jira/" + other.CloudID() + "/rest/api/3/webhook"
	body := func(address string) map[string]any {
		return map[string]any{"url": address, "webhooks": []any{map[string]any{"jqlFilter": "project = ENG", "events": []string{"comment_created"}}}}
	}
	if status, answer := a.do(token, "POST", path, body(a.hooks)); status != 200 || !strings.Contains(answer, `"createdWebhookId":1}`) {
		t.Errorf("another site, whose ids begin at 1 too: %d %s", status, answer)
	}
	if status, answer := a.do(token, "POST", path, body(a.hooks+"?other")); status != 200 || !strings.Contains(answer, "Only a single URL per app") {
		t.Errorf("another address: %d %s", status, answer)
	}
}

func TestListRefreshDelete(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	setClock := func(at time.Time) { a.atlassian.SetClock(func() time.Time { return at }) }
	setClock(now)
	a.atlassian.SetTokenLifetime(365 * 24 * time.Hour)
	token, bobs := a.signIn(alice), a.signIn(bob)
	for range 3 {
		if _, wrong := a.register(token, "project = ENG", "comment_created"); wrong != nil {
			t.Fatal(wrong)
		}
	}
	if _, wrong := a.register(bobs, "project = ENG", "comment_created"); wrong != nil {
		t.Fatal(wrong)
	}
	type page struct {
		Total  int  `json:"total"`
		IsLast bool `json:"isLast"`
		Values []struct {
			ID      int    `json:"id"`
			URL     string `json:"url"`
			Expires int64  `json:"expirationDate"`
		} `json:"values"`
	}
	var first, second page
	a.get(token, "api/3/webhook?maxResults=2", &first)
	a.get(token, "api/3/webhook?maxResults=2&startAt=2", &second)
	if first.Total != 3 || first.IsLast || len(first.Values) != 2 || !second.IsLast || len(second.Values) != 1 || second.Values[0].URL != a.hooks ||
		second.Values[0].Expires != now.AddDate(0, 0, 30).UnixMilli() {
		t.Errorf("%+v, %+v", first, second)
	}

	// After 20 days two are refreshed, one of them another person's, one unknown.
	now = now.AddDate(0, 0, 20)
	setClock(now)
	status, body := a.do(token, "PUT", "api/3/webhook/refresh", map[string]any{"webhookIds": []int{1, 4, 99}})
	if want := fmt.Sprintf(`{"expirationDate":%d}`, now.AddDate(0, 0, 30).UnixMilli()); status != 200 || body != want {
		t.Errorf("%d %s", status, body)
	}
	setClock(now.AddDate(0, 0, 10))
	ids := func() (ids []int) {
		for _, h := range a.acme.Hooks() {
			ids = append(ids, h.ID)
		}
		return ids
	}
	if got := ids(); !slices.Equal(got, []int{1}) {
		t.Errorf("after 30 days: %v", got)
	}
	a.acme.Comment(alice, a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"}), "to whom?")
	if d := a.atlassian.Deliveries(); len(d) != 1 || !slices.Equal(d[0].Webhooks, []int{1}) {
		t.Errorf("delivered after 30 days: %+v", d)
	}
	// The dead ones do not count, and do not come back.
	if status, _ := a.do(token, "PUT", "api/3/webhook/refresh", map[string]any{"webhookIds": []int{2}}); status != 200 || len(ids()) != 1 {
		t.Errorf("status %d, %v", status, ids())
	}
	if status, _ := a.do(bobs, "DELETE", "api/3/webhook", map[string]any{"webhookIds": []int{1}}); status != 202 || len(ids()) != 1 {
		t.Errorf("another person deleted it: %d, %v", status, ids())
	}
	if status, _ := a.do(token, "DELETE", "api/3/webhook", map[string]any{"webhookIds": []int{1, 99}}); status != 202 || len(ids()) != 0 {
		t.Errorf("status %d, %v", status, ids())
	}
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	if n := len(a.atlassian.Deliveries()); n != 1 {
		t.Errorf("%d deliveries without a webhook", n-1)
	}
}

func TestAdminWebhooks(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.signIn(alice)
	in := map[string]any{
		"name": "ours", "url": a.hooks + "?issue=${issue.key}", "events": []string{"jira:issue_created", "worklog_created", "project_created"},
		"filters": map[string]string{"issue-related-events-section": "project = ENG AND priority = High"}, "excludeBody": false, "secret": "It's a Secret to Everybody",
	}
	if status, _ := a.do(token, "POST", "webhooks/1.0/webhook", in); status != 403 {
		t.Errorf("without the permission: status %d", status)
	}
	a.acme.SetAdmin(alice, true)
	status, body := a.do(token, "POST", "webhooks/1.0/webhook", in)
	var made struct {
		Self   string `json:"self"`
		Signed bool   `json:"isSigned"`
		On     bool   `json:"enabled"`
	}
	decode(t, []byte(body), &made)
	if status != 201 || !made.Signed || !made.On || strings.Contains(body, "Everybody") {
		t.Errorf("%d %s", status, body)
	}
	for name, edit := range map[string]any{"events": []string{"odd"}, "name": "", "url": "x", "filters": map[string]string{"issue-related-events-section": "project = NONE"}} {
		wrong := map[string]any{"name": "n", "url": a.hooks, "events": []string{}, name: edit}
		if status, body := a.do(token, "POST", "webhooks/1.0/webhook", wrong); status != 400 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Priority: "Low"})
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Priority: "High"})
	a.acme.AddWorklog(alice, key, time.Hour, "work")
	a.acme.AddProject("OPS", "Operations")
	if got := a.events(); !slices.Equal(got, []string{"jira:issue_created/issue_created", "project_created", "worklog_created"}) {
		t.Errorf("%q", got)
	}
	for _, c := range a.calls() {
		if got := c.Header.Get("X-Hub-Signature"); got != jiratest.Signature("It's a Secret to Everybody", c.Body) || c.Header.Get("Authorization") != "" {
			t.Errorf("signature %q, authorization %q", got, c.Header.Get("Authorization"))
		}
		if strings.Contains(string(c.Body), "matchedWebhookIds") {
			t.Errorf("%s", c.Body)
		}
	}
	if d := a.atlassian.Deliveries()[0]; !strings.HasSuffix(d.URL, "?issue="+key) {
		t.Errorf("address %s", d.URL)
	}
	path := "webhooks/1.0/webhook/1"
	in["enabled"] = false
	if status, body := a.do(token, "PUT", path, in); status != 200 || !strings.Contains(body, `"enabled":false`) {
		t.Errorf("%d %s", status, body)
	}
	before := len(a.atlassian.Deliveries())
	a.acme.AddProject("OFF", "Off")
	if n := len(a.atlassian.Deliveries()); n != before {
		t.Errorf("%d deliveries while it is switched off", n-before)
	}
	var all []any
	if a.get(token, "webhooks/1.0/webhook", &all); len(all) != 1 {
		t.Errorf("%v", all)
	}
	if status, _ := a.do(token, "DELETE", path, nil); status != 204 || len(a.acme.AdminWebhooks()) != 0 {
		t.Errorf("status %d", status)
	}
	if status, _ := a.do(token, "GET", path, nil); status != 404 {
		t.Errorf("status %d", status)
	}
}

// The test vector of Atlassian's documentation.
func TestSignature(t *testing.T) {
	t.Parallel()
	const want = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
	if got := jiratest.Signature("It's a Secret to Everybody", []byte("Hello World!")); got != want {
		t.Errorf("got %s", got)
	}
}
