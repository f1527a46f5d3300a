package jira

import (
	"fmt"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/trigger"
)

// Params.
const (
	paramSite     = "site"
	paramJQL      = "jql"
	paramProject  = "project"
	paramField    = "field"
	paramFrom     = "from"
	paramTo       = "to"
	paramAssignee = "assignee"
	paramBoard    = "board"
)

// kind is what a trigger is about, as far as it decides which watch reports it
// and what it can be narrowed by.
type kind int

const (
	ofIssue  kind = iota // Jira's webhooks filter it by JQL and tell the project
	ofDetail             // belongs to an issue that webhooks do not tell: worklog, attachment, link
	ofSite               // sprint, version, project
)

// offer is a trigger with the webhook event that reports it and the Sources that
// can deliver it.
type offer struct {
	def     trigger.Definition
	kind    kind
	sources []Source
}

func offers() []offer {
	e := examples()
	everywhere := []Source{Dynamic, Admin, Poll}
	webhooks := []Source{Dynamic, Admin}
	adminPoll := []Source{Admin, Poll}
	admin := []Source{Admin}
	can := func(k kind, from []Source, name, label, help string, payload, example any, topic string, params ...trigger.Param) offer {
		return offer{trigger.Definition{
			Name: name, Label: label, Help: help, Payload: payload, Example: example, Topics: []string{topic}, Params: params,
		}, k, from}
	}
	field := trigger.Param{Name: paramField, Label: "Field that changed: its name or id"}
	from := trigger.Param{Name: paramFrom, Label: "Former status: its name or id"}
	to := trigger.Param{Name: paramTo, Label: "New status: its name or id"}
	assignee := trigger.Param{Name: paramAssignee, Label: "Account id of the new assignee", Pattern: `[A-Za-z0-9:._-]+`}
	board := trigger.Param{Name: paramBoard, Label: "Id of the board that the sprint was made on", Pattern: `[0-9]+`}
	return []offer{
		can(ofIssue, everywhere, IssueCreated, "Issue Created", "An issue was created.", Issue{}, e.created, "jira:issue_created"),
		can(ofIssue, everywhere, IssueUpdated, "Issue Updated", "A field of an issue changed. Comments have triggers of their own.", Issue{}, e.updated, "jira:issue_updated", field),
		can(ofIssue, webhooks, IssueDeleted, "Issue Deleted", "An issue was deleted for good.", Issue{}, e.created, "jira:issue_deleted"),
		can(ofIssue, everywhere, IssueAssigned, "Issue Assigned", "An existing issue got another assignee.", Assignment{}, e.assigned, "jira:issue_updated", assignee),
		can(ofIssue, everywhere, IssueStatusChanged, "Issue Status Changed", "An issue went from one status to another.", StatusChange{}, e.moved, "jira:issue_updated", from, to),
		can(ofIssue, everywhere, CommentCreated, "Comment Created", "Somebody commented on an issue.", Comment{}, e.comment, "comment_created"),
		can(ofIssue, everywhere, CommentUpdated, "Comment Updated", "A comment was edited.", Comment{}, e.comment, "comment_updated"),
		can(ofIssue, webhooks, CommentDeleted, "Comment Deleted", "A comment was deleted.", Comment{}, e.comment, "comment_deleted"),
		can(ofDetail, adminPoll, WorklogCreated, "Worklog Created", "Somebody logged work on an issue.", Worklog{}, e.worklog, "worklog_created"),
		can(ofDetail, adminPoll, WorklogUpdated, "Worklog Updated", "A worklog was edited.", Worklog{}, e.worklog, "worklog_updated"),
		can(ofDetail, admin, WorklogDeleted, "Worklog Deleted", "A worklog was deleted.", Worklog{}, e.worklog, "worklog_deleted"),
		can(ofDetail, adminPoll, AttachmentAdded, "Attachment Added", "A file was attached to an issue.", Attachment{}, e.attachment, "attachment_created"),
		can(ofDetail, adminPoll, IssueLinkCreated, "Issue Link Created", "Two issues were linked.", IssueLink{}, e.link, "issuelink_created"),
		can(ofSite, webhooks, SprintCreated, "Sprint Created", "A sprint was created.", Sprint{}, e.sprint("future"), "sprint_created", board),
		can(ofSite, webhooks, SprintStarted, "Sprint Started", "A sprint was started.", Sprint{}, e.sprint("active"), "sprint_started", board),
		can(ofSite, webhooks, SprintClosed, "Sprint Closed", "A sprint was closed.", Sprint{}, e.sprint("closed"), "sprint_closed", board),
		can(ofSite, webhooks, VersionReleased, "Version Released", "A version of a project was released.", Version{}, e.version, "jira:version_released"),
		can(ofSite, admin, ProjectCreated, "Project Created", "A project was created.", NewProject{}, e.project, "project_created"),
	}
}

// definitions is the catalogue for the Sources in use.
func (c *Connector) definitions() []trigger.Definition {
	site := trigger.Param{Name: paramSite, Label: "Only this site: its host, such as acme.atlassian.net", Pattern: `[a-z0-9.-]+`}
	var defs []trigger.Definition
	for _, o := range offers() {
		d := o.def
		source, ok := c.source(o)
		if !ok {
			// What Jira would refuse must not be asked for when "jira.*" is wanted.
			d.Undeliverable, d.Topics = c.undeliverable(o), nil
		}
		d.Watch = watchOf(source, o.kind)
		d.Scopes = []string{scopeWork}
		if source != Poll {
			d.Scopes = append(d.Scopes, scopeWebhook)
		}
		d.Params = append([]trigger.Param{site}, d.Params...)
		if o.kind == ofIssue || source == Poll {
			d.Params = append(d.Params,
				trigger.Param{Name: paramProject, Label: "Project: its key or id", Pattern: `[A-Za-z0-9_]+`},
				trigger.Param{Name: paramJQL, Label: jqlLabel(source)})
		}
		defs = append(defs, d)
	}
	return defs
}

func jqlLabel(s Source) string {
	if s == Dynamic {
		return "JQL that the issue matches, of what Jira allows for webhooks: project, issuetype, status, priority, assignee, reporter, issueKey with =, !=, IN, NOT IN"
	}
	return "JQL that the issue matches"
}

// source is the first of the Sources in use that can deliver a trigger.
func (c *Connector) source(o offer) (Source, bool) {
	for _, s := range c.cfg.Sources {
		if slices.Contains(o.sources, s) {
			return s, true
		}
	}
	return c.cfg.Sources[0], false
}

// undeliverable says why, and what to do.
func (c *Connector) undeliverable(o offer) string {
	names := func(all []Source) string {
		var quoted []string
		for _, s := range all {
			quoted = append(quoted, fmt.Sprintf("%q", string(s)))
		}
		return strings.Join(quoted, " or ")
	}
	return fmt.Sprintf("Jira does not report it to the source %s: add %s to the connector's Sources",
		names(c.cfg.Sources), names(o.sources))
}

// watchOf names the watch of a source that reports a kind.
func watchOf(s Source, k kind) string {
	switch {
	case s == Poll:
		return watchPoll
	case s == Admin && k == ofIssue:
		return watchAdminIssues
	case s == Admin:
		return watchAdminSite
	case k == ofIssue:
		return watchDynamicIssues
	}
	return watchDynamicSite
}
