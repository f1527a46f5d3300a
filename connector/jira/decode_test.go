package jira_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

func atApp(identifier, body string) *connector.Inbound {
	return &connector.Inbound{
		URL: "https://hooks.example.com/webhooks/jira", Header: http.Header{"X-Atlassian-Webhook-Identifier": {identifier}},
		Body: []byte(body), ReceivedAt: time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC),
	}
}

func mustDecode(t *testing.T, c *jira.Connector, in *connector.Inbound) []connector.Notice {
	t.Helper()
	d, err := c.Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	return d.Notices
}

const sprintClosed = `{"timestamp":1795446245000,"webhookEvent":"sprint_closed","matchedWebhookIds":[3],"sprint":{"id":7,"self":"https://ACME.atlassian.net/rest/agile/1.0/sprint/7","name":"S"}}`

// A delivery that is repeated is one occurrence; the identifier is unique at its
// site only, and a sprint that is closed twice is closed twice.
func TestKeyOfADelivery(t *testing.T) {
	t.Parallel()
	c := jira.New(jira.Config{})
	key := func(in *connector.Inbound) string { return mustDecode(t, c, in)[0].Occurrences[0].Key }
	first := key(atApp("70000001", sprintClosed))
	again := atApp("70000001", sprintClosed)
	again.Header.Set("X-Atlassian-Webhook-Retry", "1")
	if key(again) != first {
		t.Error("a retry has another key")
	}
	if key(atApp("70000002", sprintClosed)) == first {
		t.Error("another delivery has the same key")
	}
	if key(atApp("70000001", strings.Replace(sprintClosed, "ACME", "globex", 1))) == first {
		t.Error("a delivery of another site has the same key")
	}
	if key(atApp("", sprintClosed)) == key(atApp("", strings.Replace(sprintClosed, `"S"`, `"T"`, 1))) {
		t.Error("without an identifier, two bodies have the same key")
	}
	if long := key(atApp(strings.Repeat("x", 5000), sprintClosed)); len(long) > 300 {
		t.Errorf("a key of %d bytes", len(long))
	}
}

// Whom a webhook concerns is told by registrations and site, and by nothing less.
func TestWhomItConcerns(t *testing.T) {
	t.Parallel()
	unmatched := strings.Replace(sprintClosed, `"matchedWebhookIds":[3],`, "", 1)
	created := `{"webhookEvent":"jira:issue_created","issue":{"id":"1","key":"ENG-1","self":"https://acme.atlassian.net/rest/api/2/issue/1","fields":{}}}`
	site := []connector.Key{connector.NewKey("site", "acme.atlassian.net")}
	for _, row := range []struct {
		name, body string
		cfg        jira.Config
		signed     bool
		to         []connector.Key
		signal     connector.Signal
		told       int
	}{
		{name: "matched", body: sprintClosed, to: []connector.Key{connector.NewKey("webhook", "acme.atlassian.net", "3")}, told: 1},
		{name: "ids as texts", body: strings.Replace(sprintClosed, "[3]", `["3",null,{},3]`, 1), to: []connector.Key{connector.NewKey("webhook", "acme.atlassian.net", "3")}, told: 1},
		{name: "unmatched, and can be looked up", body: created, to: site, signal: connector.SignalMissed},
		{name: "unmatched, and cannot be looked up", body: unmatched, to: site, signal: connector.SignalGap},
		{name: "unmatched, routed by site", body: unmatched, cfg: jira.Config{RouteBySite: true}, to: site, told: 1},
		{name: "made by hand", body: created, signed: true, to: site, told: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			in := atApp("1", row.body)
			if row.signed {
				in.Header.Set("X-Hub-Signature", "sha256=…")
			}
			all := mustDecode(t, jira.New(row.cfg), in)
			if len(all) != 1 || !slices.Equal(all[0].To, row.to) || all[0].Signal != row.signal || len(all[0].Occurrences) != row.told {
				t.Errorf("%+v", all)
			}
		})
	}
}

