package jiratest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// hookBody is what the tests read of a delivery.
type hookBody struct {
	Event   string `json:"webhookEvent"`
	Kind    string `json:"issue_event_type_name"`
	Matched []int  `json:"matchedWebhookIds"`
	Issue   *struct {
		Key    string         `json:"key"`
		Self   string         `json:"self"`
		Fields map[string]any `json:"fields"`
	} `json:"issue"`
	Comment *struct {
		Body any `json:"body"`
	} `json:"comment"`
	User      *struct{} `json:"user"`
	Changelog *struct {
		Items []struct {
			ID   string  `json:"fieldId"`
			From *string `json:"fromString"`
			To   *string `json:"toString"`
		} `json:"items"`
	} `json:"changelog"`
	Bulk     *struct{}      `json:"bulkOperationMetaData"`
	MergedTo map[string]any `json:"mergedTo"`
}

func (a *app) bodies() []hookBody {
	a.t.Helper()
	calls := a.calls()
	out := make([]hookBody, 0, len(calls))
	for _, c := range calls {
		var b hookBody
		decode(a.t, c.Body, &b)
		out = append(out, b)
	}
	return out
}

func (a *app) events() []string {
	a.t.Helper()
	var names []string
	for _, b := range a.bodies() {
		name := b.Event
		if b.Kind != "" {
			name += "/" + b.Kind
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	id, wrong := a.register(a.signIn(alice), "project = ENG AND issuetype != Epic", "jira:issue_created", "comment_created")
	if wrong != nil {
		t.Fatal(wrong)
	}
	a.acme.CreateIssue(bob, jiratest.Issue{Project: "ENG", Type: "Epic"})
	key := a.acme.CreateIssue(bob, jiratest.Issue{Project: "ENG", Type: "Bug", Summary: "It is broken"})
	calls := a.calls()
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	b := a.bodies()[0]
	if b.Event != "jira:issue_created" || !slices.Equal(b.Matched, []int{id}) || b.Issue.Key != key ||
		!strings.HasPrefix(b.Issue.Self, "https://acme.atlassian.net/rest/api/2/issue/") || b.Issue.Fields["summary"] != "It is broken" {
		t.Errorf("%s", calls[0].Body)
	}
	h := calls[0].Header
	if h.Get("X-Atlassian-Webhook-Flow") != "Primary" || h.Get("X-Atlassian-Webhook-Identifier") == "" || h.Get("X-Atlassian-Webhook-Retry") != "" || h.Get("X-Hub-Signature") != "" {
		t.Errorf("%v", h)
	}
	claims := a.verified(h.Get("Authorization"), a.atlassian.App().ClientSecret)
	if exp, iat := claims["exp"].(float64), claims["iat"].(float64); claims["iss"] != a.atlassian.App().ClientID || exp <= iat {
		t.Errorf("claims %v", claims)
	}
}

// verified checks a bearer token with nothing but the standard library.
func (a *app) verified(header, secret string) map[string]any {
	a.t.Helper()
	token, _ := strings.CutPrefix(header, "Bearer ")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		a.t.Fatalf("token %q", header)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s", parts[0], parts[1])
	if got := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); got != parts[2] {
		a.t.Fatalf("signature %s, want %s", parts[2], got)
	}
	var head, claims map[string]any
	for i, into := range []*map[string]any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			a.t.Fatal(err)
		}
		decode(a.t, raw, into)
	}
	if head["alg"] != "HS256" {
		a.t.Fatalf("header %v", head)
	}
	return claims
}

// An answer that asks for another try gets one, with the same identifier and a
// count, five times at most.
func TestRetries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status, attempts int
	}{
		{200, 1}, {204, 1}, {400, 1}, {401, 1}, {404, 1}, {410, 1}, {408, 6}, {409, 6}, {425, 6}, {429, 6}, {500, 6}, {503, 6},
	} {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			a.atlassian.SetRetryDelay(time.Millisecond)
			a.register(a.signIn(alice), "project = ENG", "jira:issue_created")
			a.answer = func(int) int { return tt.status }
			a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
			calls := a.calls()
			for i, c := range calls {
				want := ""
				if i > 0 {
					want = strconv.Itoa(i)
				}
				if got := c.Header.Get("X-Atlassian-Webhook-Retry"); got != want || c.Header.Get("X-Atlassian-Webhook-Identifier") != calls[0].Header.Get("X-Atlassian-Webhook-Identifier") {
					t.Errorf("attempt %d: retry %q, %v", i+1, got, c.Header)
				}
			}
			d := a.atlassian.Deliveries()[0]
			if len(calls) != tt.attempts || d.Attempts != tt.attempts || d.Status != tt.status || d.Delivered() != (tt.status < 300) {
				t.Errorf("%d attempts, %+v", len(calls), d)
			}
		})
	}
}

func TestRetryAfterAnOutage(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.atlassian.SetRetryDelay(time.Millisecond)
	a.register(a.signIn(alice), "project = ENG", "jira:issue_created")
	a.answer = func(n int) int {
		if n < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	}
	a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	if n := len(a.calls()); n != 3 || !a.atlassian.Deliveries()[0].Delivered() {
		t.Errorf("%d attempts", n)
	}
}

