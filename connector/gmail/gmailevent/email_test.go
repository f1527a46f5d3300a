package gmailevent_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/gmail/gmailevent"
)

// The wire form is a promise: members may be added, never renamed.
func TestWireForm(t *testing.T) {
	t.Parallel()
	const want = `{"id":"19ab3c5d7e9f0a1b","thread_id":"19ab3c5d7e9f0a1b","message_id":"<CAF7x2=Qk@mail.gmail.com>",` +
		`"subject":"Lunch on Friday?","from":{"name":"Alice","email":"alice@example.com"},"to":[{"email":"bob@example.com"}],` +
		`"date":"2026-11-23T15:04:05Z","labels":["SENT"],"snippet":"Hi Bob, shall we","text":"Hi Bob, shall we?\r\n",` +
		`"attachments":[{"id":"ANGjdJ8w","filename":"menu.pdf","mime_type":"application/pdf","size":48213}],"size":66210}` + "\n"
	e := gmailevent.Email{
		ID: "19ab3c5d7e9f0a1b", ThreadID: "19ab3c5d7e9f0a1b", MessageID: "<CAF7x2=Qk@mail.gmail.com>",
		Subject: "Lunch on Friday?",
		From:    gmailevent.Address{Name: "Alice", Email: "alice@example.com"},
		To:      []gmailevent.Address{{Email: "bob@example.com"}},
		Date:    time.Date(2026, time.November, 23, 15, 4, 5, 0, time.UTC),
		Labels:  []string{"SENT"}, Snippet: "Hi Bob, shall we", Text: "Hi Bob, shall we?\r\n",
		Attachments: []gmailevent.Attachment{{ID: "ANGjdJ8w", Filename: "menu.pdf", MimeType: "application/pdf", Size: 48213}},
		Size:        66210,
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
	if !e.HasLabel("SENT") || e.HasLabel("INBOX") {
		t.Error("HasLabel is wrong")
	}
	if got := e.Triggers(); !slices.Contains(got, gmailevent.EmailSent) || !slices.Contains(got, gmailevent.EmailReceived) {
		t.Errorf("belongs to %v", got)
	}
}

func TestWireFormOfChanges(t *testing.T) {
	t.Parallel()
	email := gmailevent.Email{ID: "m", ThreadID: "t", Date: time.Date(2026, time.November, 23, 15, 4, 5, 0, time.UTC)}
	const inner = `{"id":"m","thread_id":"t","subject":"","from":{},"date":"2026-11-23T15:04:05Z","size":0}`
	for _, tt := range []struct {
		payload  interface{ Triggers() []string }
		json     string
		triggers []string
	}{
		{gmailevent.LabeledEmail{Label: gmailevent.Label{ID: "Label_12", Name: "Work/Invoices"}, Email: email},
			`{"label":{"id":"Label_12","name":"Work/Invoices"},"email":` + inner + `}`, []string{"gmail.email.labeled"}},
		{gmailevent.Draft{ID: "r-1", Email: email}, `{"id":"r-1","email":` + inner + `}`, []string{"gmail.draft.created"}},
		{gmailevent.DeletedEmail{ID: "m", ThreadID: "t", Labels: []string{"TRASH"}},
			`{"id":"m","thread_id":"t","labels":["TRASH"]}`, []string{"gmail.email.deleted"}},
		{email, inner, []string{
			"gmail.email.sent", "gmail.email.received", "gmail.email.starred", "gmail.email.trashed",
			"gmail.attachment.received", "gmail.thread.started",
		}},
	} {
		b, err := json.Marshal(tt.payload)
		if err != nil || string(b) != tt.json {
			t.Errorf("got  %s, %v\nwant %s", b, err, tt.json)
		}
		if got := tt.payload.Triggers(); !slices.Equal(got, tt.triggers) {
			t.Errorf("%T belongs to %q", tt.payload, got)
		}
	}
}
