package signature

import (
	"context"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/webhook"
)

// StandardWebhooks verifies by the Standard Webhooks specification 1.0.0, as
// senders that follow it do (Svix, OpenAI, GitLab's signing token and others).
// The secrets are "whsec_…" (v1) or public keys "whpk_…" (v1a).
type StandardWebhooks struct {
	Tolerance time.Duration // to the time of receipt, both ways. Defaults to 5 minutes
}

var _ connector.Verifier = StandardWebhooks{}

// Verify implements connector.Verifier.
func (s StandardWebhooks) Verify(_ context.Context, in *connector.Inbound) error {
	candidates, err := secrets(in)
	if err != nil {
		return err
	}
	for _, name := range []string{webhook.HeaderID, webhook.HeaderTimestamp, webhook.HeaderSignature} {
		if _, err := header(in, name); err != nil {
			return err
		}
	}
	if in.ReceivedAt.IsZero() {
		return unproven("the time of receipt is unknown")
	}
	v := webhook.Verifier{
		Secrets: candidates, Tolerance: s.Tolerance,
		Now: func() time.Time { return in.ReceivedAt },
	}
	if err := v.Verify(in.Header, in.Body); err != nil {
		return unproven("%w", err)
	}
	return nil
}
