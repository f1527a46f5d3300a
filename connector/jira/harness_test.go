package jira_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
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
	send := func(ctx context.Context) (*http.Response, error) {
		again := r.Clone(ctx)
		if r.GetBody != nil {
			again.Body, _ = r.GetBody()
		}
		again.Header.Set("Authorization", "Bearer "+b.token.AccessToken)
		return http.DefaultTransport.RoundTrip(again)
	}
	resp, err := send(r.Context())
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
	return send(r.Context())
}
