package interactor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	hooks "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// until waits for a state; the test fails after ten seconds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

func newGoogle(t *testing.T) *gmailtest.Server {
	t.Helper()
	google := gmailtest.NewServer()
	t.Cleanup(google.Close)
	return google
}

func connectGmail(t *testing.T, in *interactortest.Server, google *gmailtest.Server, req interactor.ConnectRequest, mailbox string) auth.Connection {
	t.Helper()
	req.Connector = gmail.Name
	link, err := in.AuthURL(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := google.Consent(t.Context(), link, mailbox); err != nil {
		t.Fatal(err)
	}
	conn, err := in.Auth.Find(t.Context(), auth.Query{Connector: gmail.Name, Account: req.Account, Environment: req.Environment})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the mailbox is watched and its starting point known", func() bool {
		for s, err := range in.Subscriptions.Subscriptions(t.Context(), subscription.Query{Environment: "*", Connection: conn.ID}) {
			if err != nil {
				t.Fatal(err)
			}
			return s.Healthy() && s.Cursor != ""
		}
		return false
	})
	return conn
}

func TestSentMailArrives(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
		Forwarding: inbox.Settings(gmail.EmailSent),
	})
	if err := google.SetPush(in.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	conn := connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-42"}, "alice@example.com")

	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "Lunch?"})
	ev := inbox.Next()
	mail, err := trigger.Decode[gmail.Email](ev)
	if err != nil {
		t.Fatal(err)
	}
	if ev.Account != "user-42" || ev.Connection != conn.ID || ev.Environment != "env_default" || ev.Deployment != "dep_default" || mail.Subject != "Lunch?" {
		t.Errorf("got %+v %q", ev, mail.Subject)
	}

	if err := in.Auth.Disconnect(t.Context(), conn.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "the watch is stopped and the grant revoked", func() bool {
		return google.Stops("alice@example.com") == 1 && google.Revoked("alice@example.com")
	})
	if _, err := in.Client(t.Context(), conn.ID); err == nil {
		t.Error("a disconnected connection still gives a client")
	}
}

func TestForgedPushReachesNobody(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
		Forwarding: inbox.Settings(gmail.EmailSent),
	})
	connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-42"}, "alice@example.com")
	for _, row := range []struct{ name, authorization string }{
		{"no token", ""},
		{"not a token", "Bearer nonsense"},
		{"unsigned token", "Bearer eyJhbGciOiJub25lIn0.e30."},
	} {
		body := string(google.Notification("alice@example.com", 99_999))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.URL+"/webhooks/gmail", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if row.authorization != "" {
			req.Header.Set("Authorization", row.authorization)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", row.name, resp.StatusCode)
		}
	}
	inbox.None(200 * time.Millisecond)
}

func TestATriggerRemovedFromTheListStopsArriving(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
	})
	ctx := t.Context()
	if err := in.Deployments.SetForwarding(ctx, "", inbox.Settings(gmail.EmailSent, gmail.EmailReceived)); err != nil {
		t.Fatal(err)
	}
	if err := google.SetPush(in.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-42"}, "alice@example.com")
	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "one"})
	if ev := inbox.Next(); ev.Trigger != gmail.EmailSent {
		t.Fatalf("got %s", ev.Trigger)
	}
	if err := in.Deployments.RemoveTriggers(ctx, "", trigger.Filter{Trigger: gmail.EmailSent}); err != nil {
		t.Fatal(err)
	}
	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "two"})
	google.Send(gmailtest.Mail{From: "bob@example.com", To: []string{"alice@example.com"}, Subject: "three"})
	if ev := inbox.Next(); ev.Trigger != gmail.EmailReceived {
		t.Errorf("got %s, want only what is still listed", ev.Trigger)
	}
	if err := in.Deployments.RemoveTriggers(ctx, "", trigger.Filter{Trigger: gmail.EmailReceived}); err == nil {
		until(t, "the watch that nobody wants is stopped", func() bool { return google.Stops("alice@example.com") == 1 })
	}
}

func TestTwoConnectionsOfOneMailbox(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
		Forwarding: inbox.Settings(gmail.EmailSent),
	})
	if err := google.SetPush(in.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	one := connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-1"}, "alice@example.com")
	connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-2"}, "alice@example.com")
	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "both"})
	got := map[string]bool{inbox.Next().Account: true, inbox.Next().Account: true}
	if !got["user-1"] || !got["user-2"] {
		t.Errorf("arrived for %v", got)
	}
	if err := in.Auth.Disconnect(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "disconnected", func() bool {
		rec, err := in.Auth.Get(t.Context(), one.ID)
		return err == nil && rec.Erased
	})
	if google.Revoked("alice@example.com") || google.Stops("alice@example.com") != 0 {
		t.Error("the other connection's grant or watch is gone")
	}
	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "the other"})
	if ev := inbox.Next(); ev.Account != "user-2" {
		t.Errorf("arrived for %s", ev.Account)
	}
}

