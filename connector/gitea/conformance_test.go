package gitea_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/connectortest"
	"github.com/interactorhq/interactor/connector/gitea"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	sign := func(in *connector.Inbound) {
		mac := hmac.New(sha256.New, []byte(in.Secrets[0]))
		mac.Write(in.Body)
		in.Header.Set("X-Gitea-Signature", hex.EncodeToString(mac.Sum(nil)))
	}
	requests := []connectortest.Request{
		{File: "testdata/push.http", Sign: sign},
		{File: "testdata/issue.http", Sign: sign},
	}
	for file, body := range corpus(t) {
		requests = append(requests, connectortest.Request{Name: file, Inbound: *inbound(corpusEvents[file].event, body), Sign: sign})
	}
	var srv *server
	connectortest.Run(t, connectortest.Suite{
		Connector: gitea.New(gitea.Config{ClientID: "id", ClientSecret: "secret"}),
		Requests:  requests,
		Provider: &connectortest.Provider{
			Session: func(testing.TB) *connector.Session {
				var s *connector.Session
				srv, s = newServer()
				return s
			},
			Stranger: func(testing.TB) *connector.Session {
				other, s := newServer()
				other.user = 8
				return s
			},
			Watches: func() int { return len(srv.hooks["user"]) },
			Subscription: connector.Subscription{
				ID: "sub_1", Watch: "hook", Resource: "user", Topics: []string{"push"},
				Address: "https://hooks.example.com/webhooks/gitea/sub_1", Secret: "a secret of ours",
			},
		},
	})
}
