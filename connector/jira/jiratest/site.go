package jiratest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Site is one Jira Cloud site. Its methods change what is on it, and tell the
// webhooks. Those that take "by" do it in the name of that person, an address;
// those that take an issue's key panic when there is no such issue, as a test
// that is wrong about its own data should not go on.
type Site struct {
	s          *Server
	name       string
	cloud      string
	confluence bool // no Jira here

	counters map[string]int
	admins   map[string]bool // folded addresses
	projects []*project
	issues   []*issue // in order of creation, deleted ones left out
	keys     map[string]*issue
	versions []*version
	sprints  []*sprint
	gone     []goneWorklog
	dynamic  []*dynamicHook
	static   []*adminHook
}

type project struct {
	id        int
	key, name string
	lead      *person
	numbered  int // of its last issue
}

// AddSite makes a site at https://{name}.atlassian.net. Issues are of the types
// Epic, Story, Task and Bug, of the priorities Highest to Lowest, and go through
// the statuses To Do, In Progress, In Review and Done.
func (s *Server) AddSite(name string) *Site { return s.addSite(name, false) }

// AddConfluence makes a site that has Confluence only: accessible-resources
// lists it, and there is no Jira behind it.
func (s *Server) AddConfluence(name string) *Site { return s.addSite(name, true) }

func (s *Server) addSite(name string, confluence bool) *Site {
	sum := sha256.Sum256([]byte("site " + name + strconv.FormatBool(confluence)))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80 // looks like a UUID of version 5
	site := &Site{
		s: s, name: name, confluence: confluence,
		cloud:    fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
		counters: map[string]int{}, admins: map[string]bool{}, keys: map[string]*issue{},
	}
	s.set(func() { s.sites = append(s.sites, site) })
	return site
}

// CloudID is the site's id, which stands in the addresses of API calls.
func (t *Site) CloudID() string { return t.cloud }

// URL is the site's address, https://{name}.atlassian.net. Nothing answers there.
func (t *Site) URL() string { return "https://" + t.name + ".atlassian.net" }

// SetAdmin gives or takes the permission "Administer Jira", which admin webhooks need.
func (t *Site) SetAdmin(email string, is bool) { t.s.set(func() { t.admins[fold(email)] = is }) }

// next counts what there is of a kind. Every site begins at the same number, so
// ids of two sites are easily equal.
func (t *Site) next(kind string, first int) int {
	n, ok := t.counters[kind]
	if !ok {
		n = first - 1
	}
	t.counters[kind] = n + 1
	return n + 1
}

func (t *Site) edit(f func()) { t.s.set(f) }

// AddProject makes a project and tells admin webhooks: project_created.
func (t *Site) AddProject(key, name string) {
	t.edit(func() {
		p := &project{id: t.next("project", 10000), key: key, name: name, lead: t.s.person("lead@example.com")}
		t.projects = append(t.projects, p)
		shown := p.json(t.URL(), 2)
		shown["projectLead"], shown["assigneeType"] = p.lead.user(t.URL()), "admin.assignee.type.unassigned"
		t.fire(&event{name: "project_created", project: p, body: map[string]any{"project": shown}})
	})
}

func (t *Site) project(idOrKey string) *project {
	i := slices.IndexFunc(t.projects, func(p *project) bool {
		return strings.EqualFold(p.key, idOrKey) || strconv.Itoa(p.id) == idOrKey
	})
	if i < 0 {
		return nil
	}
	return t.projects[i]
}

func (t *Site) mustProject(key string) *project {
	p := t.project(key)
	if p == nil {
		panic(fmt.Sprintf("jiratest: site %s has no project %q: call AddProject first", t.name, key))
	}
	return p
}

// json is how Jira shows a project inside other things.
func (p *project) json(base string, version int) map[string]any {
	return map[string]any{
		"self": fmt.Sprintf("%s/rest/api/%d/project/%d", base, version, p.id), "id": strconv.Itoa(p.id), "key": p.key, "name": p.name,
		"projectTypeKey": "software", "simplified": false, "avatarUrls": avatars(base + "/rest/api/2/universal_avatar/view/type/project/avatar/10324"),
	}
}

// stamp is a time as Jira writes it.
func stamp(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("2006-01-02T15:04:05.000-0700")
}

// kind is a choice of a field: a status, an issue type, a priority.
type kind struct {
	id, name string
	category string // of a status
}

func statuses() []kind {
	return []kind{{"10000", "To Do", "new"}, {"3", "In Progress", "indeterminate"}, {"10001", "In Review", "indeterminate"}, {"10002", "Done", "done"}}
}

func issueTypes() []kind {
	return []kind{{id: "10000", name: "Epic"}, {id: "10001", name: "Story"}, {id: "10002", name: "Task"}, {id: "10004", name: "Bug"}}
}

func priorities() []kind {
	return []kind{{id: "1", name: "Highest"}, {id: "2", name: "High"}, {id: "3", name: "Medium"}, {id: "4", name: "Low"}, {id: "5", name: "Lowest"}}
}

// choose finds a choice by name, in any case, or by id.
func choose(from []kind, nameOrID string) (kind, bool) {
	i := slices.IndexFunc(from, func(k kind) bool { return strings.EqualFold(k.name, nameOrID) || k.id == nameOrID })
	if i < 0 {
		return kind{}, false
	}
	return from[i], true
}

func mustChoose(from []kind, name, field string) kind {
	k, ok := choose(from, name)
	if !ok {
		panic(fmt.Sprintf("jiratest: there is no %s %q", field, name))
	}
	return k
}

func (k kind) status(base string, version int) map[string]any {
	categories := map[string]map[string]any{
		"new":           {"id": 2, "key": "new", "colorName": "blue-gray", "name": "To Do"},
		"indeterminate": {"id": 4, "key": "indeterminate", "colorName": "yellow", "name": "In Progress"},
		"done":          {"id": 3, "key": "done", "colorName": "green", "name": "Done"},
	}
	category := categories[k.category]
	category["self"] = fmt.Sprintf("%s/rest/api/%d/statuscategory/%v", base, version, category["id"])
	return map[string]any{
		"self": fmt.Sprintf("%s/rest/api/%d/status/%s", base, version, k.id), "id": k.id, "name": k.name, "description": "",
		"iconUrl": base + "/", "statusCategory": category,
	}
}

func (k kind) issueType(base string, version int) map[string]any {
	return map[string]any{
		"self": fmt.Sprintf("%s/rest/api/%d/issuetype/%s", base, version, k.id), "id": k.id, "name": k.name, "description": "",
		"iconUrl": base + "/rest/api/2/universal_avatar/view/type/issuetype/avatar/10318", "subtask": false, "avatarId": 10318,
	}
}

func (k kind) priority(base string, version int) map[string]any {
	return map[string]any{
		"self": fmt.Sprintf("%s/rest/api/%d/priority/%s", base, version, k.id), "id": k.id, "name": k.name,
		"iconUrl": base + "/images/icons/priorities/" + strings.ToLower(k.name) + "_new.svg",
	}
}