func TestUndecodable(t *testing.T) {
	t.Parallel()
	c := jira.New(jira.Config{})
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"webhookEvent":"something_new","issue":{"self":"https://acme.atlassian.net/"}}`,
		`{"webhookEvent":"jira:issue_created","issue":{"id":"1"}}`,                                          // no site
		`{"webhookEvent":"jira:issue_created","issue":{"self":"https://acme.atlassian.net/"}}`,              // no id
		`{"webhookEvent":"jira:issue_created","issue":{"id":"1","self":"https://u:p@acme.atlassian.net/"}}`, // no site's address
		`{"webhookEvent":"comment_created","issue":{"self":"https://acme.atlassian.net/"}}`,
		`{"webhookEvent":"sprint_started","sprint":"text"}`,
	} {
		if d, err := c.Decode(atApp("1", body)); err == nil {
			t.Errorf("%s: %+v", body, d)
		}
	}
}

// A catalogue says which triggers these Sources cannot deliver, and what to do.
func TestUndeliverable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sources []jira.Source
		not     []string
	}{
		{nil, []string{jira.WorklogCreated, jira.WorklogUpdated, jira.WorklogDeleted, jira.AttachmentAdded, jira.IssueLinkCreated, jira.ProjectCreated}},
		{[]jira.Source{jira.Admin}, nil},
		{[]jira.Source{jira.Dynamic, jira.Admin}, nil},
		{[]jira.Source{jira.Dynamic, jira.Poll}, []string{jira.WorklogDeleted, jira.ProjectCreated}},
		{[]jira.Source{jira.Poll}, []string{
			jira.IssueDeleted, jira.CommentDeleted, jira.WorklogDeleted, jira.SprintCreated, jira.SprintStarted, jira.SprintClosed, jira.VersionReleased, jira.ProjectCreated,
		}},
	} {
		registry, err := connector.NewRegistry(jira.New(jira.Config{Sources: row.sources}))
		if err != nil {
			t.Fatal(err)
		}
		e, _ := registry.Lookup(jira.Name)
		if len(e.Triggers) != 18 {
			t.Errorf("%v: %d triggers", row.sources, len(e.Triggers))
		}
		var not []string
		for _, d := range e.Triggers {
			if d.Undeliverable == "" {
				continue
			}
			not = append(not, d.Name)
			if !strings.Contains(d.Undeliverable, `add "admin"`) && !strings.Contains(d.Undeliverable, `add "dynamic"`) {
				t.Errorf("%s: %q does not say what to do", d.Name, d.Undeliverable)
			}
			if len(d.Topics) > 0 {
				t.Errorf("%s would ask Jira for %v", d.Name, d.Topics)
			}
		}
		if !slices.Equal(not, row.not) {
			t.Errorf("%v: cannot deliver %v, want %v", row.sources, not, row.not)
		}
	}
}

// Every trigger can come from where it says, and its payload is the same type whichever way it came.
func TestEveryTrigger(t *testing.T) {
	t.Parallel()
	for _, source := range []jira.Source{jira.Dynamic, jira.Admin, jira.Poll} {
		t.Run(string(source), func(t *testing.T) {
			t.Parallel()
			server := newAtlassian(t)
			ticks := &ticking{base: time.Now()}
			server.SetClock(ticks.now)
			acme := acmeWith(server)
			r := newRigAt(t, ticks.now, server, config(server, source), alice, trigger.List("jira.*")...)
			everything(acme)
			r.settle()
			r.catchUp()
			for _, d := range r.entry.Triggers {
				told := r.of(d.Name)
				if (d.Undeliverable == "") != (len(told) > 0) {
					t.Errorf("%s was told %d times; undeliverable: %q", d.Name, len(told), d.Undeliverable)
				}
				for _, o := range told {
					if reflect.TypeOf(o.Payload) != reflect.TypeOf(d.Payload) {
						t.Errorf("%s: payload is a %T", d.Name, o.Payload)
					}
				}
			}
			if len(r.refused)+len(r.gaps) > 0 {
				t.Errorf("refused %v, gaps %v", r.refused, r.gaps)
			}
		})
	}
}

// everything makes each trigger happen.
func everything(acme *jiratest.Site) {
	key, other := acme.CreateIssue(alice, eng("one")), acme.CreateIssue(alice, eng("two"))
	acme.Transition(bob, key, "Done")
	acme.Assign(alice, key, bob)
	c := acme.Comment(bob, key, "text")
	acme.EditComment(bob, key, c, "better")
	acme.Comment(bob, key, "more")
	w := acme.AddWorklog(bob, key, time.Hour, "")
	acme.EditWorklog(bob, key, w, 2*time.Hour, "")
	acme.AddWorklog(bob, key, time.Hour, "")
	acme.Attach(bob, key, "file.txt", 10)
	acme.Link(bob, key, other)
	sprint := acme.CreateSprint("Sprint")
	acme.StartSprint(sprint)
	acme.CloseSprint(sprint)
	acme.ReleaseVersion(acme.CreateVersion("ENG", "2.1"))
	acme.AddProject("NEW", "New")
	third := acme.CreateIssue(alice, eng("three"))
	acme.DeleteComment(alice, third, acme.Comment(alice, third, "text"))
	acme.DeleteWorklog(alice, third, acme.AddWorklog(alice, third, time.Hour, ""))
	acme.DeleteIssue(alice, third)
}

func FuzzDecode(f *testing.F) {
	f.Add(sprintClosed, "1", false)
	f.Add(`{"webhookEvent":"jira:issue_updated","issue":{"id":"1","key":"A-1","self":"https://a.atlassian.net/x","fields":{"labels":["a"],"customfield_1":{"a":1}}},"changelog":{"id":"5","items":[{"field":"status","fieldId":"status","from":"1","to":"2"}]},"matchedWebhookIds":[1]}`, "1", true)
	f.Add(`{"webhookEvent":"comment_updated","comment":{"id":1,"self":"https://a.atlassian.net/x","updated":"2019-02-15T19:12:08.432-0800"}}`, "", false)
	f.Add(`{"webhookEvent":"worklog_created","worklog":{"id":"1","timeSpentSeconds":"60"},"timestamp":99999999999999999}`, "", true)
	registry, err := connector.NewRegistry(jira.New(jira.Config{Sources: []jira.Source{jira.Dynamic, jira.Admin}}))
	if err != nil {
		f.Fatal(err)
	}
	e, _ := registry.Lookup(jira.Name)
	f.Fuzz(func(t *testing.T, body, identifier string, admin bool) {
		in := atApp(identifier, body)
		if admin {
			in.Watch, in.Subscription, in.URL = "admin-site", "sub_1", in.URL+"/sub_1?site=acme.atlassian.net"
		}
		d, err := e.Decoder.Decode(in)
		again, errAgain := e.Decoder.Decode(in)
		if (err == nil) != (errAgain == nil) || err == nil && !reflect.DeepEqual(d, again) {
			t.Fatalf("not pure: %+v, %v and %+v, %v", d, err, again, errAgain)
		}
		if err != nil {
			return
		}
		for _, n := range d.Notices {
			if !admin && len(n.To) == 0 {
				t.Errorf("for nobody: %+v", n)
			}
			for _, o := range n.Occurrences {
				def, ok := e.Trigger(o.Trigger)
				if !ok || o.Key == "" || reflect.TypeOf(o.Payload) != reflect.TypeOf(def.Payload) || len(o.Attributes["site"]) == 0 {
					t.Errorf("%+v", o)
				}
				if y := o.OccurredAt.Year(); y < 1 || y > 9999 {
					t.Errorf("at %v", o.OccurredAt)
				}
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	at := time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	f.Add("Bearer "+token("secret", at), "", `{}`, false)
	f.Add("", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9", "Hello World!", true)
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.", "", `{}`, false)
	c := jira.New(jira.Config{})
	f.Fuzz(func(t *testing.T, authorization, signature, body string, admin bool) {
		in := &connector.Inbound{Header: http.Header{}, Body: []byte(body), ReceivedAt: at, Secrets: []string{"another secret, which nothing here is signed with"}}
		if authorization != "" {
			in.Header.Set("Authorization", authorization)
		}
		if signature != "" {
			in.Header.Set("X-Hub-Signature", signature)
		}
		if admin {
			in.Watch = "admin-issues"
		}
		if err := c.Verify(t.Context(), in); err == nil {
			t.Errorf("accepted %q %q %q", authorization, signature, body)
		}
	})
}
