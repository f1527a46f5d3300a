package jira_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// token is what Jira puts into a dynamic webhook, made with another library.
func token(secret string, at time.Time) string {
	t, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "client", "iat": at.Unix(), "exp": at.Add(3 * time.Minute).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return t
}

func TestDynamicWebhookToken(t *testing.T) {
	t.Parallel()
	server := newAtlassian(t)
	acme := server.AddSite("acme")
	secret := server.App().ClientSecret
	dynamic := jira.New(jira.Config{})
	strict := jira.New(jira.Config{TokenIssuer: server.App().ClientID})
	for _, row := range []struct {
		name  string
		c     *jira.Connector
		token jiratest.Token
		head  func(http.Header)
		ok    bool
	}{
		{name: "as Jira sends it", c: dynamic, token: jiratest.Token{Site: acme}, ok: true},
		{name: "the clock a minute ahead", c: dynamic, token: jiratest.Token{Age: -50 * time.Second}, ok: true},
		{name: "the clock a minute behind", c: dynamic, token: jiratest.Token{Age: 3*time.Minute + 50*time.Second}, ok: true},
		{name: "the issuer that is set", c: strict, token: jiratest.Token{}, ok: true},
		{name: "another issuer", c: strict, token: jiratest.Token{Issuer: "somebody"}},
		{name: "no issuer", c: strict, token: jiratest.Token{Omit: "iss"}},
		{name: "expired", c: dynamic, token: jiratest.Token{Age: time.Hour}},
		{name: "issued in the future", c: dynamic, token: jiratest.Token{Age: -time.Hour}},
		{name: "without an expiry", c: dynamic, token: jiratest.Token{Omit: "exp"}},
		{name: "alg none", c: dynamic, token: jiratest.Token{Algorithm: "none"}},
		{name: "alg None", c: dynamic, token: jiratest.Token{Algorithm: "None"}},
		{name: "alg HS512", c: dynamic, token: jiratest.Token{Algorithm: "HS512"}},
		{name: "alg RS256", c: dynamic, token: jiratest.Token{Algorithm: "RS256"}},
		{name: "another secret", c: dynamic, token: jiratest.Token{Secret: "another"}},
		{name: "no header", c: dynamic, head: func(h http.Header) { h.Del("Authorization") }},
		{name: "not a bearer token", c: dynamic, head: func(h http.Header) {
			h.Set("Authorization", strings.Replace(h.Get("Authorization"), "Bearer", "JWT", 1))
		}},
		{name: "two headers", c: dynamic, head: func(h http.Header) { h.Add("Authorization", h.Get("Authorization")) }},
		{name: "a signature that does not fit beside it", c: dynamic, head: func(h http.Header) { h.Set("X-Hub-Signature", "sha256=00") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			in := &connector.Inbound{Header: http.Header{}, Body: []byte(`{}`), ReceivedAt: time.Now(), Secrets: []string{secret}}
			in.Header.Set("Authorization", "Bearer "+server.HookToken(row.token))
			if row.head != nil {
				row.head(in.Header)
			}
			err := row.c.Verify(t.Context(), in)
			if row.ok != (err == nil) || err != nil && !errors.Is(err, connector.ErrUnproven) {
				t.Errorf("Verify gave %v", err)
			}
		})
	}
}

func TestAdminWebhookSignature(t *testing.T) {
	t.Parallel()
	const secret, body = "It's a Secret to Everybody", "Hello World!"
	c := jira.New(jira.Config{Sources: []jira.Source{jira.Admin}})
	for _, row := range []struct {
		name, header, body string
		ok                 bool
		app                bool // at the App's address
	}{
		{"made by hand, for a Forwarder without accounts", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9", body, true, true},
		{"made by hand, with another body", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9", "Hello", false, true},
		{"the vector of Atlassian's documentation", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9", body, true, false},
		{"another body", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9", "Hello, World!", false, false},
		{"another method", "sha1=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9", body, false, false},
		{"no method", "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9", body, false, false},
		{"no header", "", body, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			in := &connector.Inbound{Header: http.Header{}, Body: []byte(row.body), ReceivedAt: time.Now(), Watch: "admin-issues", Secrets: []string{secret}}
			// A token that proves the App proves nothing at a Subscription's address.
			in.Header.Set("Authorization", "Bearer "+token(secret, time.Now()))
			if row.app {
				in.Watch = ""
			}
			if row.header != "" {
				in.Header.Set("X-Hub-Signature", row.header)
			}
			err := c.Verify(t.Context(), in)
			if row.ok != (err == nil) || err != nil && !errors.Is(err, connector.ErrUnproven) {
				t.Errorf("Verify gave %v", err)
			}
		})
	}
}
