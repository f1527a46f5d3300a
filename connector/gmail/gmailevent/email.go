// Package gmailevent holds what Gmail triggers are called and what their
// payloads look like. It imports the standard library only, so a receiver in
// another service can use it without Google's client. Package gmail has aliases
// of everything here. Start with [Email].
package gmailevent

import (
	"slices"
	"time"
)

// Names of the triggers; stored and sent, so they never change.
const (
	EmailSent          = "gmail.email.sent"
	EmailReceived      = "gmail.email.received"
	EmailLabeled       = "gmail.email.labeled"
	EmailStarred       = "gmail.email.starred"
	EmailTrashed       = "gmail.email.trashed"
	EmailDeleted       = "gmail.email.deleted"
	DraftCreated       = "gmail.draft.created"
	AttachmentReceived = "gmail.attachment.received"
	ThreadStarted      = "gmail.thread.started"
)

// Email is the payload of the triggers about one message, but for those that
// say more: [LabeledEmail], [Draft] and [DeletedEmail].
//
// Text, addresses and file names are decoded to UTF-8 whatever the message used.
// Source: https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages
type Email struct {
	ID          string       `json:"id"`                    // Gmail's id of the message in this mailbox
	ThreadID    string       `json:"thread_id"`             // Gmail's id of its thread in this mailbox
	MessageID   string       `json:"message_id,omitempty"`  // header Message-ID, angle brackets included: the same in every mailbox
	InReplyTo   string       `json:"in_reply_to,omitempty"` // header In-Reply-To
	Subject     string       `json:"subject"`
	From        Address      `json:"from"`
	To          []Address    `json:"to,omitempty"`
	Cc          []Address    `json:"cc,omitempty"`
	Bcc         []Address    `json:"bcc,omitempty"` // seen by its sender only
	ReplyTo     []Address    `json:"reply_to,omitempty"`
	Date        time.Time    `json:"date"`             // when Gmail took it, which senders cannot forge (internalDate)
	Labels      []string     `json:"labels,omitempty"` // ids of the labels it had when it was read: "SENT", "INBOX", "Label_12"
	Snippet     string       `json:"snippet,omitempty"`
	Text        string       `json:"text,omitempty"`      // its text/plain parts
	HTML        string       `json:"html,omitempty"`      // its text/html parts; written by a stranger: never show it unescaped
	Truncated   bool         `json:"truncated,omitempty"` // text, html or one of the lists was cut; the message in Gmail has it all
	Attachments []Attachment `json:"attachments,omitempty"`
	Size        int64        `json:"size"` // bytes, as Gmail estimates
}

// Address is one mail address.
type Address struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"` // empty where a header holds something that is no address
}

// Attachment is a file of a message. Its content is fetched with ID (users.messages.attachments.get).
type Attachment struct {
	ID       string `json:"id,omitempty"` // empty where Gmail keeps the content in the message itself
	PartID   string `json:"part_id,omitempty"`
	Filename string `json:"filename"`
	MimeType string `json:"mime_type"`
	Size     int64  `json:"size"` // bytes
	Inline   bool   `json:"inline,omitempty"`
}

// Triggers are the names of the triggers that Email is the payload of.
func (Email) Triggers() []string {
	return []string{EmailSent, EmailReceived, EmailStarred, EmailTrashed, AttachmentReceived, ThreadStarted}
}

// HasLabel reports whether the message had the label, given by id, when it was read.
func (e Email) HasLabel(id string) bool { return slices.Contains(e.Labels, id) }
