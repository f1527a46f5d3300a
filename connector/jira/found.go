package jira

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// maxListed bounds how much is read of what belongs to one issue.
const maxListed = 5000

// issue tells what happened to one issue since floor.
func (e *expansion) issue(ctx context.Context, raw json.RawMessage, floor time.Time) ([]connector.Occurrence, error) {
	var w wireIssue
	if json.Unmarshal(raw, &w) != nil || w.ID == "" || w.Fields.v == nil {
		return nil, fmt.Errorf("jira: search: an issue has no id or fields: %.100q", raw)
	}
	var found []connector.Occurrence
	add := func(o connector.Occurrence) {
		if !e.wanted[o.Trigger] {
			return
		}
		i := e.site.issue(&w)
		for name, v := range e.site.attributes(&i) {
			if len(o.Attributes[name]) == 0 {
				o.Attributes[name] = v
			}
		}
		o.Raw = raw
		found = append(found, o)
	}
	fresh := func(at moment) bool { return !at.Before(floor) }
	fields := w.Fields.v
	if fresh(fields.Created) {
		i := e.site.issue(&w)
		i.Actor = user(fields.Creator.v)
		add(e.site.tellIssue(IssueCreated, e.site.key("issue", w.ID), i))
	}
	if e.wants(IssueUpdated, IssueAssigned, IssueStatusChanged, IssueLinkCreated) {
		histories, err := e.histories(ctx, &w, floor)
		if err != nil {
			return nil, err
		}
		for _, h := range histories {
			if !fresh(h.Created) {
				continue
			}
			for _, o := range e.site.tellChange(e.site.key("change", h.ID), &w, user(h.Author.v), "", h.Items) {
				o.OccurredAt = h.Created.Time
				add(o)
			}
			for _, o := range e.site.links(&w, h) {
				add(o)
			}
		}
	}
	if err := e.activity(ctx, &w, fresh, add); err != nil {
		return nil, err
	}
	for _, a := range fields.Attachments {
		if fresh(a.Created) {
			add(e.site.tellAttachment(&a, &w))
		}
	}
	return found, nil
}

// activity tells comments and worklogs.
func (e *expansion) activity(ctx context.Context, w *wireIssue, fresh func(moment) bool, add func(connector.Occurrence)) error {
	if e.wants(CommentCreated, CommentUpdated) {
		comments, err := e.comments(ctx, w)
		if err != nil {
			return err
		}
		for _, c := range comments {
			if fresh(c.Created) {
				add(e.site.tellComment(CommentCreated, &c, w))
			}
			if fresh(c.Updated) && c.Updated.After(c.Created.Time) {
				add(e.site.tellComment(CommentUpdated, &c, w))
			}
		}
	}
	if e.wants(WorklogCreated, WorklogUpdated) {
		worklogs, err := e.worklogs(ctx, w)
		if err != nil {
			return err
		}
		for _, l := range worklogs {
			if fresh(l.Created) {
				add(e.site.tellWorklog(WorklogCreated, &l, w))
			}
			if fresh(l.Updated) && l.Updated.After(l.Created.Time) {
				add(e.site.tellWorklog(WorklogUpdated, &l, w))
			}
		}
	}
	return nil
}

func (e *expansion) wants(triggers ...string) bool {
	for _, name := range triggers {
		if e.wanted[name] {
			return true
		}
	}
	return false
}

// links tells the links that an entry of the changelog made. It names the other
// issue, the issue itself has the link's id.
func (s site) links(w *wireIssue, h wireHistory) (all []connector.Occurrence) {
	for _, item := range h.Items {
		if item.Field != "Link" || item.To == "" {
			continue
		}
		for _, l := range w.Fields.some().Links {
			other := l.Outward.some()
			if l.Outward.v == nil {
				other = l.Inward.some()
			}
			if strings.EqualFold(string(other.Key), string(item.To)) {
				o := s.tellLink(s.linked(&l, w), nil)
				o.OccurredAt = h.Created.Time
				all = append(all, o)
			}
		}
	}
	return all
}

// histories are the changelog's entries. A search shows the newest hundred.
func (e *expansion) histories(ctx context.Context, w *wireIssue, floor time.Time) ([]wireHistory, error) {
	log := w.Changelog.some()
	complete := int(log.Total) <= len(log.Histories)
	for _, h := range log.Histories {
		complete = complete || h.Created.Before(floor)
	}
	if complete {
		return log.Histories, nil
	}
	return list[wireHistory](ctx, e, w, "changelog", "values")
}

func (e *expansion) comments(ctx context.Context, w *wireIssue) ([]wireComment, error) {
	have := w.Fields.v.Comments.some()
	if w.Fields.v.Comments.v != nil && int(have.Total) <= len(have.Comments) {
		return have.Comments, nil
	}
	return list[wireComment](ctx, e, w, "comment", "comments")
}

func (e *expansion) worklogs(ctx context.Context, w *wireIssue) ([]wireWorklog, error) {
	have := w.Fields.v.Worklogs.some()
	if w.Fields.v.Worklogs.v != nil && int(have.Total) <= len(have.Worklogs) {
		return have.Worklogs, nil
	}
	return list[wireWorklog](ctx, e, w, "worklog", "worklogs")
}

// list reads all of what belongs to an issue where the search shows a part.
func list[T any](ctx context.Context, e *expansion, w *wireIssue, path, member string) (all []T, err error) {
	size := 100
	for read := 0; read < maxListed; {
		var page map[string]json.RawMessage
		at := fmt.Sprintf("rest/api/2/issue/%s/%s?startAt=%d&maxResults=%d", url.PathEscape(string(w.ID)), path, read, size)
		err := e.svc.call(ctx, http.MethodGet, at, nil, &page)
		if e.svc.tooLong(err) && size > 1 {
			size /= 10
			continue
		}
		if errors.Is(err, connector.ErrGone) { // deleted meanwhile
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var some []json.RawMessage
		if err := json.Unmarshal(page[member], &some); err != nil {
			return nil, fmt.Errorf("jira: the %s of issue %s: the answer is not the expected JSON: %w", member, w.ID, err)
		}
		if len(some) == 0 {
			return all, nil
		}
		var good array[T]
		_ = json.Unmarshal(page[member], &good) // never fails
		all = append(all, good...)
		read += len(some)
		var total number
		_ = json.Unmarshal(page["total"], &total) // never fails; an absent one is 0
		if read >= int(total) {
			break
		}
	}
	return all, nil
}
