package jira_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

// rig is the Subscriptions of one Connection, with an engine that does what
// boundary.md asks of the real one: verify, decode, route by keys, match
// filters, find duplicates by Trigger and Key, serial Expands.
type rig struct {
	t       testing.TB
	server  *jiratest.Server
	c       *jira.Connector
	entry   *connector.Entry
	session *connector.Session
	hooks   *httptest.Server
	secret  string

	mu      sync.Mutex
	subs    []*connector.Subscription
	filters []trigger.Filter
	told    []connector.Occurrence // each once
	seen    map[[2]string]bool
	twice   int
	gaps    []string
	signals []connector.Signal
	refused []error
	crashes int
	lost    int             // watches that were made anew
	routed  map[string]bool // deliveries that reached a watch, by site and identifier
	now     func() time.Time
}

const ownSecret = "a-secret-of-43-characters-for-admin-webhooks"

func newRig(t testing.TB, server *jiratest.Server, cfg jira.Config, person string, filters ...trigger.Filter) *rig {
	t.Helper()
	return newRigAt(t, time.Now, server, cfg, person, filters...)
}

func newRigAt(t testing.TB, now func() time.Time, server *jiratest.Server, cfg jira.Config, person string, filters ...trigger.Filter) *rig {
	t.Helper()
	c := jira.New(cfg)
	r := &rig{
		t: t, server: server, c: c, session: connect(t, server, c, person, everyScope),
		seen: map[[2]string]bool{}, filters: filters, secret: cfg.ClientSecret, routed: map[string]bool{}, now: now,
	}
	r.session.Now = now
	r.hooks = httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(r.hooks.Close)
	registry, err := connector.NewRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	r.entry, _ = registry.Lookup(jira.Name)
	r.subscribe()
	return r
}

// plan is the engine's: one Subscription for each watch, Identity and Resource.
func (r *rig) plan() (subs []*connector.Subscription) {
	r.t.Helper()
	for _, d := range r.entry.Triggers {
		w, _ := r.entry.Watch(d.Watch)
		for _, f := range r.filters {
			if !f.Covers(d.Name) || d.Undeliverable != "" {
				continue
			}
			for _, who := range r.session.Identities {
				resource, err := w.Resource.Fill(map[string]string{"identity": who.ID}, f.Params)
				if err != nil {
					r.t.Fatal(err)
				}
				i := slices.IndexFunc(subs, func(s *connector.Subscription) bool { return s.Watch == w.Name && s.Resource == resource })
				if i < 0 {
					i = len(subs)
					s := &connector.Subscription{ID: "sub_" + w.Name + "_" + who.Values["host"] + strings.TrimPrefix(resource, who.ID), Watch: w.Name, Resource: resource, Identity: who}
					s.ID = strings.NewReplacer(" ", "_", `"`, "").Replace(s.ID)
					if f.Params["jql"] != "" {
						s.Params = map[string]string{"jql": f.Params["jql"]}
					}
					subs = append(subs, s)
				}
				s := subs[i]
				s.Topics = append(s.Topics, d.Topics...)
				s.Filters = append(s.Filters, trigger.Filter{Trigger: d.Name, Params: f.Params})
				s.Address = r.hooks.URL + "/webhooks/jira"
				if w.Intake == connector.AtSubscription {
					s.Address, s.Secret = r.hooks.URL+"/webhooks/jira/"+url.PathEscape(s.ID), ownSecret
				}
			}
		}
	}
	for _, s := range subs {
		slices.Sort(s.Topics)
		s.Topics = slices.Compact(s.Topics)
	}
	return subs
}

func (r *rig) subscribe() {
	r.t.Helper()
	r.subs = r.plan()
	for _, s := range r.subs {
		r.hold(s)
	}
}

// hold subscribes and asks for what is new, as the engine does.
func (r *rig) hold(s *connector.Subscription) {
	r.t.Helper()
	if w, _ := r.entry.Watch(s.Watch); w.Intake != connector.FromPoll {
		held, err := r.c.Subscribe(r.t.Context(), r.session, s)
		if err != nil {
			r.t.Fatal(err)
		}
		r.mu.Lock()
		s.Held = *held
		if s.Cursor == "" {
			s.Cursor = held.Cursor
		}
		r.mu.Unlock()
	}
	r.expand(s)
}

func (r *rig) receive(w http.ResponseWriter, req *http.Request) {
	status := r.take(req)
	w.WriteHeader(status)
}

func (r *rig) take(req *http.Request) int {
	in := inbound(req, r.hooks.URL)
	in.ReceivedAt = r.now()
	in.Secrets = []string{r.secret}
	var at *connector.Subscription
	r.mu.Lock()
	for _, s := range r.subs {
		if strings.HasPrefix(in.URL, s.Address) && s.Secret != "" {
			at = s
			in.Watch, in.Subscription, in.Secrets = s.Watch, s.ID, []string{s.Secret}
		}
	}
	r.mu.Unlock()
	if err := r.c.Verify(req.Context(), in); err != nil {
		r.fail(err)
		return http.StatusUnauthorized
	}
	decoded, err := r.c.Decode(in)
	if err != nil {
		r.fail(err)
		return http.StatusOK
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.crashes > 0 {
		r.crashes--
		return http.StatusServiceUnavailable
	}
	for _, n := range decoded.Notices {
		var to []*connector.Subscription
		switch {
		case len(n.To) == 0:
			to = []*connector.Subscription{at}
		default:
			for _, s := range r.subs {
				if slices.ContainsFunc(n.To, func(k connector.Key) bool {
					return slices.Contains(s.Held.Keys, k) || slices.Contains(s.Identity.Keys, k)
				}) {
					to = append(to, s)
				}
			}
		}
		if len(to) > 0 {
			r.routed[deliveryOf(in.Body, in.Header.Get("X-Atlassian-Webhook-Identifier"))] = true
		}
		r.notice(n, to)
	}
	return http.StatusOK
}

// deliveryOf names a delivery: its identifier is unique on its site alone, the
// body tells the rest.
func deliveryOf(body []byte, identifier string) string { return identifier + " " + string(body) }

func (r *rig) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = append(r.refused, err)
}

func inbound(req *http.Request, origin string) *connector.Inbound {
	body, _ := io.ReadAll(req.Body) // what is cut off does not verify or decode
	return &connector.Inbound{
		Method: req.Method, URL: origin + req.URL.RequestURI(), Header: req.Header, Body: body, ReceivedAt: time.Now(),
	}
}

// notice commits. r.mu is held.
func (r *rig) notice(n connector.Notice, to []*connector.Subscription) {
	if n.Signal == connector.SignalGap {
		r.gaps = append(r.gaps, n.Reason)
	}
	if n.Signal != connector.SignalNone {
		r.signals = append(r.signals, n.Signal)
	}
	for _, o := range n.Occurrences {
		for _, s := range to {
			attributes := maps.Clone(o.Attributes)
			for name, v := range s.Params {
				attributes[name] = append(slices.Clone(attributes[name]), v)
			}
			if !slices.ContainsFunc(r.filters, func(f trigger.Filter) bool { return f.Match(o.Trigger, attributes) }) {
				continue
			}
			if id := [2]string{o.Trigger, o.Key}; !r.seen[id] {
				r.seen[id] = true
				r.told = append(r.told, o)
			} else {
				r.twice++
			}
			break
		}
	}
}
