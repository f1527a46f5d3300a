package jira_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/trigger"
)

// Thousands of random steps on two sites, while deliveries are lost, doubled,
// late and out of order, tokens expire, searches fail, commits are lost and
// webhooks disappear, end with exactly the events that an oracle expects.
func TestRandom(t *testing.T) {
	t.Parallel()
	for _, source := range []jira.Source{jira.Dynamic, jira.Admin, jira.Poll} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s seed %d", source, seed), func(t *testing.T) {
				t.Parallel()
				randomly(t, source, seed, 500)
			})
		}
	}
}

// ticking is a clock that goes on by a millisecond, which is how fine Jira's
// times are, whenever somebody looks at it.
type ticking struct {
	base time.Time
	n    atomic.Int64
}

func (c *ticking) now() time.Time { return c.base.Add(time.Duration(c.n.Add(1)) * time.Millisecond) }

// world is the sites with what is on them.
type world struct {
	rnd   *rand.Rand
	sites []*jiratest.Site

	issues   map[*jiratest.Site][]string
	comments map[*jiratest.Site][][2]string // issue, comment
	worklogs map[*jiratest.Site][][2]string
	sprints  map[*jiratest.Site][]int
	projects int
}

func randomly(t *testing.T, source jira.Source, seed uint64, steps int) {
	server := newAtlassian(t)
	ticks := &ticking{base: time.Now()}
	skew := []time.Duration{0, 50 * time.Second, -50 * time.Second}[seed%3] // how far Jira's clock is ahead
	server.SetClock(func() time.Time { return ticks.now().Add(skew) })
	server.SetRetryDelay(time.Millisecond)
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(sink.Close)
	truth := oracle{server, sink.URL}
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 11)), issues: map[*jiratest.Site][]string{},
		comments: map[*jiratest.Site][][2]string{}, worklogs: map[*jiratest.Site][][2]string{}, sprints: map[*jiratest.Site][]int{},
	}
	for _, name := range []string{"acme", "globex"} {
		site := server.AddSite(name)
		for _, who := range []string{alice, bob} {
			site.SetAdmin(who, true)
		}
		site.AddProject("ENG", "Engineering")
		site.AddProject("OPS", "Operations")
		for range 5 { // is there before anybody connects
			w.create(site)
		}
		w.sites = append(w.sites, site)
	}
	all := newRigAt(t, ticks.now, server, config(server, source), alice, trigger.List("jira.*")...)
	narrow := newRigAt(t, ticks.now, server, narrowly(t, server, source), bob,
		trigger.Filter{Trigger: jira.IssueCreated, Params: map[string]string{"project": "OPS"}},
		trigger.Filter{Trigger: jira.IssueStatusChanged, Params: map[string]string{"to": "Done"}},
		trigger.Filter{Trigger: jira.CommentCreated, Params: map[string]string{"jql": "project = OPS"}})
	for _, site := range w.sites {
		truth.listen(t, site)
	}
	rigs := []*rig{all, narrow}
	for range steps {
		if n := w.rnd.IntN(20); n < 13 {
			w.step()
		} else {
			w.trouble(server, rigs)
		}
	}
	server.ReleaseDeliveries(nil)
	server.LoseDeliveries(0)
	all.settle()
	server.Recover()
	for _, r := range rigs {
		r.repair()
		r.catchUp()
	}
	offered := map[string]bool{}
	for _, d := range all.entry.Triggers {
		offered[d.Name] = d.Undeliverable == ""
	}
	all.judge(truth, func(f fact) bool { return offered[f.trigger] })
	done := map[string]bool{}
	for _, o := range narrow.of(jira.IssueStatusChanged) {
		done[lastWord(o.Key)] = o.Payload.(jira.StatusChange).To.Name == "Done"
	}
	narrow.judge(truth, func(f fact) bool {
		switch f.trigger {
		case jira.IssueCreated, jira.CommentCreated:
			return f.project == "OPS"
		case jira.IssueStatusChanged:
			return f.to == "Done"
		}
		return false
	})
	for key, is := range done {
		if !is {
			t.Errorf("status change %s is not to Done", key)
		}
	}
}

// narrowly is another App, because all registrations of one have one address.
func narrowly(t *testing.T, server *jiratest.Server, source jira.Source) jira.Config {
	t.Helper()
	cfg := config(server, source)
	app := server.AddClient("another", "another-secret", "")
	cfg.ClientID, cfg.ClientSecret = app.ClientID, app.ClientSecret
	return cfg
}

func pick[T any](w *world, from []T) (v T, ok bool) {
	if len(from) == 0 {
		return v, false
	}
	return from[w.rnd.IntN(len(from))], true
}

