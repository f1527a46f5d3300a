package e2e_test

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/connector/gitea"
	"github.com/interactorhq/interactor/internal/realtest/e2e/giteaserver"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// events is the scenario of testEvents: examples/server between Gitea and a receiver.
type events struct {
	*service
	gitea   *giteaserver.Server
	inbox   *receiver
	secret  string // signs deliveries
	token   string // value of the custom header
	alice   *giteaserver.User
	repo    string
	visitor *giteaserver.Visitor // alice's browser
	hook    giteaserver.Hook
	issue   int64
}

// testEvents: from the consent to the forwarded event, and back to the disconnect, with
// examples/server as a process.
func testEvents(t *testing.T, server *giteaserver.Server) {
	e := &events{
		gitea: server, inbox: newReceiver(t), secret: webhook.NewSecret(), token: "token of the receiver's own",
		alice: server.Alice, repo: server.Alice.CreateRepo(t, "garden"), visitor: server.NewVisitor(t),
	}
	settings := object{
		"url": e.inbox.url, "header_key": "X-Receiver-Token", "header_value": e.token, "secrets": []string{e.secret},
		"triggers": []string{gitea.IssueOpened, gitea.CommentCreated, gitea.Push, gitea.ReleasePublished},
	}
	connectors := object{"webhook": object{}}
	e.service = newService(t, connectors, settings)
	app := server.Bob.CreateOAuthApp(t, e.base+"/oauth/callback")
	connectors[gitea.Name] = giteaConfig(server, app)
	e.start(t)

	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"consent with PKCE through the Continue page", e.consent},
		{"the hook exists in Gitea", e.hookExists},
		{"an issue, a comment, a push and a release arrive once", e.arrive},
		{"Gitea's own list says the same", e.oracle},
		{"forged requests reach nobody", e.forged},
		{"the event log has the attempts", e.log},
		{"a replay has the same webhook-id", e.replay},
		{"settings of the config file are read-only", e.managed},
		{"disconnect removes the hook", e.disconnect},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow() // each step stands on those before it
		}
	}
	e.stop(t)
	wantSound(t, e.service)
}

func (e *events) consent(t *testing.T) {
	page := consent(t, e.visitor, e.base, e.authURL(t, gitea.Name, "user-42"), e.alice)
	wantConnected(t, page, e.base, "alice")
	conn := e.connection(t, "user-42")
	if conn.Status != "active" || conn.Identity != "alice" || conn.NeedsConsent {
		t.Errorf("the connection is %+v, want an active one of alice", conn)
	}
}

func (e *events) hookExists(t *testing.T) {
	e.hook = wantHook(t, e.alice, e.base, "issues", "issue_comment", "pull_request_comment", "push", "release")
}

// wanted is what has to arrive in arrive. The second push is that of the release's new tag.
func wanted() map[string]int {
	return map[string]int{gitea.IssueOpened: 1, gitea.CommentCreated: 1, gitea.Push: 2, gitea.ReleasePublished: 1}
}

func (e *events) arrive(t *testing.T) {
	var slowest time.Duration
	for _, step := range []struct {
		trigger string
		act     func()
		want    func(trigger.Event) bool // is it this one?
	}{
		{gitea.IssueOpened, func() { e.issue = e.gitea.Bob.CreateIssue(t, e.repo, "The gate squeaks", "Oil it.") }, func(ev trigger.Event) bool {
			got, err := trigger.Decode[gitea.Issue](ev)
			return err == nil && got.Issue.Title == "The gate squeaks" && got.Sender.Login == "bob"
		}},
		{gitea.CommentCreated, func() { e.alice.Comment(t, e.repo, e.issue, "Oiled: “done” ✓") }, func(ev trigger.Event) bool {
			got, err := trigger.Decode[gitea.Comment](ev)
			return err == nil && got.Comment.Body == "Oiled: “done” ✓" && got.Issue.Number == e.issue
		}},
		{gitea.Push, func() { e.alice.Push(t, e.repo, "main", "oil.txt", "5 ml", "Buy oil") }, func(ev trigger.Event) bool {
			got, err := trigger.Decode[gitea.PushPayload](ev)
			return err == nil && got.Branch == "main" && len(got.Commits) == 1 && strings.TrimSpace(got.Commits[0].Message) == "Buy oil"
		}},
		{gitea.ReleasePublished, func() { e.alice.CreateRelease(t, e.repo, "v1.0", "Spring") }, func(ev trigger.Event) bool {
			got, err := trigger.Decode[gitea.Release](ev)
			return err == nil && got.Release.TagName == "v1.0" && got.Release.Name == "Spring"
		}},
	} {
		begin := time.Now()
		step.act()
		done := time.Now()
		d := e.inbox.wait(t, step.trigger, func(d delivery) bool { return d.event.Trigger == step.trigger })
		slowest = max(slowest, d.at.Sub(done))
		t.Logf("%-26s the call to Gitea took %5d ms, the event came %5d ms after it", step.trigger, done.Sub(begin).Milliseconds(), d.at.Sub(done).Milliseconds())
		if !step.want(d.event) || d.event.Account != "user-42" || d.event.Connector != gitea.Name {
			t.Errorf("%s arrived as %s", step.trigger, d.body)
		}
		if got := d.header.Values("X-Receiver-Token"); !slices.Equal(got, []string{e.token}) {
			t.Errorf("%s arrived with the custom header %q, want %q", step.trigger, got, e.token)
		}
	}
	t.Logf("the usual time: at most %d ms after Gitea's answer; the deadline is %v", slowest.Milliseconds(), arrivalDeadline)
	verify(t, e.secret, e.inbox.all()...)
}

