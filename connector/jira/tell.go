package jira

import (
	"slices"

	"github.com/interactorhq/interactor/connector"
)

// attributes of what happened at a site, to an issue if it is told.
func (s site) attributes(i *Issue) map[string][]string {
	a := map[string][]string{paramSite: {string(s)}}
	if i != nil {
		for _, v := range []string{i.Project.Key, i.Project.ID} {
			if v != "" {
				a[paramProject] = append(a[paramProject], v)
			}
		}
	}
	return a
}

func (s site) tellIssue(trigger, key string, i Issue) connector.Occurrence {
	at := i.Updated
	if trigger == IssueCreated {
		at = i.Created
	}
	return connector.Occurrence{Trigger: trigger, Key: key, OccurredAt: at, Attributes: s.attributes(&i), Payload: i}
}

// tellChange tells one entry of an issue's changelog, once for each trigger that
// is about it.
func (s site) tellChange(key string, w *wireIssue, actor *User, kind string, items []wireItem) []connector.Occurrence {
	i := s.issue(w)
	i.Actor, i.Kind, i.Changes = actor, kind, changes(items)
	update := s.tellIssue(IssueUpdated, key, i)
	update.Attributes[paramField] = []string{}
	for _, c := range i.Changes {
		for _, name := range []string{c.Field, c.FieldID} {
			if name != "" && !slices.Contains(update.Attributes[paramField], name) {
				update.Attributes[paramField] = append(update.Attributes[paramField], name)
			}
		}
	}
	all := []connector.Occurrence{update}
	if c, ok := changed(i.Changes, "status"); ok {
		o := s.tellIssue(IssueStatusChanged, key, i)
		o.Attributes[paramFrom], o.Attributes[paramTo] = nameAndID(c.FromText, c.From), nameAndID(c.ToText, c.To)
		change := StatusChange{Issue: i, From: Status{ID: c.From, Name: c.FromText}, To: Status{ID: c.To, Name: c.ToText}}
		if i.Status.ID == c.To { // else it has moved on since
			change.To.Category = i.Status.Category
		}
		o.Payload = change
		all = append(all, o)
	}
	if c, ok := changed(i.Changes, "assignee"); ok && c.To != "" {
		o := s.tellIssue(IssueAssigned, key, i)
		o.Attributes[paramAssignee] = []string{c.To}
		a := Assignment{Issue: i, To: User{AccountID: c.To, Name: c.ToText}}
		if now := i.Assignee; now != nil && now.AccountID == c.To {
			a.To = *now
		}
		if c.From != "" {
			a.From = &User{AccountID: c.From, Name: c.FromText}
		}
		o.Payload = a
		all = append(all, o)
	}
	return all
}

func nameAndID(name, id string) []string {
	var both []string
	for _, v := range []string{name, id} {
		if v != "" {
			both = append(both, v)
		}
	}
	return both
}

func (s site) tellComment(trigger string, w *wireComment, about *wireIssue) connector.Occurrence {
	c := s.comment(w, about)
	o := connector.Occurrence{Trigger: trigger, Key: s.key("comment", w.ID), OccurredAt: c.Updated, Attributes: s.attributes(c.Issue), Payload: c}
	switch trigger {
	case CommentCreated:
		o.OccurredAt = c.Created
	case CommentUpdated:
		o.Key = s.key("comment", versionOf(w.ID, c.Updated))
	}
	return o
}

func (s site) tellWorklog(trigger string, w *wireWorklog, about *wireIssue) connector.Occurrence {
	l := s.worklog(w, about)
	o := connector.Occurrence{Trigger: trigger, Key: s.key("worklog", w.ID), OccurredAt: l.Updated, Attributes: s.attributes(l.Issue), Payload: l}
	switch trigger {
	case WorklogCreated:
		o.OccurredAt = l.Created
	case WorklogUpdated:
		o.Key = s.key("worklog", versionOf(w.ID, l.Updated))
	}
	return o
}

func (s site) tellAttachment(w *wireAttachment, about *wireIssue) connector.Occurrence {
	a := s.attachment(w, about)
	return connector.Occurrence{Trigger: AttachmentAdded, Key: s.key("attachment", w.ID), OccurredAt: a.Created, Attributes: s.attributes(a.Issue), Payload: a}
}

func (s site) tellLink(l IssueLink, about *Issue) connector.Occurrence {
	return connector.Occurrence{Trigger: IssueLinkCreated, Key: s.key("link", ident(l.ID)), Attributes: s.attributes(about), Payload: l}
}