func (w *world) create(site *jiratest.Site) {
	project, _ := pick(w, []string{"ENG", "OPS"})
	w.issues[site] = append(w.issues[site], site.CreateIssue(alice, jiratest.Issue{Project: project}))
}

func (w *world) step() {
	site, _ := pick(w, w.sites)
	key, there := pick(w, w.issues[site])
	who, _ := pick(w, []string{alice, bob, "carol@example.com"})
	if !there {
		w.create(site)
		return
	}
	switch w.rnd.IntN(17) {
	case 0, 1:
		w.create(site)
	case 2, 3:
		status, _ := pick(w, []string{"To Do", "In Progress", "In Review", "Done"})
		site.Transition(who, key, status)
	case 4:
		to, _ := pick(w, []string{alice, bob, ""})
		site.Assign(who, key, to)
	case 5:
		priority, _ := pick(w, []string{"High", "Low", "Medium"})
		site.Update(who, key, map[string]string{"priority": priority, "status": "In Review"})
	case 6, 7:
		w.comments[site] = append(w.comments[site], [2]string{key, site.Comment(who, key, "text")})
	case 8:
		if c, ok := pick(w, w.comments[site]); ok {
			site.EditComment(who, c[0], c[1], fmt.Sprint("edit ", w.rnd.Uint64()))
		}
	case 9:
		if c, ok := pick(w, w.comments[site]); ok {
			site.DeleteComment(who, c[0], c[1])
			w.comments[site] = slices.DeleteFunc(w.comments[site], func(x [2]string) bool { return x == c })
		}
	case 10:
		w.worklogs[site] = append(w.worklogs[site], [2]string{key, site.AddWorklog(who, key, time.Hour, "")})
	case 11:
		if l, ok := pick(w, w.worklogs[site]); ok {
			site.EditWorklog(who, l[0], l[1], 2*time.Hour, fmt.Sprint("edit ", w.rnd.Uint64()))
		}
	case 12:
		site.Attach(who, key, "file.txt", 10)
	case 13:
		if other, _ := pick(w, w.issues[site]); other != key {
			site.Link(who, key, other)
		}
	case 14:
		w.sprints[site] = append(w.sprints[site], site.CreateSprint("Sprint"))
		site.StartSprint(w.sprints[site][len(w.sprints[site])-1])
	case 15:
		w.projects++
		site.AddProject(fmt.Sprint("NEW", w.projects), "New")
		site.ReleaseVersion(site.CreateVersion("ENG", fmt.Sprint("v", w.projects)))
	case 16:
		if len(w.issues[site]) > 3 {
			site.DeleteIssue(who, key)
			for _, m := range []map[*jiratest.Site][][2]string{w.comments, w.worklogs} {
				m[site] = slices.DeleteFunc(m[site], func(x [2]string) bool { return x[0] == key })
			}
			w.issues[site] = slices.DeleteFunc(w.issues[site], func(x string) bool { return x == key })
		}
	}
}

// trouble is what goes wrong, and the engine's own doings.
func (w *world) trouble(server *jiratest.Server, rigs []*rig) {
	r, _ := pick(w, rigs)
	switch w.rnd.IntN(11) {
	case 0:
		server.LoseDeliveries(1 + w.rnd.IntN(4))
	case 1:
		server.DuplicateDeliveries(1 + w.rnd.IntN(4))
	case 2:
		server.HoldDeliveries()
	case 3:
		server.ReleaseDeliveries(func(d []jiratest.Delivery) {
			w.rnd.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
		})
	case 4:
		server.ExpireTokens()
	case 5:
		server.SetPageSize(1 + w.rnd.IntN(4))
	case 6:
		server.Fail(jiratest.Fault{Status: 503, Times: 1 + w.rnd.IntN(2)})
	case 7:
		server.Fail(jiratest.Fault{Call: "search", Lost: true})
	case 8:
		r.crash(1 + w.rnd.IntN(3))
	case 9:
		if s, ok := pick(w, r.subs); ok { // the process is killed before it commits
			_, _ = r.page(s, true)
		}
	case 10:
		if s, ok := pick(w, r.subs); ok {
			_, _ = r.page(s, false) // what fails is tried again at the end
		}
	}
	if w.rnd.IntN(40) == 0 {
		site, _ := pick(w, w.sites)
		site.ExpireHooks()
		for _, r := range rigs {
			r.repair()
		}
	}
}

// repair makes anew what Jira has lost, as the engine does when it renews.
func (r *rig) repair() {
	r.t.Helper()
	for _, s := range r.subs {
		w, _ := r.entry.Watch(s.Watch)
		if w.Poll > 0 && strings.HasPrefix(s.Watch, "poll") {
			continue
		}
		r.again(s)
	}
}
