package interactor_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/internal/racing"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

// handled answers requests without a socket, so that time can stand still.
type handled struct{ handler http.Handler }

func (h *handled) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr, in.Host = r.URL.RequestURI(), "127.0.0.1:2", r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// Sixty days: the webhook never lapses although Jira ends it after 30, it is
// prolonged as seldom as that takes, every day's event arrives once, and a grant
// that has died ends the Connection and is told once.
func TestJiraForSixtyDays(t *testing.T) {
	t.Parallel()
	if testing.Short() || racing.Enabled {
		t.Skip("60 simulated days: they run without the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		front := &handled{}
		atlassian := jiratest.NewInMemory(front)
		defer atlassian.Close()
		acme := atlassian.AddSite("acme")
		acme.AddProject("ENG", "Engineering")
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var got, alerts []string
		app := atlassian.App()
		in, err := interactor.New(interactor.Config{
			PublicURL: "http://127.0.0.1:3", Store: db, SealingKeys: []string{seal.NewKey()}, AllowPrivateNetworks: true,
			Connectors: []interactor.Connector{jira.New(jira.Config{ClientID: app.ClientID, ClientSecret: app.ClientSecret, Endpoints: atlassian.Endpoints()})},
			Forwarding: interactor.Forwarding{Triggers: trigger.List(jira.IssueCreated)},
			HTTPClient: &http.Client{Transport: atlassian.Transport()},
			Notify: func(_ context.Context, ev trigger.Event) {
				mu.Lock()
				defer mu.Unlock()
				alerts = append(alerts, ev.Trigger)
			},
			OnEvent: func(_ context.Context, ev trigger.Event) error {
				issue, err := trigger.Decode[jira.Issue](ev)
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, issue.Summary)
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		front.handler = in.Handler()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- in.Run(ctx) }()
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		link, err := in.AuthURL(t.Context(), interactor.ConnectRequest{Connector: jira.Name, Account: "user-42"})
		if err != nil {
			t.Fatal(err)
		}
		if err := atlassian.Consent(t.Context(), link, "alice@example.com"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		hooks := acme.Hooks()
		if len(hooks) != 1 {
			t.Fatalf("Jira holds %+v", hooks)
		}
		prolonged, id, until := 0, hooks[0].ID, hooks[0].ExpiresAt
		var want []string
		for range 60 {
			pass(24 * time.Hour)
			if hooks = acme.Hooks(); len(hooks) != 1 || hooks[0].ID != id {
				t.Fatalf("Jira holds %+v", hooks)
			}
			if hooks[0].ExpiresAt.After(until) {
				prolonged, until = prolonged+1, hooks[0].ExpiresAt
			}
			day := time.Now().Format(time.DateOnly)
			acme.CreateIssue("bob@example.com", jiratest.Issue{Project: "ENG", Summary: day})
			want = append(want, day)
		}
		pass(time.Minute)
		mu.Lock()
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		mu.Unlock()
		if prolonged < 2 || prolonged > 6 {
			t.Errorf("the webhook was prolonged %d times", prolonged)
		}
		conn, err := in.Auth.Find(t.Context(), auth.Query{Connector: jira.Name, Account: "user-42"})
		if err != nil || conn.Status != auth.Active {
			t.Errorf("%+v, %v", conn, err)
		}
		mu.Lock()
		alerts = nil
		mu.Unlock()
		atlassian.RevokeAccess("alice@example.com")
		pass(24 * time.Hour)
		if conn, err = in.Auth.Connection(t.Context(), conn.ID); err != nil || conn.Status != auth.Expired {
			t.Errorf("after the grant died: %+v, %v", conn, err)
		}
		reason := conn.Reason
		if strings.Contains(reason, "must connect") {
			t.Errorf("the reason is no longer the provider's: %q", reason)
		}
		pass(10 * 24 * time.Hour)
		if conn, err = in.Auth.Connection(t.Context(), conn.ID); err != nil || conn.Status != auth.Expired || conn.Reason != reason {
			t.Errorf("days after the grant died: %+v, %v", conn, err)
		}
		mu.Lock()
		if !slices.Equal(alerts, []string{auth.HasExpired}) {
			t.Errorf("one dead grant was told as %q", alerts)
		}
		mu.Unlock()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}
