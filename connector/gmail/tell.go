package gmail

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	gmailapi "google.golang.org/api/gmail/v1"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

const maxRaw = 512 << 10 // bytes of Occurrence.Raw; beyond it the parts' content is left out

// tell fetches the messages that somebody wants to hear of, and says what
// happened to them.
func (e *expansion) tell(ctx context.Context, sightings []sighting) ([]connector.Notice, error) {
	var told connector.Notice
	var notices []connector.Notice
	for _, s := range sightings {
		occurrences, err := e.one(ctx, s)
		if reason, ok := unreadable(err); ok {
			notices = append(notices, connector.Notice{Signal: connector.SignalGap, Reason: reason})
			continue
		}
		if err != nil {
			return nil, err
		}
		told.Occurrences = append(told.Occurrences, occurrences...)
	}
	missing, err := e.missing(ctx)
	if err != nil {
		return nil, err
	}
	notices = append(notices, missing...)
	if len(told.Occurrences) > 0 {
		notices = append(notices, told)
	}
	return notices, nil
}

// one tells what happened to one message.
func (e *expansion) one(ctx context.Context, s sighting) ([]connector.Occurrence, error) {
	draft := e.wants(DraftCreated) // unless the labels are told, it may be one
	if told := len(s.labels) > 0 || !s.isNew || s.deleted; told {
		// What it means is known, so a message that means nothing to anybody here
		// need not be fetched.
		marks, err := e.wanted(ctx, s.marks(nil))
		if err != nil || len(marks) == 0 {
			return nil, err
		}
		if s.deleted {
			return []connector.Occurrence{deleted(s)}, nil
		}
		if draft = marks[0].trigger == DraftCreated; draft && len(marks) == 1 {
			if _, news, err := e.draft(ctx, s); err != nil || !news {
				return nil, err
			}
		}
	}
	if draft {
		// Before the message: a draft that is replaced in between is not found then,
		// and a later record tells of the replacement.
		if _, err := e.draftList(ctx); err != nil {
			return nil, err
		}
	}
	m, err := e.message(ctx, s.id)
	if err != nil || m == nil {
		return nil, err
	}
	marks, err := e.wanted(ctx, s.marks(m.LabelIds))
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	s.thread = m.ThreadId
	email, raw := e.newEmail(m)
	var list []connector.Occurrence
	for _, mark := range marks {
		o := connector.Occurrence{
			Trigger: mark.trigger, Key: m.Id, OccurredAt: email.Date, Payload: email, Raw: raw,
			Attributes: map[string][]string{ParamLabel: email.Labels},
		}
		is, err := e.complete(ctx, &o, s, mark, email)
		if err != nil {
			return nil, err
		}
		if is {
			list = append(list, o)
		}
	}
	return list, nil
}

// complete makes what differs between the triggers, and reports whether it
// happened at all.
func (e *expansion) complete(ctx context.Context, o *connector.Occurrence, s sighting, m mark, email Email) (bool, error) {
	switch m.trigger {
	case EmailLabeled:
		label := Label{ID: m.label}
		if have := e.known[m.label]; have != nil {
			label.Name = have.Name
		}
		o.Key, o.Payload, o.Attributes = s.id+" "+m.label, LabeledEmail{Label: label, Email: email}, e.attributes(m.label)
	case AttachmentReceived:
		return hasFile(email), nil
	case ThreadStarted:
		o.Key = s.thread
		return e.starts(ctx, s)
	case DraftCreated:
		id, news, err := e.draft(ctx, s)
		if err != nil || !news || !email.HasLabel(labelDraft) {
			return false, err
		}
		if o.Key = id; id == "" {
			o.Key = "thread " + s.thread
		}
		o.Payload = Draft{ID: id, Email: email}
		e.memory.Drafts = bound(append(slices.Clone(e.memory.Drafts), remembered(o.Key)))
	}
	return true, nil
}

