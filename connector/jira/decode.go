package jira

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

const (
	identifierHeader = "X-Atlassian-Webhook-Identifier"
	maxIdentifier    = 200 // bytes
	maxMatched       = 100 // webhooks that one delivery can match; Jira keeps 5 for an App, person and site
)

// querySite is the query parameter with the site's host in the address of an
// admin webhook: not every body names its site.
const querySite = "site"

// Decode reads a webhook. What several triggers are about is told as several
// Occurrences: a change of status is also an update.
//
// A dynamic webhook concerns those whose registrations it names, at its site:
// the ids repeat from site to site. One that names none is told as something
// that was missed, because whoever else has connected the site may not be
// allowed to see it (Config.RouteBySite).
func (c *Connector) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	var h wireHook
	if err := json.Unmarshal(in.Body, &h); err != nil {
		return nil, fmt.Errorf("jira: body: %w", err)
	}
	if h.Event == "" {
		return nil, fmt.Errorf("jira: body: webhookEvent is missing")
	}
	host := cmp.Or(h.host(), addressSite(in))
	if host == "" {
		if told(string(h.Event)) {
			return nil, fmt.Errorf("jira: %.60q: nothing in it says which site it is of", string(h.Event))
		}
		host = "unknown" // of an event that no trigger is about
	}
	d := decoding{site: site(host), in: in, hook: &h}
	occurrences, err := d.occurrences()
	if err != nil {
		return nil, err
	}
	if len(occurrences) == 0 {
		return &connector.Decoded{}, nil
	}
	notice := connector.Notice{Occurrences: occurrences}
	matched := webhookKeys(host, h.Matched)
	switch {
	case in.Watch != "": // the address says whose it is
	case len(matched) > 0:
		notice.To = matched
	case c.cfg.RouteBySite, in.Header.Get(signatureHeader) != "": // who made it by hand wants it so
		notice.To = []connector.Key{siteKey(host)}
	default:
		notice = connector.Notice{
			To: []connector.Key{siteKey(host)}, Signal: connector.SignalMissed,
			Reason: fmt.Sprintf("a webhook (%s) did not name the registrations it matches: what it says is looked up", h.Event),
		}
		if !searchable(string(h.Event)) {
			notice.Signal = connector.SignalGap
			notice.Reason = fmt.Sprintf("a webhook (%s) did not name the registrations it matches, and what it says cannot be looked up", h.Event)
		}
	}
	return &connector.Decoded{Notices: []connector.Notice{notice}}, nil
}

