package jiraevent

import (
	"encoding/json"
	"time"
)

// Issue is the payload of IssueCreated, IssueUpdated and IssueDeleted, and what
// others say about the issue that they concern. What Jira does not tell is left
// out: an Issue within a Comment has its main fields only.
type Issue struct {
	Site        string                     `json:"site,omitempty" jsonschema:"address of the Jira site, such as https://acme.atlassian.net"`
	ID          string                     `json:"id"`
	Key         string                     `json:"key" jsonschema:"such as ENG-42; it changes when the issue moves to another project"`
	URL         string                     `json:"url,omitempty" jsonschema:"its page in the browser"`
	Summary     string                     `json:"summary,omitempty"`
	Description string                     `json:"description,omitempty" jsonschema:"wiki markup"`
	Type        string                     `json:"type,omitempty" jsonschema:"name of the issue type, such as Bug"`
	Subtask     bool                       `json:"subtask,omitempty"`
	Status      Status                     `json:"status,omitzero"`
	Priority    string                     `json:"priority,omitempty"`
	Resolution  string                     `json:"resolution,omitempty"`
	Project     Project                    `json:"project,omitzero"`
	Parent      string                     `json:"parent,omitempty" jsonschema:"key of the issue that it belongs to"`
	Creator     *User                      `json:"creator,omitempty"`
	Reporter    *User                      `json:"reporter,omitempty"`
	Assignee    *User                      `json:"assignee,omitempty"`
	Labels      []string                   `json:"labels,omitempty"`
	Components  []string                   `json:"components,omitempty"`
	FixVersions []string                   `json:"fix_versions,omitempty"`
	DueDate     string                     `json:"due_date,omitempty" jsonschema:"a day, such as 2026-11-30"`
	Created     time.Time                  `json:"created,omitzero"`
	Updated     time.Time                  `json:"updated,omitzero"`
	Custom      map[string]json.RawMessage `json:"custom,omitempty" jsonschema:"custom fields that are set, by id such as customfield_10029, as Jira writes them"`

	Actor   *User    `json:"actor,omitempty" jsonschema:"who did it"`
	Kind    string   `json:"kind,omitempty" jsonschema:"Jira's finer word for what happened, such as issue_assigned or issue_moved; an open set"`
	Changes []Change `json:"changes,omitempty" jsonschema:"what an update changed; none when only a comment was added"`
}

// Triggers names the triggers that the type belongs to.
func (Issue) Triggers() []string { return []string{IssueCreated, IssueUpdated, IssueDeleted} }

// Assignment is the payload of IssueAssigned.
type Assignment struct {
	Issue Issue `json:"issue"`
	From  *User `json:"from,omitempty" jsonschema:"nobody, if left out"`
	To    User  `json:"to"`
}

// Triggers names the triggers that the type belongs to.
func (Assignment) Triggers() []string { return []string{IssueAssigned} }

// StatusChange is the payload of IssueStatusChanged.
type StatusChange struct {
	Issue Issue  `json:"issue"`
	From  Status `json:"from"`
	To    Status `json:"to"`
}

// Triggers names the triggers that the type belongs to.
func (StatusChange) Triggers() []string { return []string{IssueStatusChanged} }

// Change is one field that an update changed. From and To are ids where the
// field has such, FromText and ToText what people see.
type Change struct {
	Field    string `json:"field" jsonschema:"name of the field, such as status or Story Points"`
	FieldID  string `json:"field_id,omitempty" jsonschema:"such as status or customfield_10029"`
	From     string `json:"from,omitempty"`
	FromText string `json:"from_text,omitempty"`
	To       string `json:"to,omitempty"`
	ToText   string `json:"to_text,omitempty"`
}

// Status of an issue.
type Status struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name"`
	Category string `json:"category,omitempty" jsonschema:"new, indeterminate or done; undefined where Jira knows none"`
}

// User is a person or an app.
type User struct {
	AccountID string `json:"account_id"`
	Name      string `json:"name,omitempty" jsonschema:"as they want to be shown"`
	Email     string `json:"email,omitempty" jsonschema:"mostly left out: people hide it"`
	Type      string `json:"type,omitempty" jsonschema:"atlassian, app or customer"`
}

// Project that an issue belongs to.
type Project struct {
	ID   string `json:"id,omitempty"`
	Key  string `json:"key" jsonschema:"such as ENG"`
	Name string `json:"name,omitempty"`
}
