package jira

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	jiraapi "github.com/andygrunwald/go-jira"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

const (
	pageSize = 25 // issues of one page: all of them are in memory together

	// margin is how far a search goes back behind the last one: Jira's index
	// follows after the data. What is found twice has the same keys.
	margin = 10 * time.Minute

	pageAge    = 5 * time.Minute // after which a search begins anew instead of with its next page: its query counts from now
	offsetAge  = time.Hour       // how long Jira's clock is trusted to be as far off as it was
	awayMargin = time.Hour       // how late a search may be before it means that nobody was listening
)

// Expand searches for what has changed since the cursor, one page at a time. It
// is how Poll works, and what finds what webhooks did not tell.
//
// A search knows what is there, not what is gone. Where triggers are wanted that
// it cannot find, and webhooks may have been lost, that is told as a gap.
func (c *Connector) Expand(
	ctx context.Context, s *connector.Session, sub *connector.Subscription, _ *connector.Notice,
) (*connector.Expansion, error) {
	host, svc, err := c.at(s, sub)
	if err != nil {
		return nil, err
	}
	e := &expansion{c: c, svc: svc, site: host, sub: sub, now: svc.now(), wanted: c.wanted(sub, host)}
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
	return e.walk(ctx, cur)
}

// wanted are the triggers of a Subscription at a site.
func (c *Connector) wanted(sub *connector.Subscription, host site) map[string]bool {
	wanted := make(map[string]bool)
	for _, d := range c.definitions() {
		if d.Watch != sub.Watch || d.Undeliverable != "" {
			continue
		}
		if len(sub.Filters) == 0 || slices.ContainsFunc(sub.Filters, func(f trigger.Filter) bool { return f.Covers(d.Name) && isOf(f, host) }) {
			wanted[d.Name] = true
		}
	}
	return wanted
}

// expansion is what the steps of one Expand share.
type expansion struct {
	c      *Connector
	svc    *service
	site   site
	sub    *connector.Subscription
	now    time.Time
	wanted map[string]bool
}

// begin sets the starting point: what is there already is not told.
func (e *expansion) begin(ctx context.Context, gap string) (*connector.Expansion, error) {
	cur, err := e.measure(ctx, start(e.now))
	if err != nil {
		return nil, err
	}
	out := &connector.Expansion{Cursor: cur.String()}
	if gap != "" {
		out.Notices = []connector.Notice{{Signal: connector.SignalGap, Reason: gap}}
	}
	return out, nil
}

// measure asks Jira what time it is, now and then.
func (e *expansion) measure(ctx context.Context, cur cursor) (cursor, error) {
	age := e.now.Sub(time.UnixMilli(cur.Checked))
	if cur.Checked != 0 && age >= 0 && age < offsetAge {
		return cur, nil
	}
	var info struct {
		Time moment `json:"serverTime"`
	}
	err := e.svc.call(ctx, http.MethodGet, "rest/api/2/serverInfo", nil, &info)
	switch {
	case err == nil && !info.Time.IsZero():
		return cur.measured(info.Time.Sub(e.now), e.now), nil
	case err == nil, errors.Is(err, connector.ErrGone), errors.Is(err, connector.ErrRefused), errors.Is(err, connector.ErrScope):
		return cur.measured(0, e.now), nil // both clocks are set by the network as a rule
	}
	return cur, err
}

// walk tells one page of a search.
func (e *expansion) walk(ctx context.Context, cur cursor) (*connector.Expansion, error) {
	if cur.Page != "" && e.now.Sub(time.UnixMilli(cur.WalkAt)).Abs() > pageAge {
		cur = cur.restart()
	}
	out := &connector.Expansion{}
	if cur.Page == "" {
		gone, err := e.gone(ctx)
		if err != nil {
			return nil, err
		}
		if gone {
			out.Notices = append(out.Notices, connector.Notice{Signal: connector.SignalGone, Reason: "Jira no longer has the webhook"})
		}
		if e.sub.Watch != watchPoll {
			cur = e.watch(cur, e.sub.Held.ID != "" && !gone, out)
		}
		if cur, err = e.measure(ctx, cur); err != nil {
			return nil, err
		}
		cur.WalkAt = e.now.UnixMilli()
		cur.WalkFrom = cur.WalkAt + cur.Off
		if !e.searches() {
			out.Cursor = cur.done().String()
			return out, nil
		}
		if cur.JQL, err = e.query(cur); err != nil {
			return nil, err
		}
	}
	page, err := e.search(ctx, cur)
	if errors.Is(err, connector.ErrRefused) && cur.Page != "" { // the page is not known any more
		return &connector.Expansion{Cursor: cur.restart().String(), More: true}, nil
	}
	if err != nil {
		return nil, err
	}
	// Nothing that happened before the account was connected is told.
	floor := time.UnixMilli(max(cur.From-margin.Milliseconds(), cur.Start))
	for _, raw := range page.Issues {
		found, err := e.issue(ctx, raw, floor)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			out.Notices = append(out.Notices, connector.Notice{Occurrences: found})
		}
	}
	if cur.Page = page.Next; cur.Page != "" {
		out.Cursor, out.More = cur.String(), true
		return out, nil
	}
	out.Cursor = cur.done().String()
	return out, nil
}

