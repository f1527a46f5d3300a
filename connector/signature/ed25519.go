package signature

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// Ed25519 verifies a hex signature of {timestamp}{body} with public keys
// (Discord). The secrets are the keys, in hex: 32 bytes each.
type Ed25519 struct {
	Header          string        // "X-Signature-Ed25519"
	TimestampHeader string        // "X-Signature-Timestamp"; seconds since 1970
	Tolerance       time.Duration // to the time of receipt, both ways. Defaults to 5 minutes; negative: not compared
}

var _ connector.Verifier = Ed25519{}

// Verify implements connector.Verifier.
func (e Ed25519) Verify(_ context.Context, in *connector.Inbound) error {
	candidates, err := secrets(in)
	if err != nil {
		return err
	}
	text, err := header(in, e.Header)
	if err != nil {
		return err
	}
	sig, ok := Hex.decode(text)
	if !ok || len(sig) != ed25519.SignatureSize {
		return unproven("header %s is malformed", e.Header)
	}
	timestamp, err := header(in, e.TimestampHeader)
	if err != nil {
		return err
	}
	at, err := UnixSeconds(timestamp)
	if err != nil {
		return unproven("header %s is malformed", e.TimestampHeader)
	}
	if err := fresh(in, at, e.Tolerance); err != nil {
		return err
	}
	signed, proven := join(timestamp, string(in.Body)), false
	for _, c := range candidates {
		key, ok := Hex.decode(c)
		if !ok || len(key) != ed25519.PublicKeySize {
			return unproven("one of the secrets is no public key: 64 hex digits")
		}
		proven = ed25519.Verify(key, signed, sig) || proven
	}
	if !proven {
		return unproven("the signature in %s does not match", e.Header)
	}
	return nil
}
