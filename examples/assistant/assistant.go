package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/mail"
	"regexp"
	"strings"

	jiraapi "github.com/andygrunwald/go-jira"
	gmailapi "google.golang.org/api/gmail/v1"
	"google.golang.org/api/option"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// assistant acts as the users whose mail it is told of. It holds no token: each
// client comes from interactor, which adds the token, refreshes it when needed, and
// sends it to the provider's API alone.
type assistant struct {
	in       *interactor.Interactor
	gmailAPI string // "" is Google's
	jiraAPI  string // "https://api.atlassian.com/"
	printf   func(format string, args ...any)
}

// issueKey is what Jira calls an issue, such as ENG-12.
var issueKey = regexp.MustCompile(`\b[A-Z][A-Z0-9]{1,9}-[1-9][0-9]{0,8}\b`)

// handle is given every event, in this process. Mail that names an issue gets a
// comment there, and a reply that its user only has to send.
func (a *assistant) handle(ctx context.Context, ev trigger.Event) error {
	received, err := trigger.Decode[gmail.Email](ev)
	if err != nil {
		return forward.Permanent(err)
	}
	key := issueKey.FindString(received.Subject)
	if key == "" {
		return nil
	}
	link, err := a.comment(ctx, ev, key, received)
	if err == nil {
		err = a.draft(ctx, ev, key, link, received)
	}
	if reconnect, ok := errors.AsType[*auth.ReconnectError](err); ok {
		// Trying again does not help until the user has agreed again.
		a.printf("%s has to connect %s again", reconnect.Connection.Account, reconnect.Connection.Connector)
		return forward.Permanent(err)
	}
	return err // anything else brings the event again, later
}

// comment leaves a comment at an issue, in the user's name, with Jira's own client
// library. It returns the issue's address.
func (a *assistant) comment(ctx context.Context, ev trigger.Event, key string, about gmail.Email) (link string, err error) {
	found, err := a.in.Auth.Find(ctx, auth.Query{Environment: ev.Environment, Account: ev.Account, Connector: jira.Name})
	if err != nil {
		return "", fmt.Errorf("jira of %s: %w", ev.Account, err)
	}
	conn, err := a.in.Auth.Get(ctx, found.ID)
	if err != nil {
		return "", err
	}
	httpClient, err := a.in.Client(ctx, conn.ID)
	if err != nil {
		return "", err
	}
	for _, site := range conn.Identities { // a grant may cover several
		client, err := jiraapi.NewClient(httpClient, a.jiraAPI+"ex/jira/"+site.Values["cloud"]+"/")
		if err != nil {
			return "", err
		}
		issue, resp, err := client.Issue.GetWithContext(ctx, key, &jiraapi.GetQueryOptions{Fields: "comment"})
		if resp != nil && resp.StatusCode == http.StatusNotFound {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", key, err)
		}
		link = "https://" + site.Values["host"] + "/browse/" + issue.Key
		// Events come at least once, so what was done is not done again: the
		// event's id is the same each time.
		if issue.Fields != nil && issue.Fields.Comments != nil {
			for _, c := range issue.Fields.Comments.Comments {
				if strings.Contains(c.Body, ev.ID) {
					return link, nil
				}
			}
		}
		body := fmt.Sprintf("%s wrote about this: %q (%s)", about.From.Email, about.Subject, ev.ID)
		if _, _, err := client.Issue.AddCommentWithContext(ctx, issue.ID, &jiraapi.Comment{Body: body}); err != nil {
			return "", fmt.Errorf("commenting on %s: %w", key, err)
		}
		a.printf("commented on %s as %s", issue.Key, ev.Account)
		return link, nil
	}
	return "", forward.Permanent(fmt.Errorf("%s sees no issue %s", ev.Account, key))
}

// draft prepares a reply in the mailbox that the mail came to, with Google's own
// client library.
func (a *assistant) draft(ctx context.Context, ev trigger.Event, key, link string, to gmail.Email) error {
	httpClient, err := a.in.Client(ctx, ev.Connection)
	if err != nil {
		return err
	}
	options := []option.ClientOption{option.WithHTTPClient(httpClient)}
	if a.gmailAPI != "" {
		options = append(options, option.WithEndpoint(a.gmailAPI))
	}
	service, err := gmailapi.NewService(ctx, options...)
	if err != nil {
		return err
	}
	drafts, err := service.Users.Drafts.List("me").Context(ctx).Do()
	if err != nil {
		return fmt.Errorf("listing drafts: %w", err)
	}
	for _, d := range drafts.Drafts {
		if d.Message.ThreadId == to.ThreadID {
			return nil // its user, or an earlier try, has begun one
		}
	}
	_, err = service.Users.Drafts.Create("me", &gmailapi.Draft{Message: &gmailapi.Message{
		ThreadId: to.ThreadID, Raw: base64.URLEncoding.EncodeToString(reply(to, key, link)),
	}}).Context(ctx).Do()
	if err != nil {
		return fmt.Errorf("drafting a reply: %w", err)
	}
	a.printf("drafted a reply to %s as %s", to.From.Email, ev.Account)
	return nil
}

// reply writes an answer (RFC 5322). What a stranger wrote goes through
// encoders: it must not become a header of its own.
func reply(to gmail.Email, key, link string) []byte {
	address := mail.Address{Name: to.From.Name, Address: to.From.Email}
	subject := to.Subject
	if !strings.HasPrefix(strings.ToLower(subject), "re:") {
		subject = "Re: " + subject
	}
	var b strings.Builder
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("To", address.String())
	header("Subject", mime.QEncoding.Encode("utf-8", subject))
	if messageID.MatchString(to.MessageID) {
		header("In-Reply-To", to.MessageID)
		header("References", to.MessageID)
	}
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "base64")
	b.WriteString("\r\n")
	text := fmt.Sprintf("Thank you. I have noted this at %s: %s\r\n", key, link)
	b.WriteString(base64.StdEncoding.EncodeToString([]byte(text)))
	b.WriteString("\r\n")
	return []byte(b.String())
}

var messageID = regexp.MustCompile(`\A<[!-;=?-~]{1,900}>\z`)
