package jira

import (
	"time"
)

// exampleSet is what test events send.
type exampleSet struct {
	created, updated Issue
	assigned         Assignment
	moved            StatusChange
	comment          Comment
	worklog          Worklog
	attachment       Attachment
	link             IssueLink
	version          Version
	project          NewProject
}

const exampleSite = "https://acme.atlassian.net"

func examples() exampleSet {
	at := time.Date(2026, time.November, 23, 15, 4, 5, 0, time.UTC)
	alice := User{AccountID: "5b10a2844c20165700ede21g", Name: "Alice", Type: "atlassian"}
	bob := User{AccountID: "5b10ac8d82e05b22cc7d4ef5", Name: "Bob", Type: "atlassian"}
	todo := Status{ID: "10000", Name: "To Do", Category: "new"}
	progress := Status{ID: "3", Name: "In Progress", Category: "indeterminate"}
	brief := Issue{
		Site: exampleSite, ID: "10042", Key: "ENG-42", URL: exampleSite + "/browse/ENG-42", Summary: "The export is empty",
		Type: "Bug", Status: todo, Priority: "High", Project: Project{ID: "10001", Key: "ENG", Name: "Engineering"},
	}
	full := brief
	full.Description, full.Labels = "Since the last release.", []string{"export"}
	full.Creator, full.Reporter, full.Actor = &alice, &alice, &alice
	full.Created, full.Updated = at, at
	updated := full
	updated.Actor, updated.Kind, updated.Updated = &bob, "issue_generic", at.Add(time.Hour)
	updated.Changes = []Change{{Field: "priority", FieldID: "priority", From: "3", FromText: "Medium", To: "2", ToText: "High"}}
	assigned := updated
	assigned.Kind, assigned.Assignee = "issue_assigned", &bob
	assigned.Changes = []Change{{Field: "assignee", FieldID: "assignee", To: bob.AccountID, ToText: bob.Name}}
	moved := updated
	moved.Status = progress
	moved.Changes = []Change{{Field: "status", FieldID: "status", From: todo.ID, FromText: todo.Name, To: progress.ID, ToText: progress.Name}}
	return exampleSet{
		created: full, updated: updated,
		assigned:   Assignment{Issue: assigned, To: bob},
		moved:      StatusChange{Issue: moved, From: todo, To: progress},
		comment:    Comment{Site: exampleSite, ID: "10100", Body: "I can see it too.", Author: &bob, Editor: &bob, Created: at, Updated: at, Issue: &brief},
		worklog:    Worklog{Site: exampleSite, ID: "10200", IssueID: brief.ID, Text: "Found it.", Author: &bob, Editor: &bob, Seconds: 3600, Started: at, Created: at, Updated: at},
		attachment: Attachment{Site: exampleSite, ID: "10300", Filename: "export.csv", MimeType: "text/csv", Size: 48213, Author: &alice, Created: at},
		link:       IssueLink{Site: exampleSite, ID: "10400", Type: "Blocks", Outward: "blocks", Inward: "is blocked by", Source: "10042", Destination: "10043"},
		version:    Version{Site: exampleSite, ID: "10500", Name: "2.1", ProjectID: "10001", Released: true, ReleaseDate: "2026-11-23"},
		project:    NewProject{Site: exampleSite, ID: "10001", Key: "ENG", Name: "Engineering", Type: "software", Lead: &alice},
	}
}

func (exampleSet) sprint(state string) Sprint {
	start := time.Date(2026, time.November, 23, 9, 0, 0, 0, time.UTC)
	s := Sprint{Site: exampleSite, ID: "7", Name: "Sprint 7", State: state, Goal: "Exports work", Board: "3"}
	if state != "future" {
		s.Start, s.End = start, start.AddDate(0, 0, 14)
	}
	if state == "closed" {
		s.Completed = s.End
	}
	return s
}
