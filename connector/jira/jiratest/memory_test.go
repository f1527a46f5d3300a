package jiratest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// world is what a server in memory reaches: a callback and a webhook.
type world struct {
	codes chan string
	hooks chan hookCall
	fails int // so many webhook calls get 503 first
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}
	if r.URL.Path == "/callback" {
		w.codes <- r.URL.Query().Get("code")
		return answer, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if w.fails > 0 {
		w.fails--
		answer.StatusCode = http.StatusServiceUnavailable
		return answer, nil
	}
	w.hooks <- hookCall{r.Header, body}
	return answer, nil
}

// Two months pass in no time: consent, a webhook that is refreshed and then is
// not, and a delivery whose retries take as long as Jira's.
func TestInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{codes: make(chan string, 1), hooks: make(chan hookCall, 10)}
		atlassian := jiratest.NewInMemory(w)
		defer atlassian.Close()
		atlassian.SetRetryDelay(5 * time.Minute)
		site := atlassian.AddSite("acme")
		site.AddProject("ENG", "Engineering")
		config := oauth2.Config{
			ClientID: atlassian.App().ClientID, ClientSecret: atlassian.App().ClientSecret, RedirectURL: "http://127.0.0.1/callback",
			Scopes:   strings.Fields(scopes),
			Endpoint: oauth2.Endpoint{AuthURL: atlassian.Endpoints().Authorize, TokenURL: atlassian.Endpoints().Token, AuthStyle: oauth2.AuthStyleInParams},
		}
		audience, prompt := oauth2.SetAuthURLParam("audience", "api.atlassian.com"), oauth2.SetAuthURLParam("prompt", "consent")
		if err := atlassian.Consent(t.Context(), config.AuthCodeURL("s", audience, prompt), alice); err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: atlassian.Transport()}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, client)
		token, err := config.Exchange(ctx, <-w.codes)
		if err != nil {
			t.Fatal(err)
		}
		authorised := config.Client(ctx, token) // refreshes by itself, with the token that rotates
		call := func(method, path string, in any) int {
			req, err := http.NewRequestWithContext(t.Context(), method, atlassian.URL+"/ex/jira/"+site.CloudID()+"/rest/api/3/"+path, strings.NewReader(string(encode(t, in))))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := authorised.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			return resp.StatusCode
		}
		if got := call(http.MethodPost, "webhook", map[string]any{"url": "https://hooks.example.com/jira", "webhooks": []any{
			map[string]any{"jqlFilter": "project = ENG", "events": []string{"jira:issue_created"}},
		}}); got != http.StatusOK {
			t.Fatalf("status %d", got)
		}
		for range 3 {
			time.Sleep(29 * 24 * time.Hour) //nolint:forbidigo // the clock of synctest
			if got := call(http.MethodPut, "webhook/refresh", map[string]any{"webhookIds": []int{1}}); got != http.StatusOK {
				t.Fatalf("status %d", got)
			}
		}
		w.fails = 2
		began := time.Now()
		site.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
		got := <-w.hooks
		if waited := time.Since(began); waited != 15*time.Minute || got.Header.Get("X-Atlassian-Webhook-Retry") != "2" {
			t.Errorf("after %v: %v", waited, got.Header)
		}
		var body hookBody
		if err := json.Unmarshal(got.Body, &body); err != nil || body.Event != "jira:issue_created" {
			t.Errorf("%s, %v", got.Body, err)
		}
		if atlassian.Status(alice).Refreshes != 3 {
			t.Errorf("%d refreshes", atlassian.Status(alice).Refreshes)
		}
		time.Sleep(31 * 24 * time.Hour) //nolint:forbidigo // the clock of synctest
		if n := len(site.Hooks()); n != 0 {
			t.Errorf("%d webhooks outlived 30 days", n)
		}
	})
}

func TestTransportOfAServerThatListens(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	resp, err := (&http.Client{Transport: a.atlassian.Transport()}).Get("http://127.0.0.1:1/elsewhere")
	if err == nil {
		_ = resp.Body.Close()
		t.Error("reached an address that is not the server's")
	}
	a.atlassian.Fail(jiratest.Fault{Call: "me", Lost: true})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.atlassian.URL+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.signIn(alice))
	if resp, err := a.atlassian.Transport().RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("a lost answer came: %d", resp.StatusCode)
	}
}
