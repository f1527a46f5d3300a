package gmail_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

func TestRegistryAccepts(t *testing.T) {
	t.Parallel()
	push := gmail.Config{ClientID: "id", ClientSecret: "secret", Topic: "projects/p/topics/t", PushServiceAccount: "a@p.iam.gserviceaccount.com"}
	broken := push
	broken.PushServiceAccount = ""
	for _, tt := range []struct {
		name   string
		cfg    gmail.Config
		intake connector.Intake
		poll   time.Duration
		want   string
	}{
		{"zero", gmail.Config{}, connector.FromPoll, time.Minute, ""},
		{"poll", gmail.Config{ClientID: "id", ClientSecret: "secret", PollInterval: time.Second}, connector.FromPoll, time.Second, ""},
		{"push", push, connector.AtApp, 6 * time.Hour, ""},
		{"pull", gmail.Config{ClientID: "id", ClientSecret: "secret", Topic: "projects/p/topics/t", Subscription: "projects/p/subscriptions/s", ServiceAccountKey: "{}"},
			connector.FromAppStream, 6 * time.Hour, ""},
		{"pull without a key", gmail.Config{ClientID: "id", ClientSecret: "secret", Topic: "projects/p/topics/t", Subscription: "projects/p/subscriptions/s"},
			connector.FromAppStream, 6 * time.Hour, "service_account_key"},
		{"push by own Apps only", gmail.Config{Mode: gmail.Push}, connector.AtApp, 6 * time.Hour, ""},
		{"anybody could sign", broken, connector.AtApp, 6 * time.Hour, "push_service_account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := gmail.New(tt.cfg)
			_, err := connector.NewRegistry(c)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v", err)
			}
			w := c.Describe().Watches[0]
			if w.Intake != tt.intake || w.Poll != tt.poll {
				t.Errorf("watch %+v", w)
			}
		})
	}
}

func TestUnknownModeIsRefused(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice)
	cfg := google.Config()
	cfg.Mode = "pulling"
	c := gmail.New(cfg)
	if _, err := c.Subscribe(t.Context(), r.s, r.sub); !errors.Is(err, connector.ErrRefused) {
		t.Errorf("Subscribe: %v", err)
	}
	if _, err := c.Expand(t.Context(), r.s, r.sub, nil); !errors.Is(err, connector.ErrRefused) {
		t.Errorf("Expand: %v", err)
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	c := gmail.New(google.Config())
	app, _ := c.DefaultApp()
	ids, err := c.Identify(t.Context(), connect(t, google, c, app, "Alice@Example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != 1 || ids[0].ID != alice || ids[0].Label != "Alice@Example.com" || ids[0].Keys[0] != connector.NewKey("mailbox", alice) {
		t.Errorf("got %+v", ids)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, gmail.EmailSent)
	if d := time.Until(r.sub.Held.ExpiresAt); d < 47*time.Hour || d > 48*time.Hour { // so that it is renewed daily
		t.Errorf("expires in %v", d)
	}
	if st := google.Status(alice); st.Watches != 1 || !st.Watching {
		t.Errorf("%+v", st)
	}
	if _, err := r.c.Subscribe(t.Context(), r.s, r.sub); err != nil { // renewal
		t.Fatal(err)
	}
	for range 2 { // what is gone already is no error
		if err := r.c.Unsubscribe(t.Context(), r.s, r.sub); err != nil {
			t.Fatal(err)
		}
	}
	if st := google.Status(alice); st.Watches != 2 || st.Watching || st.Stops != 2 {
		t.Errorf("%+v", st)
	}
}

func TestWatchErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		topic string
		fault gmailtest.Fault
		is    error
		says  string
	}{
		{name: "no topic", is: connector.ErrRefused, says: `field "topic"`},
		{name: "topic of another project", topic: "projects/other/topics/gmail", is: connector.ErrRefused, says: "does not match projects/gmailtest"},
		{name: "topic that does not exist", topic: "projects/gmailtest/topics/none", is: connector.ErrRefused, says: "projects/gmailtest/topics/none"},
		{name: "Gmail may not publish", topic: "projects/gmailtest/topics/gmail", fault: gmailtest.Fault{Call: "watch", Status: 403, Reason: "forbidden"}, is: connector.ErrRefused},
		{name: "revoked", topic: "projects/gmailtest/topics/gmail", fault: gmailtest.Fault{Call: "watch", Status: 401, Times: 2}, is: connector.ErrRevoked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			r := newRig(t, google, alice)
			r.s.App = map[string]string{gmail.FieldTopic: tt.topic}
			if tt.fault.Status != 0 {
				google.Fail(tt.fault)
			}
			_, err := r.c.Subscribe(t.Context(), r.s, r.sub)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPollModeHoldsNoWatch(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	cfg := google.Config()
	cfg.Mode = gmail.Poll
	c := gmail.New(cfg)
	app, _ := c.DefaultApp()
	s := connect(t, google, c, app, alice)
	sub := &connector.Subscription{}
	held, err := c.Subscribe(t.Context(), s, sub)
	if err != nil || held.Cursor == "" {
		t.Fatalf("%+v, %v", held, err)
	}
	if err := c.Unsubscribe(t.Context(), s, sub); err != nil {
		t.Fatal(err)
	}
	if st := google.Status(alice); st.Watches != 0 || st.Stops != 0 {
		t.Errorf("%+v", st)
	}
	if len(c.Describe().AppFields) > 0 || len(app.Fields) > 0 {
		t.Errorf("poll mode asks for %+v", c.Describe().AppFields)
	}
}

// An Environment's own App has a project of its own: topic, push subscription,
// service account. One mailbox can be watched through both.
func TestOwnApp(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	c := gmail.New(google.Config())
	own := google.AddClient("own.apps.googleusercontent.com", "own-secret", "http://127.0.0.1/registered")
	if _, err := connector.NewRegistry(c); err != nil {
		t.Fatal(err)
	}
	if err := google.Consent(t.Context(), string(c.Describe().OAuth.Authorize)+
		"?response_type=code&scope=x&client_id="+own.ClientID+"&redirect_uri=http://127.0.0.1/other", alice); err == nil ||
		!strings.Contains(err.Error(), "redirect_uri_mismatch") {
		t.Errorf("foreign redirect: %v", err)
	}
	own = google.AddClient("own.apps.googleusercontent.com", "own-secret")
	r := newRig(t, google, alice)
	s := connect(t, google, c, own, alice)
	if _, err := c.Subscribe(t.Context(), s, r.sub); err != nil {
		t.Fatal(err)
	}
	if err := c.Unsubscribe(t.Context(), s, r.sub); err != nil {
		t.Fatal(err)
	}
	if !google.Status(alice).Watching {
		t.Error("the own App's stop ended the default App's watch")
	}
	s.App = r.s.App
	if _, err := c.Subscribe(t.Context(), s, r.sub); !errors.Is(err, connector.ErrRefused) {
		t.Errorf("the default App's topic with the own App's token: %v", err)
	}
}
