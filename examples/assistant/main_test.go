package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	jiraapi "github.com/andygrunwald/go-jira"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gmailapi "google.golang.org/api/gmail/v1"
	"google.golang.org/api/option"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/trigger"
)

func none(string) string { return "" }

func TestAutoTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-auto"}, none, &out), out.String())
	assert.Equal(t, "commented on ENG-1 as user-42\ndrafted a reply to bob@example.com as user-42\n", out.String())
}

func TestSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	some := func(name string) string { return map[string]string{"GOOGLE_CLIENT_ID": "x"}[name] }
	require.ErrorContains(t, run(t.Context(), nil, some, io.Discard), "JIRA_CLIENT_ID")
	every := func(name string) string { return "set-" + name }
	require.ErrorContains(t, run(t.Context(), []string{"-auto"}, every, io.Discard), "stand-ins")
}

// stage is the assistant with stand-ins, and Alice connected to both.
type stage struct {
	*story
	t      *testing.T
	a      *assistant
	in     *interactortest.Server
	events chan trigger.Event
	conn   map[string]auth.Connection // by connector

	mu    sync.Mutex
	lines []string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{story: newStory(), t: t, events: make(chan trigger.Event, 10), conn: map[string]auth.Connection{}}
	t.Cleanup(s.close)
	google, err := s.gmail("http://127.0.0.1:1/")
	require.NoError(t, err)
	s.in = interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google), jira.New(s.jira())},
		Forwarding: interactor.Forwarding{Triggers: trigger.List(gmail.EmailReceived)},
		OnEvent:    func(_ context.Context, ev trigger.Event) error { s.events <- ev; return nil },
	})
	require.NoError(t, s.google.SetPush(s.in.URL+"/webhooks/gmail"))
	s.a = &assistant{in: s.in.Interactor, gmailAPI: s.google.URL + "/", jiraAPI: s.atlassian.URL + "/", printf: func(format string, args ...any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, fmt.Sprintf(format, args...))
	}}
	links, err := s.a.links(t.Context())
	require.NoError(t, err)
	require.NoError(t, errors.Join(s.google.Consent(t.Context(), links[0], alice), s.atlassian.Consent(t.Context(), links[1], alice)))
	for _, name := range []string{gmail.Name, jira.Name} {
		s.conn[name], err = s.in.Auth.Find(t.Context(), auth.Query{Connector: name, Account: account})
		require.NoError(t, err)
	}
	require.NoError(t, s.until(t.Context(), "Gmail is watched", func() bool { return s.google.Status(alice).Watching }))
	return s
}

func (s *stage) receive(subject string) trigger.Event {
	s.t.Helper()
	s.google.Send(gmailtest.Mail{From: "Bob Éric <" + bob + ">", To: []string{alice}, Subject: subject, Text: "It is still slow."})
	select {
	case ev := <-s.events:
		return ev
	case <-time.After(10 * time.Second):
		s.t.Fatal("no event came")
		return trigger.Event{}
	}
}

// drafts are read with Google's own client, as Alice.
func (s *stage) drafts() []*gmailapi.Message {
	s.t.Helper()
	client, err := s.in.Client(s.t.Context(), s.conn[gmail.Name].ID)
	require.NoError(s.t, err)
	service, err := gmailapi.NewService(s.t.Context(), option.WithHTTPClient(client), option.WithEndpoint(s.google.URL+"/"))
	require.NoError(s.t, err)
	list, err := service.Users.Drafts.List("me").Do()
	require.NoError(s.t, err)
	var all []*gmailapi.Message
	for _, d := range list.Drafts {
		m, err := service.Users.Messages.Get("me", d.Message.Id).Do()
		require.NoError(s.t, err)
		all = append(all, m)
	}
	return all
}

