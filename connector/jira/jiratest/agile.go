package jiratest

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

const boardID = 1 // every site has one board

type sprint struct {
	id                    int
	name, state           string
	created               time.Time
	start, end, completed time.Time
}

// json is how events and the agile API show a sprint.
func (p *sprint) json(base string) map[string]any {
	shown := map[string]any{
		"id": p.id, "self": fmt.Sprintf("%s/rest/agile/1.0/sprint/%d", base, p.id), "state": p.state, "name": p.name,
		"originBoardId": boardID, "createdDate": instant(p.created),
	}
	for name, at := range map[string]time.Time{"startDate": p.start, "endDate": p.end, "completeDate": p.completed} {
		if !at.IsZero() {
			shown[name] = instant(at)
		}
	}
	return shown
}

// field is how an issue shows its sprint.
func (p *sprint) field() map[string]any {
	return map[string]any{"id": p.id, "name": p.name, "state": p.state, "boardId": boardID}
}

func instant(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

type version struct {
	id                 int
	project            *project
	name               string
	released, archived bool
	releasedOn         time.Time
}

func (x *version) json(v view) map[string]any {
	shown := map[string]any{
		"self": v.self("version/%d", x.id), "id": strconv.Itoa(x.id), "name": x.name, "description": "",
		"archived": x.archived, "released": x.released, "projectId": x.project.id,
	}
	if !x.releasedOn.IsZero() {
		shown["releaseDate"] = x.releasedOn.UTC().Format("2006-01-02")
	}
	return shown
}

// CreateSprint plans a sprint and returns its id. Event: sprint_created.
func (t *Site) CreateSprint(name string) (id int) {
	t.edit(func() {
		p := &sprint{id: t.next("sprint", 1), name: name, state: "future", created: t.s.now()}
		t.sprints = append(t.sprints, p)
		id = p.id
		t.tellSprint("sprint_created", p)
	})
	return id
}

// StartSprint starts a sprint of two weeks. Event: sprint_started.
func (t *Site) StartSprint(id int) {
	t.edit(func() {
		p := t.mustSprint(id)
		p.state, p.start, p.end = "active", t.s.now(), t.s.now().AddDate(0, 0, 14)
		t.tellSprint("sprint_started", p)
	})
}

// CloseSprint completes a sprint. Event: sprint_closed.
func (t *Site) CloseSprint(id int) {
	t.edit(func() {
		p := t.mustSprint(id)
		p.state, p.completed = "closed", t.s.now()
		t.tellSprint("sprint_closed", p)
	})
}

// PlanIssue puts an issue into a sprint. Event: jira:issue_updated.
func (t *Site) PlanIssue(by, key string, sprint int) {
	t.edit(func() {
		i, p := t.mustIssue(key), t.mustSprint(sprint)
		i.sprint = p
		t.fire(i.changed(t.s.person(by), []item{{Field: "Sprint", Type: "custom", ID: fieldSprint, To: text(strconv.Itoa(p.id)), ToString: text(p.name)}}))
	})
}

func (t *Site) tellSprint(name string, p *sprint) {
	t.fire(&event{name: name, body: map[string]any{"sprint": p.json(t.URL())}})
}

func (t *Site) mustSprint(id int) *sprint {
	n := slices.IndexFunc(t.sprints, func(p *sprint) bool { return p.id == id })
	if n < 0 {
		panic(fmt.Sprintf("jiratest: site %s has no sprint %d", t.name, id))
	}
	return t.sprints[n]
}

// CreateVersion makes a version of a project and returns its id. Event: jira:version_created.
func (t *Site) CreateVersion(project, name string) (id string) {
	t.edit(func() {
		x := &version{id: t.next("version", 10000), project: t.mustProject(project), name: name}
		t.versions = append(t.versions, x)
		id = strconv.Itoa(x.id)
		t.tellVersion("jira:version_created", x, nil)
	})
	return id
}

// ReleaseVersion releases a version. Event: jira:version_released.
func (t *Site) ReleaseVersion(id string) {
	t.edit(func() {
		x := t.mustVersion(id)
		x.released, x.releasedOn = true, t.s.now()
		t.tellVersion("jira:version_released", x, nil)
	})
}

// MergeVersions moves what a version has into another and deletes it. Event:
// jira:version_deleted with mergedTo.
func (t *Site) MergeVersions(id, into string) {
	t.edit(func() {
		x, to := t.mustVersion(id), t.mustVersion(into)
		t.versions = slices.DeleteFunc(t.versions, func(v *version) bool { return v == x })
		t.tellVersion("jira:version_deleted", x, to)
	})
}

func (t *Site) tellVersion(name string, x, mergedTo *version) {
	v := t.hookView()
	e := &event{name: name, project: x.project, body: map[string]any{"version": x.json(v)}}
	if mergedTo != nil {
		e.body["mergedTo"] = mergedTo.json(v)
	}
	t.fire(e)
}

func (t *Site) mustVersion(id string) *version {
	n := slices.IndexFunc(t.versions, func(v *version) bool { return strconv.Itoa(v.id) == id })
	if n < 0 {
		panic(fmt.Sprintf("jiratest: site %s has no version %q", t.name, id))
	}
	return t.versions[n]
}
