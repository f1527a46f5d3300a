package gmailtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	scopeMail      = "https://mail.google.com/"
	scopeModify    = "https://www.googleapis.com/auth/gmail.modify"
	scopeReadonly  = "https://www.googleapis.com/auth/gmail.readonly"
	scopeMetadata  = "https://www.googleapis.com/auth/gmail.metadata"
	watchLifetime  = 7 * 24 * time.Hour
	usersPath      = "/gmail/v1/users/{user}"
	maxPage        = 500
	defaultPage    = 100
	maxRequestBody = 1 << 20
)

// call is one authorised API request. s.mu is held while it is answered.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	box   *mailbox
	token *accessToken
}

func (s *Server) apiRoutes(mux *http.ServeMux) {
	// The name is what Fault.Call matches.
	for pattern, h := range map[string]struct {
		name string
		f    func(call)
	}{
		"GET " + usersPath + "/profile":                            {"profile", s.profile},
		"POST " + usersPath + "/watch":                             {"watch", s.watch},
		"POST " + usersPath + "/stop":                              {"stop", s.stopWatch},
		"GET " + usersPath + "/history":                            {"history", s.listHistory},
		"GET " + usersPath + "/messages":                           {"messages", s.listMessages},
		"GET " + usersPath + "/messages/{id}":                      {"message", s.getMessage},
		"GET " + usersPath + "/messages/{id}/attachments/{attach}": {"attachment", s.getAttachment},
		"GET " + usersPath + "/threads/{id}":                       {"thread", s.getThread},
		"GET " + usersPath + "/labels":                             {"labels", s.listLabels},
		"GET " + usersPath + "/drafts":                             {"drafts", s.listDrafts},
		"POST " + usersPath + "/drafts":                            {"draft", s.createDraft},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if c, ok := s.authorise(w, r, h.name); ok {
				h.f(c)
			}
		})
	}
}

// authorise finds out whose mailbox is meant and whether the token may see it.
func (s *Server) authorise(w http.ResponseWriter, r *http.Request, name string) (call, bool) {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t := s.access[bearer]
	if !ok || t == nil || !s.now().Before(t.expires) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
		apiError(w, http.StatusUnauthorized, "authError", "Request had invalid authentication credentials.")
		return call{}, false
	}
	t.used = true
	if s.faulty(w, name) {
		return call{}, false
	}
	if !slices.ContainsFunc(t.scopes, func(scope string) bool {
		return slices.Contains([]string{scopeMail, scopeModify, scopeReadonly, scopeMetadata}, scope) || name == "draft" && scope == scopeCompose
	}) {
		apiError(w, http.StatusForbidden, "insufficientPermissions", "Request had insufficient authentication scopes.")
		return call{}, false
	}
	box := t.grant.mailbox
	if user := r.PathValue("user"); user != "me" && fold(user) != box.key {
		apiError(w, http.StatusForbidden, "forbidden", "Delegation denied for "+box.address)
		return call{}, false
	}
	return call{w, r, box, t}, true
}

// full reports whether the token may see more than headers and labels.
func (c call) full() bool {
	return slices.ContainsFunc(c.token.scopes, func(scope string) bool {
		return slices.Contains([]string{scopeMail, scopeModify, scopeReadonly}, scope)
	})
}

func (s *Server) profile(c call) {
	threads := map[string]bool{}
	for _, m := range c.box.messages {
		threads[m.thread] = true
	}
	writeJSON(c.w, http.StatusOK, map[string]any{
		"emailAddress": c.box.address, "messagesTotal": len(c.box.messages), "threadsTotal": len(threads),
		"historyId": strconv.FormatUint(c.box.current, 10),
	})
}

