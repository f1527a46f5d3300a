package jira

import "cmp"

// site is where something happened: a host. Everything is told in terms of the
// site, whichever way it came: an occurrence has one key by webhook and search.
type site string

func (s site) url() string { return "https://" + string(s) }

func user(u *wireUser) *User {
	if u == nil || u.AccountID == "" {
		return nil
	}
	return &User{AccountID: string(u.AccountID), Name: string(u.DisplayName), Email: string(u.Email), Type: string(u.Type)}
}

func (s site) issue(w *wireIssue) Issue {
	f := w.Fields.some()
	i := Issue{
		Site: s.url(), ID: string(w.ID), Key: string(w.Key), URL: s.url() + "/browse/" + string(w.Key),
		Summary: string(f.Summary), Description: string(f.Description), Type: string(f.Type.some().Name), Subtask: f.Type.some().Subtask.is(),
		Status: status(f.Status), Priority: string(f.Priority.some().Name), Resolution: string(f.Resolution.some().Name),
		Project: project(f.Project), Parent: string(f.Parent.some().Key),
		Creator: user(f.Creator.v), Reporter: user(f.Reporter.v), Assignee: user(f.Assignee.v),
		Components: names(f.Components), FixVersions: names(f.FixVersions),
		DueDate: string(f.DueDate), Created: f.Created.Time, Updated: f.Updated.Time, Custom: f.custom,
	}
	for _, l := range f.Labels {
		i.Labels = append(i.Labels, string(l))
	}
	return i
}

func names(all []wireNamed) (names []string) {
	for _, n := range all {
		names = append(names, string(n.Name))
	}
	return names
}

func status(s object[wireStatus]) Status {
	v := s.some()
	return Status{ID: string(v.ID), Name: string(v.Name), Category: string(v.Category.some().Key)}
}

func project(p object[wireProject]) Project {
	v := p.some()
	return Project{ID: string(v.ID), Key: string(v.Key), Name: string(v.Name)}
}

func changes(items []wireItem) (all []Change) {
	for _, i := range items {
		all = append(all, Change{
			Field: string(i.Field), FieldID: string(i.FieldID),
			From: string(i.From), FromText: string(i.FromString), To: string(i.To), ToText: string(i.ToString),
		})
	}
	return all
}

// changed returns what a field was and became; one update may list it more than once.
func changed(all []Change, field string) (c Change, ok bool) {
	for _, one := range all {
		if cmp.Or(one.FieldID, one.Field) != field {
			continue
		}
		if ok {
			one.From, one.FromText = c.From, c.FromText
		}
		c, ok = one, true
	}
	return c, ok && c.From != c.To
}

func (s site) comment(w *wireComment, about *wireIssue) Comment {
	c := Comment{
		Site: s.url(), ID: string(w.ID), Body: string(w.Body), Author: user(w.Author.v), Editor: user(w.UpdateAuthor.v),
		Created: w.Created.Time, Updated: w.Updated.Time, Public: w.Public.value,
	}
	if about != nil {
		i := s.issue(about)
		c.Issue = &i
	}
	return c
}

func (s site) worklog(w *wireWorklog, about *wireIssue) Worklog {
	l := Worklog{
		Site: s.url(), ID: string(w.ID), IssueID: string(w.IssueID), Text: string(w.Comment), Author: user(w.Author.v), Editor: user(w.UpdateAuthor.v),
		Seconds: int64(w.Seconds), Started: w.Started.Time, Created: w.Created.Time, Updated: w.Updated.Time,
	}
	if about != nil {
		i := s.issue(about)
		l.Issue, l.IssueID = &i, cmp.Or(l.IssueID, i.ID)
	}
	return l
}

func (s site) attachment(w *wireAttachment, about *wireIssue) Attachment {
	a := Attachment{
		Site: s.url(), ID: string(w.ID), Filename: string(w.Filename), MimeType: string(w.MimeType), Size: int64(w.Size),
		Author: user(w.Author.v), Created: w.Created.Time,
	}
	if about != nil {
		i := s.issue(about)
		a.Issue = &i
	}
	return a
}

func (t wireLinkType) link(s site, id ident) IssueLink {
	return IssueLink{
		Site: s.url(), ID: string(id), Type: string(t.Name),
		Outward: string(cmp.Or(t.Outward, t.OutwardName)), Inward: string(cmp.Or(t.Inward, t.InwardName)),
	}
}

func (s site) link(w *wireLink) IssueLink {
	l := w.Type.some().link(s, w.ID)
	l.Source, l.Destination = string(w.Source), string(w.Destination)
	return l
}

// linked tells a link that an issue has.
func (s site) linked(w *wireLinked, of *wireIssue) IssueLink {
	l := w.Type.some().link(s, w.ID)
	if other := w.Outward.v; other != nil {
		l.Source, l.SourceKey = string(of.ID), string(of.Key)
		l.Destination, l.DestinationKey = string(other.ID), string(other.Key)
	} else {
		other := w.Inward.some()
		l.Source, l.SourceKey = string(other.ID), string(other.Key)
		l.Destination, l.DestinationKey = string(of.ID), string(of.Key)
	}
	return l
}

func (s site) sprint(w *wireSprint) Sprint {
	return Sprint{
		Site: s.url(), ID: string(w.ID), Name: string(w.Name), State: string(w.State), Goal: string(w.Goal), Board: string(w.Board),
		Start: w.Start.Time, End: w.End.Time, Completed: w.Complete.Time,
	}
}

func (s site) version(w *wireVersion) Version {
	return Version{
		Site: s.url(), ID: string(w.ID), Name: string(w.Name), Description: string(w.Description), ProjectID: string(w.ProjectID),
		Released: w.Released.is(), Archived: w.Archived.is(), StartDate: string(w.StartDate), ReleaseDate: string(w.ReleaseDate),
	}
}

func (s site) newProject(w *wireProject) NewProject {
	return NewProject{Site: s.url(), ID: string(w.ID), Key: string(w.Key), Name: string(w.Name), Type: string(w.Type), Lead: user(w.Lead.v)}
}
