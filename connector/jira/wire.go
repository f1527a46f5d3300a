package jira

import (
	"encoding/json"
	"net/url"
	"strings"
)

// What Jira's webhooks and its REST API, version 2, send: the members that are used.

type wireUser struct {
	AccountID   text `json:"accountId"`
	DisplayName text `json:"displayName"`
	Email       text `json:"emailAddress"`
	Type        text `json:"accountType"`
}

type wireNamed struct {
	ID   ident `json:"id"`
	Name text  `json:"name"`
}

type wireStatus struct {
	ID       ident `json:"id"`
	Name     text  `json:"name"`
	Category object[struct {
		Key text `json:"key"`
	}] `json:"statusCategory"`
}

type wireProject struct {
	Self text             `json:"self"`
	ID   ident            `json:"id"`
	Key  text             `json:"key"`
	Name text             `json:"name"`
	Type text             `json:"projectTypeKey"`
	Lead object[wireUser] `json:"projectLead"`
}

// wireRef names an issue within another one. No type here contains itself: how
// deeply a body is nested would decide how often it is read.
type wireRef struct {
	ID  ident `json:"id"`
	Key text  `json:"key"`
}

type wireIssue struct {
	Self      text                  `json:"self"`
	ID        ident                 `json:"id"`
	Key       text                  `json:"key"`
	Fields    object[wireFields]    `json:"fields"`
	Changelog object[wireHistories] `json:"changelog"` // of the REST API, when asked for
}

