package gmailtest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// mailbox is one Gmail account. All of it is guarded by Server.mu.
type mailbox struct {
	key      string // folded address
	address  string
	subject  string // Google's id of the person
	history  []record
	current  uint64 // id of the newest record
	oldest   uint64 // history before it is gone
	messages map[string]*message
	drafts   map[string]string // draft id -> message id
	labels   map[string]string // id -> name
	watches  map[string]*watch // by project
	watched  int
	stopped  int
}

// watch is what users.watch made.
type watch struct {
	topic   string
	expires time.Time
}

// message is one message of a mailbox.
type message struct {
	id, thread string
	labels     []string
	changed    uint64 // history id
	at         time.Time
	mail       *letter
}

// ref is a message as history tells of it, with the labels of that moment.
type ref struct {
	ID       string   `json:"id"`
	ThreadID string   `json:"threadId"`
	LabelIDs []string `json:"labelIds,omitempty"`
}

type change struct {
	Message  ref      `json:"message"`
	LabelIDs []string `json:"labelIds,omitempty"`
}

// record is one entry of a mailbox's history.
type record struct {
	ID              uint64   `json:"id,string"`
	Messages        []ref    `json:"messages,omitempty"`
	MessagesAdded   []change `json:"messagesAdded,omitempty"`
	MessagesDeleted []change `json:"messagesDeleted,omitempty"`
	LabelsAdded     []change `json:"labelsAdded,omitempty"`
	LabelsRemoved   []change `json:"labelsRemoved,omitempty"`
}

func fold(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// systemLabels have their name as id.
func systemLabels() []string {
	return []string{"INBOX", "SENT", "DRAFT", "UNREAD", "STARRED", "IMPORTANT", "SPAM", "TRASH", "CHAT",
		"CATEGORY_PERSONAL", "CATEGORY_SOCIAL", "CATEGORY_PROMOTIONS", "CATEGORY_UPDATES", "CATEGORY_FORUMS"}
}

// mailbox returns the mailbox of an address, made when it is new. s.mu is held.
func (s *Server) mailbox(address string) *mailbox {
	key := fold(address)
	if m := s.mailboxes[key]; m != nil {
		return m
	}
	id := s.next()
	m := &mailbox{
		key: key, address: strings.TrimSpace(address), subject: fmt.Sprint(id),
		current: id, oldest: id,
		messages: map[string]*message{}, drafts: map[string]string{},
		labels: map[string]string{}, watches: map[string]*watch{},
	}
	for _, l := range systemLabels() {
		m.labels[l] = l
	}
	s.mailboxes[key] = m
	return m
}

func (m *message) ref() ref {
	return ref{ID: m.id, ThreadID: m.thread, LabelIDs: slices.Clone(m.labels)}
}

// add puts a letter into a mailbox, into a thread of its own unless it answers
// a message that is there. s.mu is held.
func (s *Server) add(m *mailbox, l *letter, labels ...string) *message {
	thread := ""
	for _, other := range m.messages {
		if l.InReplyTo != "" && other.mail.messageID == l.InReplyTo {
			thread = other.thread
		}
	}
	return s.addTo(m, l, thread, labels...)
}

func (s *Server) addTo(m *mailbox, l *letter, thread string, labels ...string) *message {
	id := fmt.Sprintf("%016x", s.next())
	msg := &message{id: id, thread: orElse(thread, id), labels: labels, at: s.now(), mail: l}
	if !l.Date.IsZero() {
		msg.at = l.Date
	}
	m.messages[id] = msg
	s.log(m, msg, record{MessagesAdded: []change{{Message: msg.ref()}}})
	return msg
}

// remove deletes a message for good. s.mu is held.
func (s *Server) remove(m *mailbox, msg *message) {
	delete(m.messages, msg.id)
	s.log(m, msg, record{MessagesDeleted: []change{{Message: msg.ref()}}})
}

// relabel changes a message's labels; what changes nothing leaves no record. s.mu is held.
func (s *Server) relabel(m *mailbox, msg *message, plus, minus []string) {
	var added, removed []string
	for _, l := range plus {
		if !slices.Contains(msg.labels, l) {
			msg.labels = append(msg.labels, l)
			added = append(added, l)
		}
	}
	for _, l := range minus {
		if i := slices.Index(msg.labels, l); i >= 0 {
			msg.labels = slices.Delete(slices.Clone(msg.labels), i, i+1)
			removed = append(removed, l)
		}
	}
	if added != nil {
		s.log(m, msg, record{LabelsAdded: []change{{Message: msg.ref(), LabelIDs: added}}})
	}
	if removed != nil {
		s.log(m, msg, record{LabelsRemoved: []change{{Message: msg.ref(), LabelIDs: removed}}})
	}
}

// log appends to the history and tells the watchers. s.mu is held.
func (s *Server) log(m *mailbox, msg *message, r record) {
	r.ID = s.next()
	r.Messages = []ref{{ID: msg.id, ThreadID: msg.thread}}
	m.history = append(m.history, r)
	m.current, msg.changed = r.ID, r.ID
	s.notify(m)
}
