package jiratest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/interactorhq/interactor/internal/standin"
)

const (
	hookLifetime = 30 * 24 * time.Hour
	maxHooks     = 5 // for each app, person and site
)

// dynamicEvents are those that an app can register for. Worklogs, attachments,
// links and projects are for admin webhooks alone.
func dynamicEvents() []string {
	return []string{
		"jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created", "comment_updated", "comment_deleted",
		"issue_property_set", "issue_property_deleted",
		"sprint_created", "sprint_updated", "sprint_started", "sprint_closed", "sprint_deleted",
		"jira:version_created", "jira:version_updated", "jira:version_released", "jira:version_unreleased", "jira:version_moved", "jira:version_deleted",
	}
}

type hookDetails struct {
	JQL        *string  `json:"jqlFilter"`
	Events     []string `json:"events"`
	Fields     []string `json:"fieldIdsFilter"`
	Properties []string `json:"issuePropertyKeysFilter"`
}

// register is POST webhook. What is wrong with one webhook is told in its
// place, within an answer 200.
func (s *Server) register(c call) {
	var in struct {
		URL      string        `json:"url"`
		Webhooks []hookDetails `json:"webhooks"`
	}
	if !c.read(&in) {
		return
	}
	if wrong := s.badAddress(in.URL); wrong != "" {
		apiError(c.w, http.StatusBadRequest, wrong)
		return
	}
	if len(in.Webhooks) == 0 {
		apiError(c.w, http.StatusBadRequest, "The list of webhooks must not be empty")
		return
	}
	type result struct {
		ID     int      `json:"createdWebhookId,omitempty"`
		Errors []string `json:"errors,omitempty"`
	}
	results := make([]result, 0, len(in.Webhooks))
	for _, d := range in.Webhooks {
		h, wrong := c.hook(s, in.URL, d)
		if len(wrong) > 0 {
			results = append(results, result{Errors: wrong})
			continue
		}
		h.id = c.site.next("webhook", 1)
		c.site.dynamic = append(c.site.dynamic, h)
		results = append(results, result{ID: h.id})
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"webhookRegistrationResult": results})
}

// badAddress refuses what Jira could not deliver to. Jira demands https; the
// stand-in takes http on loopback, and delivers nowhere else.
func (s *Server) badAddress(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Sprintf("The URL %q is not valid", address)
	case s.http == nil:
		return ""
	case !standin.IsLoopback(u.Hostname()):
		return fmt.Sprintf("jiratest delivers to loopback addresses only, not to %q", address)
	}
	return ""
}

// hook checks one webhook of a registration.
func (c call) hook(s *Server, address string, d hookDetails) (*dynamicHook, []string) {
	var wrong []string
	if len(d.Events) == 0 {
		wrong = append(wrong, "The list of events must not be empty")
	}
	for _, e := range d.Events {
		if !slices.Contains(dynamicEvents(), e) {
			wrong = append(wrong, "The event "+e+" is unsupported")
		}
	}
	if d.JQL == nil {
		return nil, append(wrong, "The JQL filter must be given")
	}
	q, bad := c.site.webhookJQL(*d.JQL)
	wrong = append(wrong, bad...)
	own := 0
	for _, site := range s.sites {
		for _, h := range site.dynamic {
			if h.grant.client != c.from.client || !h.live(s.now()) {
				continue
			}
			if h.url != address {
				return nil, append(wrong, "Only a single URL per app is allowed to be registered via REST API. The currently registered URL is "+h.url)
			}
			if site == c.site && h.grant == c.from {
				own++
			}
		}
	}
	if own >= maxHooks {
		wrong = append(wrong, fmt.Sprintf("The limit of %d webhooks for the app and the user is reached", maxHooks))
	}
	now := s.now()
	return &dynamicHook{
		grant: c.from, url: address, jql: *d.JQL, query: q, events: slices.Clone(d.Events),
		fields: d.Fields, properties: d.Properties, registered: now, expires: now.Add(hookLifetime),
	}, wrong
}

// mine are the live webhooks of the calling app and person on the site.
func (c call) mine(s *Server) []*dynamicHook {
	var mine []*dynamicHook
	for _, h := range c.site.dynamic {
		if h.grant == c.from && h.live(s.now()) {
			mine = append(mine, h)
		}
	}
	return mine
}

func (s *Server) listHooks(c call) {
	all := list(c.mine(s), func(h *dynamicHook) any {
		shown := map[string]any{"id": h.id, "jqlFilter": h.jql, "events": h.events, "expirationDate": h.expires.UnixMilli(), "url": h.url}
		if len(h.fields) > 0 {
			shown["fieldIdsFilter"] = h.fields
		}
		if len(h.properties) > 0 {
			shown["issuePropertyKeysFilter"] = h.properties
		}
		return shown
	})
	if page, ok := c.page(s, all, 100); ok {
		writeJSON(c.w, http.StatusOK, page)
	}
}

// ids reads a list of webhook ids.
func (c call) ids() ([]int, bool) {
	var in struct {
		IDs []int `json:"webhookIds"`
	}
	if !c.read(&in) {
		return nil, false
	}
	if len(in.IDs) == 0 {
		apiError(c.w, http.StatusBadRequest, "The list of webhook IDs is missing")
		return nil, false
	}
	return in.IDs, true
}

// refreshHooks is PUT webhook/refresh. Ids that are unknown or another's are
// ignored, as Jira does, so the answer proves nothing about any of them.
func (s *Server) refreshHooks(c call) {
	ids, ok := c.ids()
	if !ok {
		return
	}
	expires := s.now().Add(hookLifetime)
	for _, h := range c.mine(s) {
		if slices.Contains(ids, h.id) {
			h.expires = expires
		}
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"expirationDate": expires.UnixMilli()})
}

// deleteHooks is DELETE webhook, with a body. Others' ids are ignored.
func (s *Server) deleteHooks(c call) {
	ids, ok := c.ids()
	if !ok {
		return
	}
	c.site.dynamic = slices.DeleteFunc(c.site.dynamic, func(h *dynamicHook) bool {
		return h.grant == c.from && slices.Contains(ids, h.id)
	})
	c.w.WriteHeader(http.StatusAccepted)
}

// failedHooks is for Connect apps alone.
func (s *Server) failedHooks(c call) {
	apiError(c.w, http.StatusForbidden, "Only Connect apps can use this operation.")
}

// Hook is a dynamic webhook as Hooks tells of it.
type Hook struct {
	ID        int
	ClientID  string
	By        string // address of the person whose grant registered it
	URL, JQL  string
	Events    []string
	ExpiresAt time.Time
}

// Hooks lists the live dynamic webhooks of a site, of every app and person.
func (t *Site) Hooks() []Hook {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	var all []Hook
	for _, h := range t.dynamic {
		if h.live(t.s.now()) {
			all = append(all, Hook{h.id, h.grant.client.id, h.grant.person.email, h.url, h.jql, slices.Clone(h.events), h.expires})
		}
	}
	return all
}

// ExpireHooks ends every dynamic webhook of a site, as the passing of 30 days does.
func (t *Site) ExpireHooks() { t.edit(func() { t.dynamic = nil }) }

// SkipHookIDs makes the site's next webhook id larger: ids of two sites that
// would be equal then differ.
func (t *Site) SkipHookIDs(n int) {
	t.edit(func() {
		for range n {
			t.next("webhook", 1)
		}
	})
}
