package jiratest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const maxRequestBody = 1 << 20

// call is one authorised request of the Jira API. s.mu is held while it is answered.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	site *Site
	who  *person
	from *grant
	view view
}

// endpoint is one operation. A token needs all scopes of one of the lists.
type endpoint struct {
	name   string // what Fault.Call matches
	scopes [][]string
	f      func(call)
}

func (s *Server) apiRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /oauth/token/accessible-resources", s.account("resources", "", s.resources))
	mux.HandleFunc("GET /me", s.account("me", "read:me", s.me))
	work := [][]string{{"read:jira-work"}, {"read:issue-details:jira"}, {"read:issue:jira"}}
	write := [][]string{{"write:jira-work"}, {"write:issue:jira"}}
	hooks := func(granular ...string) [][]string {
		return [][]string{{"read:jira-work", "manage:jira-webhook"}, granular}
	}
	projects := [][]string{{"read:jira-work"}, {"read:project:jira"}}
	agile := [][]string{{"read:sprint:jira-software"}}
	for pattern, e := range map[string]endpoint{
		"POST webhook":        {"register", hooks("read:field:jira", "read:project:jira", "write:webhook:jira"), s.register},
		"GET webhook":         {"webhooks", hooks("read:webhook:jira", "read:jql:jira"), s.listHooks},
		"PUT webhook/refresh": {"refresh", hooks("read:webhook:jira", "write:webhook:jira"), s.refreshHooks},
		"DELETE webhook":      {"unregister", hooks("delete:webhook:jira"), s.deleteHooks},
		"GET webhook/failed":  {"failed", hooks("read:webhook:jira"), s.failedHooks},

		"GET search":      {"search", work, s.removedSearch},
		"POST search":     {"search", work, s.removedSearch},
		"GET search/jql":  {"search", work, s.search},
		"POST search/jql": {"search", work, s.search},

		"POST jql/parse": {"parse", [][]string{{"read:jira-work"}, {"read:field:jira", "validate:jql:jira", "read:jql:jira"}}, s.parse},

		"POST issue":                     {"create", write, s.createIssue},
		"GET issue/{issue}":              {"issue", work, s.getIssue},
		"PUT issue/{issue}":              {"edit", write, s.editIssue},
		"DELETE issue/{issue}":           {"delete", write, s.deleteIssue},
		"GET issue/{issue}/changelog":    {"changelog", work, s.changelog},
		"GET issue/{issue}/comment":      {"comments", append([][]string{{"read:comment:jira"}}, work...), s.listComments},
		"POST issue/{issue}/comment":     {"comment", append([][]string{{"write:comment:jira"}}, write...), s.addComment},
		"GET issue/{issue}/worklog":      {"worklogs", work, s.listWorklogs},
		"GET worklog/updated":            {"worklogs", work, s.updatedWorklogs},
		"GET worklog/deleted":            {"worklogs", work, s.deletedWorklogs},
		"POST worklog/list":              {"worklogs", work, s.someWorklogs},
		"GET myself":                     {"myself", [][]string{{"read:jira-user"}, {"read:user:jira"}}, s.myself},
		"GET project":                    {"projects", projects, s.listProjects},
		"GET project/search":             {"projects", projects, s.searchProjects},
		"GET project/{project}":          {"project", projects, s.getProject},
		"GET project/{project}/versions": {"versions", projects, s.listVersions},
		"GET field":                      {"fields", [][]string{{"read:jira-work"}, {"read:field:jira"}}, s.listFields},
		"GET issuetype":                  {"issuetypes", work, s.listIssueTypes},
		"GET status":                     {"statuses", work, s.listStatuses},
		"GET serverInfo":                 {"serverinfo", work, s.serverInfo},
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /ex/jira/{cloud}/rest/api/{version}/"+path, s.api(e))
	}
	for pattern, e := range map[string]endpoint{
		"GET agile/1.0/board":                {"boards", [][]string{{"read:board-scope:jira-software"}}, s.listBoards},
		"GET agile/1.0/board/{board}/sprint": {"sprints", agile, s.listSprints},
		"POST webhooks/1.0/webhook":          {"adminhooks", adminScopes(), s.addAdminHook},
		"GET webhooks/1.0/webhook":           {"adminhooks", adminScopes(), s.listAdminHooks},
		"GET webhooks/1.0/webhook/{id}":      {"adminhooks", adminScopes(), s.getAdminHook},
		"PUT webhooks/1.0/webhook/{id}":      {"adminhooks", adminScopes(), s.putAdminHook},
		"DELETE webhooks/1.0/webhook/{id}":   {"adminhooks", adminScopes(), s.deleteAdminHook},
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /ex/jira/{cloud}/rest/"+path, s.api(e))
	}
}

