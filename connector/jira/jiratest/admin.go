package jiratest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

const issueFilter = "issue-related-events-section"

// adminEvents are all events there are, for admin webhooks. The stand-in fires
// those that its Sites' methods name.
func adminEvents() []string {
	return append(dynamicEvents(),
		"worklog_created", "worklog_updated", "worklog_deleted", "attachment_created", "attachment_deleted",
		"issuelink_created", "issuelink_deleted", "issuetype_created", "issuetype_updated", "issuetype_deleted",
		"project_created", "project_updated", "project_deleted", "project_soft_deleted", "project_restored_deleted", "project_archived", "project_restored_archived",
		"filter_created", "filter_updated", "filter_deleted", "user_created", "user_updated", "user_deleted",
		"board_created", "board_updated", "board_deleted", "board_configuration_changed",
		"option_voting_changed", "option_watching_changed", "option_unassigned_issues_changed", "option_subtasks_changed",
		"option_attachments_changed", "option_issuelinks_changed", "option_timetracking_changed",
		"jira_expression_evaluation_failed", "app_access_to_objects_blocked", "app_access_to_objects_in_container_blocked",
	)
}

// AdminWebhook is a webhook of a site's settings.
type AdminWebhook struct {
	Name, Description string
	URL               string
	Events            []string
	JQL               string // for issue events; empty: all issues
	Secret            string // empty: deliveries are not signed
	ExcludeBody       bool
}

// AddAdminWebhook makes a webhook as an administrator does in the site's
// settings, and returns its id.
func (t *Site) AddAdminWebhook(by string, in AdminWebhook) (id string, err error) {
	t.edit(func() {
		h := &adminHook{by: t.s.person(by)}
		var wrong string
		if wrong = h.set(t, in); wrong != "" {
			err = fmt.Errorf("jiratest: admin webhook: %s", wrong)
			return
		}
		id = strconv.Itoa(t.keep(h))
	})
	return id, err
}

// DropAdminWebhooks removes every admin webhook of the site, as its administrator may.
func (t *Site) DropAdminWebhooks() { t.edit(func() { t.static = nil }) }

// AdminWebhooks lists the admin webhooks of the site, without their secrets.
func (t *Site) AdminWebhooks() []AdminWebhook {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	all := make([]AdminWebhook, 0, len(t.static))
	for _, h := range t.static {
		all = append(all, AdminWebhook{h.name, h.description, h.url, slices.Clone(h.events), h.jql, "", h.excludeBody})
	}
	return all
}

func (t *Site) keep(h *adminHook) int {
	h.id, h.on = t.next("admin webhook", 1), true
	t.static = append(t.static, h)
	return h.id
}

// set checks and takes over; it returns what is wrong.
func (h *adminHook) set(t *Site, in AdminWebhook) string {
	if in.Name == "" {
		return "the name must not be empty"
	}
	if wrong := t.s.badAddress(in.URL); wrong != "" {
		return wrong
	}
	for _, e := range in.Events {
		if !slices.Contains(adminEvents(), e) {
			return "there is no event " + e
		}
	}
	var q *query
	if in.JQL != "" {
		var err error
		if q, err = parseJQL(in.JQL); err != nil {
			return err.Error()
		}
		if wrong := t.check(q); len(wrong) > 0 {
			return wrong[0]
		}
	}
	h.name, h.description, h.url, h.jql, h.query = in.Name, in.Description, in.URL, in.JQL, q
	h.events, h.excludeBody, h.updated = slices.Clone(in.Events), in.ExcludeBody, t.s.now()
	if in.Secret != "" {
		h.secret = in.Secret
	}
	return ""
}

// adminBody is a webhook in a request.
type adminBody struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	URL         string            `json:"url"`
	Events      []string          `json:"events"`
	Filters     map[string]string `json:"filters"`
	ExcludeBody bool              `json:"excludeBody"`
	Enabled     *bool             `json:"enabled"`
	Secret      string            `json:"secret"`
}

func (b *adminBody) webhook() AdminWebhook {
	return AdminWebhook{b.Name, b.Description, b.URL, b.Events, b.Filters[issueFilter], b.Secret, b.ExcludeBody}
}

func (h *adminHook) self(c call) string {
	return c.view.base + "/rest/webhooks/1.0/webhook/" + strconv.Itoa(h.id)
}

func (h *adminHook) json(c call) map[string]any {
	return map[string]any{
		"name": h.name, "description": h.description, "url": h.url, "excludeBody": h.excludeBody, "events": h.events, "enabled": h.on,
		"filters": map[string]string{issueFilter: h.jql}, "isSigned": h.secret != "",
		"self":            h.self(c),
		"lastUpdatedUser": h.by.id, "lastUpdatedDisplayName": h.by.name, "lastUpdated": h.updated.UnixMilli(),
	}
}

// admin answers 403 unless the person administers the site.
func (c call) admin() bool {
	if !c.site.admins[c.who.key] {
		writeJSON(c.w, http.StatusForbidden, map[string]any{"messages": []map[string]string{{"key": "You do not have permission to administer webhooks."}}})
		return false
	}
	return true
}

// hook is the admin webhook of the path, or 404.
func (c call) adminHook() (*adminHook, bool) {
	n := slices.IndexFunc(c.site.static, func(h *adminHook) bool { return strconv.Itoa(h.id) == c.r.PathValue("id") })
	if n < 0 {
		apiError(c.w, http.StatusNotFound, "No webhook exists for this id.")
		return nil, false
	}
	return c.site.static[n], true
}

func (s *Server) addAdminHook(c call) {
	var in adminBody
	if !c.admin() || !c.readOpen(&in) {
		return
	}
	h := &adminHook{by: c.who}
	if wrong := h.set(c.site, in.webhook()); wrong != "" {
		apiError(c.w, http.StatusBadRequest, wrong)
		return
	}
	c.site.keep(h)
	c.w.Header().Set("Location", h.self(c))
	writeJSON(c.w, http.StatusCreated, h.json(c))
}

func (s *Server) listAdminHooks(c call) {
	if c.admin() {
		writeJSON(c.w, http.StatusOK, list(c.site.static, func(h *adminHook) any { return h.json(c) }))
	}
}

func (s *Server) getAdminHook(c call) {
	if !c.admin() {
		return
	}
	if h, ok := c.adminHook(); ok {
		writeJSON(c.w, http.StatusOK, h.json(c))
	}
}

func (s *Server) putAdminHook(c call) {
	if !c.admin() {
		return
	}
	h, ok := c.adminHook()
	if !ok {
		return
	}
	var in adminBody
	if !c.readOpen(&in) {
		return
	}
	if wrong := h.set(c.site, in.webhook()); wrong != "" {
		apiError(c.w, http.StatusBadRequest, wrong)
		return
	}
	if in.Enabled != nil {
		h.on = *in.Enabled
	}
	h.by = c.who
	writeJSON(c.w, http.StatusOK, h.json(c))
}

func (s *Server) deleteAdminHook(c call) {
	if !c.admin() {
		return
	}
	if h, ok := c.adminHook(); ok {
		c.site.static = slices.DeleteFunc(c.site.static, func(x *adminHook) bool { return x == h })
		c.w.WriteHeader(http.StatusNoContent)
	}
}
