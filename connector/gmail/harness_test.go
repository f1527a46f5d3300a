package gmail_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/trigger"
)

const alice, bob = "alice@example.com", "bob@example.com"

func newGoogle(t testing.TB) *gmailtest.Server {
	t.Helper()
	google := gmailtest.NewServer()
	t.Cleanup(google.Close)
	return google
}

// connect signs a mailbox in with x/oauth2, which knows nothing of our code,
// and returns a Session like the engine's: it adds the token and refreshes it.
func connect(t testing.TB, google *gmailtest.Server, c *gmail.Connector, app connector.App, mailbox string) *connector.Session {
	t.Helper()
	return &connector.Session{
		HTTP:      &http.Client{Transport: &bearer{source: tokens(t, google, c, app, mailbox)}},
		Endpoints: map[string]string{"api": string(c.Describe().Endpoints["api"])},
		App:       app.Fields,
		Now:       time.Now,
	}
}

func tokens(t testing.TB, google *gmailtest.Server, c *gmail.Connector, app connector.App, mailbox string) *tokenSource {
	t.Helper()
	codes := make(chan url.Values, 1)
	callback := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { codes <- r.URL.Query() }))
	defer callback.Close()
	d := c.Describe()
	conf := oauth2.Config{
		ClientID: app.ClientID, ClientSecret: app.ClientSecret, RedirectURL: callback.URL + "/oauth/callback",
		Scopes:   d.OAuth.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: string(d.OAuth.Authorize), TokenURL: string(d.OAuth.Token.URL), AuthStyle: oauth2.AuthStyleInParams},
	}
	verifier := oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	for name, v := range d.OAuth.Params {
		options = append(options, oauth2.SetAuthURLParam(name, string(v)))
	}
	if err := google.Consent(t.Context(), conf.AuthCodeURL("state-1", options...), mailbox); err != nil {
		t.Fatal(err)
	}
	answer := <-codes
	if answer.Get("state") != "state-1" {
		t.Fatalf("callback got %v", answer)
	}
	token, err := conf.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return &tokenSource{conf: conf, token: token}
}

// tokenSource refreshes on demand, as a Session does after a 401.
type tokenSource struct {
	conf  oauth2.Config
	token *oauth2.Token
}

func (s *tokenSource) refresh(ctx context.Context) error {
	fresh, err := s.conf.TokenSource(ctx, &oauth2.Token{RefreshToken: s.token.RefreshToken}).Token()
	var failed *oauth2.RetrieveError
	if errors.As(err, &failed) && failed.ErrorCode == "invalid_grant" {
		return errors.Join(connector.ErrRevoked, err)
	}
	if err == nil {
		s.token = fresh
	}
	return err
}

type bearer struct{ source *tokenSource }

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	send := func(ctx context.Context) (*http.Response, error) {
		r := r.Clone(ctx)
		r.Header.Set("Authorization", "Bearer "+b.source.token.AccessToken)
		return http.DefaultTransport.RoundTrip(r)
	}
	resp, err := send(r.Context())
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	_ = resp.Body.Close()
	if err := b.source.refresh(r.Context()); err != nil {
		return nil, err
	}
	return send(r.Context())
}

// rig is one connected mailbox with an engine that does what boundary.md asks
// of the real one: serial Expands, Notices and Cursor in one commit, duplicates
// found by Trigger and Key.
type rig struct {
	t      testing.TB
	google *gmailtest.Server
	c      *gmail.Connector
	s      *connector.Session
	sub    *connector.Subscription

	told   []connector.Occurrence // in order, each once
	gaps   []string
	seen   map[[2]string]bool
	twice  int // occurrences told again
	pages  int
	last   *connector.Expansion
	expand func(context.Context, *connector.Session, *connector.Subscription, *connector.Notice) (*connector.Expansion, error)
}

func newRig(t testing.TB, google *gmailtest.Server, mailbox string, triggers ...string) *rig {
	t.Helper()
	c := gmail.New(google.Config())
	app, _ := c.DefaultApp()
	s := connect(t, google, c, app, mailbox)
	ids, err := c.Identify(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	s.Identities = ids
	sub := &connector.Subscription{
		ID: "sub_1", Watch: c.Describe().Watches[0].Name, Resource: ids[0].ID, Identity: ids[0],
		Topics: []string{"labelAdded", "messageAdded", "messageDeleted"}, Filters: trigger.List(triggers...),
	}
	held, err := c.Subscribe(t.Context(), s, sub)
	if err != nil {
		t.Fatal(err)
	}
	sub.Held, sub.Cursor = *held, held.Cursor
	return &rig{t: t, google: google, c: c, s: s, sub: sub, seen: map[[2]string]bool{}, expand: c.Expand}
}

// page runs one Expand and commits it.
func (r *rig) page(n *connector.Notice) (*connector.Expansion, error) {
	out, err := r.expand(r.t.Context(), r.s, r.sub, n)
	if err != nil {
		return nil, err
	}
	r.commit(out)
	return out, nil
}

func (r *rig) commit(out *connector.Expansion) {
	r.pages++
	for _, notice := range out.Notices {
		if notice.Signal == connector.SignalGap {
			r.gaps = append(r.gaps, notice.Reason)
		}
		for _, o := range notice.Occurrences {
			if id := [2]string{o.Trigger, o.Key}; !r.seen[id] {
				r.seen[id] = true
				r.told = append(r.told, o)
			} else {
				r.twice++
			}
		}
	}
	if out.Cursor != "" {
		r.sub.Cursor = out.Cursor
	}
	r.last = out
}

// catchUp runs Expand to the end.
func (r *rig) catchUp() {
	r.t.Helper()
	for range 1000 {
		out, err := r.page(nil)
		if err != nil {
			r.t.Fatal(err)
		}
		if !out.More {
			return
		}
	}
	r.t.Fatal("Expand does not come to an end")
}

// ids are the keys told for a trigger, in order.
func (r *rig) ids(trigger string) []string {
	var ids []string
	for _, o := range r.told {
		if o.Trigger == trigger {
			ids = append(ids, o.Key)
		}
	}
	return ids
}

func (r *rig) want(trigger string, ids ...string) {
	r.t.Helper()
	if got := r.ids(trigger); !slices.Equal(got, ids) {
		r.t.Errorf("%s told %q, want %q", trigger, got, ids)
	}
}

func mail(subject string) gmailtest.Mail {
	return gmailtest.Mail{From: alice, To: []string{bob}, Subject: subject, Text: "Hi Bob"}
}
