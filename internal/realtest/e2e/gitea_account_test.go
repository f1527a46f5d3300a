package e2e_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/gitea"
	connectorwebhook "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/internal/realtest/e2e/giteaserver"
	"github.com/interactorhq/interactor/trigger"
)

// account is an Interactor inside the test, with a connected user of Gitea.
type account struct {
	*interactortest.Server
	client
	gitea *giteaserver.Server
	wire  *wire // to Gitea
	inbox *receiver
	user  *giteaserver.User
	conn  auth.Connection
}

// testAccount holds the Go API in its hands: clients that refresh their tokens, and trigger lists
// that change.
func testAccount(t *testing.T, server *giteaserver.Server) {
	for name, part := range map[string]func(*testing.T, *account){
		"an API call after the access token has expired":    testRefresh,
		"a trigger that is removed stops arriving":          testTriggerRemoved,
		"a trigger of one repository has its hook in there": testRepositoryHook,
	} {
		user := server.CreateUser(t, strings.Fields(name)[1]+"-"+strings.Fields(name)[len(strings.Fields(name))-1])
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, newAccount(t, server, user))
		})
	}
}

func newAccount(t *testing.T, server *giteaserver.Server, user *giteaserver.User) *account {
	t.Helper()
	a := &account{gitea: server, wire: &wire{}, inbox: newReceiver(t), user: user}
	a.Server = interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gitea.New(gitea.Config{Endpoints: endpoints(server)}), connectorwebhook.New(connectorwebhook.Config{})},
		HTTPClient: &http.Client{Transport: a.wire, Timeout: 30 * time.Second},
	})
	key, err := a.Deployments.IssueKey(t.Context(), deployment.KeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	a.client = client{base: a.URL, key: key}
	a.useOwnApp(t, user.CreateOAuthApp(t, a.base+"/oauth/callback"))
	page, err := server.NewVisitor(t).Consent(t.Context(), a.authURL(t, gitea.Name, "user-7"), user)
	if err != nil {
		t.Fatal(err)
	}
	wantConnected(t, page, a.base, user.Name)
	if a.conn, err = a.Auth.Find(t.Context(), auth.Query{Connector: gitea.Name, Account: "user-7"}); err != nil {
		t.Fatal(err)
	}
	return a
}

// whoami makes an API call through the connection and returns the login that Gitea names, and the
// access token that went over the wire.
func (a *account) whoami(ctx context.Context) (login, token string, err error) {
	c, err := a.Client(ctx, a.conn.ID)
	if err != nil {
		return "", "", err
	}
	seen := &seen{}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, seenKey{}, seen), http.MethodGet, a.gitea.URL+"/api/v1/user", nil)
	if err != nil {
		return "", "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	var me struct {
		Login string `json:"login"`
	}
	err = json.NewDecoder(resp.Body).Decode(&me)
	return me.Login, seen.authorization, err
}

// works asks Gitea itself whether it still takes an access token.
func (a *account) works(t *testing.T, authorization string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.gitea.URL+"/api/v1/user", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	got := send(t, req)
	if got.status != http.StatusOK && got.status != http.StatusUnauthorized {
		t.Fatalf("Gitea answered %d %s", got.status, got.body)
	}
	return got.status == http.StatusOK
}

