package jiratest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// issue is one issue of a site. All of it is guarded by Server.mu.
type issue struct {
	site    *Site
	id      int
	number  int
	key     string
	project *project

	summary, description string
	kind, state, urgency kind // type, status, priority
	assignee, reporter   *person
	labels               []string
	resolved             time.Time
	created, updated     time.Time
	fixVersions          []*version
	sprint               *sprint
	custom               map[string]any

	comments    []*comment
	worklogs    []*worklog
	attachments []*attachment
	links       []*link
	history     []*history
}

// history is one entry of an issue's changelog.
type history struct {
	id    int
	by    *person
	at    time.Time
	items []item
}

// item is one change of a field. From and To are ids, nil when there is none.
type item struct {
	Field      string  `json:"field"`
	Type       string  `json:"fieldtype"`
	ID         string  `json:"fieldId"`
	From       *string `json:"from"`
	FromString *string `json:"fromString"`
	To         *string `json:"to"`
	ToString   *string `json:"toString"`
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (t *Site) mustIssue(key string) *issue {
	i := t.keys[key]
	if i == nil {
		panic(fmt.Sprintf("jiratest: site %s has no issue %q", t.name, key))
	}
	return i
}

// issue finds an issue by id or key.
func (t *Site) issue(idOrKey string) *issue {
	if i := t.keys[strings.ToUpper(idOrKey)]; i != nil {
		return i
	}
	n := slices.IndexFunc(t.issues, func(i *issue) bool { return strconv.Itoa(i.id) == idOrKey })
	if n < 0 {
		return nil
	}
	return t.issues[n]
}

// view is how and for whom an issue is shown.
type view struct {
	base    string // the site's address in webhooks, the gateway's in answers
	version int    // of the REST API; webhooks are of version 2
	zone    *time.Location
}

func (t *Site) hookView() view { return view{t.URL(), 2, time.UTC} }

// rich is a text as version 2 (wiki markup) or 3 (Atlassian Document Format) has it.
func (v view) rich(s string) any {
	switch {
	case v.version < 3:
		return s
	case s == "":
		return map[string]any{"type": "doc", "version": 1, "content": []any{}}
	}
	return map[string]any{"type": "doc", "version": 1, "content": []any{
		map[string]any{"type": "paragraph", "content": []any{map[string]any{"type": "text", "text": s}}},
	}}
}

func (v view) self(path string, args ...any) string {
	return fmt.Sprintf("%s/rest/api/%d/", v.base, v.version) + fmt.Sprintf(path, args...)
}

func (v view) stamp(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return stamp(at, v.zone)
}

// fields are all fields of an issue.
func (i *issue) fields(v view) map[string]any {
	f := map[string]any{
		"summary": i.summary, "description": nil, "environment": nil, "labels": i.labels, "components": []any{}, "versions": []any{},
		"issuetype": i.kind.issueType(v.base, v.version), "project": i.project.json(v.base, v.version),
		"status": i.state.status(v.base, v.version), "priority": i.urgency.priority(v.base, v.version),
		"assignee": nil, "reporter": i.reporter.user(v.base), "creator": i.reporter.user(v.base),
		"created": v.stamp(i.created), "updated": v.stamp(i.updated), "resolutiondate": v.stamp(i.resolved), "resolution": nil,
		"statuscategorychangedate": v.stamp(i.created), "lastViewed": nil, "duedate": nil, "security": nil,
		"timespent": nil, "aggregatetimespent": nil, "timeestimate": nil, "timeoriginalestimate": nil,
		"aggregatetimeestimate": nil, "aggregatetimeoriginalestimate": nil, "workratio": -1, "timetracking": map[string]any{},
		"progress": map[string]any{"progress": 0, "total": 0}, "aggregateprogress": map[string]any{"progress": 0, "total": 0},
		"votes":    map[string]any{"self": v.self("issue/%s/votes", i.key), "votes": 0, "hasVoted": false},
		"watches":  map[string]any{"self": v.self("issue/%s/watchers", i.key), "watchCount": 1, "isWatching": true},
		"subtasks": []any{}, "fixVersions": list(i.fixVersions, func(x *version) any { return x.json(v) }),
		"issuelinks": list(i.links, func(l *link) any { return l.seenFrom(i, v) }),
		"attachment": list(i.attachments, func(a *attachment) any { return a.json(v) }),
	}
	if i.description != "" {
		f["description"] = v.rich(i.description)
	}
	if i.assignee != nil {
		f["assignee"] = i.assignee.user(v.base)
	}
	if !i.resolved.IsZero() {
		f["resolution"] = map[string]any{"self": v.self("resolution/10000"), "id": "10000", "name": "Done", "description": ""}
	}
	if spent := i.spent(); spent > 0 {
		f["timespent"], f["aggregatetimespent"] = spent, spent
		f["timetracking"] = map[string]any{"timeSpent": duration(spent), "timeSpentSeconds": spent}
	}
	f[fieldSprint] = nil
	if i.sprint != nil {
		f[fieldSprint] = []any{i.sprint.field()}
	}
	maps.Copy(f, i.custom)
	return f
}

// listed are the fields that searches and reads show beside those of webhooks.
func (i *issue) listed(v view) map[string]any {
	f := i.fields(v)
	comments := list(i.comments, func(c *comment) any { return c.json(v) })
	f["comment"] = map[string]any{"comments": comments, "self": v.self("issue/%d/comment", i.id), "maxResults": len(comments), "total": len(comments), "startAt": 0}
	worklogs := list(i.worklogs[:min(len(i.worklogs), 20)], func(w *worklog) any { return w.json(v) })
	f["worklog"] = map[string]any{"worklogs": worklogs, "maxResults": 20, "total": len(i.worklogs), "startAt": 0}
	return f
}

// brief is the issue of a comment event.
func (i *issue) brief(v view) map[string]any {
	f := i.fields(v)
	few := map[string]any{}
	for _, name := range []string{"summary", "issuetype", "project", "assignee", "priority", "status"} {
		few[name] = f[name]
	}
	return i.wrap(v, few)
}

func (i *issue) wrap(v view, fields map[string]any) map[string]any {
	return map[string]any{"id": strconv.Itoa(i.id), "self": v.self("issue/%d", i.id), "key": i.key, "fields": fields}
}

func (h *history) json(v view) map[string]any {
	return map[string]any{"id": strconv.Itoa(h.id), "author": h.by.user(v.base), "created": v.stamp(h.at), "items": h.items}
}

// list is never null in JSON.
func list[T any](of []T, show func(T) any) []any {
	out := make([]any, 0, len(of))
	for _, v := range of {
		out = append(out, show(v))
	}
	return out
}

// duration is Jira's way to write seconds, with days of eight hours.
func duration(seconds int) string {
	var parts []string
	for _, unit := range []struct {
		name string
		size int
	}{{"d", 8 * 3600}, {"h", 3600}, {"m", 60}} {
		if n := seconds / unit.size; n > 0 {
			parts = append(parts, strconv.Itoa(n)+unit.name)
			seconds %= unit.size
		}
	}
	if len(parts) == 0 {
		return "0m"
	}
	return strings.Join(parts, " ")
}
