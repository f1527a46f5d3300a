package gmail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	gmailapi "google.golang.org/api/gmail/v1"
	"google.golang.org/api/googleapi"

	"github.com/interactorhq/interactor/connector"
)

const (
	pageSize     = 25  // records or messages of one page: each may be fetched, and all are in memory together
	resyncLimit  = 500 // messages that a resync looks at
	resyncMargin = 10 * time.Minute
	notYet       = 10 * time.Second // until another look for a change that was notified but is not listed yet
)

// Expand reads one page of the mailbox's history since the cursor. A
// notification's own history id is no place to start from, because it lies at
// or past the change, and no reason to skip either: notifications overtake each
// other, and of several that wait the newest is not always the last.
//
// Source: https://developers.google.com/workspace/gmail/api/guides/sync
func (c *Connector) Expand(
	ctx context.Context, s *connector.Session, sub *connector.Subscription, n *connector.Notice,
) (*connector.Expansion, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	svc, err := service(ctx, s)
	if err != nil {
		return nil, err
	}
	e := &expansion{svc: svc, sub: sub, now: clock(s), bare: c.cfg.MetadataOnly}
	stored := sub.Cursor
	if stored == "" {
		stored = sub.Held.Cursor
	}
	if stored == "" {
		return e.begin(ctx, "")
	}
	cur, err := parseCursor(stored)
	if err != nil {
		return e.begin(ctx, "the stored cursor cannot be read, so what happened since is unknown: "+err.Error())
	}
	e.memory = cur.memory
	if err := e.baseline(ctx); err != nil {
		return nil, err
	}
	if cur.After > 0 {
		return e.resync(ctx, cur)
	}
	out, err := e.walk(ctx, cur)
	if err != nil || out.More || n == nil {
		return out, err
	}
	// Google's listing may lag behind its notification.
	var t thin
	if json.Unmarshal(n.Thin, &t) == nil {
		if at, err := parseCursor(out.Cursor); err == nil && at.History < t.HistoryID {
			out.Next = e.now.Add(notYet)
		}
	}
	return out, nil
}

// expansion is what the steps of one Expand share.
type expansion struct {
	svc    *gmailapi.Service
	sub    *connector.Subscription
	now    time.Time
	bare   bool   // content is not passed on
	memory memory // goes into the cursor of the page
	known  labels // nil: not asked for
	drafts *drafts
}

// begin sets the starting point: what is there already is not told.
func (e *expansion) begin(ctx context.Context, gap string) (*connector.Expansion, error) {
	// The drafts first: one that is made in between is in neither, and not in both.
	if err := e.baseline(ctx); err != nil {
		return nil, err
	}
	p, err := e.svc.Users.GetProfile(me).Context(ctx).Do()
	if err != nil {
		return nil, apiError("profile", err)
	}
	notices, err := e.missing(ctx)
	if err != nil {
		return nil, err
	}
	cur := start(p.HistoryId, e.now)
	cur.memory = e.memory
	out := &connector.Expansion{Cursor: cur.String(), Notices: notices}
	if gap != "" {
		out.Notices = append(out.Notices, connector.Notice{Signal: connector.SignalGap, Reason: gap})
	}
	return out, nil
}

// walk tells one page of history.
func (e *expansion) walk(ctx context.Context, cur cursor) (*connector.Expansion, error) {
	types := e.sub.Topics
	if len(types) == 0 {
		types = []string{messageAdded, labelAdded, messageDeleted}
	}
	call := e.svc.Users.History.List(me).StartHistoryId(uint64(cur.History)).
		HistoryTypes(types...).MaxResults(pageSize).Context(ctx)
	if cur.Page != "" {
		call.PageToken(cur.Page)
	}
	resp, err := call.Do()
	switch {
	case status(err) == http.StatusNotFound:
		return e.beginResync(ctx, cur)
	case status(err) == http.StatusBadRequest && cur.Page != "":
		return restart(cur), nil
	case err != nil:
		return nil, apiError("history", err)
	}
	told, err := e.tell(ctx, fromHistory(resp.History))
	if err != nil {
		return nil, err
	}
	if cur.Head == 0 {
		cur.Head, cur.HeadAt = max(cur.History, historyID(resp.HistoryId)), e.now.Unix()
	}
	out := e.finish(told, cur, resp.NextPageToken)
	// What happened during the walk may have been notified already.
	out.More = out.More || historyID(resp.HistoryId) > cur.Head
	return out, nil
}

// beginResync goes on where the history does not reach back to the cursor: to
// the profile's history id first, then over the messages since the cursor was
// good, so that what arrives meanwhile is in one of the two.
func (e *expansion) beginResync(ctx context.Context, cur cursor) (*connector.Expansion, error) {
	p, err := e.svc.Users.GetProfile(me).Context(ctx).Do()
	if err != nil {
		return nil, apiError("profile", err)
	}
	checked := time.Unix(cur.Checked, 0)
	// The margin covers clocks that differ; what it finds twice has the same keys.
	after := max(checked.Add(-resyncMargin).Unix(), cur.Since, 1)
	next := cursor{
		History: cur.History, Checked: cur.Checked, Since: cur.Since,
		Head: historyID(p.HistoryId), HeadAt: e.now.Unix(), After: after, memory: e.memory,
	}
	return &connector.Expansion{
		Cursor: next.String(), More: true,
		Notices: []connector.Notice{{Signal: connector.SignalGap, Reason: fmt.Sprintf(
			"Google no longer has the history of this mailbox since %s. Messages of that time are looked up, the newest %d at most; "+
				"what was deleted since, or sent or received before, is lost", checked.UTC().Format(time.RFC3339), resyncLimit)}},
	}, nil
}

// resync tells one page of messages.
func (e *expansion) resync(ctx context.Context, cur cursor) (*connector.Expansion, error) {
	// With the trash: what was sent and thrown away at once was sent.
	call := e.svc.Users.Messages.List(me).Q(fmt.Sprintf("after:%d", cur.After)).IncludeSpamTrash(true).MaxResults(pageSize).Context(ctx)
	if cur.Page != "" {
		call.PageToken(cur.Page)
	}
	resp, err := call.Do()
	switch {
	case status(err) == http.StatusBadRequest && cur.Page != "":
		return restart(cur), nil
	case err != nil:
		return nil, apiError("messages", err)
	}
	told, err := e.tell(ctx, fromList(resp.Messages))
	if err != nil {
		return nil, err
	}
	cur.Listed += len(resp.Messages)
	page := resp.NextPageToken
	if cur.Listed >= resyncLimit {
		page = ""
	}
	out := e.finish(told, cur, page)
	out.More = true // from here on the history tells again
	return out, nil
}

// finish stores where to go on.
func (e *expansion) finish(told []connector.Notice, cur cursor, page string) *connector.Expansion {
	cur.memory = e.memory
	if page == "" {
		return &connector.Expansion{Notices: told, Cursor: cur.done().String()}
	}
	cur.Page = page
	return &connector.Expansion{Notices: told, Cursor: cur.String(), More: true}
}

// restart begins a walk or resync anew because Google no longer takes its page
// token, which it does not promise for how long it does.
func restart(cur cursor) *connector.Expansion {
	cur.Page, cur.Listed = "", 0
	if cur.After == 0 {
		cur.Head, cur.HeadAt = 0, 0
	}
	return &connector.Expansion{Cursor: cur.String(), More: true}
}

// status is the status code of an error of Google's client; else 0.
func status(err error) int {
	if g, ok := errors.AsType[*googleapi.Error](err); ok {
		return g.Code
	}
	return 0
}
