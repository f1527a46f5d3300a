package jiratest

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

type comment struct {
	id               int
	issue            *issue
	by, edited       *person
	body             string
	created, updated time.Time
}

func (c *comment) json(v view) map[string]any {
	return map[string]any{
		"self": v.self("issue/%d/comment/%d", c.issue.id, c.id), "id": strconv.Itoa(c.id), "author": c.by.user(v.base), "updateAuthor": c.edited.user(v.base),
		"body": v.rich(c.body), "created": v.stamp(c.created), "updated": v.stamp(c.updated), "jsdPublic": true,
	}
}

type worklog struct {
	id                        int
	issue                     *issue
	by, edited                *person
	comment                   string
	seconds                   int
	started, created, updated time.Time
}

func (w *worklog) json(v view) map[string]any {
	return map[string]any{
		"self": v.self("issue/%d/worklog/%d", w.issue.id, w.id), "id": strconv.Itoa(w.id), "issueId": strconv.Itoa(w.issue.id),
		"author": w.by.user(v.base), "updateAuthor": w.edited.user(v.base), "comment": v.rich(w.comment),
		"created": v.stamp(w.created), "updated": v.stamp(w.updated), "started": v.stamp(w.started),
		"timeSpent": duration(w.seconds), "timeSpentSeconds": w.seconds,
	}
}

func (i *issue) spent() (seconds int) {
	for _, w := range i.worklogs {
		seconds += w.seconds
	}
	return seconds
}

// goneWorklog is a worklog that was deleted.
type goneWorklog struct {
	id int
	at time.Time
}

type attachment struct {
	id      int
	by      *person
	name    string
	size    int
	created time.Time
}

func (a *attachment) json(v view) map[string]any {
	return map[string]any{
		"self": v.self("attachment/%d", a.id), "id": strconv.Itoa(a.id), "filename": a.name, "author": a.by.user(v.base),
		"created": v.stamp(a.created), "size": a.size, "mimeType": "application/octet-stream", "content": v.self("attachment/content/%d", a.id),
	}
}

// link is a link of type Blocks from one issue to another.
type link struct {
	id       int
	from, to *issue
}

func (l *link) kind() map[string]any {
	return map[string]any{"id": "10000", "name": "Blocks", "outwardName": "blocks", "inwardName": "is blocked by", "isSubTaskLinkType": false, "isSystemLinkType": false}
}

// json is how an event shows the link; it has no address of its own there.
func (l *link) json() map[string]any {
	return map[string]any{
		"id": l.id, "sourceIssueId": l.from.id, "destinationIssueId": l.to.id, "issueLinkType": l.kind(), "systemLink": false,
	}
}

// seenFrom is how one of its issues shows the link.
func (l *link) seenFrom(i *issue, v view) map[string]any {
	shown := map[string]any{
		"id": strconv.Itoa(l.id), "self": v.self("issueLink/%d", l.id),
		"type": map[string]any{"id": "10000", "name": "Blocks", "inward": "is blocked by", "outward": "blocks", "self": v.self("issueLinkType/10000")},
	}
	side, other := "outwardIssue", l.to
	if i == l.to {
		side, other = "inwardIssue", l.from
	}
	shown[side] = other.wrap(v, map[string]any{
		"summary": other.summary, "status": other.state.status(v.base, v.version),
		"priority": other.urgency.priority(v.base, v.version), "issuetype": other.kind.issueType(v.base, v.version),
	})
	return shown
}

func (l *link) cut() {
	for _, i := range []*issue{l.from, l.to} {
		i.links = slices.DeleteFunc(slices.Clone(i.links), func(x *link) bool { return x == l })
	}
}

// Comment adds a comment and returns its id. Events: comment_created, and
// jira:issue_updated of type issue_commented, which has no changelog.
func (t *Site) Comment(by, key, body string) (id string) {
	t.edit(func() { id = strconv.Itoa(t.comment(t.s.person(by), t.mustIssue(key), body).id) })
	return id
}

func (t *Site) comment(by *person, i *issue, body string) *comment {
	now := t.s.now()
	c := &comment{t.next("comment", 10000), i, by, by, body, now, now}
	i.comments = append(i.comments, c)
	t.tellComment("comment_created", "issue_commented", by, c)
	return c
}

// EditComment changes a comment. Events: comment_updated, and
// jira:issue_updated of type issue_comment_edited.
func (t *Site) EditComment(by, key, id, body string) {
	t.edit(func() {
		c := t.mustComment(key, id)
		c.edited, c.body, c.updated = t.s.person(by), body, t.s.now()
		t.tellComment("comment_updated", "issue_comment_edited", c.edited, c)
	})
}

// DeleteComment deletes a comment. Events: comment_deleted, and
// jira:issue_updated of type issue_comment_deleted.
func (t *Site) DeleteComment(by, key, id string) {
	t.edit(func() {
		c := t.mustComment(key, id)
		c.issue.comments = slices.DeleteFunc(slices.Clone(c.issue.comments), func(x *comment) bool { return x == c })
		t.tellComment("comment_deleted", "issue_comment_deleted", t.s.person(by), c)
	})
}