type wireFields struct {
	Summary     text `json:"summary"`
	Description text `json:"description"`
	Type        object[struct {
		Name    text `json:"name"`
		Subtask flag `json:"subtask"`
	}] `json:"issuetype"`
	Status      object[wireStatus]  `json:"status"`
	Priority    object[wireNamed]   `json:"priority"`
	Resolution  object[wireNamed]   `json:"resolution"`
	Project     object[wireProject] `json:"project"`
	Parent      object[wireRef]     `json:"parent"`
	Creator     object[wireUser]    `json:"creator"`
	Reporter    object[wireUser]    `json:"reporter"`
	Assignee    object[wireUser]    `json:"assignee"`
	Labels      array[text]         `json:"labels"`
	Components  array[wireNamed]    `json:"components"`
	FixVersions array[wireNamed]    `json:"fixVersions"`
	DueDate     text                `json:"duedate"`
	Created     moment              `json:"created"`
	Updated     moment              `json:"updated"`

	Comments    object[wireComments]  `json:"comment"`
	Worklogs    object[wireWorklogs]  `json:"worklog"`
	Attachments array[wireAttachment] `json:"attachment"`
	Links       array[wireLinked]     `json:"issuelinks"`

	custom map[string]json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler: it also keeps the custom fields.
func (f *wireFields) UnmarshalJSON(b []byte) error {
	type plain wireFields
	if err := json.Unmarshal(b, (*plain)(f)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for id, v := range all {
		if strings.HasPrefix(id, "customfield_") && string(v) != "null" {
			if f.custom == nil {
				f.custom = make(map[string]json.RawMessage)
			}
			f.custom[id] = v
		}
	}
	return nil
}

type wireHistories struct {
	Total     number             `json:"total"`
	Histories array[wireHistory] `json:"histories"`
}

type wireHistory struct {
	ID      ident            `json:"id"`
	Author  object[wireUser] `json:"author"`
	Created moment           `json:"created"`
	Items   array[wireItem]  `json:"items"`
}

type wireItem struct {
	Field      text  `json:"field"`
	FieldID    text  `json:"fieldId"`
	From       ident `json:"from"`
	FromString text  `json:"fromString"`
	To         ident `json:"to"`
	ToString   text  `json:"toString"`
}

type wireComments struct {
	Total    number             `json:"total"`
	Comments array[wireComment] `json:"comments"`
}

type wireComment struct {
	Self         text             `json:"self"`
	ID           ident            `json:"id"`
	Body         text             `json:"body"`
	Author       object[wireUser] `json:"author"`
	UpdateAuthor object[wireUser] `json:"updateAuthor"`
	Created      moment           `json:"created"`
	Updated      moment           `json:"updated"`
	Public       flag             `json:"jsdPublic"`
}

type wireWorklogs struct {
	Total    number             `json:"total"`
	Worklogs array[wireWorklog] `json:"worklogs"`
}

type wireWorklog struct {
	Self         text             `json:"self"`
	ID           ident            `json:"id"`
	IssueID      ident            `json:"issueId"`
	Comment      text             `json:"comment"`
	Author       object[wireUser] `json:"author"`
	UpdateAuthor object[wireUser] `json:"updateAuthor"`
	Seconds      number           `json:"timeSpentSeconds"`
	Started      moment           `json:"started"`
	Created      moment           `json:"created"`
	Updated      moment           `json:"updated"`
}

type wireAttachment struct {
	Self     text             `json:"self"`
	ID       ident            `json:"id"`
	Filename text             `json:"filename"`
	MimeType text             `json:"mimeType"`
	Size     number           `json:"size"`
	Author   object[wireUser] `json:"author"`
	Created  moment           `json:"created"`
}

type wireLinkType struct {
	Name        text `json:"name"`
	Outward     text `json:"outward"`
	OutwardName text `json:"outwardName"` // of webhooks
	Inward      text `json:"inward"`
	InwardName  text `json:"inwardName"`
}

// wireLink is a link as webhooks tell it.
type wireLink struct {
	Self        text                 `json:"self"`
	ID          ident                `json:"id"`
	Source      ident                `json:"sourceIssueId"`
	Destination ident                `json:"destinationIssueId"`
	Type        object[wireLinkType] `json:"issueLinkType"`
}

// wireLinked is a link as one of its issues has it.
type wireLinked struct {
	ID      ident                `json:"id"`
	Type    object[wireLinkType] `json:"type"`
	Outward object[wireRef]      `json:"outwardIssue"`
	Inward  object[wireRef]      `json:"inwardIssue"`
}

type wireSprint struct {
	Self     text   `json:"self"`
	ID       ident  `json:"id"`
	Name     text   `json:"name"`
	State    text   `json:"state"`
	Goal     text   `json:"goal"`
	Board    ident  `json:"originBoardId"`
	Start    moment `json:"startDate"`
	End      moment `json:"endDate"`
	Complete moment `json:"completeDate"`
}

type wireVersion struct {
	Self        text  `json:"self"`
	ID          ident `json:"id"`
	Name        text  `json:"name"`
	Description text  `json:"description"`
	ProjectID   ident `json:"projectId"`
	Released    flag  `json:"released"`
	Archived    flag  `json:"archived"`
	StartDate   text  `json:"startDate"`
	ReleaseDate text  `json:"releaseDate"`
}

// wireHook is the body of a webhook.
type wireHook struct {
	Event     text                   `json:"webhookEvent"`
	Kind      text                   `json:"issue_event_type_name"`
	Timestamp moment                 `json:"timestamp"`
	Matched   array[ident]           `json:"matchedWebhookIds"`
	User      object[wireUser]       `json:"user"`
	Issue     object[wireIssue]      `json:"issue"`
	Changelog object[wireHistory]    `json:"changelog"`
	Comment   object[wireComment]    `json:"comment"`
	Worklog   object[wireWorklog]    `json:"worklog"`
	File      object[wireAttachment] `json:"attachment"`
	Link      object[wireLink]       `json:"issueLink"`
	Sprint    object[wireSprint]     `json:"sprint"`
	Version   object[wireVersion]    `json:"version"`
	Project   object[wireProject]    `json:"project"`
}

// host is that of the first address in the body which the site wrote. "" if there is none.
func (h *wireHook) host() string {
	for _, self := range []text{
		h.Issue.some().Self, h.Comment.some().Self, h.Sprint.some().Self, h.Version.some().Self,
		h.Worklog.some().Self, h.Project.some().Self, h.File.some().Self, h.Link.some().Self,
	} {
		if host := siteHost(string(self)); host != "" {
			return host
		}
	}
	return ""
}

// siteHost is the host of a site's address, in small letters.
func siteHost(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || len(u.Host) > 253 {
		return ""
	}
	return foldHost(u.Host)
}
