package jiraevent

import "time"

// Sprint is the payload of SprintCreated, SprintStarted and SprintClosed.
type Sprint struct {
	Site      string    `json:"site" jsonschema:"address of the Jira site"`
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	State     string    `json:"state,omitempty" jsonschema:"future, active or closed"`
	Goal      string    `json:"goal,omitempty"`
	Board     string    `json:"board,omitempty" jsonschema:"id of the board that it was made on"`
	Start     time.Time `json:"start,omitzero"`
	End       time.Time `json:"end,omitzero" jsonschema:"when it is planned to end"`
	Completed time.Time `json:"completed,omitzero"`
}

// Triggers names the triggers that the type belongs to.
func (Sprint) Triggers() []string { return []string{SprintCreated, SprintStarted, SprintClosed} }

// Version is the payload of VersionReleased.
type Version struct {
	Site        string `json:"site" jsonschema:"address of the Jira site"`
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	ProjectID   string `json:"project_id,omitempty"`
	Released    bool   `json:"released"`
	Archived    bool   `json:"archived,omitempty"`
	StartDate   string `json:"start_date,omitempty" jsonschema:"a day, such as 2026-11-30"`
	ReleaseDate string `json:"release_date,omitempty" jsonschema:"a day, such as 2026-11-30"`
}

// Triggers names the triggers that the type belongs to.
func (Version) Triggers() []string { return []string{VersionReleased} }

// NewProject is the payload of ProjectCreated.
type NewProject struct {
	Site string `json:"site" jsonschema:"address of the Jira site"`
	ID   string `json:"id"`
	Key  string `json:"key" jsonschema:"such as ENG"`
	Name string `json:"name"`
	Type string `json:"type,omitempty" jsonschema:"software, service_desk or business"`
	Lead *User  `json:"lead,omitempty"`
}

// Triggers names the triggers that the type belongs to.
func (NewProject) Triggers() []string { return []string{ProjectCreated} }
