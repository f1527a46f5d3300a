package jira

import "github.com/interactorhq/interactor/connector/jira/jiraevent"

// Names of the triggers.
const (
	IssueCreated       = jiraevent.IssueCreated
	IssueUpdated       = jiraevent.IssueUpdated
	IssueDeleted       = jiraevent.IssueDeleted
	IssueAssigned      = jiraevent.IssueAssigned
	IssueStatusChanged = jiraevent.IssueStatusChanged
	CommentCreated     = jiraevent.CommentCreated
	CommentUpdated     = jiraevent.CommentUpdated
	CommentDeleted     = jiraevent.CommentDeleted
	WorklogCreated     = jiraevent.WorklogCreated
	WorklogUpdated     = jiraevent.WorklogUpdated
	WorklogDeleted     = jiraevent.WorklogDeleted
	AttachmentAdded    = jiraevent.AttachmentAdded
	IssueLinkCreated   = jiraevent.IssueLinkCreated
	SprintCreated      = jiraevent.SprintCreated
	SprintStarted      = jiraevent.SprintStarted
	SprintClosed       = jiraevent.SprintClosed
	VersionReleased    = jiraevent.VersionReleased
	ProjectCreated     = jiraevent.ProjectCreated
)

// What the triggers carry.
type (
	// Issue is the payload of IssueCreated, IssueUpdated and IssueDeleted.
	Issue = jiraevent.Issue
	// Assignment is the payload of IssueAssigned.
	Assignment = jiraevent.Assignment
	// StatusChange is the payload of IssueStatusChanged.
	StatusChange = jiraevent.StatusChange
	// Comment is the payload of CommentCreated, CommentUpdated and CommentDeleted.
	Comment = jiraevent.Comment
	// Worklog is the payload of WorklogCreated, WorklogUpdated and WorklogDeleted.
	Worklog = jiraevent.Worklog
	// Attachment is the payload of AttachmentAdded.
	Attachment = jiraevent.Attachment
	// IssueLink is the payload of IssueLinkCreated.
	IssueLink = jiraevent.IssueLink
	// Sprint is the payload of SprintCreated, SprintStarted and SprintClosed.
	Sprint = jiraevent.Sprint
	// Version is the payload of VersionReleased.
	Version = jiraevent.Version
	// NewProject is the payload of ProjectCreated.
	NewProject = jiraevent.NewProject
	// Change is one field that an update changed.
	Change = jiraevent.Change
	// Status of an issue.
	Status = jiraevent.Status
	// User is a person or an app.
	User = jiraevent.User
	// Project that an issue belongs to.
	Project = jiraevent.Project
)