func TestLoseDuplicateHold(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	other := a.atlassian.AddSite("other")
	other.AddProject("ENG", "Engineering")
	token := a.signIn(alice)
	a.register(token, "project = ENG", "jira:issue_created")
	create := func(site *jiratest.Site) { site.CreateIssue(alice, jiratest.Issue{Project: "ENG"}) }

	a.atlassian.LoseDeliveries(1)
	create(a.acme)
	if d := a.atlassian.Deliveries(); len(a.calls()) != 0 || len(d) != 1 || !d[0].Lost || d[0].Delivered() {
		t.Fatalf("%d calls, %+v", len(a.calls()), d)
	}
	a.atlassian.DuplicateDeliveries(1)
	create(a.acme)
	create(a.acme)
	ids := func(calls []hookCall) (ids []string) {
		for _, c := range calls {
			ids = append(ids, c.Header.Get("X-Atlassian-Webhook-Identifier"))
		}
		return ids
	}
	got := ids(a.calls())
	slices.Sort(got)
	if len(got) != 3 || got[0] != got[1] || got[1] == got[2] {
		t.Errorf("identifiers %q", got)
	}

	a.atlassian.HoldDeliveries()
	for range 3 {
		create(a.acme)
	}
	if n := len(a.calls()); n != 3 {
		t.Errorf("%d calls while deliveries are held", n)
	}
	if n := a.atlassian.ReleaseDeliveries(slices.Reverse[[]jiratest.Delivery]); n != 3 {
		t.Errorf("released %d", n)
	}
	released := ids(a.calls())[3:]
	if !slices.IsSortedFunc(released, func(x, y string) int { return strings.Compare(y, x) }) || len(released) != 3 {
		t.Errorf("not in the reversed order: %q", released)
	}
	create(a.acme)
	if n := len(a.calls()); n != 7 {
		t.Errorf("%d calls after the release", n)
	}
}

// Two sites count alike: webhooks, issues and deliveries have the same ids.
func TestIDsRepeatAcrossSites(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	other := a.atlassian.AddSite("other")
	other.AddProject("ENG", "Engineering")
	token := a.signIn(alice)
	a.register(token, "project = ENG", "jira:issue_created")
	if status, body := a.do(token, "POST", "/ex/jira/"+other.CloudID()+"/rest/api/3/webhook", map[string]any{
		"url": a.hooks, "webhooks": []any{map[string]any{"jqlFilter": "project = ENG", "events": []string{"jira:issue_created"}}},
	}); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	for _, site := range []*jiratest.Site{a.acme, other} {
		site.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	}
	calls, bodies := a.calls(), a.bodies()
	if len(calls) != 2 {
		t.Fatalf("%d calls", len(calls))
	}
	one, two := bodies[0], bodies[1]
	if calls[0].Header.Get("X-Atlassian-Webhook-Identifier") != calls[1].Header.Get("X-Atlassian-Webhook-Identifier") ||
		!slices.Equal(one.Matched, two.Matched) || one.Issue.Key != two.Issue.Key || one.Issue.Self == two.Issue.Self {
		t.Errorf("%s\n%s", calls[0].Body, calls[1].Body)
	}
}

func TestHookToken(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	a.atlassian.SetClock(func() time.Time { return now })
	secret := a.atlassian.App().ClientSecret
	claims := a.verified(a.atlassian.HookToken(jiratest.Token{Site: a.acme}), secret)
	if claims["iat"] != float64(now.Unix()) || claims["context"].(map[string]any)["cloudId"] != a.acme.CloudID() {
		t.Errorf("%v", claims)
	}
	if claims := a.verified(a.atlassian.HookToken(jiratest.Token{Secret: "other", Age: time.Hour, Issuer: "x", Omit: "iat"}), "other"); claims["iat"] != nil ||
		claims["iss"] != "x" || claims["exp"].(float64) >= float64(now.Unix()) {
		t.Errorf("%v", claims)
	}
	for _, algorithm := range []string{"none", "RS256", "HS512"} {
		token := a.atlassian.HookToken(jiratest.Token{Algorithm: algorithm})
		head, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
		if err != nil || !strings.Contains(string(head), algorithm) || strings.HasSuffix(token, ".") != (algorithm != "HS512") {
			t.Errorf("%s: %s", algorithm, token)
		}
	}
}

func TestBodiesCanBeOdd(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.register(a.signIn(alice), "project = ENG", "comment_created")
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG"})
	a.atlassian.OmitFromBodies("issue", "matchedWebhookIds")
	a.atlassian.AddToBodies(map[string]any{"novelty": true})
	a.acme.Comment(alice, key, "x")
	a.atlassian.OmitFromBodies()
	a.atlassian.AddToBodies(nil)
	a.acme.Comment(alice, key, "y")
	calls := a.calls()
	if len(calls) != 2 {
		t.Fatalf("%d calls", len(calls))
	}
	slices.SortFunc(calls, func(x, y hookCall) int { return len(x.Body) - len(y.Body) })
	if s := string(calls[0].Body); strings.Contains(s, `"issue"`) || strings.Contains(s, "matched") || !strings.Contains(s, `"novelty":true`) {
		t.Errorf("%s", s)
	}
	if s := string(calls[1].Body); !strings.Contains(s, `"issue"`) || !strings.Contains(s, "matched") || strings.Contains(s, "novelty") {
		t.Errorf("%s", s)
	}
}
