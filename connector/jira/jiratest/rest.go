package jiratest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const noIssue = "Issue does not exist or you do not have permission to see it."

// issue is the one of the path, or 404.
func (c call) issue() (*issue, bool) {
	i := c.site.issue(c.r.PathValue("issue"))
	if i == nil {
		apiError(c.w, http.StatusNotFound, noIssue)
	}
	return i, i != nil
}

func (s *Server) getIssue(c call) {
	i, ok := c.issue()
	if !ok {
		return
	}
	fields := commas(c.r.URL.Query()["fields"])
	if len(fields) == 0 {
		fields = []string{"*all"}
	}
	writeJSON(c.w, http.StatusOK, i.result(c.view, fields, c.r.URL.Query().Get("expand")))
}

// named is a value that is chosen by id, key or name.
type named struct {
	ID   string `json:"id"`
	Key  string `json:"key"`
	Name string `json:"name"`
}

func (n *named) String() string {
	if n == nil {
		return ""
	}
	return orElse(n.ID, orElse(n.Key, n.Name))
}

// issueFields are the fields that a REST call may set.
type issueFields struct {
	Project     *named          `json:"project"`
	Summary     *string         `json:"summary"`
	Description json.RawMessage `json:"description"`
	Type        *named          `json:"issuetype"`
	Priority    *named          `json:"priority"`
	Labels      []string        `json:"labels"`
	Assignee    *struct {
		ID        string `json:"id"`
		AccountID string `json:"accountId"`
	} `json:"assignee"`
}

func (c call) issueFields() (f issueFields, ok bool) {
	var in struct {
		Fields json.RawMessage `json:"fields"`
	}
	if !c.readOpen(&in) {
		return f, false
	}
	dec := json.NewDecoder(bytes.NewReader(in.Fields))
	dec.DisallowUnknownFields() // as a field that is on no screen
	if err := dec.Decode(&f); err != nil {
		apiError(c.w, http.StatusBadRequest, "jiratest cannot set these fields: "+err.Error())
		return f, false
	}
	return f, f.usable(c)
}

// usable answers 400 with what is wrong, field by field.
func (f *issueFields) usable(c call) bool {
	wrong := map[string]string{}
	if f.Type != nil {
		if _, ok := choose(issueTypes(), f.Type.String()); !ok {
			wrong["issuetype"] = "Specify a valid issue type"
		}
	}
	if f.Priority != nil {
		if _, ok := choose(priorities(), f.Priority.String()); !ok {
			wrong["priority"] = "Specify a valid 'id' or 'name' for Priority"
		}
	}
	if f.Assignee != nil {
		f.Assignee.ID = orElse(f.Assignee.ID, f.Assignee.AccountID)
		if f.Assignee.ID != "" && c.site.s.byAccount(f.Assignee.ID) == nil {
			wrong["assignee"] = "User '" + f.Assignee.ID + "' does not exist."
		}
	}
	if _, ok := c.view.plain(f.Description); !ok {
		wrong["description"] = "Operation value must be " + c.view.richName()
	}
	if f.Summary != nil && strings.TrimSpace(*f.Summary) == "" {
		wrong["summary"] = "You must specify a summary of the issue."
	}
	return c.refused(wrong)
}

// refused answers 400 when something is wrong; it reports whether nothing is.
func (c call) refused(wrong map[string]string) bool {
	if len(wrong) > 0 {
		writeJSON(c.w, http.StatusBadRequest, map[string]any{"errorMessages": []string{}, "errors": wrong})
	}
	return len(wrong) == 0
}

func (v view) richName() string {
	if v.version < 3 {
		return "a string"
	}
	return "an Atlassian Document (see the Atlassian Document Format)"
}

// plain reads a text: wiki markup in version 2, a document in version 3, of
// which the text is kept.
func (v view) plain(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", true
	}
	if v.version < 3 {
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	}
	var doc adf
	if json.Unmarshal(raw, &doc) != nil || doc.Type != "doc" {
		return "", false
	}
	return strings.TrimSpace(doc.text()), true
}

