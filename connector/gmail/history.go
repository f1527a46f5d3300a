package gmail

import (
	"slices"

	gmailapi "google.golang.org/api/gmail/v1"
)

// Labels that Gmail itself gives.
const (
	labelInbox   = "INBOX"
	labelSent    = "SENT"
	labelDraft   = "DRAFT"
	labelStarred = "STARRED"
	labelTrash   = "TRASH"
)

// sighting is a message that history or a list mentions.
type sighting struct {
	id, thread string
	isNew      bool     // it was added
	labels     []string // those it had then; empty: not told, so as they are when it is fetched
	added      []string // labels that were put on it later, in order
	deleted    bool     // it is gone for good
	last       []string // labels it had then; none: archived mail has none
}

// sightings collects messages, each once, in the order in which they are seen.
type sightings struct {
	list []sighting
	at   map[string]int
}

// of is the sighting of a message; nil: what is told of it names none.
func (l *sightings) of(m *gmailapi.Message) *sighting {
	if m == nil || m.Id == "" {
		return nil
	}
	i, ok := l.at[m.Id]
	if !ok {
		i = len(l.list)
		l.at[m.Id] = i
		l.list = append(l.list, sighting{id: m.Id, thread: m.ThreadId})
	}
	return &l.list[i]
}

// fromHistory collects the messages of a page in order. The same message may be
// in several records.
func fromHistory(records []*gmailapi.History) []sighting {
	seen := sightings{at: map[string]int{}}
	for _, r := range records {
		if r != nil {
			seen.record(r)
		}
	}
	return seen.list
}

func (l *sightings) record(r *gmailapi.History) {
	for _, a := range r.MessagesAdded {
		if a == nil {
			continue
		}
		if s := l.of(a.Message); s != nil && !s.isNew {
			s.isNew, s.labels = true, a.Message.LabelIds
		}
	}
	for _, a := range r.LabelsAdded {
		if a == nil {
			continue
		}
		if s := l.of(a.Message); s != nil {
			s.label(a.LabelIds)
		}
	}
	for _, d := range r.MessagesDeleted {
		if d == nil {
			continue
		}
		if s := l.of(d.Message); s != nil {
			s.deleted, s.last = true, d.Message.LabelIds
		}
	}
}

func (s *sighting) label(ids []string) {
	for _, id := range ids {
		if !slices.Contains(s.added, id) {
			s.added = append(s.added, id)
		}
	}
}

func fromList(messages []*gmailapi.Message) []sighting {
	var list []sighting
	for _, m := range messages {
		if m != nil && m.Id != "" {
			list = append(list, sighting{id: m.Id, thread: m.ThreadId, isNew: true})
		}
	}
	return list
}

// mark is one thing that a sighting means: a Trigger, and for EmailLabeled the
// id of the label.
type mark struct{ trigger, label string }

// marks says what the sighting means for a message that now has these labels.
//
// Sending a draft makes a new message with an id of its own, so a draft is never
// anything but a draft. Mail to oneself is sent and received. What a filter does
// at arrival stands in the labels of the arrival alone.
func (s *sighting) marks(now []string) []mark {
	if s.deleted {
		// A composer deletes the draft's message with each autosave.
		if slices.Contains(s.last, labelDraft) || slices.Contains(s.labels, labelDraft) {
			return nil
		}
		return []mark{{trigger: EmailDeleted}}
	}
	var list []mark
	add := func(m mark) {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	then := s.labels
	if len(then) == 0 {
		then = now
	}
	switch {
	case s.isNew && slices.Contains(then, labelDraft):
		add(mark{trigger: DraftCreated})
	case s.isNew:
		sent, received := slices.Contains(then, labelSent), slices.Contains(then, labelInbox)
		if sent {
			add(mark{trigger: EmailSent})
		}
		if received {
			add(mark{trigger: EmailReceived})
			add(mark{trigger: AttachmentReceived})
		}
		if sent || received {
			add(mark{trigger: ThreadStarted})
		}
		for _, id := range then {
			labelled(id, add)
		}
	}
	if slices.Contains(now, labelDraft) {
		return list // what is on a draft becomes of interest when it is sent
	}
	for _, id := range s.added {
		if id == labelSent {
			add(mark{trigger: EmailSent})
			add(mark{trigger: ThreadStarted})
		}
		labelled(id, add)
	}
	return list
}

// labelled adds what a label means that was put on a message.
func labelled(id string, add func(mark)) {
	switch id {
	case labelStarred:
		add(mark{trigger: EmailStarred})
	case labelTrash:
		add(mark{trigger: EmailTrashed})
	}
	add(mark{trigger: EmailLabeled, label: id})
}