// adminScopes: a report has it that a 3LO token works on this old API; which
// scope it needs is assumed.
func adminScopes() [][]string {
	return [][]string{{"manage:jira-webhook"}, {"manage:jira-configuration"}}
}

// api authorises a request of the Jira API, as the gateway api.atlassian.com does.
func (s *Server) api(e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequestBody)
		s.mu.Lock()
		defer s.mu.Unlock()
		t := s.bearer(r)
		if t == nil {
			gatewayError(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		c := call{w: w, r: r, who: t.grant.person, from: t.grant, view: view{version: 3, zone: t.grant.person.zone}}
		n := slices.IndexFunc(s.sites, func(x *Site) bool { return x.cloud == r.PathValue("cloud") })
		version := r.PathValue("version")
		switch {
		case n < 0 || s.sites[n].confluence || !slices.Contains([]string{"", "2", "3", "latest"}, version):
			gatewayError(w, http.StatusNotFound, "Not Found")
			return
		case !t.grant.covers(s.sites[n]), !t.may(e.scopes):
			gatewayError(w, http.StatusUnauthorized, "Unauthorized; scope does not match")
			return
		}
		c.site = s.sites[n]
		c.view.base = s.URL + "/ex/jira/" + c.site.cloud
		if version == "2" || version == "latest" {
			c.view.version = 2
		}
		s.answer(w, e.name, func(w http.ResponseWriter) {
			c.w = w
			e.f(c)
		})
	}
}

// account authorises a request about the account itself.
func (s *Server) account(name, scope string, f func(call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		t := s.bearer(r)
		switch {
		case t == nil:
			gatewayError(w, http.StatusUnauthorized, "Unauthorized")
			return
		case scope != "" && !slices.Contains(t.scopes, scope):
			gatewayError(w, http.StatusForbidden, "Forbidden")
			return
		}
		s.answer(w, name, func(w http.ResponseWriter) { f(call{w: w, r: r, who: t.grant.person, from: t.grant}) })
	}
}

// bearer is the live token of a request, or nil.
func (s *Server) bearer(r *http.Request) *accessToken {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t := s.access[token]
	if !ok || t == nil || !s.now().Before(t.expires) {
		return nil
	}
	return t
}

func (t *accessToken) may(alternatives [][]string) bool {
	return slices.ContainsFunc(alternatives, func(all []string) bool {
		return !slices.ContainsFunc(all, func(scope string) bool { return !slices.Contains(t.scopes, scope) })
	})
}

// read decodes a JSON body of which every property is known, or answers 400.
func (c call) read(into any) bool { return c.decode(into, true) }

// readOpen is read where the request may have more than the stand-in knows.
func (c call) readOpen(into any) bool { return c.decode(into, false) }

func (c call) decode(into any, closed bool) bool {
	dec := json.NewDecoder(c.r.Body)
	if closed {
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON value")
		}
	}
	if err != nil {
		apiError(c.w, http.StatusBadRequest, "Invalid request payload. Refer to the REST API documentation and try again.")
	}
	return err == nil
}

// page reads startAt and maxResults and cuts a list.
func (c call) page(s *Server, all []any, preset int) (map[string]any, bool) {
	start, okStart := number(c.r.URL.Query().Get("startAt"), 0)
	size, okSize := number(c.r.URL.Query().Get("maxResults"), preset)
	if !okStart || !okSize {
		apiError(c.w, http.StatusBadRequest, "startAt and maxResults must be numbers that are not negative")
		return nil, false
	}
	size = max(1, min(size, preset))
	if s.pageSize > 0 {
		size = min(size, s.pageSize)
	}
	from := min(start, len(all))
	to := min(from+size, len(all))
	return map[string]any{"startAt": start, "maxResults": size, "total": len(all), "isLast": to == len(all), "values": all[from:to]}, true
}

func number(text string, preset int) (int, bool) {
	if text == "" {
		return preset, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0
}

// gatewayError answers as api.atlassian.com does before Jira is asked.
func gatewayError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"code": status, "message": message})
}

// apiError answers as Jira does.
func apiError(w http.ResponseWriter, status int, messages ...string) {
	writeJSON(w, status, map[string]any{"errorMessages": messages, "errors": map[string]string{}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-cache, no-store, no-transform")
	w.WriteHeader(status)
	_, _ = w.Write(mustJSON(v)) // the client has gone: nobody to tell
}
