package acme_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/connectortest"
	"github.com/interactorhq/interactor/examples/ownconnector/acme"
	"github.com/interactorhq/interactor/examples/ownconnector/acme/acmetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	var help *acmetest.Server
	connectortest.Run(t, connectortest.Suite{
		Connector: acme.New(acme.Config{}),
		Requests: []connectortest.Request{
			{File: "testdata/ticket-opened.http", Sign: sign},
			{File: "testdata/ticket-solved.http", Sign: sign},
			{File: "testdata/ping.http", Sign: sign},
		},
		Provider: &connectortest.Provider{
			Session: func(tb testing.TB) *connector.Session {
				tb.Helper()
				help = acmetest.NewServer()
				tb.Cleanup(help.Close)
				return help.Session("ann@example.com")
			},
			Subscription: connector.Subscription{
				Watch: "hook", Topics: []string{"ticket.opened"},
				Address: "https://hooks.example.com/webhooks/acme/sub_1", Secret: strings.Repeat("s", 43),
			},
			Watches:  func() int { return len(help.Hooks()) },
			Stranger: func(testing.TB) *connector.Session { return help.Session("bob@example.com") },
		},
	})
}

// sign is what Acme does before it sends.
func sign(in *connector.Inbound) {
	maps.Copy(in.Header, acmetest.Sign(in.Secrets[0], in.ReceivedAt, in.Body))
}

func TestRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body, want string }{
		{"no JSON", `<html>`, "acme: body"},
		{"unknown type", `{"id":"ev_1","type":"ticket.burnt"}`, `type "ticket.burnt" is not known`},
		{"no id", `{"type":"ticket.opened"}`, "body has no id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := acme.New(acme.Config{}).Decode(&connector.Inbound{Body: []byte(c.body)})
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestRefusesOldRequests(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 23, 15, 4, 5, 0, time.UTC)
	in := connector.Inbound{Body: []byte(`{}`), Secrets: []string{strings.Repeat("s", 43)}, ReceivedAt: now}
	in.Header = acmetest.Sign(in.Secrets[0], now.Add(-6*time.Minute), in.Body)
	require.ErrorIs(t, acme.New(acme.Config{}).Verify(t.Context(), &in), connector.ErrUnproven)
}

func TestConfigIsWhatServersRead(t *testing.T) {
	t.Parallel()
	var cfg acme.Config
	require.NoError(t, json.Unmarshal([]byte(`{"client_id":"a","client_secret":"b","endpoints":{"api":"http://127.0.0.1:1"}}`), &cfg))
	app, ok := acme.New(cfg).DefaultApp()
	assert.True(t, ok)
	assert.Equal(t, connector.App{ClientID: "a", ClientSecret: "b"}, app)
	assert.Equal(t, connector.Template("http://127.0.0.1:1"), acme.New(cfg).Describe().Endpoints["api"])
}
