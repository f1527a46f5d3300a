package gmailtest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// listHistory is users.history.list.
func (s *Server) listHistory(c call) {
	q := c.r.URL.Query()
	limit, ok := s.limit(c)
	if !ok {
		return
	}
	start, err := strconv.ParseUint(q.Get("startHistoryId"), 10, 64)
	if err != nil {
		apiError(c.w, http.StatusBadRequest, "invalidArgument", "Missing or invalid startHistoryId")
		return
	}
	if start < c.box.oldest {
		apiError(c.w, http.StatusNotFound, "notFound", "Requested entity was not found.")
		return
	}
	// Whether Google's later pages show what happened after the first one is not
	// documented. Here they do not, although historyId goes on: a reader that
	// takes the historyId of its last page loses it.
	after, until := start, c.box.current
	if t := q.Get("pageToken"); t != "" {
		if after, until, ok = readPageToken(c, t, start); !ok {
			return
		}
	}
	types := q["historyTypes"]
	for _, t := range types {
		if !slices.Contains([]string{"messageAdded", "messageDeleted", "labelAdded", "labelRemoved"}, t) {
			apiError(c.w, http.StatusBadRequest, "invalidArgument", "Invalid value for historyTypes: "+t)
			return
		}
	}
	page := map[string]any{"historyId": strconv.FormatUint(c.box.current, 10)}
	var records []record
	for _, r := range c.box.history {
		if r.ID <= after || r.ID > until {
			continue
		}
		r, ok := r.only(types, q.Get("labelId"))
		if !ok {
			continue
		}
		if len(records) == limit {
			page["nextPageToken"] = pageToken(start, records[limit-1].ID, until)
			break
		}
		records = append(records, r)
	}
	if len(records) > 0 {
		page["history"] = records
	}
	writeJSON(c.w, http.StatusOK, page)
}

// only returns what a record says of the wanted types and label.
func (r record) only(types []string, label string) (record, bool) {
	keep := func(kind string, changes []change) []change {
		if len(types) > 0 && !slices.Contains(types, kind) {
			return nil
		}
		if label == "" {
			return changes
		}
		return slices.DeleteFunc(slices.Clone(changes), func(c change) bool {
			return !slices.Contains(c.Message.LabelIDs, label)
		})
	}
	r.MessagesAdded = keep("messageAdded", r.MessagesAdded)
	r.MessagesDeleted = keep("messageDeleted", r.MessagesDeleted)
	r.LabelsAdded = keep("labelAdded", r.LabelsAdded)
	r.LabelsRemoved = keep("labelRemoved", r.LabelsRemoved)
	return r, len(r.MessagesAdded)+len(r.MessagesDeleted)+len(r.LabelsAdded)+len(r.LabelsRemoved) > 0
}

// A page token is tied to the start that it was made for, as Google's are to
// the request: with other parameters it is refused.
func pageToken(start, after, until uint64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %d", start, after, until))
}

func readPageToken(c call, token string, start uint64) (after, until uint64, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	var of uint64
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%d %d %d", &of, &after, &until)
	}
	if err != nil || of != start {
		apiError(c.w, http.StatusBadRequest, "invalidArgument", "Invalid pageToken")
		return 0, 0, false
	}
	return after, until, true
}

// listMessages is users.messages.list, newest first. Of Gmail's search language
// it knows after: and before: with unix seconds.
func (s *Server) listMessages(c call) {
	q := c.r.URL.Query()
	limit, ok := s.limit(c)
	if !ok {
		return
	}
	if q.Get("q") != "" && !c.full() {
		apiError(c.w, http.StatusForbidden, "forbidden", "Metadata scope does not support 'q' parameter")
		return
	}
	var after, before time.Time
	for term := range strings.FieldsSeq(q.Get("q")) {
		name, value, _ := strings.Cut(term, ":")
		unix, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err == nil && name == "after":
			after = time.Unix(unix, 0)
		case err == nil && name == "before":
			before = time.Unix(unix, 0)
		default:
			apiError(c.w, http.StatusNotImplemented, "notImplemented", "gmailtest does not know the search term "+term)
			return
		}
	}
	trash := q.Get("includeSpamTrash") == "true"
	var found []*message
	for _, m := range c.box.messages {
		hidden := slices.Contains(m.labels, "SPAM") || slices.Contains(m.labels, "TRASH")
		switch {
		case hidden && !trash,
			!after.IsZero() && m.at.Before(after),
			!before.IsZero() && !m.at.Before(before),
			slices.ContainsFunc(q["labelIds"], func(l string) bool { return !slices.Contains(m.labels, l) }):
		default:
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b *message) int { return strings.Compare(b.id, a.id) })
	page := map[string]any{"resultSizeEstimate": len(found)}
	if t := q.Get("pageToken"); t != "" {
		i := slices.IndexFunc(found, func(m *message) bool { return m.id < t })
		if len(t) != 16 {
			apiError(c.w, http.StatusBadRequest, "invalidArgument", "Invalid pageToken")
			return
		}
		if i < 0 {
			i = len(found)
		}
		found = found[i:]
	}
	if len(found) > limit {
		found = found[:limit]
		page["nextPageToken"] = found[limit-1].id
	}
	if len(found) > 0 {
		refs := make([]ref, len(found))
		for i, m := range found {
			refs[i] = ref{ID: m.id, ThreadID: m.thread}
		}
		page["messages"] = refs
	}
	writeJSON(c.w, http.StatusOK, page)
}
