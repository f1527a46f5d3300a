package gmail

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"

	gmailapi "google.golang.org/api/gmail/v1"
)

const (
	draftPage  = 500  // drafts of one page of drafts.list
	maxDrafts  = 5000 // that are looked at
	knownDraft = 1000 // that are remembered
)

// drafts are those of a mailbox: draft ids by message id.
//
// Gmail's composer replaces the message of a draft with each autosave, so
// history shows a new message each time; only the id of the draft tells that it
// is the same one, and only a list of those that were there before, in the
// cursor, tells that one is new.
type drafts struct {
	byMessage map[string]string
	whole     bool // these are all
}

func listDrafts(ctx context.Context, svc *gmailapi.Service) (*drafts, error) {
	d := &drafts{byMessage: map[string]string{}}
	page := ""
	for {
		call := svc.Users.Drafts.List(me).MaxResults(draftPage).Context(ctx)
		if page != "" {
			call.PageToken(page)
		}
		resp, err := call.Do()
		if err != nil {
			return nil, apiError("drafts", err)
		}
		for _, draft := range resp.Drafts {
			if draft != nil && draft.Message != nil && draft.Id != "" && draft.Message.Id != "" {
				d.byMessage[draft.Message.Id] = draft.Id
			}
		}
		if page = resp.NextPageToken; page == "" {
			d.whole = true
			return d, nil
		}
		if len(d.byMessage) >= maxDrafts || len(resp.Drafts) == 0 {
			return d, nil
		}
	}
}

// remembered names a draft in the cursor, in 8 characters.
func remembered(draft string) string {
	sum := sha256.Sum256([]byte(draft))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// all are the drafts as the cursor remembers them.
func (d *drafts) all() []string {
	names := make([]string, 0, len(d.byMessage))
	for _, id := range d.byMessage {
		names = append(names, remembered(id))
	}
	slices.Sort(names)
	return bound(names)
}

// bound keeps the newest.
func bound(names []string) []string { return names[max(0, len(names)-knownDraft):] }

// draftList asks for the drafts once in an Expand, after the page of history that
// mentions them: they are listed by then, or were replaced, and then a later
// record tells of the replacement.
func (e *expansion) draftList(ctx context.Context) (*drafts, error) {
	if e.drafts == nil {
		d, err := listDrafts(ctx, e.svc)
		if err != nil {
			return nil, err
		}
		e.drafts = d
		if d.whole { // those that were sent or thrown away are never seen again
			there := d.all()
			e.memory.Drafts = slices.DeleteFunc(slices.Clone(e.memory.Drafts), func(name string) bool { return !slices.Contains(there, name) })
		}
	}
	return e.drafts, nil
}

// baseline remembers the drafts that are there when somebody begins to be
// interested in new ones.
func (e *expansion) baseline(ctx context.Context) error {
	switch {
	case !e.wants(DraftCreated):
		e.memory.Drafts = nil
	case e.memory.Drafts == nil:
		d, err := e.draftList(ctx)
		if err != nil {
			return err
		}
		e.memory.Drafts = d.all()
	}
	return nil
}

// draft finds the draft that a message belongs to, and whether it is news. id is
// empty where Gmail shows no draft with the message: then its thread has to stand
// in for it.
func (e *expansion) draft(ctx context.Context, s sighting) (id string, news bool, err error) {
	list, err := e.draftList(ctx)
	if err != nil {
		return "", false, err
	}
	id = list.byMessage[s.id]
	name := id
	if name == "" {
		name = "thread " + s.thread
	}
	return id, !slices.Contains(e.memory.Drafts, remembered(name)), nil
}

// message fetches a message; nil: it is gone. Errors: errUnreadable, or what the
// engine acts on.
func (e *expansion) message(ctx context.Context, id string) (*gmailapi.Message, error) {
	m, err := e.svc.Users.Messages.Get(me, id).Format("full").Context(ctx).Do()
	switch {
	case err == nil:
		return m, nil
	case status(err) == http.StatusNotFound, status(err) == http.StatusGone:
		return nil, nil // deleted in between, as an autosaved draft is
	case status(err) == http.StatusBadRequest:
		return nil, &unreadableError{apiError("message "+id, err)}
	}
	return nil, apiError("message "+id, err)
}

// unreadableError says that only this message cannot be had: the others must not
// wait for it forever.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string { return e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

func unreadable(err error) (string, bool) {
	if u, ok := errors.AsType[*unreadableError](err); ok {
		return u.Error(), true
	}
	return "", false
}
