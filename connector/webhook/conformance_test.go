package webhook_test

import (
	"net/http"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/connectortest"
	"github.com/interactorhq/interactor/connector/webhook"
	standard "github.com/interactorhq/interactor/webhook"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	var requests []connectortest.Request
	for _, place := range []string{"connection", "app"} {
		for _, scheme := range []string{webhook.StandardWebhooks, webhook.HMAC, webhook.Bearer, webhook.Basic} {
			q := connectortest.Request{
				Name: scheme + " at " + place, BodyUnsigned: scheme == webhook.Bearer || scheme == webhook.Basic,
				Inbound: connector.Inbound{Method: http.MethodPost, URL: "https://hooks.example.com/webhooks/webhook", Header: http.Header{"Content-Type": {"application/json"}},
					Body: []byte(`{"a":1}`), Secrets: []string{secret}, ReceivedAt: now},
				Sign: func(in *connector.Inbound) {
					secrets := in.Secrets
					sign(in, scheme)
					in.Secrets = secrets
				},
			}
			if scheme == webhook.StandardWebhooks {
				q.Inbound.Secrets = []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
				q.Sign = func(in *connector.Inbound) {
					if err := (standard.Signer{Secrets: in.Secrets[:1]}).Sign(in.Header, "msg_1", in.ReceivedAt, in.Body); err != nil {
						panic(err)
					}
				}
			}
			values := map[string]string{"scheme": scheme, "username": "alice"}
			if place == "app" {
				q.Inbound.App = values
				q.Inbound.Watch = "address" // else the suite would fill in a Subscription too
			} else {
				q.Inbound.Values = values
			}
			requests = append(requests, q)
		}
	}
	connectortest.Run(t, connectortest.Suite{Connector: webhook.New(webhook.Config{}), Requests: requests})
}