func TestEventsAsFunctionCalls(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	got := make(chan trigger.Event, 8)
	tries := 0
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
		Forwarding: interactor.Forwarding{Triggers: trigger.List(gmail.EmailSent), Retry: []time.Duration{time.Millisecond}},
		OnEvent: func(_ context.Context, ev trigger.Event) error {
			if tries++; tries == 1 {
				return errors.New("not yet")
			}
			got <- ev
			return nil
		},
	})
	if err := google.SetPush(in.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-42"}, "alice@example.com")
	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "in place"})
	select {
	case ev := <-got:
		if ev.Trigger != gmail.EmailSent {
			t.Errorf("got %s", ev.Trigger)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}
}

// The notice of a watch may arrive before the answer that creates it, and mail
// between the two. What happens after the watch exists must arrive.
func TestANoticeThatOvertakesItsSubscriptionLosesNothing(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	gate := &slowWatch{entered: make(chan struct{}), release: make(chan struct{})}
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
		Forwarding: inbox.Settings(gmail.EmailSent),
		HTTPClient: &http.Client{Timeout: 10 * time.Second, Transport: gate},
	})
	if err := google.SetPush(in.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	link, err := in.AuthURL(t.Context(), interactor.ConnectRequest{Connector: gmail.Name, Account: "user-42"})
	if err != nil {
		t.Fatal(err)
	}
	if err := google.Consent(t.Context(), link, "alice@example.com"); err != nil {
		t.Fatal(err)
	}
	<-gate.entered // Google holds the watch; we do not know yet
	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "early"})
	until(t, "the notices were taken", func() bool { _, acknowledged := google.Pushes(); return acknowledged >= 2 })
	until(t, "the notices were worked on", func() bool { return in.Forwarder.Stats().Held == 0 })
	close(gate.release)
	if mail, err := trigger.Decode[gmail.Email](inbox.Next()); err != nil || mail.Subject != "early" {
		t.Errorf("got %q, %v", mail.Subject, err)
	}
}

// slowWatch keeps back the answer to users.watch.
type slowWatch struct {
	entered, release chan struct{}
}

func (s *slowWatch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if strings.HasSuffix(r.URL.Path, "/watch") {
		close(s.entered)
		<-s.release
	}
	return resp, err
}

