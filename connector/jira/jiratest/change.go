package jiratest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const fieldSprint = "customfield_10020" // where Jira Cloud keeps sprints

// Issue is what CreateIssue takes. Only Project is required.
type Issue struct {
	Project     string // key
	Summary     string // defaults to "Untitled"
	Description string
	Type        string // defaults to Task
	Status      string // defaults to To Do
	Priority    string // defaults to Medium
	Assignee    string // address
	Labels      []string
	Custom      map[string]any // by field id, customfield_…
}

// CreateIssue makes an issue and returns its key. Event: jira:issue_created.
func (t *Site) CreateIssue(by string, in Issue) (key string) {
	t.edit(func() { key = t.create(t.s.person(by), in).key })
	return key
}

func (t *Site) create(by *person, in Issue) *issue {
	p := t.mustProject(in.Project)
	p.numbered++
	now := t.s.now()
	i := &issue{
		site: t, id: t.next("issue", 10000), number: p.numbered, key: fmt.Sprintf("%s-%d", p.key, p.numbered), project: p,
		summary: orElse(in.Summary, "Untitled"), description: in.Description, reporter: by,
		kind:    mustChoose(issueTypes(), orElse(in.Type, "Task"), "issue type"),
		state:   mustChoose(statuses(), orElse(in.Status, "To Do"), "status"),
		urgency: mustChoose(priorities(), orElse(in.Priority, "Medium"), "priority"),
		labels:  append([]string{}, in.Labels...), created: now, updated: now, custom: maps.Clone(in.Custom),
	}
	if i.custom == nil {
		i.custom = map[string]any{}
	}
	if in.Assignee != "" {
		i.assignee = t.s.person(in.Assignee)
	}
	t.issues = append(t.issues, i)
	t.keys[i.key] = i
	// Jira tells of a new issue with what was set as a changelog, which a search does not show.
	e := t.issueEvent("jira:issue_created", "issue_created", by, i)
	e.changelog = &history{id: t.next("history", 10000), by: by, at: now, items: i.firstItems()}
	t.fire(e)
	return i
}

func (i *issue) firstItems() []item {
	items := []item{
		{Field: "summary", ID: "summary", ToString: text(i.summary)},
		{Field: "Status", ID: "status", To: text(i.state.id), ToString: text(i.state.name)},
		{Field: "priority", ID: "priority", To: text(i.urgency.id), ToString: text(i.urgency.name)},
		{Field: "reporter", ID: "reporter", To: text(i.reporter.id), ToString: text(i.reporter.name)},
	}
	if i.assignee != nil {
		items = append(items, item{Field: "assignee", ID: "assignee", To: text(i.assignee.id), ToString: text(i.assignee.name)})
	}
	for n := range items {
		items[n].Type = "jira"
	}
	return items
}

// Update changes fields of an issue in one go: summary, description, status,
// priority, assignee (an address, or empty for nobody), labels (apart by
// spaces), issuetype, or a customfield_…. What has that value already is no
// change; nothing that changes is no event. Event: jira:issue_updated.
func (t *Site) Update(by, key string, fields map[string]string) {
	t.edit(func() {
		i := t.mustIssue(key)
		if items := i.set(fields); len(items) > 0 {
			t.fire(i.changed(t.s.person(by), items))
		}
	})
}

// BulkUpdate is Update of many issues, as Jira's bulk change does it: every
// event has bulkOperationMetaData and comes by the secondary flow.
func (t *Site) BulkUpdate(by string, keys []string, fields map[string]string) {
	t.edit(func() {
		for _, key := range keys {
			i := t.mustIssue(key)
			if items := i.set(fields); len(items) > 0 {
				e := i.changed(t.s.person(by), items)
				e.secondary, e.body["bulkOperationMetaData"] = true, map[string]any{"sendMail": false}
				t.fire(e)
			}
		}
	})
}

// Assign gives an issue to somebody, or to nobody. Event: jira:issue_updated of type issue_assigned.
func (t *Site) Assign(by, key, assignee string) {
	t.Update(by, key, map[string]string{"assignee": assignee})
}

// Transition moves an issue to another status; Done also resolves it. Event:
// jira:issue_updated of type issue_generic.
func (t *Site) Transition(by, key, status string) {
	t.Update(by, key, map[string]string{"status": status})
}

// DeleteIssue deletes an issue. Events: jira:issue_deleted and, by the
// secondary flow, comment_deleted, attachment_deleted and issuelink_deleted of
// what went with it.
func (t *Site) DeleteIssue(by, key string) {
	t.edit(func() { t.remove(t.s.person(by), t.mustIssue(key)) })
}