func (t *Site) mustComment(key, id string) *comment {
	i := t.mustIssue(key)
	n := slices.IndexFunc(i.comments, func(c *comment) bool { return strconv.Itoa(c.id) == id })
	if n < 0 {
		panic(fmt.Sprintf("jiratest: issue %s has no comment %q", key, id))
	}
	return i.comments[n]
}

func (t *Site) tellComment(name, kind string, by *person, c *comment) {
	c.issue.touch(by, nil)
	v := t.hookView()
	t.fire(&event{name: name, issue: c.issue, body: map[string]any{"comment": c.json(v), "issue": c.issue.brief(v)}})
	e := t.issueEvent("jira:issue_updated", kind, by, c.issue)
	if name != "comment_deleted" {
		e.body["comment"] = c.json(v)
	}
	t.fire(e)
}

// AddWorklog logs work and returns the worklog's id. Events: worklog_created,
// which is for admin webhooks alone, and jira:issue_updated.
func (t *Site) AddWorklog(by, key string, spent time.Duration, comment string) (id string) {
	t.edit(func() {
		i, p, now := t.mustIssue(key), t.s.person(by), t.s.now()
		w := &worklog{t.next("worklog", 10000), i, p, p, comment, int(spent / time.Second), now, now, now}
		t.worklogChange("worklog_created", p, w, func() { i.worklogs = append(i.worklogs, w) })
		id = strconv.Itoa(w.id)
	})
	return id
}

// EditWorklog changes a worklog. Events: worklog_updated and jira:issue_updated.
func (t *Site) EditWorklog(by, key, id string, spent time.Duration, comment string) {
	t.edit(func() {
		w := t.mustWorklog(key, id)
		t.worklogChange("worklog_updated", t.s.person(by), w, func() {
			w.edited, w.seconds, w.comment, w.updated = t.s.person(by), int(spent/time.Second), comment, t.s.now()
		})
	})
}

// DeleteWorklog deletes a worklog. Events: worklog_deleted and jira:issue_updated.
func (t *Site) DeleteWorklog(by, key, id string) {
	t.edit(func() {
		w := t.mustWorklog(key, id)
		t.worklogChange("worklog_deleted", t.s.person(by), w, func() {
			w.issue.worklogs = slices.DeleteFunc(slices.Clone(w.issue.worklogs), func(x *worklog) bool { return x == w })
			t.gone = append(t.gone, goneWorklog{w.id, t.s.now()})
		})
	})
}

func (t *Site) mustWorklog(key, id string) *worklog {
	i := t.mustIssue(key)
	n := slices.IndexFunc(i.worklogs, func(w *worklog) bool { return strconv.Itoa(w.id) == id })
	if n < 0 {
		panic(fmt.Sprintf("jiratest: issue %s has no worklog %q", key, id))
	}
	return i.worklogs[n]
}

func (t *Site) worklogChange(name string, by *person, w *worklog, do func()) {
	before := w.issue.spent()
	do()
	t.fire(&event{name: name, body: map[string]any{"worklog": w.json(t.hookView())}})
	number := func(seconds int) *string {
		if seconds == 0 {
			return nil
		}
		return text(strconv.Itoa(seconds))
	}
	after := w.issue.spent()
	t.fire(w.issue.changed(by, []item{{
		Field: "timespent", Type: "jira", ID: "timespent",
		From: number(before), FromString: number(before), To: number(after), ToString: number(after),
	}}))
}

// Attach adds a file and returns the attachment's id. Events:
// attachment_created, which is for admin webhooks alone and does not say of
// which issue (assumed), and jira:issue_updated.
func (t *Site) Attach(by, key, filename string, size int) (id string) {
	t.edit(func() {
		i, p := t.mustIssue(key), t.s.person(by)
		a := &attachment{t.next("attachment", 10000), p, filename, size, t.s.now()}
		i.attachments = append(i.attachments, a)
		id = strconv.Itoa(a.id)
		t.fire(&event{name: "attachment_created", body: map[string]any{"attachment": a.json(t.hookView())}})
		t.fire(i.changed(p, []item{{Field: "Attachment", Type: "jira", ID: "attachment", To: &id, ToString: &filename}}))
	})
	return id
}

// Link links two issues, the first blocks the second, and returns the link's
// id. Events: issuelink_created, which is for admin webhooks alone, and
// jira:issue_updated of both.
func (t *Site) Link(by, key, blocked string) (id string) {
	t.edit(func() {
		l := &link{t.next("link", 10000), t.mustIssue(key), t.mustIssue(blocked)}
		l.from.links, l.to.links = append(l.from.links, l), append(l.to.links, l)
		id = strconv.Itoa(l.id)
		t.fire(&event{name: "issuelink_created", body: map[string]any{"issueLink": l.json()}})
		t.linked(by, l.from, l.to, "This issue blocks ")
		t.linked(by, l.to, l.from, "This issue is blocked by ")
	})
	return id
}

func (t *Site) linked(by string, i, other *issue, says string) {
	t.fire(i.changed(t.s.person(by), []item{{Field: "Link", Type: "jira", To: text(other.key), ToString: text(says + other.key)}}))
}
