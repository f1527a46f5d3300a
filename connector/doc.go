// Package connector is the driver boundary: what a third-party product must
// tell (a [Description], pure data) and may do (the capabilities) so that the
// engine can connect accounts, hold watches and turn what comes in into events.
//
// It is imported by everybody who writes a connector, and by the rooms auth,
// subscription and forward, which are the engine. Start with [Connector] and
// [Description]; the example of this package is a whole connector.
//
// # Writing one
//
// A connector implements Connector and those capabilities that its provider
// needs. [NewRegistry] resolves them once and refuses what does not fit
// together; nobody else type-asserts. A connector holds no state about
// Connections: what must be remembered goes into values that the engine stores
// (Identity, Held, Cursor).
//
//	capability        implement it when
//	Verifier          webhooks come in (always with Decoder); embed a family of package signature
//	Decoder           webhooks or streams come in
//	Challenger        the provider sends handshakes that it cannot sign
//	Expander          requests say only that something happened (Thin), or there is nothing but polling
//	Identifier        the API can tell who consented; needed where one App's address serves all accounts
//	Subscriber        webhooks are made by API
//	ParamChecker      only the provider can tell whether a param works: a query parses, a label exists
//	Renewer           watches expire and can be prolonged in place
//	Lister            the API lists watches, so that leftovers can be found
//	Streamer          the provider offers a queue, WebSocket or gRPC stream instead of webhooks
//	AppSource         the connector's Config can name a default App
//	CallbackVerifier  the OAuth callback carries a proof beyond state
//	Granter           tokens are minted from a signed assertion instead of OAuth's code grant
//
// A wrapper around a Connector hides its capabilities: embed the concrete type,
// or forward each method that counts.
//
// # Who sees secrets
//
// Verifier, Challenger and Decoder see those of the called address, through
// Inbound; CallbackVerifier, Granter and Streamer those of their App; Subscribe
// the one of its own Subscription. A [Session] holds none.
//
// # Concurrency
//
// The engine calls every method from several goroutines at once, for different
// requests and Connections. Describe, Challenge, Decode and DefaultApp are
// pure: no I/O, no clock, the same answer for the same input. ctx ends what
// takes part in I/O.
//
// Package connectortest says when a connector is done.
package connector
