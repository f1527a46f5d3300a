package gmailtest

import (
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// Mail is what Send takes. Addresses are "bob@example.com" or "Bob <bob@example.com>".
type Mail struct {
	From, Subject, Text string
	To                  []string

	Cc, Bcc     []string
	ReplyTo     string
	InReplyTo   string // Message-ID of the mail that it answers
	HTML        string
	Attachments []Attachment
	Date        time.Time         // when Gmail takes it. Defaults to now
	Header      map[string]string // raw header values, which replace those made from the fields above
}

// Attachment is a file of a Mail.
type Attachment struct {
	Filename, MimeType string
	Data               []byte
}

// letter is a Mail on its way: the same in every mailbox.
type letter struct {
	Mail
	messageID string
}

func (s *Server) letter(m Mail) *letter {
	l := &letter{Mail: m, messageID: fmt.Sprintf("<CA+%x@mail.gmail.com>", s.next())}
	l.To, l.Cc, l.Bcc = slices.Clone(m.To), slices.Clone(m.Cc), slices.Clone(m.Bcc)
	l.Attachments, l.Header = slices.Clone(m.Attachments), maps.Clone(m.Header)
	if id := m.Header["Message-ID"]; id != "" {
		l.messageID = id
	}
	return l
}

// Send sends a mail from and to mailboxes of the server; addresses elsewhere
// are taken and forgotten. It returns the message's id in each mailbox, by address.
func (s *Server) Send(m Mail) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.post(s.letter(m), "")
}

// post delivers a letter. Mail to oneself is one message that is both sent and
// received. What was a draft stays in its thread at the sender's.
func (s *Server) post(l *letter, thread string) map[string]string {
	ids := map[string]string{}
	from := s.here(l.From)
	to := map[string]*mailbox{}
	for _, a := range slices.Concat(l.To, l.Cc, l.Bcc) {
		if m := s.here(a); m != nil {
			to[m.key] = m
		}
	}
	if from != nil {
		labels := []string{"SENT"}
		if to[from.key] != nil {
			labels = []string{"UNREAD", "SENT", "INBOX"}
			delete(to, from.key)
		}
		if thread != "" {
			ids[from.key] = s.addTo(from, l, thread, labels...).id
		} else {
			ids[from.key] = s.add(from, l, labels...).id
		}
	}
	for _, key := range slices.Sorted(maps.Keys(to)) {
		copied := *l
		copied.Bcc = nil
		ids[key] = s.add(to[key], &copied, "UNREAD", "CATEGORY_PERSONAL", "INBOX").id
	}
	return ids
}

// here finds the mailbox of an address, if it is one of the server's.
func (s *Server) here(address string) *mailbox {
	if a, err := mail.ParseAddress(address); err == nil {
		address = a.Address
	}
	return s.mailboxes[fold(address)]
}

// AddMailbox makes a mailbox, if there is none yet.
func (s *Server) AddMailbox(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mailbox(address)
}

// Insert puts a message into one mailbox, with exactly these labels: what an
// import does, and incoming mail that a filter labels or archives.
func (s *Server) Insert(mailbox string, m Mail, labels ...string) (messageID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(s.mailbox(mailbox), s.letter(m), slices.Clone(labels)...).id
}

// Draft begins a draft. Its message's id changes with each SaveDraft, its own does not.
func (s *Server) Draft(mailbox string, m Mail) (draftID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	box := s.mailbox(mailbox)
	id := fmt.Sprintf("r-%d", s.next())
	box.drafts[id] = s.add(box, s.letter(m), "DRAFT").id
	return id
}

// SaveDraft does what Gmail's composer does on each autosave: the draft's
// message is deleted and a new one takes its place.
func (s *Server) SaveDraft(mailbox, draftID string, m Mail) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	box := s.mailbox(mailbox)
	old := box.messages[box.drafts[draftID]]
	if old == nil {
		return fmt.Errorf("gmailtest: %s has no draft %q", mailbox, draftID)
	}
	s.remove(box, old)
	box.drafts[draftID] = s.addTo(box, s.letter(m), old.thread, "DRAFT").id
	return nil
}

// SendDraft sends a draft: its message is deleted, the one sent has a new id.
func (s *Server) SendDraft(mailbox, draftID string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	box := s.mailbox(mailbox)
	old := box.messages[box.drafts[draftID]]
	if old == nil {
		return nil, fmt.Errorf("gmailtest: %s has no draft %q", mailbox, draftID)
	}
	delete(box.drafts, draftID)
	s.remove(box, old)
	return s.post(old.mail, old.thread), nil
}

// Label adds and removes labels of a message, by id.
func (s *Server) Label(mailbox, messageID string, add, remove []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	box := s.mailbox(mailbox)
	msg := box.messages[messageID]
	if msg == nil {
		return fmt.Errorf("gmailtest: %s has no message %q", mailbox, messageID)
	}
	for _, l := range add {
		if box.labels[l] == "" {
			return fmt.Errorf("gmailtest: %s has no label %q", mailbox, l)
		}
	}
	s.relabel(box, msg, add, remove)
	return nil
}

// CreateLabel makes a label and returns its id, such as "Label_12".
func (s *Server) CreateLabel(mailbox, name string) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	box := s.mailbox(mailbox)
	for id, n := range box.labels {
		if strings.EqualFold(n, name) {
			return id
		}
	}
	id = fmt.Sprintf("Label_%d", s.next()) // never that of one that was removed
	box.labels[id] = name
	return id
}

// DeleteLabel removes a label, by id, from the mailbox and its messages. As at
// Gmail, history keeps telling that it was put on.
func (s *Server) DeleteLabel(mailbox, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	box := s.mailbox(mailbox)
	delete(box.labels, id)
	for _, m := range box.messages {
		m.labels = slices.DeleteFunc(slices.Clone(m.labels), func(l string) bool { return l == id })
	}
}

// Labels are the ids of a message's labels; nil: there is no such message.
func (s *Server) Labels(mailbox, messageID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailbox(mailbox).messages[messageID]; m != nil {
		return slices.Clone(m.labels)
	}
	return nil
}

// Thread is the id of a message's thread; empty: there is no such message.
func (s *Server) Thread(mailbox, messageID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mailbox(mailbox).messages[messageID]; m != nil {
		return m.thread
	}
	return ""
}

// Delete removes a message for good.
func (s *Server) Delete(mailbox, messageID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	box := s.mailbox(mailbox)
	msg := box.messages[messageID]
	if msg == nil {
		return fmt.Errorf("gmailtest: %s has no message %q", mailbox, messageID)
	}
	s.remove(box, msg)
	return nil
}
