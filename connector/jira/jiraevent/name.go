// Package jiraevent holds what Jira triggers are called and what their payloads
// look like. It imports the standard library only, so a receiver in another
// service can use it without a Jira client. Package jira has aliases of
// everything here. Start with the constants; each payload type says in Triggers
// which of them it belongs to:
//
//	issue, err := trigger.Decode[jiraevent.Issue](ev)
//
// Texts such as descriptions and comments are Jira's wiki markup, written by
// whoever may write there: never show them unescaped.
package jiraevent

// Names of the triggers; stored and sent, so they never change.
const (
	IssueCreated       = "jira.issue.created"
	IssueUpdated       = "jira.issue.updated"
	IssueDeleted       = "jira.issue.deleted"
	IssueAssigned      = "jira.issue.assigned"
	IssueStatusChanged = "jira.issue.status_changed"

	CommentCreated = "jira.comment.created"
	CommentUpdated = "jira.comment.updated"
	CommentDeleted = "jira.comment.deleted"

	WorklogCreated = "jira.worklog.created"
	WorklogUpdated = "jira.worklog.updated"
	WorklogDeleted = "jira.worklog.deleted"

	AttachmentAdded  = "jira.attachment.added"
	IssueLinkCreated = "jira.issue_link.created"

	SprintCreated = "jira.sprint.created"
	SprintStarted = "jira.sprint.started"
	SprintClosed  = "jira.sprint.closed"

	VersionReleased = "jira.version.released"
	ProjectCreated  = "jira.project.created"
)