// watch is users.watch. One watch for each mailbox and project: calling it again replaces it.
func (s *Server) watch(c call) {
	var in struct {
		TopicName           string   `json:"topicName"`
		LabelIDs            []string `json:"labelIds"`
		LabelFilterBehavior string   `json:"labelFilterBehavior"`
		LabelFilterAction   string   `json:"labelFilterAction"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, maxRequestBody)).Decode(&in); err != nil {
		apiError(c.w, http.StatusBadRequest, "parseError", "Parse Error")
		return
	}
	p := c.token.grant.client.project
	switch {
	case !strings.HasPrefix(in.TopicName, "projects/"+p.name+"/topics/"):
		apiError(c.w, http.StatusBadRequest, "invalidArgument",
			"Invalid topicName does not match projects/"+p.name+"/topics/*")
		return
	case in.TopicName != p.topic():
		apiError(c.w, http.StatusNotFound, "notFound", "Error sending test message to Cloud PubSub "+in.TopicName+" : Resource not found.")
		return
	case len(in.LabelIDs) > 0:
		apiError(c.w, http.StatusNotImplemented, "notImplemented", "gmailtest watches without label filters only")
		return
	}
	expires := s.now().Add(watchLifetime)
	c.box.watches[p.name] = &watch{topic: in.TopicName, expires: expires}
	c.box.watched++
	writeJSON(c.w, http.StatusOK, map[string]string{
		"historyId":  strconv.FormatUint(c.box.current, 10),
		"expiration": strconv.FormatInt(expires.UnixMilli(), 10),
	})
	s.publish(p, c.box, c.box.current)
}

func (s *Server) stopWatch(c call) {
	delete(c.box.watches, c.token.grant.client.project.name)
	c.box.stopped++
	c.w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listLabels(c call) {
	type label struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Type string `json:"type"`
	}
	labels := []label{}
	for id, name := range c.box.labels {
		kind := "user"
		if slices.Contains(systemLabels(), id) {
			kind = "system"
		}
		labels = append(labels, label{id, name, kind})
	}
	slices.SortFunc(labels, func(a, b label) int { return strings.Compare(a.ID, b.ID) })
	writeJSON(c.w, http.StatusOK, map[string]any{"labels": labels})
}

func (s *Server) listDrafts(c call) {
	type draft struct {
		ID      string `json:"id"`
		Message ref    `json:"message"`
	}
	drafts := []draft{}
	for id, message := range c.box.drafts {
		if m := c.box.messages[message]; m != nil {
			drafts = append(drafts, draft{id, ref{ID: m.id, ThreadID: m.thread}})
		}
	}
	slices.SortFunc(drafts, func(a, b draft) int { return strings.Compare(b.ID, a.ID) })
	out := map[string]any{"resultSizeEstimate": len(drafts)}
	limit, ok := s.limit(c)
	if !ok {
		return
	}
	if t := c.r.URL.Query().Get("pageToken"); t != "" {
		drafts = slices.DeleteFunc(drafts, func(d draft) bool { return d.ID >= t })
	}
	if len(drafts) > limit {
		drafts = drafts[:limit]
		out["nextPageToken"] = drafts[limit-1].ID
	}
	if len(drafts) > 0 {
		out["drafts"] = drafts
	}
	writeJSON(c.w, http.StatusOK, out)
}

// limit reads maxResults, bounded by Google's maximum and by SetPageSize.
func (s *Server) limit(c call) (int, bool) {
	n := defaultPage
	if v := c.r.URL.Query().Get("maxResults"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 0 {
			apiError(c.w, http.StatusBadRequest, "invalidArgument", "Invalid value for maxResults: "+v)
			return 0, false
		}
	}
	n = max(1, min(n, maxPage))
	if s.pageSize > 0 {
		n = min(n, s.pageSize)
	}
	return n, true
}

// apiError answers as Google's APIs do.
func apiError(w http.ResponseWriter, status int, reason, message string) {
	names := map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
		429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
	}
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"code": status, "message": message, "status": orElse(names[status], fmt.Sprint("HTTP_", status)),
		"errors": []map[string]string{{"message": message, "domain": "global", "reason": reason}},
	}})
}