// sent waits until Gitea knows the answer to so many deliveries of the hook, and returns them.
func (e *events) sent(t *testing.T, count int) []giteaserver.Delivery {
	t.Helper()
	var list []giteaserver.Delivery
	waitUntil(t, arrivalDeadline, "Gitea knows the answers to its deliveries", func() bool {
		var err error
		if list, err = e.visitor.RecentDeliveries(t.Context(), e.hook.ID); err != nil {
			t.Fatal(err)
		}
		return len(list) >= count && !slices.ContainsFunc(list, func(d giteaserver.Delivery) bool { return d.Status == "-" || d.Status == "" })
	})
	return list
}

func (e *events) oracle(t *testing.T) {
	counts := make(map[string]int)
	for _, d := range e.sent(t, 5) {
		if d.Status != "200" && d.Status != "202" && d.Status != "204" {
			t.Errorf("Gitea's delivery %s (%s) was answered %s", d.ID(), d.Event(), d.Status)
		}
		counts[d.Event()]++
	}
	t.Logf("Gitea says that it sent %v", counts)
	want := make(map[string]int)
	for event, trigger := range map[string]string{
		"issues": gitea.IssueOpened, "issue_comment": gitea.CommentCreated, "push": gitea.Push, "release": gitea.ReleasePublished,
	} {
		if counts[event] > 0 {
			want[trigger] = counts[event]
		}
		delete(counts, event)
	}
	if len(counts) != 0 {
		t.Errorf("Gitea sent also %v, which nobody asked for", counts)
	}
	if !maps.Equal(want, wanted()) {
		t.Errorf("Gitea sent what makes %v, want %v", want, wanted())
	}
	e.inbox.wantOnce(t, want)
}

func (e *events) forged(t *testing.T) {
	sent := e.sent(t, 5)
	genuine := sent[slices.IndexFunc(sent, func(d giteaserver.Delivery) bool { return d.Event() == "issues" })]
	other := sent[slices.IndexFunc(sent, func(d giteaserver.Delivery) bool { return d.Event() == "push" })]
	address := e.hook.Config.URL
	elsewhere := address[:len(address)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(address, "0")]
	const name = "X-Gitea-Signature"
	signature := genuine.Header.Get(name)
	altered := bytes.Replace(genuine.Body, []byte("The gate squeaks"), []byte("The gate is open"), 1)
	if len(signature) != 64 || bytes.Equal(altered, genuine.Body) {
		t.Fatalf("Gitea shows no genuine delivery to forge: %+v", genuine)
	}
	for _, c := range []struct {
		name      string
		address   string
		signature []string // of the header; nil: without it
		body      []byte
		want      int
	}{
		{"no signature", address, nil, genuine.Body, http.StatusUnauthorized},
		{"empty signature", address, []string{""}, genuine.Body, http.StatusUnauthorized},
		{"invented signature", address, []string{strings.Repeat("0", 64)}, genuine.Body, http.StatusUnauthorized},
		{"half of the signature", address, []string{signature[:32]}, genuine.Body, http.StatusUnauthorized},
		{"signature of another body", address, []string{other.Header.Get(name)}, genuine.Body, http.StatusUnauthorized},
		{"altered body", address, []string{signature}, altered, http.StatusUnauthorized},
		{"a false signature before the right one", address, []string{strings.Repeat("0", 64), signature}, genuine.Body, http.StatusUnauthorized},
		{"another endpoint", elsewhere, []string{signature}, genuine.Body, http.StatusNotFound},
		{"no endpoint", e.base + "/webhooks/gitea", []string{signature}, genuine.Body, http.StatusNotFound},
		{"another connector", strings.Replace(address, "/gitea/", "/webhook/", 1), []string{signature}, genuine.Body, http.StatusNotFound},
		{"unknown connector", strings.Replace(address, "/gitea/", "/gitae/", 1), []string{signature}, genuine.Body, http.StatusNotFound},
		{"the genuine one once more", address, []string{signature}, genuine.Body, http.StatusOK}, // taken for what it is: a repetition
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.address, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(req.Header, genuine.Header)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Del(name)
		req.Header.Del("X-Hub-Signature-256")
		req.Header.Del("X-Gogs-Signature")
		for _, s := range c.signature {
			req.Header.Add(name, s)
		}
		if c.want == http.StatusUnauthorized {
			req.Header.Set("X-Gitea-Delivery", "forged: "+c.name) // no repetition
		}
		if got := send(t, req); got.status != c.want {
			t.Errorf("%s: answered %d %s, want %d", c.name, got.status, got.body, c.want)
		}
	}
	// What comes after all of these has arrived, so none of them is still on its way.
	e.alice.CreateIssue(t, e.repo, "The fence", "Behind it nothing comes.")
	e.inbox.wait(t, "the issue after the forgeries", func(d delivery) bool {
		got, err := trigger.Decode[gitea.Issue](d.event)
		return err == nil && got.Issue.Title == "The fence"
	})
	want := wanted()
	want[gitea.IssueOpened]++
	e.inbox.wantOnce(t, want)
	if stored := e.events(t, nil); len(stored) != 6 {
		t.Errorf("the event log has %d events, want 6: %+v", len(stored), stored)
	}
}