// testRefresh: Gitea takes each refresh token once, so one that is used twice would end the connection.
func testRefresh(t *testing.T, a *account) {
	login, first, err := a.whoami(t.Context())
	if err != nil || login != a.user.Name || first == "" {
		t.Fatalf("the first call answered %q with token %q: %v", login, first, err)
	}
	for round := range 3 {
		_, token, err := a.whoami(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waitUntil(t, 20*time.Second, "Gitea says that the access token has expired", func() bool { return !a.works(t, token) })
		before := a.wire.refreshes()
		const callers = 8
		var all sync.WaitGroup
		tokens := make([]string, callers)
		for i := range callers {
			all.Go(func() {
				login, fresh, err := a.whoami(t.Context())
				if err != nil || login != a.user.Name {
					t.Errorf("round %d: after the expiry a call answered %q: %v", round, login, err)
				}
				tokens[i] = fresh
			})
		}
		all.Wait()
		if slices.Contains(tokens, token) {
			t.Errorf("round %d: the expired token was sent again", round)
		}
		t.Logf("round %d: %d calls at once after the expiry, %d refreshes in all", round, callers, a.wire.refreshes())
		if grown := a.wire.refreshes() - before; grown > 1 {
			t.Errorf("round %d: %d calls at once refreshed %d times, want at most once", round, callers, grown)
		}
	}
	if a.wire.refreshes() < 3 {
		t.Errorf("%d refreshes went to Gitea in 3 rounds, want one in each", a.wire.refreshes())
	}
	conn, err := a.Auth.Get(t.Context(), a.conn.ID)
	if err != nil || conn.Status != auth.Active {
		t.Errorf("the connection is %+v (%v), want it active", conn, err)
	}
	if replayed := a.wire.usedTwice(); len(replayed) != 0 {
		t.Errorf("%d refresh tokens were used twice", len(replayed))
	}
}

// setTriggers replaces the Environment's own list by the API.
func (a *account) setTriggers(t *testing.T, triggers ...any) {
	t.Helper()
	a.want(t, http.StatusOK, http.MethodPut, "/forwarding", object{"url": a.inbox.url, "triggers": triggers}, nil)
}

// pushArrives pushes a commit and waits until the receiver has it.
func (a *account) pushArrives(t *testing.T, repo, message string) delivery {
	t.Helper()
	a.user.Push(t, repo, "main", url.PathEscape(message)+".txt", message, message)
	return a.inbox.wait(t, "the push "+message, func(d delivery) bool {
		got, err := trigger.Decode[gitea.PushPayload](d.event)
		return err == nil && got.HeadCommit != nil && strings.TrimSpace(got.HeadCommit.Message) == message
	})
}

func testTriggerRemoved(t *testing.T, a *account) {
	repo := a.user.CreateRepo(t, "field")
	a.setTriggers(t, gitea.IssueOpened, gitea.Push)
	hook := wantHook(t, a.user, a.base, "issues", "push")
	a.user.CreateIssue(t, repo, "Stones", "Many.")
	a.inbox.wait(t, "the issue", func(d delivery) bool { return d.event.Trigger == gitea.IssueOpened })
	a.pushArrives(t, repo, "one")

	a.setTriggers(t, gitea.Push) // the issue is removed
	if now := wantHook(t, a.user, a.base, "push"); now.ID != hook.ID {
		t.Errorf("the webhook was replaced by %d, want %d to be changed", now.ID, hook.ID)
	}
	a.user.CreateIssue(t, repo, "More stones", "Nobody hears of it.")
	a.pushArrives(t, repo, "two") // whatever the issue made would have come before
	a.inbox.wantOnce(t, map[string]int{gitea.IssueOpened: 1, gitea.Push: 2})

	a.setTriggers(t, connectorwebhook.Received) // nothing of Gitea's is left
	wantNoHook(t, a.user)
	// An issue, because Gitea looks for the webhooks of a push some time after it.
	a.user.CreateIssue(t, repo, "Stones for nobody", "There is no webhook.")
	if conn := a.connection(t, "user-7"); conn.Status != "active" {
		t.Errorf("the connection is %+v, want it active", conn)
	}

	a.setTriggers(t, gitea.IssueOpened, gitea.Push) // and again
	wantHook(t, a.user, a.base, "issues", "push")
	a.pushArrives(t, repo, "three")
	a.inbox.wantOnce(t, map[string]int{gitea.IssueOpened: 1, gitea.Push: 3})
	forwarding, err := a.Deployments.Forwarding(t.Context(), "env_default")
	if err != nil || len(forwarding.Settings.Secrets) != 1 {
		t.Fatalf("the Environment's own settings are %v (%v), want a signing secret made for them", forwarding.Settings, err)
	}
	verify(t, forwarding.Settings.Secrets[0], a.inbox.all()...)
}

func testRepositoryHook(t *testing.T, a *account) {
	one, other := a.user.CreateRepo(t, "one"), a.user.CreateRepo(t, "other")
	a.setTriggers(t, object{"trigger": gitea.Push, "params": object{"repo": one}})
	waitUntil(t, arrivalDeadline, "the webhook is in the repository", func() bool {
		hooks := a.user.ListHooks(t, one)
		return len(hooks) == 1 && slices.Equal(hooks[0].Events, []string{"push"}) && strings.HasPrefix(hooks[0].Config.URL, a.base+"/webhooks/gitea/sub_")
	})
	if hooks := append(a.user.ListOwnHooks(t), a.user.ListHooks(t, other)...); len(hooks) != 0 {
		t.Errorf("Gitea holds also the webhooks %+v", hooks)
	}
	a.user.Push(t, other, "main", "elsewhere.txt", "1", "elsewhere")
	a.pushArrives(t, one, "here")
	a.inbox.wantOnce(t, map[string]int{gitea.Push: 1})
	a.want(t, http.StatusNoContent, http.MethodDelete, "/connections/"+a.conn.ID, nil, nil)
	waitUntil(t, arrivalDeadline, "the webhook is gone from the repository", func() bool { return len(a.user.ListHooks(t, one)) == 0 })
}

// seen tells what one call carried.
type seen struct{ authorization string }

type seenKey struct{}

// wire is the way to Gitea. It remembers which refresh tokens went over it.
type wire struct {
	mu     sync.Mutex
	tokens map[string]int
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if s, ok := req.Context().Value(seenKey{}).(*seen); ok {
		s.authorization = req.Header.Get("Authorization")
	}
	if strings.HasSuffix(req.URL.Path, "/login/oauth/access_token") && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		copied := httptest.NewRequest(http.MethodPost, "/", body)
		copied.Header.Set("Content-Type", req.Header.Get("Content-Type"))
		if token := copied.FormValue("refresh_token"); token != "" {
			w.mu.Lock()
			if w.tokens == nil {
				w.tokens = make(map[string]int)
			}
			w.tokens[token]++
			w.mu.Unlock()
		}
	}
	return http.DefaultTransport.RoundTrip(req)
}

func (w *wire) refreshes() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, times := range w.tokens {
		n += times
	}
	return n
}

func (w *wire) usedTwice() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	twice := maps.Clone(w.tokens)
	maps.DeleteFunc(twice, func(_ string, times int) bool { return times < 2 })
	return slices.Collect(maps.Keys(twice))
}
