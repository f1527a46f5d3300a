package interactor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	hooks "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// Secrets that a user of the product sets, and what events say.
const (
	headerValue  = "header-value-0123456789abcdef"
	senderSecret = "sender-secret-0123456789abcdef"
	appSecret    = "app-secret-0123456789abcdef"
	watchSecret  = "watch-secret-0123456789abcdef"
	bodyMarker   = "walrus-body-0123456789abcdef"
	deadMarker   = "walrus-dead-0123456789abcdef"
	answerMarker = "walrus-answer-0123456789abcdef"
	thinMarker   = "1234567890123456789" // as a history id
	signing      = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

// spy sees what providers are told and what they answer at their token endpoint.
type spy struct {
	mu      sync.Mutex
	secrets map[string]string // what it is called: the latest
	all     map[string]bool
}

func newSpy() *spy { return &spy{secrets: make(map[string]string), all: make(map[string]bool)} }

func (s *spy) note(name, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret != "" {
		s.secrets[name], s.all[secret] = secret, true
	}
}

func (s *spy) secret(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secrets[name]
}

func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") && r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, err := url.ParseQuery(string(body)); err == nil {
			for _, name := range []string{"code", "code_verifier", "refresh_token", "client_secret"} {
				s.note("asked "+name, form.Get(name))
			}
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/token") {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var answer map[string]any
	if json.Unmarshal(body, &answer) == nil {
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if text, ok := answer[name].(string); ok {
				s.note(name, text)
			}
		}
	}
	return resp, nil
}

// receiver counts deliveries and answers with the marker.
type receiver struct {
	url      string
	received atomic.Int64

	mu     sync.Mutex
	bodies []string
}

// missing returns how many of texts stood in no delivery.
func (r *receiver) missing(texts map[string]bool) []string {
	r.mu.Lock()
	all := strings.Join(r.bodies, "\n")
	r.mu.Unlock()
	var out []string
	for text := range texts {
		if !strings.Contains(all, text) {
			out = append(out, text)
		}
	}
	return out
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // the sender went away
		}
		r.mu.Lock()
		r.bodies = append(r.bodies, string(body))
		r.mu.Unlock()
		r.received.Add(1)
		fmt.Fprint(w, answerMarker)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) settings(triggers ...string) forward.Settings {
	return forward.Settings{
		URL: r.url, HeaderKey: "X-Shop-Token", HeaderValue: headerValue, Secrets: []string{signing},
		Triggers: trigger.List(triggers...), Raw: true,
	}
}

