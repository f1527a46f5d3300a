package gmail_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// signIn connects a mailbox to an Interactor and waits for its starting point.
func signIn(t testing.TB, in *interactortest.Server, google *gmailtest.Server, req interactor.ConnectRequest, mailbox string) auth.Connection {
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
	until(t, "the starting point is known", func() bool {
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

// In pull mode mail arrives without any address that Google could reach.
func TestPullArrives(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.PullConfig())},
		Forwarding: inbox.Settings(gmail.EmailSent),
	})
	conn := signIn(t, in, google, interactor.ConnectRequest{Account: "user-42"}, alice)
	for _, subject := range []string{"one", "two"} {
		id := google.Send(mail(subject))[alice]
		ev := inbox.Next()
		m, err := trigger.Decode[gmail.Email](ev)
		if err != nil || m.ID != id || m.Subject != subject || ev.Account != "user-42" {
			t.Fatalf("got %+v, %v", m, err)
		}
	}
	until(t, "everything is acknowledged", func() bool { _, acked, waiting := google.Pulls(); return acked > 0 && waiting == 0 })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.URL+"/webhooks/gmail", strings.NewReader(string(google.Notification(alice, 1))))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("the webhook address answers %d in pull mode, want 404", resp.StatusCode)
	}
	if err := in.Auth.Disconnect(t.Context(), conn.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "the watch is stopped", func() bool { return google.Stops(alice) == 1 })
}

// An Environment's own App is read from its own project.
func TestPullOfAnOwnApp(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.PullConfig())},
		Forwarding: inbox.Settings(gmail.EmailSent),
	})
	own := google.AddClient("own.apps.googleusercontent.com", "own-secret")
	own.Fields = google.AddPull(own.ClientID)
	if err := in.Auth.SetApp(t.Context(), "", gmail.Name, own); err != nil {
		t.Fatal(err)
	}
	signIn(t, in, google, interactor.ConnectRequest{Account: "user-42"}, alice)
	id := google.Send(mail("one"))[alice]
	var got []string
	for a, err := range in.Auth.Apps(t.Context(), gmail.Name) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a.App.ClientID)
	}
	if !slices.Equal(got, []string{own.ClientID}) {
		t.Errorf("Apps in use %q", got)
	}
	if m, err := trigger.Decode[gmail.Email](inbox.Next()); err != nil || m.ID != id {
		t.Errorf("got %+v, %v", m, err)
	}
	if pulled, _, _ := google.Pulls(); pulled != 0 {
		t.Errorf("the default App's subscription gave %d messages", pulled)
	}
}

// stream runs Stream against the stand-in until deliver has said stop or it ends.
func stream(t *testing.T, c *gmail.Connector, app map[string]string, deliver func(*connector.Inbound) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := c.Stream(ctx, connector.StreamContext{App: app}, func(_ context.Context, in *connector.Inbound) error {
		err := deliver(in)
		if errors.Is(err, errEnough) {
			cancel()
			return nil
		}
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("nothing came")
	}
	return err
}

var errEnough = errors.New("enough")

// What is not stored is not acknowledged, and comes again.
func TestPullAcknowledgesWhatIsStored(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	c := gmail.New(google.PullConfig())
	google.SetAckDeadline(50 * time.Millisecond)
	app, _ := c.DefaultApp()
	for i := range uint64(3) {
		google.Notify(alice, 100+i)
	}
	google.Fail(gmailtest.Fault{Call: "acknowledge", Skip: 1, Status: 503})
	google.Fail(gmailtest.Fault{Call: "pull", Skip: 2, Status: 500})
	var seen []string
	var errs []error
	down := errors.New("store down")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; {
			errs = append(errs, c.Stream(ctx, connector.StreamContext{App: app.Fields}, func(_ context.Context, in *connector.Inbound) error {
				d, err := c.Decode(in)
				if err != nil {
					return err
				}
				if n++; n == 2 { // the second message of the first pull
					return down
				}
				seen = append(seen, string(d.Notices[0].Thin))
				return nil
			}))
		}
	}()
	until(t, "everything is acknowledged", func() bool { _, acked, waiting := google.Pulls(); return acked == 3 && waiting == 0 })
	cancel()
	<-done
	if len(errs) != 4 || !errors.Is(errs[0], down) || !strings.Contains(errs[1].Error(), "503") || !strings.Contains(errs[2].Error(), "500") || !errors.Is(errs[3], context.Canceled) {
		t.Errorf("the streams ended with %v", errs)
	}
	for _, want := range []string{`{"history_id":"100"}`, `{"history_id":"101"}`, `{"history_id":"102"}`} {
		if !slices.Contains(seen, want) {
			t.Errorf("%s was never stored: %q", want, seen)
		}
	}
}

func TestPullRefused(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	c := gmail.New(google.PullConfig())
	app, _ := c.DefaultApp()
	key := func(change func(map[string]string)) func(map[string]string) {
		return func(f map[string]string) {
			var file map[string]string
			if err := json.Unmarshal([]byte(f[gmail.FieldServiceAccountKey]), &file); err != nil {
				t.Error(err)
			}
			change(file)
			b, err := json.Marshal(file)
			if err != nil {
				t.Error(err)
			}
			f[gmail.FieldServiceAccountKey] = string(b)
		}
	}
	for _, tt := range []struct {
		name, says string
		change     func(fields map[string]string)
	}{
		{"no subscription", `no field "subscription"`, func(f map[string]string) { delete(f, gmail.FieldSubscription) }},
		{"no key", `no field "service_account_key"`, func(f map[string]string) { delete(f, gmail.FieldServiceAccountKey) }},
		{"another path", "projects/…/subscriptions/…", func(f map[string]string) { f[gmail.FieldSubscription] = "projects/p/../../v2/x" }},
		{"a method of its own", "projects/…/subscriptions/…", func(f map[string]string) { f[gmail.FieldSubscription] += ":seek?x=" }},
		{"no such subscription", "404", func(f map[string]string) { f[gmail.FieldSubscription] += "-none" }},
		{"no JSON", "no JSON key", func(f map[string]string) { f[gmail.FieldServiceAccountKey] = "s3cret" }},
		{"a user's key", "authorized_user", key(func(k map[string]string) { k["type"] = "authorized_user" })},
		{"somebody else's account", "account not found", key(func(k map[string]string) { k["client_email"] = "eve@example.com" })},
		{"another token address is not asked", "", key(func(k map[string]string) { k["token_uri"] = "http://127.0.0.1:1/token" })},
		{"no PEM", "private key", key(func(k map[string]string) { k["private_key"] = "s3cret" })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fields := maps.Clone(app.Fields)
			tt.change(fields)
			if tt.says == "" {
				google := newGoogle(t)
				cfg := google.PullConfig()
				app, _ := gmail.New(cfg).DefaultApp()
				tt.change(app.Fields)
				google.Notify(alice, 7)
				if err := stream(t, gmail.New(cfg), app.Fields, func(*connector.Inbound) error { return errEnough }); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				return
			}
			err := stream(t, c, fields, func(*connector.Inbound) error { return nil })
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v", err)
			}
		})
	}
}
