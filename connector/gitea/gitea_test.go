package gitea_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gitea"
	"github.com/interactorhq/interactor/connector/gitea/giteaevent"
	"github.com/interactorhq/interactor/trigger"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cfg  gitea.Config
		err  string
	}{
		{"nothing", gitea.Config{}, ""},
		{"own server", gitea.Config{ClientID: "a", ClientSecret: "b", URL: "https://git.example.com/gitea/"}, ""},
		{"in tests", gitea.Config{ClientID: "a", URL: "http://127.0.0.1:3000"}, ""},
		{"alone", gitea.Config{WebhookSecret: "secret"}, ""},
		{"endpoints", gitea.Config{ClientID: "a", Endpoints: connector.Endpoints{API: "http://gitea:3000/api/v1"}}, ""},
		{"no scheme", gitea.Config{URL: "git.example.com"}, "is no URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := connector.NewRegistry(gitea.New(c.cfg))
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	d := gitea.New(gitea.Config{URL: "https://git.example.com/"}).Describe()
	for _, c := range []struct {
		name     string
		template connector.Template
		app      connector.App
		want     string
	}{
		{"consent", d.OAuth.Authorize, connector.App{}, "https://git.example.com/login/oauth/authorize"},
		{"token", d.OAuth.Token.URL, connector.App{}, "https://git.example.com/login/oauth/access_token"},
		{"API", d.Endpoints["api"], connector.App{}, "https://git.example.com/api/v1"},
		{"own App's server", d.Endpoints["api"], connector.App{Fields: map[string]string{"url": "https://code.example.org/git"}}, "https://code.example.org/git/api/v1"},
		{"a repository", d.Watches[0].Resource, connector.App{Fields: nil}, "user"},
	} {
		if got, err := c.template.Fill(c.app.Placeholders()); got != c.want {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
	}
}

func TestAppURL(t *testing.T) {
	t.Parallel()
	f := gitea.New(gitea.Config{}).Describe().AppFields[0]
	for value, ok := range map[string]bool{
		"https://git.example.com": true, "http://127.0.0.1:3000/git": true, "": true,
		"https://git.example.com/": false, "git.example.com": false, "https://a@b.example": false, "https://a.example?x": false, "javascript:x": false,
		"https://{app.client_secret}.evil.example": false, "https://a.example|b": false,
	} {
		if err := f.Check(value); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// server answers what Gitea's hook API answers, by its source: 201 with the
// hook, 200, 204, 404 for what is not there, pages.
type server struct {
	mu    sync.Mutex
	hooks map[string]map[int64]map[string]any // by path of the owner
	next  int64
	user  int64
	deny  string // body of a 403
	log   []string
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/")
	s.log = append(s.log, r.Method+" "+path)
	answer := func(status int, v any) (*http.Response, error) {
		var b []byte
		if v != nil {
			var err error
			if b, err = json.Marshal(v); err != nil {
				return nil, err
			}
		}
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, nil
	}
	if s.deny != "" {
		return answer(http.StatusForbidden, map[string]string{"message": s.deny})
	}
	if path == "user" {
		return answer(200, map[string]any{"id": s.user, "login": "alice", "email": "alice@example.com"})
	}
	owner, id, _ := strings.Cut(path, "/hooks")
	hooks, ok := s.hooks[owner]
	if !ok {
		return answer(http.StatusNotFound, map[string]string{"message": "not found"})
	}
	var body map[string]any
	if r.Body != nil {
		_ = json.NewDecoder(r.Body).Decode(&body)
	}
	if id == "" {
		if r.Method == http.MethodPost {
			s.next++
			body["id"] = s.next
			hooks[s.next] = body
			return answer(http.StatusCreated, body)
		}
		list := []any{}
		var page int
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		for i := s.next - int64(2*(page-1)); i > s.next-int64(2*page) && i > 0; i-- { // two a page
			if h, ok := hooks[i]; ok {
				list = append(list, h)
			}
		}
		return answer(200, list)
	}
	var n int64
	_, _ = fmt.Sscan(strings.TrimPrefix(id, "/"), &n)
	if _, ok := hooks[n]; !ok {
		return answer(http.StatusNotFound, map[string]string{"message": "not found"})
	}
	switch r.Method {
	case http.MethodDelete:
		delete(hooks, n)
		return answer(http.StatusNoContent, nil)
	case http.MethodPatch:
		hooks[n]["events"] = body["events"]
		config := hooks[n]["config"].(map[string]any)
		config["url"] = body["config"].(map[string]any)["url"] // the secret stays: Gitea's editHook does not read it
		return answer(200, hooks[n])
	}
	return answer(http.StatusMethodNotAllowed, nil)
}

func newServer() (*server, *connector.Session) {
	s := &server{user: 7, hooks: map[string]map[int64]map[string]any{"user": {}, "repos/alice/hello": {}}}
	return s, &connector.Session{HTTP: &http.Client{Transport: s}, Endpoints: map[string]string{"api": "https://git.example.com/api/v1"}}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{"user", "repos/alice/hello"} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			ctx, c := t.Context(), gitea.New(gitea.Config{})
			srv, s := newServer()
			sub := &connector.Subscription{ID: "sub_1", Watch: "hook", Resource: resource, Topics: []string{"push"},
				Address: "https://hooks.example.com/webhooks/gitea/sub_1", Secret: "first"}

			held, err := c.Subscribe(ctx, s, sub)
			if err != nil {
				t.Fatal(err)
			}
			made := srv.hooks[resource][1]
			if fmt.Sprint(made["config"]) != "map[content_type:json secret:first url:https://hooks.example.com/webhooks/gitea/sub_1]" ||
				fmt.Sprint(made["events"]) != "[push]" || made["active"] != true || made["type"] != "gitea" || held.ID != "1" {
				t.Errorf("held %+v, made %v", held, made)
			}

			// Other topics: changed in place.
			sub.Held, sub.Topics = *held, []string{"issues_only", "push"}
			held, err = c.Subscribe(ctx, s, sub)
			if err != nil || held.ID != "1" || len(srv.hooks[resource]) != 1 || fmt.Sprint(srv.hooks[resource][1]["events"]) != "[issues_only push]" {
				t.Errorf("%v, held %+v, there %v", err, held, srv.hooks[resource])
			}

			// Another secret: PATCH cannot set it, so a new one.
			sub.Held, sub.Secret = *held, "second"
			held, err = c.Subscribe(ctx, s, sub)
			if err != nil || held.ID != "2" || srv.hooks[resource][2]["config"].(map[string]any)["secret"] != "second" {
				t.Errorf("%v, held %+v", err, held)
			}

			// Gone: made again.
			sub.Held = *held
			delete(srv.hooks[resource], 2)
			held, err = c.Subscribe(ctx, s, sub)
			if err != nil || held.ID != "3" {
				t.Errorf("%v, held %+v", err, held)
			}

			all, err := c.List(ctx, s, sub)
			if err != nil || len(all) != 2 || all[0].ID != "3" || all[0].Address != sub.Address {
				t.Errorf("List: %v, %+v", err, all)
			}

			sub.Held = *held
			for range 2 { // the second time it is gone already
				if err := c.Unsubscribe(ctx, s, sub); err != nil {
					t.Error(err)
				}
			}
			if len(srv.hooks[resource]) != 1 {
				t.Errorf("left: %v", srv.hooks[resource])
			}
		})
	}
}

func TestSubscribeErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, resource, deny string
		is                   error
	}{
		{"no such repository", "repos/alice/nothing", "", connector.ErrRefused},
		{"not an administrator", "repos/alice/hello", "user should be an owner or a collaborator with admin write of a repository", connector.ErrRefused},
		{"webhooks are off", "user", "webhooks disabled by administrator", connector.ErrRefused},
		{"a scope is missing", "user", "token does not have at least one of required scope(s), required=[write:user], token scope=read:user", connector.ErrScope},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv, s := newServer()
			srv.deny = c.deny
			_, err := gitea.New(gitea.Config{}).Subscribe(t.Context(), s, &connector.Subscription{Resource: c.resource, Topics: []string{"push"}})
			if !errors.Is(err, c.is) || errors.Is(err, connector.ErrGone) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUnsubscribeOfARepositoryThatIsGone(t *testing.T) {
	t.Parallel()
	_, s := newServer()
	sub := &connector.Subscription{Resource: "repos/alice/nothing", Held: connector.Held{ID: "1"}}
	if err := gitea.New(gitea.Config{}).Unsubscribe(t.Context(), s, sub); err != nil {
		t.Error(err)
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	_, s := newServer()
	ids, err := gitea.New(gitea.Config{}).Identify(t.Context(), s)
	if err != nil || len(ids) != 1 || ids[0].ID != "git.example.com/7" || ids[0].Label != "alice" {
		t.Errorf("got %v, %+v", err, ids)
	}
}

// The signature is written as services/webhook/deliver.go writes it.
func TestVerify(t *testing.T) {
	t.Parallel()
	in := inbound("push", []byte(`{"ref":"refs/heads/main"}`))
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write(in.Body)
	in.Header.Set("X-Gitea-Signature", hex.EncodeToString(mac.Sum(nil)))
	in.Secrets = []string{"secret"}
	c := gitea.New(gitea.Config{})
	if err := c.Verify(t.Context(), in); err != nil {
		t.Error(err)
	}
	in.Header.Set("X-Gitea-Signature", "") // what Gitea sends for a webhook without secret
	if err := c.Verify(t.Context(), in); !errors.Is(err, connector.ErrUnproven) {
		t.Errorf("got %v", err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	c := gitea.New(gitea.Config{})
	for _, x := range []struct {
		name, event, body string
		trigger, branch   string // of the Occurrence
		err               string
	}{
		{"branch", "push", `{"ref":"refs/heads/a/b","repository":{"full_name":"o/r"}}`, giteaevent.Push, "a/b", ""},
		{"tag", "push", `{"ref":"refs/tags/v1","repository":{"full_name":"o/r"}}`, giteaevent.Push, "", ""},
		{"merged", "pull_request", `{"action":"closed","pull_request":{"merged":true},"repository":{"full_name":"o/r"}}`, giteaevent.PullRequestMerged, "", ""},
		{"closed", "pull_request", `{"action":"closed","pull_request":{},"repository":{"full_name":"o/r"}}`, giteaevent.PullRequestClosed, "", ""},
		{"approved", "pull_request_approved", `{"action":"reviewed","review":{"type":"pull_request_review_approved"},"repository":{"full_name":"o/r"}}`, giteaevent.PullRequestApproved, "", ""},
		{"rejected", "pull_request_rejected", `{"action":"reviewed","review":{"type":"pull_request_review_rejected"},"repository":{"full_name":"o/r"}}`, giteaevent.PullRequestRejected, "", ""},
		{"a comment of an older server", "pull_request_comment", `{"action":"created","comment":{"id":1},"repository":{"full_name":"o/r"}}`, giteaevent.CommentCreated, "", ""},
		{"labels cleared", "issues", `{"action":"label_cleared","repository":{"full_name":"o/r"}}`, giteaevent.IssueLabeled, "", ""},
		{"tag created", "create", `{"ref":"v1","ref_type":"tag","repository":{"full_name":"o/r"}}`, giteaevent.TagCreated, "", ""},
		{"wiki", "wiki", `{"action":"edited","page":"Home","repository":{"full_name":"o/r"}}`, giteaevent.WikiPageEdited, "", ""},
		{"unknown event", "status", `{}`, "", "", `event "status" is not known`},
		{"no event", "", `{}`, "", "", "X-Gitea-Event is missing"},
		{"unknown action", "issues", `{"action":"pinned","repository":{"full_name":"o/r"}}`, "", "", `action "pinned"`},
		{"unknown review", "pull_request", `{"action":"reviewed","repository":{"full_name":"o/r"}}`, "", "", `reviewed`},
		{"unknown ref", "create", `{"ref_type":"note","repository":{"full_name":"o/r"}}`, "", "", `action "note"`},
		{"no repository", "push", `{"ref":"refs/heads/a"}`, "", "", "names no repository"},
		{"no ref", "push", `{"repository":{"full_name":"o/r"}}`, "", "", "names no ref"},
		{"no JSON", "push", `payload=%7B%7D`, "", "", `event "push"`},
		{"another type", "issues", `{"action":7}`, "", "", `event "issues"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			d, err := c.Decode(inbound(x.event, []byte(x.body)))
			if x.err != "" {
				if err == nil || !strings.Contains(err.Error(), x.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			o := d.Notices[0].Occurrences[0]
			if branch := strings.Join(o.Attributes["branch"], ","); o.Trigger != x.trigger || branch != x.branch {
				t.Errorf("got %s on %q", o.Trigger, branch)
			}
			if own := o.Payload.(interface{ Triggers() []string }).Triggers(); !strings.Contains(strings.Join(own, " ")+" ", o.Trigger+" ") {
				t.Errorf("a %T for %s", o.Payload, o.Trigger)
			}
		})
	}
}

// Gitea ignores topics that it does not know, so a misspelt one would be silence.
func TestTopicsAreGiteas(t *testing.T) {
	t.Parallel()
	// What updateHookEvents in routers/api/v1/utils/hook.go of v1.26 looks for.
	known := " create push delete fork repository wiki release issues_only issue_assign issue_label issue_milestone issue_comment " +
		"pull_request_only pull_request_assign pull_request_label pull_request_milestone pull_request_comment pull_request_review " +
		"pull_request_review_request pull_request_sync "
	for _, d := range gitea.New(gitea.Config{}).Describe().Triggers {
		if len(d.Topics) == 0 {
			t.Errorf("%s has no topic", d.Name)
		}
		for _, topic := range d.Topics {
			if !strings.Contains(known, " "+topic+" ") {
				t.Errorf("%s: Gitea has no %s", d.Name, topic)
			}
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	r, err := connector.NewRegistry(gitea.New(gitea.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	in := func(repo string) trigger.Filter {
		return trigger.Filter{Trigger: giteaevent.IssueOpened, Params: map[string]string{"repo": repo}}
	}
	if err := r.Check(append(trigger.List("gitea.*", "gitea.issue.*", giteaevent.Push), in("alice/hello.go"))); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"hello", "a/b/c", "a/b?x", "a/ b", "/b"} {
		if err := r.Check([]trigger.Filter{in(bad)}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