func (t *Site) remove(by *person, i *issue) {
	v := t.hookView()
	e := t.issueEvent("jira:issue_deleted", "", by, i) // its fields are as they were
	e.body["issue"] = i.wrap(v, i.listed(v))           // this event alone has comments and worklogs too, as captured bodies show
	delete(t.keys, i.key)
	t.issues = slices.DeleteFunc(t.issues, func(x *issue) bool { return x == i })
	t.fire(e)
	for _, c := range i.comments {
		t.fire(&event{name: "comment_deleted", issue: i, secondary: true, body: map[string]any{"comment": c.json(v), "issue": i.brief(v)}})
	}
	for _, a := range i.attachments {
		t.fire(&event{name: "attachment_deleted", secondary: true, body: map[string]any{"attachment": a.json(v)}})
	}
	for _, l := range i.links {
		l.cut()
		t.fire(&event{name: "issuelink_deleted", secondary: true, body: map[string]any{"issueLink": l.json()}})
	}
	for _, w := range i.worklogs {
		t.gone = append(t.gone, goneWorklog{w.id, t.s.now()})
	}
}

// set changes fields and returns what changed, in a fixed order.
func (i *issue) set(fields map[string]string) []item {
	var items []item
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		items = append(items, i.setField(name, fields[name])...)
	}
	return items
}

func (i *issue) setField(name, value string) []item {
	switch name {
	case "summary":
		return change(name, &i.summary, value)
	case "description":
		return change(name, &i.description, value)
	case "priority":
		return choice(name, &i.urgency, mustChoose(priorities(), value, name))
	case "issuetype":
		return choice(name, &i.kind, mustChoose(issueTypes(), value, name))
	case "status":
		return i.setStatus(mustChoose(statuses(), value, name))
	case "assignee":
		return i.setAssignee(value)
	case "labels":
		before := strings.Join(i.labels, " ")
		items := change(name, &before, value)
		i.labels = append([]string{}, strings.Fields(value)...)
		return items
	}
	if !strings.HasPrefix(name, "customfield_") {
		panic(fmt.Sprintf("jiratest: there is no field %q", name))
	}
	before, _ := i.custom[name].(string)
	items := change(name, &before, value)
	i.custom[name] = value
	for n := range items {
		items[n].Type = "custom"
	}
	return items
}

func (i *issue) setAssignee(email string) []item {
	change := item{Field: "assignee", Type: "jira", ID: "assignee"}
	if i.assignee != nil {
		change.From, change.FromString = text(i.assignee.id), text(i.assignee.name)
	}
	var to *person
	if email != "" {
		to = i.site.s.person(email)
		change.To, change.ToString = text(to.id), text(to.name)
	}
	if to == i.assignee {
		return nil
	}
	i.assignee = to
	return []item{change}
}

// setStatus also resolves the issue, or opens it again.
func (i *issue) setStatus(to kind) []item {
	from := i.state
	items := choice("status", &i.state, to)
	done := item{Field: "resolution", Type: "jira", ID: "resolution"}
	switch {
	case to.category == "done" && from.category != "done":
		i.resolved = i.site.s.now()
		done.To, done.ToString = text("10000"), text("Done")
	case to.category != "done" && from.category == "done":
		i.resolved = time.Time{}
		done.From, done.FromString = text("10000"), text("Done")
	default:
		return items
	}
	return append([]item{done}, items...)
}

func change(field string, at *string, to string) []item {
	if *at == to {
		return nil
	}
	c := item{Field: field, Type: "jira", ID: field, FromString: text(*at), ToString: text(to)}
	*at = to
	return []item{c}
}

func choice(field string, at *kind, to kind) []item {
	if *at == to {
		return nil
	}
	c := item{Field: field, Type: "jira", ID: field, From: text(at.id), FromString: text(at.name), To: text(to.id), ToString: text(to.name)}
	*at = to
	return []item{c}
}

// changed records a change and makes its event. The type of the event follows
// what changed, as Jira's does.
func (i *issue) changed(by *person, items []item) *event {
	i.touch(by, items)
	name := "issue_updated"
	switch {
	case slices.ContainsFunc(items, func(x item) bool { return x.ID == "status" }):
		name = "issue_generic"
	case len(items) == 1 && items[0].ID == "assignee":
		name = "issue_assigned"
	}
	e := i.site.issueEvent("jira:issue_updated", name, by, i)
	e.changelog = i.history[len(i.history)-1]
	return e
}

func (i *issue) touch(by *person, items []item) {
	i.updated = i.site.s.now()
	if len(items) > 0 {
		i.history = append(i.history, &history{id: i.site.next("history", 10000), by: by, at: i.updated, items: items})
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
