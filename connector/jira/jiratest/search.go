package jiratest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// removedSearch is what became of the search that was paged by startAt.
func (s *Server) removedSearch(c call) {
	apiError(c.w, http.StatusGone, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. "+
		"A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046")
}

// searchRequest is the query or the body of search/jql.
type searchRequest struct {
	JQL    string   `json:"jql"`
	Token  string   `json:"nextPageToken"`
	Max    *int     `json:"maxResults"`
	Fields []string `json:"fields"`
	Expand string   `json:"expand"`

	// Taken and without effect: the stand-in has no properties, and its index lags only when told to.
	ByKeys     bool     `json:"fieldsByKeys"`
	Properties []string `json:"properties"`
	Reconcile  []int    `json:"reconcileIssues"`
}

func (c call) searchRequest() (in searchRequest, ok bool) {
	if c.r.Method == http.MethodPost {
		return in, c.read(&in)
	}
	q := c.r.URL.Query()
	in = searchRequest{JQL: q.Get("jql"), Token: q.Get("nextPageToken"), Expand: q.Get("expand"), Fields: commas(q["fields"])}
	if v := q.Get("maxResults"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			apiError(c.w, http.StatusBadRequest, "maxResults must be a number")
			return in, false
		}
		in.Max = &n
	}
	return in, true
}

// commas splits lists that may come as several parameters, as one with commas, or both.
func commas(values []string) []string {
	var all []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}

// search is search/jql. A page's token says after which issue the next page
// begins: an issue that changes between two pages may be seen twice, and is not
// missed when the order is that of the changes.
func (s *Server) search(c call) {
	in, ok := c.searchRequest()
	if !ok {
		return
	}
	q, err := parseJQL(in.JQL)
	if err != nil {
		apiError(c.w, http.StatusBadRequest, err.Error())
		return
	}
	if q.condition == nil {
		apiError(c.w, http.StatusBadRequest, "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.")
		return
	}
	if wrong := c.site.check(q); len(wrong) > 0 {
		apiError(c.w, http.StatusBadRequest, wrong...)
		return
	}
	after, ok := readToken(in.Token, in.JQL)
	if !ok {
		apiError(c.w, http.StatusBadRequest, "Invalid nextPageToken.")
		return
	}
	now := s.now()
	var found []*issue
	for _, i := range c.site.issues {
		if s.lag > 0 && i.updated.After(now.Add(-s.lag)) {
			continue
		}
		if q.matches(i, c.who, now) && (after == nil || q.compare(i.place(), *after) > 0) {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b *issue) int { return q.compare(a.place(), b.place()) })
	size := s.searchPage(in)
	answer := map[string]any{"isLast": len(found) <= size}
	if len(found) > size {
		found = found[:size]
		answer["nextPageToken"] = writeToken(found[size-1].place(), in.JQL)
	}
	answer["issues"] = list(found, func(i *issue) any { return i.result(c.view, in.Fields, in.Expand) })
	writeJSON(c.w, http.StatusOK, answer)
}

// searchPage is how many issues a page has: few when it shows more than ids.
func (s *Server) searchPage(in searchRequest) int {
	size, most := 50, 5000
	if len(in.Fields) > 0 {
		most = 100
	}
	if in.Max != nil {
		size = *in.Max
	}
	size = max(1, min(size, most))
	if s.pageSize > 0 {
		size = min(size, s.pageSize)
	}
	return size
}

// result is an issue as a search shows it: without fields its id alone.
func (i *issue) result(v view, fields []string, expand string) map[string]any {
	if len(fields) == 0 && expand == "" || slices.Equal(fields, []string{"id"}) {
		return map[string]any{"id": strconv.Itoa(i.id)}
	}
	shown := i.wrap(v, pick(i.listed(v), fields))
	shown["expand"] = "operations,versionedRepresentations,editmeta,changelog,renderedFields"
	if slices.Contains(commas([]string{expand}), "changelog") {
		shown["changelog"] = i.pageOfHistory(v)
	}
	return shown
}

// pageOfHistory is the changelog as an issue carries it: newest first.
func (i *issue) pageOfHistory(v view) map[string]any {
	newest := slices.Clone(i.history)
	slices.Reverse(newest)
	newest = newest[:min(len(newest), 100)]
	return map[string]any{
		"startAt": 0, "maxResults": len(newest), "total": len(i.history),
		"histories": list(newest, func(h *history) any { return h.json(v) }),
	}
}

// pick chooses fields as Jira does: by name, *all, *navigable, or -name for all but one.
func pick(all map[string]any, names []string) map[string]any {
	picked := map[string]any{}
	without := len(names) == 0
	for _, name := range names {
		if name == "*all" || name == "*navigable" || strings.HasPrefix(name, "-") {
			without = true
		}
	}
	for name, value := range all {
		if (without || slices.Contains(names, name)) && !slices.Contains(names, "-"+name) {
			picked[name] = value
		}
	}
	return picked
}

// place is where an issue stands in a list, whatever the order of it.
type place struct {
	Updated int64  `json:"u"`
	Created int64  `json:"c"`
	Project string `json:"p"`
	Number  int    `json:"n"`
	ID      int    `json:"i"`
}

func (i *issue) place() place {
	return place{i.updated.UnixNano(), i.created.UnixNano(), i.project.key, i.number, i.id}
}

// compare orders two places as ORDER BY says, else newest first; the id
// decides between equal ones.
func (q *query) compare(a, b place) int {
	by := q.order
	if len(by) == 0 {
		by = []order{{"created", true}}
	}
	for _, o := range by {
		var d int
		switch fieldName(o.field) {
		case "updated":
			d = cmp.Compare(a.Updated, b.Updated)
		case "created":
			d = cmp.Compare(a.Created, b.Created)
		case "key":
			d = cmp.Or(strings.Compare(a.Project, b.Project), cmp.Compare(a.Number, b.Number))
		}
		if o.down {
			d = -d
		}
		if d != 0 {
			return d
		}
	}
	return cmp.Compare(a.ID, b.ID)
}

type pageToken struct {
	Query string `json:"q"` // hash of the JQL: a token is good for its own query
	Place place  `json:"p"`
}

func writeToken(p place, jql string) string {
	return base64.RawURLEncoding.EncodeToString(mustJSON(pageToken{hashOf(jql), p}))
}

func readToken(token, jql string) (*place, bool) {
	if token == "" {
		return nil, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	var t pageToken
	if err != nil || json.Unmarshal(raw, &t) != nil || t.Query != hashOf(jql) {
		return nil, false
	}
	return &t.Place, true
}

func hashOf(jql string) string {
	sum := sha256.Sum256([]byte(jql))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// changelog is GET issue/{issue}/changelog: oldest first.
func (s *Server) changelog(c call) {
	i, ok := c.issue()
	if !ok {
		return
	}
	if page, ok := c.page(s, list(i.history, func(h *history) any { return h.json(c.view) }), 100); ok {
		writeJSON(c.w, http.StatusOK, page)
	}
}

// since reads a parameter in milliseconds since 1970.
func (c call) since() (time.Time, bool) {
	v := c.r.URL.Query().Get("since")
	if v == "" {
		return time.UnixMilli(0), true
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		apiError(c.w, http.StatusBadRequest, "since must be a number")
	}
	return time.UnixMilli(ms), err == nil
}
