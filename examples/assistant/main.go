// Command assistant acts as the users whose events it gets: mail that names a Jira
// issue in its subject gets a comment at the issue and a reply as a draft, made
// with the client libraries that Google's and Jira's users know, over the
// authorised HTTP client of Interactor.Client. The interesting part is in
// assistant.go.
//
//	go run ./examples/assistant          by hand, with stand-ins for Google and Atlassian: it prints two links to open
//	go run ./examples/assistant -auto    plays the story and exits 0
//
// With GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET, JIRA_CLIENT_ID and
// JIRA_CLIENT_SECRET set it is your real mailbox and site. Register the redirect
// address that it prints with both Apps; Gmail is polled, so no public address is
// needed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	gmailapi "google.golang.org/api/gmail/v1"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "assistant:", err)
		os.Exit(1)
	}
}

// account is the user's id on your server.
const account = "user-42"

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("assistant", flag.ContinueOnError)
	auto := flags.Bool("auto", false, "play the story without a browser, then exit")
	addr := flags.String("addr", "127.0.0.1:0", "address of the service; port 0 takes a free one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var mu sync.Mutex
	printf := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
	}
	dir, err := os.MkdirTemp("", "interactor-assistant-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "interactor.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()

	a := &assistant{jiraAPI: "https://api.atlassian.com/", printf: printf}
	google := gmail.Config{ClientID: getenv("GOOGLE_CLIENT_ID"), ClientSecret: getenv("GOOGLE_CLIENT_SECRET"), Mode: gmail.Poll}
	atlassian := jira.Config{ClientID: getenv("JIRA_CLIENT_ID"), ClientSecret: getenv("JIRA_CLIENT_SECRET")}
	var s *story
	switch {
	case google.ClientID == "" && atlassian.ClientID == "":
		s = newStory() //nolint:contextcheck // the stand-ins live until they are closed
		defer s.close()
		if google, err = s.gmail(url + "/webhooks/gmail"); err != nil {
			return errors.Join(err, listener.Close())
		}
		atlassian = s.jira()
		a.gmailAPI, a.jiraAPI = s.google.URL+"/", s.atlassian.URL+"/"
	case google.ClientID == "" || atlassian.ClientID == "" || *auto:
		return errors.Join(errors.New("set GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET, JIRA_CLIENT_ID and JIRA_CLIENT_SECRET for the real ones, or none of them; -auto plays with stand-ins"), listener.Close())
	}
	a.in, err = interactor.New(interactor.Config{
		PublicURL: url, Store: db, SealingKeys: []string{seal.NewKey()}, // a real service keeps the key
		Connectors: []interactor.Connector{gmail.New(google), jira.New(atlassian)},
		Forwarding: interactor.Forwarding{Triggers: trigger.List(gmail.EmailReceived)},
		OnEvent:    func(ctx context.Context, ev trigger.Event) error { return a.handle(ctx, ev) },
		// The stand-ins are on this machine.
		AllowPrivateNetworks: s != nil,
		Logger:               slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: a.in.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	go func() { ran <- a.in.Run(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ran, server.Close())
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
	}()

	links, err := a.links(ctx)
	if err != nil {
		return err
	}
	if *auto {
		return s.play(ctx, links)
	}
	printf("Redirect address for both Apps: %s/oauth/callback", url)
	for _, link := range links {
		printf("Open: %s", link)
	}
	printf("Then send the mailbox a mail with an issue's key in its subject. End with Ctrl-C.")
	<-ctx.Done()
	return nil
}

// links are where the user agrees, to more than the triggers need: to write.
func (a *assistant) links(ctx context.Context) (links []string, err error) {
	for _, req := range []interactor.ConnectRequest{
		{Connector: gmail.Name, Account: account, Scopes: []string{gmailapi.GmailComposeScope}},
		{Connector: jira.Name, Account: account, Scopes: []string{"read:jira-work", "write:jira-work"}},
	} {
		link, err := a.in.AuthURL(ctx, req)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, nil
}

// story is the part that stand-ins play.
type story struct {
	google    *gmailtest.Server
	atlassian *jiratest.Server
	site      *jiratest.Site
	issue     string
}

const (
	alice = "alice@example.com" // the user
	bob   = "bob@example.com"   // a customer
)

func newStory() *story {
	s := &story{google: gmailtest.NewServer(), atlassian: jiratest.NewServer()}
	s.google.AddMailbox(alice)
	s.site = s.atlassian.AddSite("acme")
	s.site.AddProject("ENG", "Engineering")
	s.issue = s.site.CreateIssue(alice, jiratest.Issue{Project: "ENG", Summary: "The export is slow"})
	return s
}

func (s *story) close() {
	s.google.Close()
	s.atlassian.Close()
}

func (s *story) gmail(push string) (gmail.Config, error) {
	return s.google.Config(), s.google.SetPush(push)
}

func (s *story) jira() jira.Config {
	app := s.atlassian.App()
	return jira.Config{ClientID: app.ClientID, ClientSecret: app.ClientSecret, Endpoints: s.atlassian.Endpoints()}
}
