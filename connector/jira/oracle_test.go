package jira_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// fact is something that happened, as the oracle knows it: from a webhook of its
// own that tells it everything, read with plain maps and not by the connector.
type fact struct {
	trigger, what string // what: site and ids, in the oracle's own words
	project       string // key; empty: not told
	to            string // name of the new status
	issue         string // id of the issue that it is about
	part          string // id of the comment or worklog
	thing         string // the same for all edits of it
	also          string // id of another issue that it is about
}

// read tells the facts of one webhook body.
func read(t testing.TB, site string, body []byte) (facts []fact) {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatal(err)
	}
	at := func(path ...string) string {
		var v any = b
		for _, name := range path {
			m, _ := v.(map[string]any)
			v = m[name]
		}
		if v == nil {
			return ""
		}
		return strings.TrimSuffix(fmt.Sprint(v), ".000000")
	}
	add := func(trigger, kind string, ids ...string) {
		f := fact{
			trigger: trigger, what: site + " " + kind + " " + strings.Join(ids, " "), project: at("issue", "fields", "project", "key"),
			issue: site + " " + at("issue", "id"), thing: site + " " + kind + " " + ids[0],
		}
		switch kind {
		case "comment":
			f.part = f.thing
		case "worklog":
			f.part, f.issue = f.thing, site+" "+at("worklog", "issueId")
		case "link":
			f.issue, f.also = site+" "+number(b, "sourceIssueId"), site+" "+number(b, "destinationIssueId")
		}
		facts = append(facts, f)
	}
	switch at("webhookEvent") {
	case "jira:issue_created":
		add(jira.IssueCreated, "issue", at("issue", "id"))
	case "jira:issue_deleted":
		add(jira.IssueDeleted, "issue", at("issue", "id"))
	case "jira:issue_updated":
		id := at("changelog", "id")
		if id == "" {
			return nil
		}
		add(jira.IssueUpdated, "change", id)
		items, _ := b["changelog"].(map[string]any)["items"].([]any)
		for _, one := range items {
			item, _ := one.(map[string]any)
			switch item["field"] {
			case "Attachment": // its own webhook does not say of which issue it is
				facts = append(facts, fact{trigger: "attached", thing: site + " attachment " + fmt.Sprint(item["to"]), issue: site + " " + at("issue", "id")})
			case "status":
				add(jira.IssueStatusChanged, "change", id)
				facts[len(facts)-1].to = fmt.Sprint(item["toString"])
			case "assignee":
				if item["to"] != nil {
					add(jira.IssueAssigned, "change", id)
				}
			}
		}
	case "comment_created":
		add(jira.CommentCreated, "comment", at("comment", "id"))
	case "comment_updated":
		add(jira.CommentUpdated, "comment", at("comment", "id"), at("comment", "updated"))
	case "comment_deleted":
		add(jira.CommentDeleted, "comment", at("comment", "id"))
	case "worklog_created":
		add(jira.WorklogCreated, "worklog", at("worklog", "id"))
	case "worklog_updated":
		add(jira.WorklogUpdated, "worklog", at("worklog", "id"), at("worklog", "updated"))
	case "worklog_deleted":
		add(jira.WorklogDeleted, "worklog", at("worklog", "id"))
	case "attachment_created":
		add(jira.AttachmentAdded, "attachment", at("attachment", "id"))
	case "issuelink_created":
		add(jira.IssueLinkCreated, "link", at("issueLink", "id"))
	case "sprint_created", "sprint_started", "sprint_closed":
		name := map[string]string{"sprint_created": jira.SprintCreated, "sprint_started": jira.SprintStarted, "sprint_closed": jira.SprintClosed}[at("webhookEvent")]
		add(name, "sprint", at("sprint", "id"))
	case "jira:version_released":
		add(jira.VersionReleased, "version", at("version", "id"))
	case "project_created":
		add(jira.ProjectCreated, "project", at("project", "id"))
	}
	return facts
}

func number(b map[string]any, name string) string {
	link, _ := b["issueLink"].(map[string]any)
	n, _ := link[name].(float64)
	return fmt.Sprint(int(n))
}