// wants reports whether a Filter asks for the Trigger. The engine looks at
// params too; here it is about not fetching in vain.
func (e *expansion) wants(name string) bool {
	return slices.ContainsFunc(e.sub.Filters, func(f trigger.Filter) bool { return f.Covers(name) })
}

// wanted leaves the marks that a Filter asks for.
func (e *expansion) wanted(ctx context.Context, marks []mark) ([]mark, error) {
	var list []mark
	for _, m := range marks {
		ok := e.wants(m.trigger)
		if m.trigger == EmailLabeled {
			var err error
			if ok, err = e.wantsLabel(ctx, m.label); err != nil {
				return nil, err
			}
		}
		if ok {
			list = append(list, m)
		}
	}
	return list, nil
}

// starts reports whether the message is the one that its thread began with. A
// draft begins nothing before it is sent.
func (e *expansion) starts(ctx context.Context, s sighting) (bool, error) {
	thread, err := e.svc.Users.Threads.Get(me, s.thread).Format("minimal").Context(ctx).Do()
	switch {
	case status(err) == http.StatusNotFound, status(err) == http.StatusGone:
		return false, nil
	case err != nil:
		return false, apiError("thread "+s.thread, err)
	}
	var first *gmailapi.Message
	for _, other := range thread.Messages {
		if other != nil && !slices.Contains(other.LabelIds, labelDraft) && (first == nil || other.InternalDate < first.InternalDate) {
			first = other
		}
	}
	return first != nil && first.Id == s.id, nil
}

// hasFile reports whether a message has what people call an attachment.
func hasFile(e Email) bool {
	return slices.ContainsFunc(e.Attachments, func(a Attachment) bool { return a.Filename != "" })
}

// deleted tells of a message of which nothing is left. When it was deleted is
// not told.
func deleted(s sighting) connector.Occurrence {
	gone := DeletedEmail{ID: s.id, ThreadID: s.thread, Labels: s.last}
	raw, err := json.Marshal(gmailapi.Message{Id: s.id, ThreadId: s.thread, LabelIds: s.last})
	if err != nil {
		raw = nil // texts encode: cannot happen, and the payload has it all
	}
	return connector.Occurrence{
		Trigger: EmailDeleted, Key: s.id, Payload: gone, Raw: raw, Attributes: map[string][]string{ParamLabel: s.last},
	}
}

// newEmail normalises a message, without its content where that is not to be passed on.
func (e *expansion) newEmail(m *gmailapi.Message) (Email, json.RawMessage) {
	if !e.bare {
		return newEmail(m), rawMessage(m)
	}
	short := *m
	short.Snippet, short.Payload = "", withoutData(m.Payload, maxDepth)
	email := newEmail(&short)
	email.Truncated = false // nothing was cut: it was left out
	return email, rawMessage(&short)
}

// rawMessage is the message as Google gave it, without its content when that is large.
func rawMessage(m *gmailapi.Message) json.RawMessage {
	b, err := json.Marshal(m)
	if err == nil && len(b) > maxRaw {
		short := *m
		short.Payload = withoutData(m.Payload, maxDepth)
		if b, err = json.Marshal(&short); err == nil && len(b) > maxRaw {
			short.Payload = nil
			b, err = json.Marshal(&short)
		}
	}
	if err != nil {
		return nil // what was decoded encodes: cannot happen, and the payload has it all
	}
	return b
}

func withoutData(p *gmailapi.MessagePart, depth int) *gmailapi.MessagePart {
	if p == nil || depth == 0 {
		return nil
	}
	short := *p
	if p.Body != nil {
		body := *p.Body
		body.Data = ""
		short.Body = &body
	}
	short.Parts = nil
	for _, child := range p.Parts {
		short.Parts = append(short.Parts, withoutData(child, depth-1))
	}
	return &short
}

// internalDate is when Gmail took the message.
func internalDate(m *gmailapi.Message) time.Time {
	return time.UnixMilli(m.InternalDate).UTC()
}