// The connector for any sender, from end to end over the JSON API.
func TestWebhookConnectionOverTheAPI(t *testing.T) {
	t.Parallel()
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{hooks.New(hooks.Config{})},
		Forwarding: inbox.Settings(hooks.Received),
	})
	key, err := in.Deployments.IssueKey(t.Context(), deployment.KeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, in.URL+"/api/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("x-api-key", key)
		return do(t, req)
	}
	status, body := call(http.MethodPost, "/connections", `{"connector":"webhook","account":"user-42","input":{"scheme":"bearer","secret":"a-secret-of-their-own"}}`)
	var made api.Connection
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated || len(made.Addresses) != 1 {
		t.Fatalf("POST /connections: %d %s", status, body)
	}
	send := func(address, token string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(`{"hello":"world"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		status, _ := do(t, req)
		return status
	}
	if got := send(made.Addresses[0], "a-secret-of-their-own"); got != http.StatusOK {
		t.Fatalf("a good request got %d", got)
	}
	if ev := inbox.Next(); ev.Account != "user-42" || ev.Connection != made.ID {
		t.Errorf("got %+v", ev)
	}
	if got := send(made.Addresses[0], "guessed"); got != http.StatusUnauthorized {
		t.Errorf("a wrong token got %d", got)
	}
	if status, body := call(http.MethodDelete, "/connections/"+made.ID, ""); status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", status, body)
	}
	if got := send(made.Addresses[0], "a-secret-of-their-own"); got != http.StatusGone {
		t.Errorf("the address of a disconnected connection answers %d, want 410", got)
	}
	inbox.None(50 * time.Millisecond)
}

// Erasing an account disconnects it and removes its events, of its own
// Environment alone; connected again it is a user like any other.
func TestEraseAccount(t *testing.T) {
	t.Parallel()
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{hooks.New(hooks.Config{})},
		Forwarding: inbox.Settings(hooks.Received),
	})
	connect := func(environment, account string) (auth.Connection, string) {
		t.Helper()
		c, err := in.Auth.Connect(t.Context(), interactor.ConnectRequest{
			Environment: environment, Connector: hooks.Name, Account: account,
			Input: map[string]string{"scheme": "bearer", "secret": "a-secret-of-their-own"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Subscriptions.Settle(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		at, err := in.Subscriptions.Addresses(t.Context(), c.ID)
		if err != nil || len(at) != 1 {
			t.Fatalf("addresses %v, %v", at, err)
		}
		return c, at[0]
	}
	send := func(address, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer a-secret-of-their-own")
		status, _ := do(t, req)
		return status
	}
	gone, at := connect("", "user-42")
	_, other := connect("", "user-7")
	for _, address := range []string{at, other} {
		if got := send(address, `{"n":1}`); got != http.StatusOK {
			t.Fatalf("status %d", got)
		}
		inbox.Next()
	}
	if err := in.EraseAccount(t.Context(), "", "user-42"); err != nil {
		t.Fatal(err)
	}
	c, err := in.Auth.Connection(t.Context(), gone.ID)
	if err != nil || c.Status != auth.Revoked {
		t.Errorf("the connection is %s, %v", c.Status, err)
	}
	if got := send(at, `{"n":2}`); got != http.StatusGone {
		t.Errorf("its address answers %d, want 410", got)
	}
	var left []string
	for rec, err := range in.Forwarder.Events(t.Context(), forward.Query{Environment: "*"}) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, rec.Account)
	}
	if len(left) != 1 || left[0] != "user-7" {
		t.Errorf("events are left of %v, want user-7 alone", left)
	}
	inbox.None(50 * time.Millisecond)

	_, at = connect("", "user-42")
	if got := send(at, `{"n":3}`); got != http.StatusOK {
		t.Fatalf("connected again it answers %d", got)
	}
	if ev := inbox.Next(); ev.Account != "user-42" {
		t.Errorf("got %+v", ev)
	}
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// What one tenant's App signs reaches that App's Connections only, whatever the
// request names.
func TestOwnAppReachesItsOwnConnectionsOnly(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors:  []interactor.Connector{gmail.New(google.Config())},
		MultiTenant: true,
	})
	tenant := func(name string) (environment string, app connector.App) {
		t.Helper()
		dep, err := in.Deployments.Ensure(ctx, deployment.Spec{Organization: name, Forwarding: inbox.Settings(gmail.EmailSent)})
		if err != nil {
			t.Fatal(err)
		}
		env, err := dep.Environment(deployment.Production)
		if err != nil {
			t.Fatal(err)
		}
		app = google.AddClient(name, name+"-secret", in.URL+"/oauth/callback")
		if err := in.Auth.SetApp(ctx, env.ID, gmail.Name, app); err != nil {
			t.Fatal(err)
		}
		own, err := in.Auth.App(ctx, env.ID, gmail.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := google.SetAppPush(name, in.URL+"/webhooks/gmail/"+own.ID); err != nil {
			t.Fatal(err)
		}
		link, err := in.AuthURL(ctx, interactor.ConnectRequest{Connector: gmail.Name, Account: "user-of-" + name, Environment: env.ID})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(link, google.URL) {
			t.Errorf("with an own App the link is %s, want it straight at the provider", link)
		}
		connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-of-" + name, Environment: env.ID}, "shared@example.com") //nolint:contextcheck // it takes t's
		return env.ID, app
	}
	envA, _ := tenant("a")
	envB, appB := tenant("b")

	// Both Apps watch the same mailbox: each Environment gets its own event of
	// the same occurrence.
	google.Send(gmailtest.Mail{From: "shared@example.com", To: []string{"bob@example.com"}, Subject: "both"})
	got := map[string]bool{inbox.Next().Environment: true, inbox.Next().Environment: true}
	if !got[envA] || !got[envB] {
		t.Errorf("arrived in %v, want one in each of %s and %s", got, envA, envB)
	}
	inbox.None(50 * time.Millisecond)

	// A's Google project signs a notice for A's address that names a mailbox which
	// only B has: nobody is reached, and A's sender is answered 2xx.
	ownA, err := in.Auth.App(ctx, envA, gmail.Name)
	if err != nil {
		t.Fatal(err)
	}
	before := in.Forwarder.Stats()
	post := func(token gmailtest.Token, mailbox string) int {
		t.Helper()
		address := in.URL + "/webhooks/gmail/" + ownA.ID
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(google.Notification(mailbox, 1)))
		if err != nil {
			t.Fatal(err)
		}
		token.Audience = ownA.App.Fields[gmail.FieldPushAudience]
		req.Header.Set("Authorization", "Bearer "+google.PushToken(token))
		status, _ := do(t, req)
		return status
	}
	if status := post(gmailtest.Token{Email: ownA.App.Fields[gmail.FieldPushServiceAccount]}, "only-b@example.com"); status != http.StatusOK {
		t.Errorf("a notice for a mailbox that A does not have got %d", status)
	}
	if after := in.Forwarder.Stats(); after.Nobody != before.Nobody+1 {
		t.Errorf("counted %d notices to nobody, want %d", after.Nobody, before.Nobody+1)
	}
	// What B's service account signs does not verify at A's address.
	if b := appB.Fields[gmail.FieldPushServiceAccount]; b != ownA.App.Fields[gmail.FieldPushServiceAccount] {
		if status := post(gmailtest.Token{Email: b}, "shared@example.com"); status != http.StatusUnauthorized {
			t.Errorf("B's signature at A's address got %d", status)
		}
	}
	inbox.None(50 * time.Millisecond)
}
