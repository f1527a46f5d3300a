package forward_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// acme is a product whose webhooks say in their body what is to happen.
type acme struct {
	secret string

	mu       sync.Mutex
	upgraded bool // understands what it did not before
	expand   func(sub *connector.Subscription, n *connector.Notice) (*connector.Expansion, error)
}

const (
	noteAdded   = "acme.note.added"
	noteRemoved = "acme.note.removed"
)

type note struct {
	Text string `json:"text"`
}

// request is what acme sends.
type request struct {
	Team   string           `json:"team,omitempty"`
	Items  []item           `json:"items,omitempty"`
	Thin   string           `json:"thin,omitempty"`
	Bytes  []byte           `json:"bytes,omitempty"` // thin, as they are
	Merge  string           `json:"merge,omitempty"`
	Signal connector.Signal `json:"signal,omitempty"`
	Do     string           `json:"do,omitempty"` // "panic in Verify", "panic in Decode", "confuse", "unknown trigger", "reply", "ping"
}

type item struct {
	Kind  string `json:"kind,omitempty"` // trigger; noteAdded
	Key   string `json:"key"`
	Text  string `json:"text,omitempty"`
	Label string `json:"label,omitempty"`
}

var (
	_ connector.Verifier   = (*acme)(nil)
	_ connector.Decoder    = (*acme)(nil)
	_ connector.Challenger = (*acme)(nil)
	_ connector.Expander   = (*acme)(nil)
	_ connector.AppSource  = (*acme)(nil)
)

func (a *acme) Describe() connector.Description {
	definition := func(name, label string) trigger.Definition {
		return trigger.Definition{
			Name: name, Label: label, Help: label + ".", Payload: note{}, Example: note{Text: "an example"},
			Watch: "team", Topics: []string{"note"},
			Params: []trigger.Param{{Name: "label", Label: "Label"}},
		}
	}
	return connector.Description{
		Name: "acme", Label: "Acme", Docs: "https://acme.example/docs",
		AppFields: []connector.Field{{Name: connector.FieldWebhookSecret, Label: "Webhook secret", Secret: true}},
		Fields:    []connector.Field{{Name: "team", Label: "Team"}},
		Watches:   []connector.Watch{{Name: "team", Intake: connector.AtApp, Secret: connector.AppSecret(connector.FieldWebhookSecret)}},
		Triggers:  []trigger.Definition{definition(noteAdded, "A Note is Added"), definition(noteRemoved, "A Note is Removed")},
		Accepted:  connector.Reply{Status: http.StatusAccepted},
	}
}

func (a *acme) DefaultApp() (connector.App, bool) {
	return connector.App{ClientID: "acme-client", ClientSecret: "acme-client-secret", Fields: map[string]string{connector.FieldWebhookSecret: a.secret}}, true
}

func (a *acme) Challenge(in *connector.Inbound) (*connector.Handshake, error) {
	c := in.Header.Get("X-Acme-Challenge")
	if c == "" {
		return nil, nil
	}
	if c == "panic" {
		panic("challenge")
	}
	return &connector.Handshake{Secret: in.Header.Get("X-Acme-Key"), Reply: connector.Reply{Body: []byte(c)}}, nil
}

func (a *acme) Verify(_ context.Context, in *connector.Inbound) error {
	if bytes.Contains(in.Body, []byte("panic in Verify")) {
		panic("verify")
	}
	got := in.Header.Get("X-Acme-Signature")
	for _, s := range in.Secrets {
		if hmac.Equal([]byte(got), []byte(acmeSign(s, in.Body))) {
			return nil
		}
	}
	return connector.ErrUnproven
}

func acmeSign(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

func (a *acme) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	var r request
	if err := json.Unmarshal(in.Body, &r); err != nil {
		return nil, err
	}
	a.mu.Lock()
	upgraded := a.upgraded
	a.mu.Unlock()
	switch r.Do {
	case "panic in Decode":
		panic("decode")
	case "confuse":
		if !upgraded {
			return nil, errors.New("what is this?")
		}
	case "ping":
		return nil, nil
	case "reply":
		return &connector.Decoded{Reply: &connector.Reply{Status: 299, Header: http.Header{"x-acme": {"hello"}}, Body: []byte(in.URL)}}, nil
	}
	return &connector.Decoded{Notices: []connector.Notice{r.notice()}}, nil
}

func (r request) notice() connector.Notice {
	n := connector.Notice{Signal: r.Signal, Reason: "acme says so", Merge: r.Merge}
	if r.Team != "" {
		n.To = []connector.Key{connector.NewKey("team", r.Team)}
	}
	if r.Thin != "" {
		n.Thin = json.RawMessage(fmt.Sprintf("%q", r.Thin))
	}
	if len(r.Bytes) > 0 {
		n.Thin = r.Bytes
	}
	for _, it := range r.Items {
		o := connector.Occurrence{Trigger: noteAdded, Key: it.Key, Payload: note{it.Text}, Raw: json.RawMessage(`{"said":"<so>"}`)}
		if it.Kind != "" {
			o.Trigger = it.Kind
		}
		if it.Label != "" {
			o.Attributes = map[string][]string{"label": {it.Label}}
		}
		n.Occurrences = append(n.Occurrences, o)
	}
	return n
}