// said is what an occurrence that was told is about, in the oracle's words.
func said(t testing.TB, payload any, trigger, key string) string {
	t.Helper()
	b, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	text := func(name string) string { return fmt.Sprint(m[name]) }
	site := strings.TrimPrefix(text("site"), "https://")
	switch p := payload.(type) {
	case jira.Assignment:
		return strings.TrimPrefix(p.Issue.Site, "https://") + " change " + lastWord(key)
	case jira.StatusChange:
		return strings.TrimPrefix(p.Issue.Site, "https://") + " change " + lastWord(key)
	case jira.Issue:
		if trigger == jira.IssueUpdated {
			return site + " change " + lastWord(key)
		}
		return site + " issue " + p.ID
	case jira.Comment:
		what := site + " comment " + p.ID
		if trigger == jira.CommentUpdated {
			what += " " + p.Updated.Format("2006-01-02T15:04:05.000-0700")
		}
		return what
	case jira.Worklog:
		what := site + " worklog " + p.ID
		if trigger == jira.WorklogUpdated {
			what += " " + p.Updated.Format("2006-01-02T15:04:05.000-0700")
		}
		return what
	case jira.Attachment:
		return site + " attachment " + p.ID
	case jira.IssueLink:
		return site + " link " + p.ID
	case jira.Sprint:
		return site + " sprint " + p.ID
	case jira.Version:
		return site + " version " + p.ID
	case jira.NewProject:
		return site + " project " + p.ID
	}
	t.Fatalf("payload is a %T", payload)
	return ""
}

func lastWord(s string) string { return s[strings.LastIndexByte(s, ' ')+1:] }

// oracle listens to everything on the sites.
type oracle struct {
	server *jiratest.Server
	url    string
}

var everyEvent = []string{
	"jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created", "comment_updated", "comment_deleted",
	"worklog_created", "worklog_updated", "worklog_deleted", "attachment_created", "issuelink_created",
	"sprint_created", "sprint_started", "sprint_closed", "jira:version_released", "project_created",
}

func (o oracle) listen(t testing.TB, site *jiratest.Site) {
	t.Helper()
	if _, err := site.AddAdminWebhook("root@example.com", jiratest.AdminWebhook{Name: "oracle", URL: o.url, Events: everyEvent}); err != nil {
		t.Fatal(err)
	}
}

// expect says which facts must have been told: those that webhooks brought, and
// those that a search still finds; and which may have been.
func (o oracle) expect(t testing.TB, brought func(jiratest.Delivery) bool, want func(fact) bool) (must, may map[[2]string]bool) {
	t.Helper()
	host := func(d jiratest.Delivery) string { return strings.TrimPrefix(d.Site.URL(), "https://") }
	delivered := map[string]bool{}
	gone := map[string]bool{}
	var all []fact
	last := map[string]string{} // the last edit of a thing
	for _, d := range o.server.Deliveries() {
		facts := read(t, host(d), d.Body)
		switch {
		case d.URL == o.url:
			all = append(all, facts...)
		case d.Delivered() && brought(d):
			for _, f := range facts {
				delivered[f.trigger+f.what] = true
			}
		}
	}
	attached := map[string]string{}
	for _, f := range all {
		if f.trigger == "attached" {
			attached[f.thing] = f.issue
			continue
		}
		last[f.trigger+f.thing] = f.what
		switch f.trigger {
		case jira.IssueDeleted:
			gone[f.issue] = true
		case jira.CommentDeleted, jira.WorklogDeleted:
			gone[f.part] = true
		}
	}
	must, may = map[[2]string]bool{}, map[[2]string]bool{}
	for _, f := range all {
		id := [2]string{f.trigger, f.what}
		if f.trigger == jira.AttachmentAdded {
			f.issue = attached[f.thing]
		}
		switch {
		case !want(f):
		case delivered[f.trigger+f.what], searchable(f.trigger) && !gone[f.issue] && !gone[f.also] && !gone[f.part] && last[f.trigger+f.thing] == f.what:
			must[id] = true
		default:
			may[id] = true
		}
	}
	return must, may
}

// searchable: Jira has no search for what is gone, nor for sprints, versions and projects.
func searchable(trigger string) bool {
	switch trigger {
	case jira.IssueDeleted, jira.CommentDeleted, jira.WorklogDeleted, jira.SprintCreated, jira.SprintStarted, jira.SprintClosed,
		jira.VersionReleased, jira.ProjectCreated:
		return false
	}
	return true
}
