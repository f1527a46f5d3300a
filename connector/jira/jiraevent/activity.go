package jiraevent

import "time"

// Comment is the payload of CommentCreated, CommentUpdated and CommentDeleted.
type Comment struct {
	Site    string    `json:"site" jsonschema:"address of the Jira site"`
	ID      string    `json:"id"`
	Body    string    `json:"body,omitempty" jsonschema:"wiki markup"`
	Author  *User     `json:"author,omitempty"`
	Editor  *User     `json:"editor,omitempty" jsonschema:"who changed it last"`
	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
	// Public is whether customers of a service project see it; left out elsewhere.
	Public *bool `json:"public,omitempty" jsonschema:"whether customers of a service project see it"`
	// Issue that it is about. Jira's documentation does not promise it.
	Issue *Issue `json:"issue,omitempty"`
}

// Triggers names the triggers that the type belongs to.
func (Comment) Triggers() []string { return []string{CommentCreated, CommentUpdated, CommentDeleted} }

// Worklog is the payload of WorklogCreated, WorklogUpdated and WorklogDeleted.
type Worklog struct {
	Site    string    `json:"site" jsonschema:"address of the Jira site"`
	ID      string    `json:"id"`
	IssueID string    `json:"issue_id"`
	Text    string    `json:"text,omitempty" jsonschema:"wiki markup"`
	Author  *User     `json:"author,omitempty"`
	Editor  *User     `json:"editor,omitempty" jsonschema:"who changed it last"`
	Seconds int64     `json:"seconds" jsonschema:"time spent"`
	Started time.Time `json:"started,omitzero" jsonschema:"when the work began"`
	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
	Issue   *Issue    `json:"issue,omitempty" jsonschema:"left out by webhooks, which tell its id alone"`
}

// Triggers names the triggers that the type belongs to.
func (Worklog) Triggers() []string { return []string{WorklogCreated, WorklogUpdated, WorklogDeleted} }

// Attachment is the payload of AttachmentAdded.
type Attachment struct {
	Site     string    `json:"site" jsonschema:"address of the Jira site"`
	ID       string    `json:"id"`
	Filename string    `json:"filename"`
	MimeType string    `json:"mime_type,omitempty"`
	Size     int64     `json:"size" jsonschema:"bytes"`
	Author   *User     `json:"author,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Issue    *Issue    `json:"issue,omitempty" jsonschema:"left out by webhooks, which do not tell it"`
}

// Triggers names the triggers that the type belongs to.
func (Attachment) Triggers() []string { return []string{AttachmentAdded} }

// IssueLink is the payload of IssueLinkCreated.
type IssueLink struct {
	Site    string `json:"site" jsonschema:"address of the Jira site"`
	ID      string `json:"id"`
	Type    string `json:"type" jsonschema:"such as Blocks"`
	Outward string `json:"outward,omitempty" jsonschema:"what the source does to the destination, such as blocks"`
	Inward  string `json:"inward,omitempty" jsonschema:"the other way round, such as is blocked by"`
	// Source and Destination are ids of issues; the keys are left out by webhooks.
	Source         string `json:"source_id"`
	SourceKey      string `json:"source_key,omitempty"`
	Destination    string `json:"destination_id"`
	DestinationKey string `json:"destination_key,omitempty"`
}

// Triggers names the triggers that the type belongs to.
func (IssueLink) Triggers() []string { return []string{IssueLinkCreated} }
