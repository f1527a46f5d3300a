package jira_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

const alice, bob = "alice@example.com", "bob@example.com"

// everyScope is what all sources together need.
var everyScope = []string{"offline_access", "read:jira-user", "read:jira-work", "manage:jira-webhook"}

func newAtlassian(t testing.TB) *jiratest.Server {
	t.Helper()
	s := jiratest.NewServer()
	t.Cleanup(s.Close)
	return s
}

func config(s *jiratest.Server, sources ...jira.Source) jira.Config {
	app := s.App()
	return jira.Config{ClientID: app.ClientID, ClientSecret: app.ClientSecret, Endpoints: s.Endpoints(), Sources: sources}
}

// connect signs a person in with x/oauth2, which knows nothing of our code, and
// returns a Session like the engine's: it adds the token and refreshes it.
func connect(t testing.TB, s *jiratest.Server, c *jira.Connector, person string, scopes []string, sites ...*jiratest.Site) *connector.Session {
	t.Helper()
	codes := make(chan url.Values, 1)
	callback := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { codes <- r.URL.Query() }))
	defer callback.Close()
	d := c.Describe()
	app, _ := c.DefaultApp()
	conf := oauth2.Config{
		ClientID: app.ClientID, ClientSecret: app.ClientSecret, RedirectURL: callback.URL + "/oauth/callback", Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: string(d.OAuth.Authorize), TokenURL: string(d.OAuth.Token.URL), AuthStyle: oauth2.AuthStyleInParams},
	}
	verifier := oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	for name, v := range d.OAuth.Params {
		options = append(options, oauth2.SetAuthURLParam(name, string(v)))
	}
	if err := s.Consent(t.Context(), conf.AuthCodeURL("state-1", options...), person, sites...); err != nil {
		t.Fatal(err)
	}
	answer := <-codes
	token, err := conf.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	session := &connector.Session{
		HTTP:      &http.Client{Transport: &bearer{conf: conf, token: token}},
		Endpoints: map[string]string{"api": string(d.Endpoints["api"])}, Now: time.Now,
	}
	if session.Identities, err = c.Identify(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	return session
}