func webhookKeys(host string, ids []ident) (keys []connector.Key) {
	for _, id := range ids[:min(len(ids), maxMatched)] {
		if key := webhookKey(host, string(id)); id != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// addressSite is the site that the address of an admin webhook names. The
// address is known to Jira alone, and the signature says that Jira sends.
func addressSite(in *connector.Inbound) string {
	if in.Watch == "" {
		return ""
	}
	u, err := url.Parse(in.URL)
	if err != nil {
		return ""
	}
	return siteHost("https://" + u.Query().Get(querySite))
}

// decoding is what the steps of one Decode share.
type decoding struct {
	site site
	in   *connector.Inbound
	hook *wireHook
}

// silent are the names of events that no trigger is about: whole families, and
// single ones. Webhooks that are made by hand may send all of them.
func silent(event string) bool {
	for _, family := range []string{
		"attachment_", "issuelink_", "issue_property_", "issuetype_", "project_", "filter_", "user_", "option_", "sprint_", "board_",
		"jira:version_", "app_access_to_objects_",
	} {
		if strings.HasPrefix(event, family) {
			return true
		}
	}
	return event == "jira_expression_evaluation_failed"
}

// told reports whether a trigger is about an event.
func told(event string) bool {
	return slices.ContainsFunc(offers(), func(o offer) bool { return slices.Contains(o.def.Topics, event) })
}

// searchable reports whether a search finds what an event is about.
func searchable(event string) bool {
	return slices.ContainsFunc(offers(), func(o offer) bool {
		return slices.Contains(o.def.Topics, event) && slices.Contains(o.sources, Poll)
	})
}

func (d decoding) occurrences() ([]connector.Occurrence, error) {
	h := d.hook
	missing := func(what string) ([]connector.Occurrence, error) {
		return nil, fmt.Errorf("jira: %.60q: %s is missing", string(h.Event), what)
	}
	issue := h.Issue.v
	switch event := string(h.Event); event {
	case "jira:issue_created", "jira:issue_updated", "jira:issue_deleted":
		if issue == nil || issue.ID == "" {
			return missing("the issue")
		}
		return d.issue(event, issue), nil
	case "comment_created", "comment_updated", "comment_deleted":
		if w := h.Comment.v; w != nil && w.ID != "" {
			name := map[string]string{"comment_created": CommentCreated, "comment_updated": CommentUpdated, "comment_deleted": CommentDeleted}[event]
			return d.one(d.site.tellComment(name, w, issue)), nil
		}
		return missing("the comment")
	case "worklog_created", "worklog_updated", "worklog_deleted":
		if w := h.Worklog.v; w != nil && w.ID != "" {
			name := map[string]string{"worklog_created": WorklogCreated, "worklog_updated": WorklogUpdated, "worklog_deleted": WorklogDeleted}[event]
			return d.one(d.site.tellWorklog(name, w, issue)), nil
		}
		return missing("the worklog")
	case "attachment_created":
		if w := h.File.v; w != nil && w.ID != "" {
			return d.one(d.site.tellAttachment(w, issue)), nil
		}
		return missing("the attachment")
	case "issuelink_created":
		if w := h.Link.v; w != nil && w.ID != "" {
			return d.one(d.site.tellLink(d.site.link(w), nil)), nil
		}
		return missing("the link")
	case "sprint_created", "sprint_started", "sprint_closed":
		if w := h.Sprint.v; w != nil && w.ID != "" {
			return d.one(d.sprint(event, w)), nil
		}
		return missing("the sprint")
	case "jira:version_released":
		if w := h.Version.v; w != nil && w.ID != "" {
			return d.one(connector.Occurrence{
				Trigger: VersionReleased, Key: d.delivery(), Attributes: d.site.attributes(nil), Payload: d.site.version(w),
			}), nil
		}
		return missing("the version")
	case "project_created":
		if w := h.Project.v; w != nil && w.ID != "" {
			return d.one(connector.Occurrence{
				Trigger: ProjectCreated, Key: d.site.key("project", w.ID), Attributes: d.site.attributes(nil), Payload: d.site.newProject(w),
			}), nil
		}
		return missing("the project")
	default:
		if silent(event) {
			return nil, nil
		}
		return nil, fmt.Errorf("jira: webhookEvent %.60q is not known", event)
	}
}

// one completes an Occurrence that a webhook tells whole.
func (d decoding) one(o connector.Occurrence) []connector.Occurrence {
	o.Raw = d.in.Body
	if !d.hook.Timestamp.IsZero() {
		o.OccurredAt = d.hook.Timestamp.Time
	}
	return []connector.Occurrence{o}
}

func (d decoding) issue(event string, w *wireIssue) (all []connector.Occurrence) {
	add := func(o connector.Occurrence) { all = append(all, d.one(o)...) }
	switch event {
	case "jira:issue_created":
		i := d.site.issue(w)
		i.Actor, i.Kind = user(d.hook.User.v), string(d.hook.Kind)
		add(d.site.tellIssue(IssueCreated, d.site.key("issue", w.ID), i))
	case "jira:issue_deleted":
		i := d.site.issue(w)
		i.Actor, i.Kind = user(d.hook.User.v), string(d.hook.Kind)
		add(d.site.tellIssue(IssueDeleted, d.site.key("issue", w.ID), i))
	default:
		log := d.hook.Changelog.some()
		if len(log.Items) == 0 && strings.HasPrefix(string(d.hook.Kind), "issue_comment") {
			return nil // comments have events of their own
		}
		key := d.delivery()
		if log.ID != "" {
			key = d.site.key("change", log.ID)
		}
		for _, o := range d.site.tellChange(key, w, user(d.hook.User.v), string(d.hook.Kind), log.Items) {
			add(o)
		}
	}
	return all
}

func (d decoding) sprint(event string, w *wireSprint) connector.Occurrence {
	o := connector.Occurrence{Attributes: d.site.attributes(nil), Payload: d.site.sprint(w), Key: d.delivery()}
	if w.Board != "" {
		o.Attributes[paramBoard] = []string{string(w.Board)}
	}
	switch event {
	case "sprint_created":
		o.Trigger, o.Key = SprintCreated, d.site.key("sprint", w.ID)
	case "sprint_started":
		o.Trigger = SprintStarted
	default:
		o.Trigger = SprintClosed
	}
	return o
}

// delivery is the key of what nothing but the delivery itself tells apart: a
// sprint can be closed, opened and closed again. Jira's identifier is the same in
// each retry, and unique at its site.
func (d decoding) delivery() string {
	id := d.in.Header.Get(identifierHeader)
	if id == "" || len(id) > maxIdentifier {
		sum := sha256.Sum256(d.in.Body)
		id = "sha256:" + hex.EncodeToString(sum[:])
	}
	return string(d.site) + " delivery " + id
}

// key names an occurrence at its site by what it is about, which webhooks and
// searches tell alike.
func (s site) key(kind string, id ident) string { return string(s) + " " + kind + " " + string(id) }

// versionOf tells the edits of a thing apart.
func versionOf(id ident, at time.Time) ident {
	if at.IsZero() {
		return id
	}
	return ident(fmt.Sprintf("%s@%d", id, at.UnixMilli()))
}