func (e *events) log(t *testing.T) {
	for _, d := range e.inbox.all() {
		ev := e.delivered(t, d.id)
		if len(ev.Deliveries) != 1 || len(ev.Deliveries[0].Attempts) != 1 {
			t.Errorf("%s has the deliveries %+v, want one with one attempt", d.id, ev.Deliveries)
			continue
		}
		attempt := ev.Deliveries[0].Attempts[0]
		if attempt.StatusCode != http.StatusNoContent || attempt.URL != e.inbox.url || attempt.RequestHeader.Get("webhook-id") != d.id {
			t.Errorf("the attempt of %s is %+v", d.id, attempt)
		}
		raw := e.call(t, http.MethodGet, "/events/"+d.id, nil)
		if bytes.Contains(raw.body, []byte(e.token)) || bytes.Contains(raw.body, []byte(e.secret)) {
			t.Errorf("the log of %s tells a secret: %s", d.id, raw.body)
		}
	}
	if list := e.events(t, url.Values{"trigger": {gitea.Push}, "account": {"user-42"}, "status": {"delivered"}}); len(list) != 2 || list[0].Type != gitea.Push {
		t.Errorf("filtered by trigger, account and status the log has %+v, want the two pushes", list)
	}
	if strings.Contains(e.service.log.String(), e.token) || strings.Contains(e.service.log.String(), e.secret) || strings.Contains(e.service.log.String(), e.key) {
		t.Error("the service's log tells a secret")
	}
}

func (e *events) replay(t *testing.T) {
	first := e.inbox.wait(t, "the push", func(d delivery) bool { return d.event.Trigger == gitea.Push })
	var made api.Delivery
	e.want(t, http.StatusAccepted, http.MethodPost, "/events/"+first.id+"/replay", nil, &made)
	again := e.inbox.wait(t, "the replayed push", func(d delivery) bool { return d.id == first.id && d.at.After(first.at) })
	if !bytes.Equal(again.body, first.body) {
		t.Errorf("the replay is\n%s\nthe first was\n%s", again.body, first.body)
	}
	verify(t, e.secret, again)
	waitUntil(t, arrivalDeadline, "the log has the replay", func() bool {
		ev := e.delivered(t, first.id)
		return len(ev.Deliveries) == 2 && slices.ContainsFunc(ev.Deliveries, func(d api.Delivery) bool {
			return d.ID == made.ID && d.Replay && d.Status == "delivered"
		})
	})
}

func (e *events) managed(t *testing.T) {
	got := e.call(t, http.MethodPut, "/forwarding", object{"url": e.inbox.url, "triggers": []string{gitea.Push}})
	if got.status != http.StatusConflict || !bytes.Contains(got.body, []byte(`"managed"`)) {
		t.Errorf("PUT /forwarding answered %d %s, want 409 managed", got.status, got.body)
	}
}

func (e *events) disconnect(t *testing.T) {
	conn, arrived := e.connection(t, "user-42"), len(e.inbox.all())
	sent := e.sent(t, 6)
	e.want(t, http.StatusNoContent, http.MethodDelete, "/connections/"+conn.ID, nil, nil)
	wantNoHook(t, e.alice)
	e.alice.CreateIssue(t, e.repo, "After the end", "Nobody hears of it.")

	// Also who knows the address and a signature that was good reaches nobody.
	genuine := sent[0]
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.hook.Config.URL, bytes.NewReader(genuine.Body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, genuine.Header)
	req.Header.Set("X-Gitea-Delivery", "after the end")
	if got := send(t, req); got.status != http.StatusGone && got.status != http.StatusNotFound {
		t.Errorf("after the disconnect the webhook's address answered %d %s, want 404 or 410", got.status, got.body)
	}
	waitUntil(t, arrivalDeadline, "the connection is revoked", func() bool { return e.connection(t, "user-42").Status == "revoked" })
	if now := len(e.inbox.all()); now != arrived || len(e.events(t, nil)) != 6 {
		t.Errorf("%d deliveries came after the disconnect, and the log has %d events, want none and 6", now-arrived, len(e.events(t, nil)))
	}
}