// bearer adds the token, and refreshes it once after a 401, as a Session does.
type bearer struct {
	conf oauth2.Config

	mu    sync.Mutex
	token *oauth2.Token
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	send := func() (*http.Response, error) {
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			again.Body, _ = r.GetBody()
		}
		again.Header.Set("Authorization", "Bearer "+b.token.AccessToken)
		return http.DefaultTransport.RoundTrip(again)
	}
	resp, err := send()
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	_ = resp.Body.Close()
	fresh, err := b.conf.TokenSource(r.Context(), &oauth2.Token{RefreshToken: b.token.RefreshToken}).Token()
	var failed *oauth2.RetrieveError
	if errors.As(err, &failed) && failed.Response.StatusCode == http.StatusForbidden {
		return nil, errors.Join(connector.ErrRevoked, err)
	}
	if err != nil {
		return nil, err
	}
	b.token = fresh
	return send()
}

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
	body := make([]byte, 0, 4096)
	buf := make([]byte, 4096)
	for {
		n, err := req.Body.Read(buf)
		body = append(body, buf[:n]...)
		if err != nil {
			break
		}
	}
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
			attributes := map[string][]string{}
			for name, v := range o.Attributes {
				attributes[name] = v
			}
			for name, v := range s.Params {
				attributes[name] = append(attributes[name], v)
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

// page runs one Expand; with lose its outcome is not committed, as when the
// process is killed.
func (r *rig) page(s *connector.Subscription, lose bool) (*connector.Expansion, error) {
	r.mu.Lock()
	sub := *s
	r.mu.Unlock()
	out, err := r.c.Expand(r.t.Context(), r.session, &sub, nil)
	if err != nil || lose {
		return out, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range out.Notices {
		r.notice(n, []*connector.Subscription{s})
	}
	if out.Cursor != "" {
		s.Cursor = out.Cursor
	}
	return out, nil
}

func (r *rig) expand(s *connector.Subscription) {
	r.t.Helper()
	for range 1000 {
		out, err := r.page(s, false)
		if err != nil {
			r.t.Fatal(err)
		}
		if !out.More {
			return
		}
	}
	r.t.Fatal("Expand does not come to an end")
}

// catchUp runs every search to its end.
func (r *rig) catchUp() {
	r.t.Helper()
	for _, s := range r.subs {
		r.expand(s)
	}
}

func (r *rig) settle() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	if err := r.server.Settled(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// of lists what was told for a trigger.
func (r *rig) of(trigger string) (all []connector.Occurrence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.told {
		if o.Trigger == trigger {
			all = append(all, o)
		}
	}
	return all
}

// want compares how often each trigger was told; triggers that are not named must not have been.
func (r *rig) want(counts map[string]int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := map[string]int{}
	for _, o := range r.told {
		got[o.Trigger]++
	}
	for name, n := range counts {
		if got[name] != n {
			r.t.Errorf("%s was told %d times, want %d", name, got[name], n)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		r.t.Errorf("also told: %v", got)
	}
	if len(r.refused) > 0 {
		r.t.Errorf("refused: %v", r.refused)
	}
}

// crash lets the next n webhooks be lost between Decode and the commit, as when
// the process is killed: Jira gets no 2xx.
func (r *rig) crash(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crashes = n
}

// again renews a watch, and makes it anew when Jira has lost it; what fails for
// now is tried again.
func (r *rig) again(s *connector.Subscription) {
	r.t.Helper()
	for range 20 {
		r.mu.Lock()
		sub := *s
		r.mu.Unlock()
		held, err := r.c.Renew(r.t.Context(), r.session, &sub)
		anew := errors.Is(err, connector.ErrGone)
		if anew {
			r.lost++
			sub.Held = connector.Held{}
			held, err = r.c.Subscribe(r.t.Context(), r.session, &sub)
		}
		if err != nil {
			continue
		}
		r.mu.Lock()
		s.Held = *held
		r.mu.Unlock()
		return
	}
	r.t.Fatalf("%s cannot be renewed", s.ID)
}

// judge compares what was told with what the oracle expects.
func (r *rig) judge(truth oracle, want func(fact) bool) {
	r.t.Helper()
	late := 0
	must, may := truth.expect(r.t, func(d jiratest.Delivery) bool {
		if !strings.HasPrefix(d.URL, r.hooks.URL) {
			return false
		}
		if d.Webhooks == nil || r.routed[deliveryOf(d.Body, d.Identifier)] {
			return true
		}
		for _, s := range r.subs {
			for _, id := range d.Webhooks {
				if slices.Contains(s.Held.Keys, connector.NewKey("webhook", strings.TrimPrefix(d.Site.URL(), "https://"), strconv.Itoa(id))) {
					return true
				}
			}
		}
		late++ // of a webhook that Jira has lost since; that is told as a gap
		return false
	}, want)
	if late > 0 && r.lost == 0 {
		r.t.Errorf("%d deliveries of webhooks that nobody holds", late)
	}
	if late > 0 && want(fact{trigger: jira.IssueDeleted}) && len(r.gaps) == 0 {
		r.t.Errorf("%d deliveries of webhooks that Jira had lost, and no gap was told", late)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	told := map[[2]string]int{}
	for _, o := range r.told {
		told[[2]string{o.Trigger, said(r.t, o.Payload, o.Trigger, o.Key)}]++
	}
	var missing, invented, double []string
	for id := range must {
		if told[id] == 0 {
			missing = append(missing, id[0]+" "+id[1])
		}
	}
	for id, n := range told {
		if !must[id] && !may[id] {
			invented = append(invented, id[0]+" "+id[1])
		}
		if n > 1 {
			double = append(double, id[0]+" "+id[1])
		}
	}
	if len(missing)+len(invented)+len(double) > 0 {
		r.t.Errorf("of %d events %d are missing, %d did not happen, %d were told under two keys:\n%.2000s\n%.2000s\n%.2000s",
			len(must), len(missing), len(invented), len(double), strings.Join(missing, "\n"), strings.Join(invented, "\n"), strings.Join(double, "\n"))
	}
	if len(must) < 20 {
		r.t.Errorf("only %d events", len(must))
	}
	for _, err := range r.refused {
		r.t.Errorf("refused: %v", err)
	}
	r.t.Logf("%d events must and %d may be told; %d were told again; %d late; %d watches made anew, %d gaps", len(must), len(may), r.twice, late, r.lost, len(r.gaps))
}
