package jira_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

// bounding fails answers that are too long, as a Session's client does.
type bounding struct {
	next  http.RoundTripper
	limit int64
}

func (b bounding) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &bounded{resp.Body, b.limit}
	}
	return resp, err
}

type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: ask for smaller pages", connector.ErrRefused)
	}
	return n, err
}

// Issues that are too large for one answer are read in smaller ones.
func TestLargeIssues(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := acmeWith(server)
	r := newRig(t, server, config(server, jira.Poll), alice, trigger.List(jira.IssueCreated, jira.CommentCreated)...)
	r.session.HTTP.Transport = bounding{r.session.HTTP.Transport, 100_000}
	text := strings.Repeat("x", 20_000)
	for range 20 {
		acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Description: text})
	}
	key := acme.CreateIssue(alice, eng("much is said about it"))
	for range 12 {
		acme.Comment(bob, key, text)
	}
	r.catchUp()
	r.want(map[string]int{jira.IssueCreated: 21, jira.CommentCreated: 12})
}