// gone reports whether Jira has lost the webhook, long before it would be
// prolonged.
func (e *expansion) gone(ctx context.Context) (bool, error) {
	id := e.sub.Held.ID
	if e.sub.Watch == watchPoll || id == "" || id == heldNothing {
		return false, nil
	}
	if isAdmin(e.sub.Watch) {
		all, err := listAdmin(ctx, e.svc)
		return !slices.ContainsFunc(all, func(h connector.Held) bool { return h.ID == id }), err
	}
	all, err := listDynamic(ctx, e.svc)
	return !slices.ContainsFunc(all, func(h dynamicHook) bool { return string(h.ID) == id }), err
}

// query is the JQL of a search. Periods count from Jira's own time, where dates
// would be read in the time zone of the person's profile.
func (e *expansion) query(cur cursor) (string, error) {
	elapsed := max(e.now.Sub(time.UnixMilli(cur.At)), 0) + margin
	minutes := int64((elapsed + time.Minute - 1) / time.Minute)
	jql := fmt.Sprintf("updated >= -%dm", minutes)
	if filter := e.filter(); filter != everyIssue {
		if err := unordered(filter); err != nil {
			return "", fmt.Errorf("jira: %w: the jql %q: %w", connector.ErrRefused, excerpt(filter), err)
		}
		jql = "(" + filter + ") AND " + jql
	}
	return jql + " ORDER BY updated ASC, key ASC", nil
}

func (e *expansion) filter() string {
	var here []trigger.Filter
	for _, f := range e.sub.Filters {
		if isOf(f, e.site) {
			here = append(here, f)
		}
	}
	if len(here) == 0 || e.sub.Watch == watchAdminSite {
		return everyIssue
	}
	return issueFilter(e.sub, here)
}

// result is one page of a search.
type result struct {
	Issues []json.RawMessage `json:"issues"`
	Next   string            `json:"nextPageToken"`
}

// search asks for a page, through go-jira; its Search calls an address that Jira
// Cloud has removed. What it answers is read here, for the members that
// go-jira's types lack and for the odd one that they would stumble over.
//
// Issues can be large. A page that is longer than is read is asked for in smaller
// ones, in the end for one issue without what is listed apart.
func (e *expansion) search(ctx context.Context, cur cursor) (page result, err error) {
	ask := func(size int, fields ...string) error {
		_, _, err := e.svc.Issue.SearchV2JQLWithContext(ctx, cur.JQL, &jiraapi.SearchOptionsV2{
			NextPageToken: cur.Page, MaxResults: size, Fields: fields, Expand: "changelog",
		})
		return e.svc.failed(ctx, "search", err)
	}
	size := pageSize
	for err = ask(size, "*all"); e.svc.tooLong(err) && size > 1; err = ask(size, "*all") {
		size /= 5
	}
	if e.svc.tooLong(err) {
		err = ask(1, "*all", "-comment", "-worklog")
	}
	if err != nil {
		return page, err
	}
	if err := json.Unmarshal(e.svc.last.body, &page); err != nil {
		return page, fmt.Errorf("jira: search: the answer is not the expected JSON: %w", err)
	}
	return page, nil
}

// searches reports whether a search can find anything that is wanted.
func (e *expansion) searches() bool {
	return slices.ContainsFunc(offers(), func(o offer) bool {
		return e.wanted[o.def.Name] && slices.Contains(o.sources, Poll)
	})
}

// watch notes whether a webhook is held, and tells when what it told may be lost
// for good.
func (e *expansion) watch(cur cursor, held bool, out *connector.Expansion) cursor {
	var why string
	until := time.UnixMilli(cur.At)
	since := unstamp(e.sub.Held.Values[valueSince])
	switch {
	case !held:
		if cur.Watched && cur.Lost == 0 {
			cur.Lost = cur.At
		}
		return cur
	case cur.Lost != 0, cur.Watched && since.UnixMilli() > cur.At:
		if cur.Lost != 0 {
			until = time.UnixMilli(cur.Lost)
		}
		why = fmt.Sprintf("there was no webhook for a while between %s and %s", rfc3339(until), rfc3339(since))
	case cur.Watched && e.now.Sub(until) > e.c.cfg.SafetyInterval+awayMargin:
		why = fmt.Sprintf("nobody has looked since %s, and Jira repeats a webhook for half an hour only", rfc3339(until))
	}
	cur.Watched, cur.Lost = true, 0
	if lost := e.unsearchable(); why != "" && lost != "" && !cur.GapIsTold {
		out.Notices = append(out.Notices, connector.Notice{
			Signal: connector.SignalGap,
			Reason: why + ": what else happened is looked up, but these cannot be found: " + lost,
		})
	}
	cur.GapIsTold = true
	return cur
}

func rfc3339(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// unsearchable names what is wanted and what no search finds.
func (e *expansion) unsearchable() string {
	var labels []string
	for _, o := range offers() {
		if e.wanted[o.def.Name] && !slices.Contains(o.sources, Poll) {
			labels = append(labels, o.def.Label)
		}
	}
	return strings.Join(labels, ", ")
}