func (a *acme) Expand(_ context.Context, _ *connector.Session, sub *connector.Subscription, n *connector.Notice) (*connector.Expansion, error) {
	a.mu.Lock()
	expand := a.expand
	a.mu.Unlock()
	if expand == nil {
		return &connector.Expansion{}, nil
	}
	return expand(sub, n)
}

// post plays acme calling h.
func post(t testing.TB, h http.Handler, path, secret string, r request) *httptest.ResponseRecorder {
	t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return postBody(h, path, secret, body)
}

func postBody(h http.Handler, path, secret string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	req.Header.Set("X-Acme-Signature", acmeSign(secret, body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// mustPost fails the test unless the request was accepted.
func mustPost(t testing.TB, h http.Handler, path, secret string, r request) {
	t.Helper()
	if w := post(t, h, path, secret, r); w.Code < 200 || w.Code > 299 {
		t.Fatalf("POST %s: status %d: %s", path, w.Code, w.Body)
	}
}

func one(key string) request { return request{Team: "T1", Items: []item{{Key: key, Text: key}}} }

// directory is a Directory in memory: Connections of two Environments, each at
// the default App's address or at that of an own App.
type directory struct {
	mu        sync.Mutex
	addresses map[string]forward.Address     // by endpoint
	people    map[string][]forward.Recipient // by App, " ", Key
	settings  map[string]forward.Settings    // by Environment
	learned   map[string]string
	signals   []string
	broken    error
	cursors   func(subscription string) string
}

var _ forward.Directory = (*directory)(nil)

func (d *directory) Address(_ context.Context, name, endpoint string) (forward.Address, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return forward.Address{}, d.broken
	}
	if endpoint == "sub_gone" {
		return forward.Address{}, forward.ErrAddressGone
	}
	a, ok := d.addresses[endpoint]
	if !ok || name != "acme" {
		return forward.Address{}, forward.ErrNoAddress
	}
	if s := d.learned[endpoint]; s != "" {
		a.Secrets = []string{s}
		a.KeyPending = false
	}
	a.Connector, a.Endpoint = name, endpoint
	return a, nil
}

func (d *directory) Learn(_ context.Context, a forward.Address, secret string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	if len(a.Secrets) > 0 || d.learned[a.Endpoint] != "" {
		return forward.ErrKeyKnown
	}
	d.learned[a.Endpoint] = secret
	return nil
}

func (d *directory) Recipients(_ context.Context, a forward.Address, watch string, keys []connector.Key) ([]forward.Recipient, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return nil, d.broken
	}
	var all []forward.Recipient
	if len(keys) == 0 && a.Subscription != "" {
		keys = []connector.Key{connector.Key(a.Subscription)}
	}
	for _, k := range keys {
		for _, r := range d.people[a.App+" "+string(k)] {
			if watch == "" || watch == r.Watch {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

func (d *directory) Subscription(_ context.Context, id string) (*forward.Expandable, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return nil, d.broken
	}
	for _, rs := range d.people {
		for _, r := range rs {
			if r.Subscription == id {
				sub := &connector.Subscription{ID: id, Watch: r.Watch}
				if d.cursors != nil {
					sub.Cursor = d.cursors(id)
				}
				return &forward.Expandable{Recipient: r, Connector: "acme", Session: &connector.Session{}, Subscription: sub}, nil
			}
		}
	}
	return nil, forward.ErrNoAddress
}

func (d *directory) Signal(_ context.Context, r forward.Recipient, s connector.Signal, _ string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	d.signals = append(d.signals, fmt.Sprintf("%s %s", r.Connection, s))
	return nil
}

func (d *directory) Settings(_ context.Context, environment string) (forward.Settings, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return forward.Settings{}, d.broken
	}
	s, ok := d.settings[environment]
	if !ok {
		return s, fmt.Errorf("no environment %q", environment)
	}
	return s, nil
}

func (d *directory) breaks(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

// two returns a Directory of two Environments: both have a Connection with team
// T1 at the default App; A has an App of its own, with team TA.
func two(a, b forward.Settings) *directory {
	team := func(id string) string { return string(connector.NewKey("team", id)) }
	recipient := func(n, env string) forward.Recipient {
		return forward.Recipient{
			Connection: "conn_" + n, Account: "user-" + n, Deployment: "dep_1", Environment: env,
			Subscription: "sub_" + n, Watch: "team",
		}
	}
	return &directory{
		addresses: map[string]forward.Address{
			"":      {Secrets: []string{"", "default-key"}, AppFields: map[string]string{"webhook_secret": "default-key"}},
			"app_A": {App: "app_A", Environment: "env_A", Secrets: []string{"key-of-A"}},
			"sub_P": {Environment: "env_A", KeyPending: true, Subscription: "sub_P"},
		},
		people: map[string][]forward.Recipient{
			" " + team("T1"):      {recipient("A1", "env_A"), recipient("B1", "env_B")},
			"app_A " + team("TA"): {recipient("A2", "env_A")},
		},
		settings: map[string]forward.Settings{"env_A": a, "env_B": b},
		learned:  map[string]string{},
	}
}
