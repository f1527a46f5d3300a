// Package auth connects end users' accounts: the consent address, the Continue
// page, the callback, and afterwards tokens that stay fresh.
//
// [Authorizer], as Interactor.Auth, is the whole flow: start with
// [Authorizer.URL] and [Authorizer.Client]. [URLBuilder] is just the address,
// for programs that do the rest themselves. Package interactor and the
// implementations of [Store] import this package.
//
// # The flow
//
// With a connector's default App the end user first sees the Continue page at
// /connect/{ticket}; with an App of the Environment's own the address leads
// straight to the provider. Ticket and state are 32 random bytes each; the store
// knows their hashes only. A state is taken once. A ticket stays valid until a
// Connection came of it or 30 minutes have passed, so that a person whose
// provider was down for a moment can press Continue again: each press makes a
// fresh state and PKCE verifier. A flow that began at the Continue page must end
// in the same browser (a cookie); one that went straight to the provider is
// proven by Config.Confirm, if the program needs that.
//
// # Tokens
//
// Tokens and secret Fields are sealed, bound to their Connection. One refresh
// runs at a time, across goroutines and processes, and what it yields is durable
// before it is used.
package auth
