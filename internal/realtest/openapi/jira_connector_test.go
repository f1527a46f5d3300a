package openapi_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
	"github.com/interactorhq/interactor/internal/realtest/openapi"
	"github.com/interactorhq/interactor/trigger"
)

// bearer adds a token.
type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

// What connector jira sends is documented, from the first call to the last, by
// each of its sources.
func connectorSends(t *testing.T, document *openapi.Document) {
	for source, operations := range map[jira.Source][]string{
		jira.Dynamic: {
			"registerDynamicWebhooks 200", "getDynamicWebhooksForApp 200", "refreshWebhooks 200", "deleteWebhookById 202",
			"getServerInfo 200", "searchJql 200", "parseJqlQueries 200", "getProject 200", "getProject 404",
		},
		// The API of admin webhooks is in no document.
		jira.Admin: {"getServerInfo 200", "searchJql 200", "parseJqlQueries 200", "getProject 200"},
		jira.Poll:  {"getServerInfo 200", "searchJql 200", "parseJqlQueries 200", "getProject 200"},
	} {
		t.Run(string(source), func(t *testing.T) {
			t.Parallel()
			w := newJiraWorld(t, document, "3")
			w.acme.SetAdmin(alice, true)
			w.atlassian.SetClock(func() time.Time { return time.Now().Add(-time.Minute) })
			judge := jiraJudge(t, document, bearer{w.token})
			cfg := w.atlassian.Config()
			cfg.Sources = []jira.Source{source}
			connectAndFollow(t, jira.New(cfg), &connector.Session{
				HTTP: &http.Client{Transport: judge}, Endpoints: map[string]string{"api": w.atlassian.URL + "/"}, Now: time.Now,
			}, w)
			judge.Require(operations...)
		})
	}
}

// connectAndFollow makes every call of a Connection's life: who it is, a watch
// of each kind with all that can be had from it, what is new, and the end.
func connectAndFollow(t *testing.T, c *jira.Connector, s *connector.Session, w *jiraWorld) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	var err error
	s.Identities, err = c.Identify(t.Context(), s)
	must("Identify", err)
	if len(s.Identities) != 1 {
		t.Fatalf("%d identities", len(s.Identities))
	}
	d := c.Describe()
	for _, watch := range d.Watches {
		sub := subscription(d, watch, s.Identities[0])
		if sub == nil {
			continue
		}
		for _, params := range []map[string]string{
			{"jql": "project = ENG"}, {"jql": "project = NOPE"}, {"jql": "status ="}, {"project": "ENG"}, {"project": "NOPE"},
		} {
			var wrong *connector.ParamError
			if err := c.CheckParams(t.Context(), s, sub, trigger.Filter{Trigger: sub.Filters[0].Trigger, Params: params}); err != nil && !errors.As(err, &wrong) {
				t.Errorf("CheckParams %v: %v", params, err)
			}
		}
		if watch.Intake != connector.FromPoll {
			held, err := c.Subscribe(t.Context(), s, sub)
			must("Subscribe "+watch.Name, err)
			sub.Held, sub.Cursor = *held, held.Cursor
			_, err = c.List(t.Context(), s, sub)
			must("List "+watch.Name, err)
			_, err = c.Renew(t.Context(), s, sub)
			must("Renew "+watch.Name, err)
		}
		for range 2 { // the starting point, then what is new
			for more := true; more; {
				page, err := c.Expand(t.Context(), s, sub, nil)
				must("Expand "+watch.Name, err)
				if page.Cursor != "" {
					sub.Cursor = page.Cursor
				}
				more = page.More
			}
			w.atlassian.SetClock(time.Now)
			w.acme.Transition(alice, w.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"}), "Done")
		}
		if watch.Intake != connector.FromPoll {
			must("Unsubscribe "+watch.Name, c.Unsubscribe(t.Context(), s, sub))
		}
	}
}

// subscription wants every trigger of a watch; nil: it has none.
func subscription(d connector.Description, watch connector.Watch, who connector.Identity) *connector.Subscription {
	sub := &connector.Subscription{
		ID: "sub_" + watch.Name, Watch: watch.Name, Resource: who.ID, Identity: who,
		Address: "http://127.0.0.1:1/webhooks/jira", Secret: "a-secret-of-43-characters-for-admin-webhooks",
	}
	for _, trig := range d.Triggers {
		if trig.Watch == watch.Name && trig.Undeliverable == "" {
			sub.Topics = append(sub.Topics, trig.Topics...)
			sub.Filters = append(sub.Filters, trigger.Filter{Trigger: trig.Name})
		}
	}
	slices.Sort(sub.Topics)
	sub.Topics = slices.Compact(sub.Topics)
	if len(sub.Filters) == 0 {
		return nil
	}
	return sub
}
