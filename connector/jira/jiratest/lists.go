package jiratest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) projectsJSON(c call) []any {
	sorted := slices.SortedFunc(slices.Values(c.site.projects), func(a, b *project) int { return strings.Compare(a.key, b.key) })
	return list(sorted, func(p *project) any { return p.json(c.view.base, c.view.version) })
}

func (s *Server) listProjects(c call) { writeJSON(c.w, http.StatusOK, s.projectsJSON(c)) }

func (s *Server) searchProjects(c call) {
	if page, ok := c.page(s, s.projectsJSON(c), 50); ok {
		writeJSON(c.w, http.StatusOK, page)
	}
}

// project is the one of the path, or 404.
func (c call) project() (*project, bool) {
	key := c.r.PathValue("project")
	p := c.site.project(key)
	if p != nil && p.key != key && strconv.Itoa(p.id) != key {
		p = nil // here the case of letters counts, in JQL it does not
	}
	if p == nil {
		apiError(c.w, http.StatusNotFound, "No project could be found with key '"+key+"'.")
	}
	return p, p != nil
}

func (s *Server) getProject(c call) {
	if p, ok := c.project(); ok {
		shown := p.json(c.view.base, c.view.version)
		shown["lead"], shown["assigneeType"] = p.lead.user(c.view.base), "UNASSIGNED"
		writeJSON(c.w, http.StatusOK, shown)
	}
}

func (s *Server) listVersions(c call) {
	p, ok := c.project()
	if !ok {
		return
	}
	all := slices.DeleteFunc(slices.Clone(c.site.versions), func(x *version) bool { return x.project != p })
	writeJSON(c.w, http.StatusOK, list(all, func(x *version) any { return x.json(c.view) }))
}

func (s *Server) listFields(c call) {
	system := map[string]string{
		"summary": "string", "description": "string", "issuetype": "issuetype", "project": "project", "status": "status", "priority": "priority",
		"assignee": "user", "reporter": "user", "creator": "user", "labels": "array", "created": "datetime", "updated": "datetime",
		"resolution": "resolution", "fixVersions": "array", "comment": "comments-page", "worklog": "array", "attachment": "array", "issuelinks": "array",
	}
	fields := []any{}
	for _, id := range slices.Sorted(maps.Keys(system)) {
		fields = append(fields, map[string]any{
			"id": id, "key": id, "name": title(id), "custom": false, "orderable": true, "navigable": true, "searchable": true,
			"clauseNames": []string{strings.ToLower(id)}, "schema": map[string]any{"type": system[id], "system": id},
		})
	}
	custom := map[string]string{fieldSprint: "Sprint"}
	for _, i := range c.site.issues {
		for id := range i.custom {
			custom[id] = id
		}
	}
	for _, id := range slices.Sorted(maps.Keys(custom)) {
		n, _ := strconv.Atoi(strings.TrimPrefix(id, "customfield_"))
		fields = append(fields, map[string]any{
			"id": id, "key": id, "name": custom[id], "custom": true, "orderable": true, "navigable": true, "searchable": true,
			"clauseNames": []string{"cf[" + strconv.Itoa(n) + "]"},
			"schema":      map[string]any{"type": "any", "custom": "com.example.plugin:field", "customId": n},
		})
	}
	writeJSON(c.w, http.StatusOK, fields)
}

func (s *Server) listIssueTypes(c call) {
	writeJSON(c.w, http.StatusOK, list(issueTypes(), func(k kind) any { return k.issueType(c.view.base, c.view.version) }))
}

func (s *Server) listStatuses(c call) {
	writeJSON(c.w, http.StatusOK, list(statuses(), func(k kind) any { return k.status(c.view.base, c.view.version) }))
}

func (s *Server) listWorklogs(c call) {
	i, ok := c.issue()
	if !ok {
		return
	}
	page, ok := c.page(s, list(i.worklogs, func(w *worklog) any { return w.json(c.view) }), 5000)
	if ok {
		writeJSON(c.w, http.StatusOK, renamed(page, "worklogs"))
	}
}

// worklogChange is an entry of worklog/updated and worklog/deleted.
type worklogChange struct {
	id int
	at time.Time
}

func (s *Server) updatedWorklogs(c call) {
	var all []worklogChange
	for _, i := range c.site.issues {
		for _, w := range i.worklogs {
			all = append(all, worklogChange{w.id, w.updated})
		}
	}
	c.worklogChanges(s, "updated", all)
}

func (s *Server) deletedWorklogs(c call) {
	var all []worklogChange
	for _, w := range c.site.gone {
		all = append(all, worklogChange(w))
	}
	c.worklogChanges(s, "deleted", all)
}

// worklogChanges answers with a page of up to 1000 changes, oldest first.
func (c call) worklogChanges(s *Server, kind string, all []worklogChange) {
	since, ok := c.since()
	if !ok {
		return
	}
	all = slices.DeleteFunc(all, func(w worklogChange) bool { return w.at.UnixMilli() < since.UnixMilli() })
	slices.SortStableFunc(all, func(a, b worklogChange) int { return a.at.Compare(b.at) })
	size := 1000
	if s.pageSize > 0 {
		size = s.pageSize
	}
	answer := map[string]any{"self": c.view.self("worklog/%s?since=%d", kind, since.UnixMilli()), "since": since.UnixMilli(), "lastPage": len(all) <= size}
	until := since
	if len(all) > size {
		all = all[:size]
	}
	if len(all) > 0 {
		until = all[len(all)-1].at
	}
	if answer["lastPage"] == false {
		answer["nextPage"] = c.view.self("worklog/%s?since=%d", kind, until.UnixMilli())
	}
	answer["until"] = until.UnixMilli()
	answer["values"] = list(all, func(w worklogChange) any {
		return map[string]any{"worklogId": w.id, "updatedTime": w.at.UnixMilli(), "properties": []any{}}
	})
	writeJSON(c.w, http.StatusOK, answer)
}

// someWorklogs is POST worklog/list: worklogs by id; unknown ids are left out.
func (s *Server) someWorklogs(c call) {
	var in struct {
		IDs []int `json:"ids"`
	}
	if !c.read(&in) {
		return
	}
	if len(in.IDs) > 1000 {
		apiError(c.w, http.StatusBadRequest, "The number of worklog IDs must not be greater than 1000")
		return
	}
	found := []any{}
	for _, i := range c.site.issues {
		for _, w := range i.worklogs {
			if slices.Contains(in.IDs, w.id) {
				found = append(found, w.json(c.view))
			}
		}
	}
	writeJSON(c.w, http.StatusOK, found)
}

func (s *Server) listBoards(c call) {
	all := []any{map[string]any{
		"id": boardID, "self": c.view.base + "/rest/agile/1.0/board/" + strconv.Itoa(boardID), "name": c.site.name + " board", "type": "scrum",
	}}
	if page, ok := c.page(s, all, 50); ok {
		writeJSON(c.w, http.StatusOK, page)
	}
}

func (s *Server) listSprints(c call) {
	if c.r.PathValue("board") != strconv.Itoa(boardID) {
		apiError(c.w, http.StatusNotFound, "Board does not exist or you do not have permission to see it.")
		return
	}
	states := commas(c.r.URL.Query()["state"])
	all := slices.DeleteFunc(slices.Clone(c.site.sprints), func(p *sprint) bool { return len(states) > 0 && !slices.Contains(states, p.state) })
	if page, ok := c.page(s, list(all, func(p *sprint) any { return p.json(c.view.base) }), 50); ok {
		writeJSON(c.w, http.StatusOK, page)
	}
}