func openStore(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// world is what surrounds an Interactor that is stopped and started again.
type world struct {
	google *gmailtest.Server
	inbox  *receiver
	spy    *spy
	db     *sqlite.Store
	edit   func(*interactor.Config)

	token   *auth.Connection // a grant with tokens
	sender  auth.Connection  // one with secret Fields
	address string           // path of its webhook
	events  int              // that were delivered
	watch   subscription.Subscription
	begun   []string // consents under way, paths
}

func (w *world) config(db interactor.Store, keys ...string) interactor.Config {
	cfg := interactor.Config{
		Store: db, SealingKeys: keys, SealPayloads: true,
		Connectors: []interactor.Connector{gmail.New(w.google.Config()), hooks.New(hooks.Config{})},
		HTTPClient: &http.Client{Transport: w.spy}, Logger: slog.New(slog.DiscardHandler),
	}
	if w.edit != nil {
		w.edit(&cfg)
	}
	return cfg
}

func (w *world) start(t *testing.T, path string, keys ...string) *interactortest.Server {
	t.Helper()
	w.db = openStore(t, path)
	in := interactortest.Start(t, w.config(w.db, keys...))
	if err := w.google.SetPush(in.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	return in
}

// fill lets a value of every kind come to be, by the main flow.
func (w *world) fill(t *testing.T, in *interactortest.Server) {
	t.Helper()
	ctx := t.Context()
	if err := in.Deployments.SetForwarding(ctx, deployment.DefaultDeployment, w.inbox.settings(gmail.EmailSent, hooks.Received)); err != nil {
		t.Fatal(err)
	}
	conn := connectGmail(t, in, w.google, interactor.ConnectRequest{Account: "user-42"}, "alice@example.com")
	w.token = &conn
	w.google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: bodyMarker})
	until(t, "the mail was delivered", func() bool { return w.inbox.received.Load() == 1 })

	sender, err := in.Auth.Connect(ctx, interactor.ConnectRequest{
		Connector: hooks.Name, Account: "user-42", Input: map[string]string{"scheme": "bearer", "secret": senderSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sender = sender
	if err := in.Subscriptions.Settle(ctx, sender.ID); err != nil {
		t.Fatal(err)
	}
	addresses, err := in.Subscriptions.Addresses(ctx, sender.ID)
	if err != nil || len(addresses) != 1 {
		t.Fatalf("addresses %v, %v", addresses, err)
	}
	w.address = strings.TrimPrefix(addresses[0], in.URL)
	w.events = 1
	w.post(t, in)
	until(t, "the webhook was delivered", func() bool { return w.inbox.received.Load() == int64(w.events) })

	// A key that a provider teaches in a handshake.
	for s, err := range in.Subscriptions.Subscriptions(ctx, subscription.Query{Environment: "*", Connection: conn.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Subscriptions.Learn(ctx, s, watchSecret); err != nil {
			t.Fatal(err)
		}
		w.watch = s
	}
	// What verifies and cannot be decoded.
	w.push(t, in, `{"message":{"data":"`+deadMarker+`!"}}`)
	// A notice that cannot be expanded yet.
	w.google.Fail(gmailtest.Fault{Call: "history", Times: 1 << 30, Status: http.StatusServiceUnavailable})
	w.push(t, in, `{"emailAddress":"alice@example.com","historyId":`+thinMarker+`}`)
	until(t, "the notice waits", func() bool {
		values, _, err := w.db.SealedAfter(ctx, seal.KindThin, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(values) > 0
	})

	// Consents under way: a ticket, and with an own App a state.
	begin := func() {
		link, err := in.AuthURL(ctx, interactor.ConnectRequest{
			Connector: gmail.Name, Account: "user-43", RedirectURL: in.URL + "/done",
		})
		if err != nil {
			t.Fatal(err)
		}
		w.begun = append(w.begun, link)
		if u, err := url.Parse(link); err == nil {
			w.spy.note("begun", u.Query().Get("state"))
			if _, ticket, ok := strings.Cut(u.Path, "/connect/"); ok {
				w.spy.note("begun", ticket)
			}
		}
	}
	begin()
	app := w.google.AddClient("own", appSecret, in.URL+"/oauth/callback")
	if err := in.Auth.SetApp(ctx, deployment.DefaultEnvironment, gmail.Name, app); err != nil {
		t.Fatal(err)
	}
	begin()
}

func (w *world) post(t *testing.T, in *interactortest.Server) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.URL+w.address, strings.NewReader(`{"text":"`+bodyMarker+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+senderSecret)
	if status, body := do(t, req); status != http.StatusOK {
		t.Fatalf("a webhook got %d %s", status, body)
	}
	w.events++
}

// push sends what Google's Pub/Sub has signed.
func (w *world) push(t *testing.T, in *interactortest.Server, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.URL+"/webhooks/gmail", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.google.PushToken(gmailtest.Token{}))
	if status, body := do(t, req); status/100 != 2 {
		t.Fatalf("a push got %d %s", status, body)
	}
}

// check proves that everything that was sealed can be used.
func (w *world) check(t *testing.T, in *interactortest.Server) {
	t.Helper()
	ctx := t.Context()
	if token, err := in.Auth.Token(ctx, w.token.ID); err != nil || token.Access != w.spy.secret("access_token") {
		t.Errorf("the token is another one, or none: %v", err)
	}
	if fields, err := in.Auth.Secrets(ctx, w.sender.ID); err != nil || fields["secret"] != senderSecret {
		t.Errorf("the fields are other ones, or none: %v", err)
	}
	if app, err := in.Auth.App(ctx, deployment.DefaultEnvironment, gmail.Name); err != nil || app.App.ClientSecret != appSecret {
		t.Errorf("the App is another one, or none: %v", err)
	}
	if s, err := in.Deployments.SettingsInForce(ctx, deployment.DefaultEnvironment); err != nil || s.HeaderValue != headerValue || len(s.Secrets) != 1 {
		t.Errorf("the settings are other ones, or none: %v", err)
	}
	if s, err := in.Subscriptions.Get(ctx, w.watch.ID); err != nil {
		t.Error(err)
	} else if key, err := in.Subscriptions.Secret(ctx, s); err != nil || key != watchSecret {
		t.Errorf("the key of the watch is another one, or none: %v", err)
	}
	events := 0
	for rec, err := range in.Forwarder.Events(ctx, forward.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if rec, err = in.Forwarder.Event(ctx, rec.ID); err != nil {
			t.Errorf("event %s: %v", rec.ID, err)
		}
		if rec.Status == forward.Delivered && (!bytes.Contains(rec.Payload, []byte(bodyMarker)) || string(rec.Deliveries[0].Attempts[0].Response) != answerMarker) {
			t.Errorf("event %s has another payload or response", rec.ID)
		}
		events++
	}
	if events < w.events {
		t.Errorf("%d events, want %d and the dead one", events, w.events)
	}
	before := w.inbox.received.Load()
	w.post(t, in)
	until(t, "a webhook is delivered", func() bool { return w.inbox.received.Load() > before })
}
