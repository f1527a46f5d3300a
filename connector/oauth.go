package connector

import (
	"context"
	"net/http"
	"time"
)

// OAuth describes an authorization code grant.
type OAuth struct {
	Authorize Template            // a host that an end user can choose must end in the provider's own domain
	Params    map[string]Template // added to the standard ones; an empty value removes a standard one
	Scopes    []string            // always asked, before those of the Triggers
	Separator string              // between scopes; defaults to a space
	NoPKCE    bool                // true only where the provider refuses S256
	Callback  map[string]string   // Connection value -> callback parameter; unproven until Identify confirms it
	Token     Request
	Refresh   *Request // nil: Token with grant_type=refresh_token. Always one at a time, new token durable before use
	Revoke    *Request // nil: the provider has no such call
	Answer    Answer
	Dead      []string      // error codes that mean "consent anew", beside invalid_grant and unauthorized_client
	Idle      time.Duration // > 0: an unused refresh token dies after this; refreshed at half of it
}

// A Request describes one call to a token or revocation endpoint.
type Request struct {
	Method   string // defaults to POST
	URL      Template
	Encoding Encoding
	Auth     ClientAuth
	Params   map[string]Template // added to the standard ones; an empty value removes a standard one
	Header   map[string]Template
}

// Encoding of a Request's parameters.
type Encoding int

// What providers expect.
const (
	Form Encoding = iota
	JSON
	Query
)

// ClientAuth says how a Request proves who the App is.
type ClientAuth int

// What providers expect.
const (
	InBody ClientAuth = iota // client_id and client_secret among the parameters
	Basic                    // HTTP Basic
	Bearer                   // the access token itself (revocation)
	NoAuth                   // nothing, or a Header of the Request
)

// Answer says where a token answer keeps things: paths like
// "authed_user.access_token" or "id_token.tid" (a JWT's claim), alternatives
// separated by "|". An answer without access token or with a non-empty "error"
// is a failure whatever its status.
type Answer struct {
	Access, Refresh, Scope string            // default to the RFC 6749 names
	ExpiresIn, ExpiresAt   string            // seconds; RFC 3339
	Lifetime               time.Duration     // when the answer says nothing; 0: until refused with 401
	Keep                   map[string]string // Connection value -> path
}

// Use says how a credential goes into an API request.
type Use struct {
	Header     map[string]Template // "X-Shopify-Access-Token": "{token}"
	User, Pass Template            // HTTP Basic
	Path       Template            // put before the path: "/bot{bot_token}"
}

// Token is what an authorisation yields. Values are kept for the Connection.
type Token struct {
	Access, Refresh string
	ExpiresAt       time.Time // zero: unknown
	Scopes          []string
	Values          map[string]string
}

// GrantContext is what a Granter works with, secrets included.
type GrantContext struct {
	HTTP   *http.Client // guarded, not authorised
	App    map[string]string
	Values map[string]string
	Code   string // of the callback; empty on refresh
	Now    time.Time
}

// StreamContext is what a Streamer works with. Protocols other than HTTP carry
// the credential themselves, so it is here and in GrantContext, never in Session.
type StreamContext struct {
	Session      *Session
	Subscription *Subscription     // nil with FromAppStream
	App          map[string]string // secrets included
	Token        func(context.Context) (*Token, error)
}
