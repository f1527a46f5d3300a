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

// Labels that Gmail itself gives.
const (
	labelInbox = "INBOX"
	labelSent  = "SENT"
	labelDraft = "DRAFT"
)

const maxRaw = 512 << 10 // bytes of Occurrence.Raw; beyond it the parts' content is left out

// sighting is a message that history or a list mentions.
type sighting struct {
	id     string
	isNew  bool     // it was added
	labels []string // those it had then; empty: not told, so as they are when it is fetched
	sent   bool     // it got the label SENT later
}

// fromHistory collects the messages of a page in order. The same message may be
// in several records.
func fromHistory(records []*gmailapi.History) []sighting {
	var list []sighting
	at := map[string]int{}
	see := func(m *gmailapi.Message) *sighting {
		i, ok := at[m.Id]
		if !ok {
			i = len(list)
			at[m.Id] = i
			list = append(list, sighting{id: m.Id})
		}
		return &list[i]
	}
	for _, r := range records {
		if r == nil {
			continue
		}
		for _, a := range r.MessagesAdded {
			if a != nil && a.Message != nil && a.Message.Id != "" {
				if m := see(a.Message); !m.isNew {
					m.isNew, m.labels = true, a.Message.LabelIds
				}
			}
		}
		for _, l := range r.LabelsAdded {
			if l != nil && l.Message != nil && l.Message.Id != "" && slices.Contains(l.LabelIds, labelSent) {
				see(l.Message).sent = true
			}
		}
	}
	return list
}

func fromList(messages []*gmailapi.Message) []sighting {
	var list []sighting
	for _, m := range messages {
		if m != nil && m.Id != "" {
			list = append(list, sighting{id: m.Id, isNew: true})
		}
	}
	return list
}

// triggers says what the sighting means for a message that now has these
// labels. Drafts are neither: sending one makes a new message, with an id of
// its own. Mail to oneself is both.
func (s sighting) triggers(now []string) []string {
	then := s.labels
	if len(then) == 0 {
		then = now
	}
	isNew := s.isNew && !slices.Contains(then, labelDraft)
	var names []string
	if isNew && slices.Contains(then, labelSent) || s.sent && !slices.Contains(now, labelDraft) {
		names = append(names, EmailSent)
	}
	if isNew && slices.Contains(then, labelInbox) {
		names = append(names, EmailReceived)
	}
	return names
}

// pointless reports whether the message need not be fetched to know that it
// means nothing to anybody here.
func (e expansion) pointless(s sighting) bool {
	told := len(s.labels) > 0 || !s.isNew
	return told && len(e.wanted(s.triggers(nil))) == 0
}

// tell fetches the messages that somebody wants to hear of.
func (e expansion) tell(ctx context.Context, sightings []sighting) ([]connector.Notice, error) {
	var told connector.Notice
	var notices []connector.Notice
	for _, s := range sightings {
		if e.pointless(s) {
			continue
		}
		m, err := e.svc.Users.Messages.Get(me, s.id).Format("full").Context(ctx).Do()
		switch status(err) {
		case 0:
			if err != nil {
				return nil, apiError("message "+s.id, err)
			}
		case http.StatusNotFound, http.StatusGone:
			continue // deleted in between, as an autosaved draft is
		case http.StatusBadRequest:
			// Only this message cannot be had; the others must not wait for it forever.
			notices = append(notices, connector.Notice{
				Signal: connector.SignalGap, Reason: apiError("message "+s.id, err).Error(),
			})
			continue
		default:
			return nil, apiError("message "+s.id, err)
		}
		names := e.wanted(s.triggers(m.LabelIds))
		if len(names) == 0 {
			continue
		}
		email, raw := newEmail(m), rawMessage(m)
		for _, name := range names {
			told.Occurrences = append(told.Occurrences, connector.Occurrence{
				Trigger: name, Key: m.Id, OccurredAt: email.Date, Payload: email, Raw: raw,
				Attributes: map[string][]string{"label": email.Labels},
			})
		}
	}
	if len(told.Occurrences) > 0 {
		notices = append(notices, told)
	}
	return notices, nil
}

// wanted leaves the triggers that a Filter asks for. The engine looks at their
// params too; here it is about not fetching in vain.
func (e expansion) wanted(names []string) []string {
	if len(e.sub.Filters) == 0 {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return !slices.ContainsFunc(e.sub.Filters, func(f trigger.Filter) bool { return f.Covers(name) })
	})
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
