package jiratest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

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
