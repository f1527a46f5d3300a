package jira

import (
	"context"
	"net/http"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/signature"
)

// signatureHeader is on webhooks that were made with a secret. Dynamic webhooks
// lack it.
const signatureHeader = "X-Hub-Signature"

// Verify checks a webhook. At a Subscription's address, and where the header
// says so, it is the HMAC-SHA256 of the body, keyed with the webhook's secret
// (WebSub's "sha256=…"); every other method is refused. Else it is the bearer
// token of dynamic webhooks: HS256 and nothing else, keyed with the App's client
// secret. That token does not cover the body, so whoever has seen one can send
// another body until it expires; Jira sends it over HTTPS alone.
//
// Source: https://developer.atlassian.com/cloud/jira/platform/webhooks/; that the
// token is HS256 is known from real deliveries, not from there.
func (c *Connector) Verify(ctx context.Context, in *connector.Inbound) error {
	_, signed := in.Header[http.CanonicalHeaderKey(signatureHeader)]
	if signed || in.Watch != "" {
		return signature.HMAC{Header: signatureHeader, Prefix: "sha256="}.Verify(ctx, in)
	}
	return signature.JWT{Scheme: "Bearer", Issuer: c.cfg.TokenIssuer}.Verify(ctx, in)
}
