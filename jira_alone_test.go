package interactor_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

// A Forwarder without accounts takes what an administrator's webhook sends.
func TestJiraWithoutAccounts(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: t.TempDir() + "/interactor.db"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	got := make(chan trigger.Event, 1)
	f, err := forward.New(forward.Config{
		PublicURL: "https://hooks.example.com", Store: db,
		Connectors: []connector.Connector{jira.New(jira.Config{WebhookSecret: "a-secret-of-the-administrator"})},
		Settings:   forward.Settings{Triggers: trigger.List("jira.*")},
		OnEvent:    func(_ context.Context, ev trigger.Event) error { got <- ev; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	const body = `{"timestamp":1795446245000,"webhookEvent":"jira:issue_created","issue":{"id":"1","key":"ENG-1","self":"https://acme.atlassian.net/rest/api/2/issue/1","fields":{"summary":"Hi"}}}`
	send := func(secret string) int {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/jira", strings.NewReader(body))
		req.Header.Set("X-Hub-Signature", jiratest.Signature(secret, []byte(body)))
		w := httptest.NewRecorder()
		f.ServeHTTP(w, req)
		return w.Code
	}
	if code := send("another secret"); code != http.StatusUnauthorized {
		t.Errorf("forged: %d", code)
	}
	if code := send("a-secret-of-the-administrator"); code != http.StatusOK {
		t.Fatalf("signed: %d", code)
	}
	issue, err := trigger.Decode[jira.Issue](<-got)
	if err != nil || issue.Key != "ENG-1" || issue.Summary != "Hi" {
		t.Errorf("%+v, %v", issue, err)
	}
}
