package gmail

import (
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// triggers is the catalogue.
func triggers() []trigger.Definition {
	define := func(name, label, help string, example any, topics ...string) trigger.Definition {
		return trigger.Definition{
			Name: name, Label: label, Help: help, Payload: zero(example), Example: example,
			Scopes: []string{scopeReadonly}, Watch: watchMailbox, Topics: topics,
		}
	}
	labeled := define(EmailLabeled, "Email Labeled",
		"A label was put on a message, by a person, a program or a filter. Without a label named, those that Gmail itself gives do not count.",
		LabeledEmail{Label: Label{ID: "Label_12", Name: "Invoices"}, Email: exampleReceived("Label_12")}, messageAdded, labelAdded)
	labeled.Params = []trigger.Param{{Name: ParamLabel, Label: "Name of the label, as Gmail shows it"}}
	return []trigger.Definition{
		define(EmailSent, "An Email is Sent",
			"A message was sent from the mailbox, from whatever program.",
			exampleSent(), messageAdded, labelAdded),
		define(EmailReceived, "Email Received",
			"A message arrived in the inbox. Mail that a filter archives, and spam, do not count.",
			exampleReceived(), messageAdded),
		labeled,
		define(EmailStarred, "Email Starred",
			"A message got a star.",
			exampleReceived(labelStarred), messageAdded, labelAdded),
		define(AttachmentReceived, "Attachment Received",
			"A message with at least one file arrived in the inbox.",
			exampleReceived(), messageAdded),
		define(ThreadStarted, "Thread Started",
			"A conversation began with a message that was sent or arrived in the inbox.",
			exampleReceived(), messageAdded, labelAdded),
		define(DraftCreated, "Draft Created",
			"A draft was begun. Saving it again does not count.",
			Draft{ID: "r-7431092846129753045", Email: exampleDraft()}, messageAdded, messageDeleted),
		define(EmailTrashed, "Email Trashed",
			"A message was put into the trash, or a filter put it there.",
			exampleTrashed(), messageAdded, labelAdded),
		define(EmailDeleted, "Email Deleted",
			"A message was deleted for good, by a person or by Gmail after 30 days in the trash. Drafts do not count.",
			DeletedEmail{ID: "19ab3c5d7e9f0b2c", ThreadID: "19ab3c5d7e9f0b2c", Labels: []string{labelTrash}}, messageDeleted),
	}
}

// zero is the zero value of a payload's type.
func zero(example any) any {
	switch example.(type) {
	case LabeledEmail:
		return LabeledEmail{}
	case Draft:
		return Draft{}
	case DeletedEmail:
		return DeletedEmail{}
	}
	return Email{}
}

func exampleSent() Email {
	return Email{
		ID: "19ab3c5d7e9f0a1b", ThreadID: "19ab3c5d7e9f0a1b", MessageID: "<CAF7x2=Qk@mail.gmail.com>",
		Subject: "Lunch on Friday?",
		From:    Address{Name: "Alice", Email: "alice@example.com"},
		To:      []Address{{Email: "bob@example.com"}},
		Date:    time.Date(2026, time.November, 23, 15, 4, 5, 0, time.UTC),
		Labels:  []string{"SENT"}, Snippet: "Hi Bob, shall we", Text: "Hi Bob, shall we?\r\n",
		Attachments: []Attachment{{ID: "ANGjdJ8w", Filename: "menu.pdf", MimeType: "application/pdf", Size: 48213}},
		Size:        66210,
	}
}

func exampleReceived(more ...string) Email {
	e := exampleSent()
	e.ID, e.ThreadID = "19ab3c5d7e9f0b2c", "19ab3c5d7e9f0b2c"
	e.Labels = append([]string{"UNREAD", "CATEGORY_PERSONAL", "INBOX"}, more...)
	return e
}

func exampleDraft() Email {
	e := exampleSent()
	e.Labels = []string{labelDraft}
	return e
}

func exampleTrashed() Email {
	e := exampleReceived()
	e.Labels = []string{labelTrash}
	return e
}