// adf is a node of the Atlassian Document Format.
type adf struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Content []adf  `json:"content"`
}

func (n adf) text() string {
	var b strings.Builder
	b.WriteString(n.Text)
	for _, part := range n.Content {
		b.WriteString(part.text())
	}
	if n.Type == "paragraph" {
		b.WriteByte('\n')
	}
	return b.String()
}

func (s *Server) createIssue(c call) {
	f, ok := c.issueFields()
	if !ok {
		return
	}
	wrong := map[string]string{}
	p := c.site.project(f.Project.String())
	if p == nil {
		wrong["project"] = "Specify a valid project ID or key"
	}
	if f.Type == nil {
		wrong["issuetype"] = "Specify an issue type"
	}
	if f.Summary == nil {
		wrong["summary"] = "You must specify a summary of the issue."
	}
	if !c.refused(wrong) {
		return
	}
	text, _ := c.view.plain(f.Description)
	in := Issue{Project: p.key, Summary: *f.Summary, Description: text, Type: f.Type.String(), Priority: f.Priority.String(), Labels: f.Labels}
	if f.Assignee != nil && f.Assignee.ID != "" {
		in.Assignee = s.byAccount(f.Assignee.ID).email
	}
	i := c.site.create(c.who, in)
	writeJSON(c.w, http.StatusCreated, map[string]any{"id": strconv.Itoa(i.id), "key": i.key, "self": c.view.self("issue/%d", i.id)})
}

func (s *Server) editIssue(c call) {
	i, ok := c.issue()
	if !ok {
		return
	}
	f, ok := c.issueFields()
	if !ok {
		return
	}
	set := map[string]string{}
	if f.Summary != nil {
		set["summary"] = *f.Summary
	}
	if len(f.Description) > 0 {
		set["description"], _ = c.view.plain(f.Description)
	}
	if f.Type != nil {
		set["issuetype"] = f.Type.String()
	}
	if f.Priority != nil {
		set["priority"] = f.Priority.String()
	}
	if f.Labels != nil {
		set["labels"] = strings.Join(f.Labels, " ")
	}
	if f.Assignee != nil {
		set["assignee"] = ""
		if f.Assignee.ID != "" {
			set["assignee"] = s.byAccount(f.Assignee.ID).email
		}
	}
	if items := i.set(set); len(items) > 0 {
		c.site.fire(i.changed(c.who, items))
	}
	c.w.WriteHeader(http.StatusNoContent)
}

func (s *Server) deleteIssue(c call) {
	if i, ok := c.issue(); ok {
		c.site.remove(c.who, i)
		c.w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) listComments(c call) {
	i, ok := c.issue()
	if !ok {
		return
	}
	all := slices.Clone(i.comments)
	if c.r.URL.Query().Get("orderBy") == "-created" {
		slices.Reverse(all)
	}
	page, ok := c.page(s, list(all, func(x *comment) any { return x.json(c.view) }), 5000)
	if ok {
		writeJSON(c.w, http.StatusOK, renamed(page, "comments"))
	}
}

// renamed is a page of the kind that has no isLast and names its values.
func renamed(page map[string]any, values string) map[string]any {
	page[values] = page["values"]
	delete(page, "values")
	delete(page, "isLast")
	return page
}

func (s *Server) addComment(c call) {
	i, ok := c.issue()
	if !ok {
		return
	}
	var in struct {
		Body json.RawMessage `json:"body"`
	}
	if !c.readOpen(&in) {
		return
	}
	text, ok := c.view.plain(in.Body)
	switch {
	case !ok:
		c.refused(map[string]string{"comment": "Comment body is not valid: it must be " + c.view.richName()})
		return
	case strings.TrimSpace(text) == "":
		c.refused(map[string]string{"comment": "Comment body can not be empty!"})
		return
	}
	writeJSON(c.w, http.StatusCreated, c.site.comment(c.who, i, text).json(c.view))
}