// comments are read with Jira's own client, as Alice.
func (s *stage) comments() []*jiraapi.Comment {
	s.t.Helper()
	rec, err := s.in.Auth.Get(s.t.Context(), s.conn[jira.Name].ID)
	require.NoError(s.t, err)
	client, err := s.in.Client(s.t.Context(), rec.ID)
	require.NoError(s.t, err)
	service, err := jiraapi.NewClient(client, s.atlassian.URL+"/ex/jira/"+rec.Identities[0].Values["cloud"]+"/")
	require.NoError(s.t, err)
	issue, _, err := service.Issue.Get(s.issue, nil)
	require.NoError(s.t, err)
	return issue.Fields.Comments.Comments
}

func TestActsAsTheUser(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ev := s.receive(s.issue + ": Größe?")
	// The tokens are no longer good when it comes to act: the first request of each
	// client is answered by a refresh.
	s.google.ExpireTokens()
	s.atlassian.ExpireTokens()
	for range 2 { // events come at least once
		require.NoError(t, s.a.handle(t.Context(), ev))
	}
	comments := s.comments()
	require.Len(t, comments, 1)
	assert.Contains(t, comments[0].Body, bob)
	assert.Equal(t, s.atlassian.AccountID(alice), comments[0].Author.AccountID)
	drafts := s.drafts()
	require.Len(t, drafts, 1)
	headers := map[string]string{}
	for _, h := range drafts[0].Payload.Headers {
		headers[h.Name] = h.Value
	}
	payload, err := trigger.Decode[gmail.Email](ev)
	require.NoError(t, err)
	assert.Equal(t, payload.ThreadID, drafts[0].ThreadId)
	assert.Equal(t, payload.MessageID, headers["In-Reply-To"])
	assert.Contains(t, headers["To"], "<"+bob+">")
	assert.Equal(t, []string{"commented on ENG-1 as user-42", "drafted a reply to bob@example.com as user-42"}, s.lines)
	assert.Positive(t, s.google.Status(alice).Refreshes)
}

func TestMailAboutNoIssue(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	require.NoError(t, s.a.handle(t.Context(), s.receive("Lunch?")))
	assert.Empty(t, s.comments())
	assert.Empty(t, s.drafts())
	require.ErrorContains(t, s.a.handle(t.Context(), s.receive("ENG-99 is gone")), "sees no issue ENG-99")
}

func TestARevokedConnectionHasToBeConnectedAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ev := s.receive(s.issue)
	s.atlassian.RevokeAccess(alice)
	err := s.a.handle(t.Context(), ev)
	_, reconnect := errors.AsType[*auth.ReconnectError](err)
	assert.True(t, reconnect, "%v", err)
	assert.Equal(t, []string{"user-42 has to connect jira again"}, s.lines)
	assert.Empty(t, s.drafts())
}

// A token goes to the provider's API and nowhere else, whatever address a client
// library was given.
func TestOtherServersGetNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ev := s.receive(s.issue)
	s.a.jiraAPI = s.google.URL + "/" // another server, which would see the token
	require.ErrorIs(t, s.a.handle(t.Context(), ev), connector.ErrRefused)
	assert.Empty(t, s.comments())
}

func TestWhatAStrangerWroteStaysInItsPlace(t *testing.T) {
	t.Parallel()
	raw := reply(gmail.Email{
		Subject: "ENG-1\r\nBcc: all@example.com", MessageID: "<a@b>\r\nBcc: all@example.com",
		From: gmail.Address{Name: "Bob\r\nBcc: all@example.com", Email: bob},
	}, "ENG-1", "https://acme.atlassian.net/browse/ENG-1")
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	require.NoError(t, err)
	assert.Empty(t, msg.Header.Get("Bcc"))
	assert.Empty(t, msg.Header.Get("In-Reply-To"))
	to, err := msg.Header.AddressList("To")
	require.NoError(t, err)
	assert.Len(t, to, 1)
	assert.Equal(t, 1, strings.Count(string(raw), "\r\n\r\n"))
}
