// Package signature verifies requests by the families of schemes that providers
// use, one type for each. Connectors embed one, which makes them a
// connector.Verifier:
//
//	type Connector struct{ signature.HMAC }
//
//	func New() Connector {
//		return Connector{signature.HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256="}}
//	}
//
// Start with [HMAC], which most providers use in one form or another; the others
// are [Token], [Bearer], [BasicAuth], [StandardWebhooks], [Ed25519] and [JWT].
//
// All of them fail closed, with an error that wraps connector.ErrUnproven: no
// secret, an empty secret, a missing header, one that comes twice, an unknown
// algorithm, a stale timestamp. They try each of Inbound.Secrets, compare in
// constant time, take the clock from Inbound.ReceivedAt alone, bound what they
// read, and never put a secret into an error. All types are plain values, safe
// for concurrent use.
package signature
