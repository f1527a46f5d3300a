package jiratest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// event is something that happened on a site, before it is told to anybody.
type event struct {
	name      string
	body      map[string]any // without timestamp, webhookEvent and changelog
	issue     *issue         // what JQL is compared with; nil: no issue event
	project   *project
	changelog *history
	secondary bool
}

// issueEvent is an event of an issue as it is now.
func (t *Site) issueEvent(name, kind string, by *person, i *issue) *event {
	v := t.hookView()
	body := map[string]any{"user": by.user(v.base), "issue": i.wrap(v, i.fields(v))}
	if kind != "" {
		body["issue_event_type_name"] = kind
	}
	return &event{name: name, issue: i, body: body}
}

// json is the body of a delivery.
func (o *outbox) json(e *event, at time.Time, matched []int) []byte {
	body := map[string]any{"timestamp": at.UnixMilli(), "webhookEvent": e.name}
	maps.Copy(body, e.body)
	if e.changelog != nil {
		body["changelog"] = map[string]any{"id": strconv.Itoa(e.changelog.id), "items": e.changelog.items}
	}
	if matched != nil {
		body["matchedWebhookIds"] = matched
	}
	for _, part := range o.omit {
		delete(body, part)
	}
	maps.Copy(body, o.extra)
	return mustJSON(body)
}

// touches reports whether the changelog has one of the fields; no fields: any.
func (e *event) touches(fields []string) bool {
	if len(fields) == 0 || e.name != "jira:issue_updated" {
		return true
	}
	return e.changelog != nil && slices.ContainsFunc(e.changelog.items, func(i item) bool { return slices.Contains(fields, i.ID) })
}

// dynamicHook is a webhook that an app registered for a person.
type dynamicHook struct {
	id                  int
	grant               *grant
	url, jql            string
	query               *query
	events              []string
	fields, properties  []string
	expires, registered time.Time
}

// adminHook is a webhook of the site's settings.
type adminHook struct {
	id                int
	name, description string
	url, jql, secret  string
	query             *query
	events            []string
	excludeBody, on   bool
	by                *person
	updated           time.Time
}

// fire tells the webhooks. A JQL filter is about issues; events of sprints and
// versions pass it whatever it says (assumed). s.mu is held.
func (t *Site) fire(e *event) {
	now := t.s.now()
	// One delivery for an app, whatever number of its webhooks match: they share its address.
	matched := map[*client][]*dynamicHook{}
	var order []*client
	for _, h := range t.dynamic {
		c := h.grant.client
		if !h.live(now) || !slices.Contains(h.events, e.name) || !e.touches(h.fields) || e.issue != nil && !h.query.matches(e.issue, h.grant.person, now) {
			continue
		}
		if c.owner != "" && c.owner != h.grant.person.key {
			continue
		}
		if matched[c] == nil {
			order = append(order, c)
		}
		matched[c] = append(matched[c], h)
	}
	for _, c := range order {
		ids := make([]int, 0, len(matched[c]))
		for _, h := range matched[c] {
			ids = append(ids, h.id)
		}
		t.s.send(&delivery{site: t, event: e.name, client: c, url: matched[c][0].url, ids: ids, body: t.s.outbox.json(e, now, ids), secondary: e.secondary})
	}
	for _, h := range t.static {
		if !h.on || !slices.Contains(h.events, e.name) || e.issue != nil && h.query != nil && !h.query.matches(e.issue, h.by, now) {
			continue
		}
		d := &delivery{site: t, event: e.name, secret: h.secret, url: e.fill(h.url), body: t.s.outbox.json(e, now, nil), secondary: e.secondary}
		if h.excludeBody {
			d.body = nil
		}
		t.s.send(d)
	}
}

func (h *dynamicHook) live(now time.Time) bool { return now.Before(h.expires) }

// fill replaces the variables that an admin webhook's address may have.
func (e *event) fill(address string) string {
	values := map[string]string{}
	if e.issue != nil {
		values["issue.key"], values["issue.id"] = e.issue.key, strconv.Itoa(e.issue.id)
		values["project.key"], values["project.id"] = e.issue.project.key, strconv.Itoa(e.issue.project.id)
	}
	if e.project != nil {
		values["project.key"], values["project.id"] = e.project.key, strconv.Itoa(e.project.id)
	}
	for name, value := range values {
		address = strings.ReplaceAll(address, "${"+name+"}", value)
	}
	return address
}

// forget removes what a grant registered. s.mu is held.
func (t *Site) forget(g *grant) {
	t.dynamic = slices.DeleteFunc(t.dynamic, func(h *dynamicHook) bool { return h.grant == g })
}

func mustJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("jiratest: encoding: %v", err)) // plain values encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
