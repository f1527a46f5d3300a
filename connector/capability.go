package connector

import (
	"context"
	"net/url"

	"github.com/interactorhq/interactor/trigger"
)

// Connector is one third-party product. Describe returns the same value each time.
type Connector interface{ Describe() Description }

// AppSource is implemented by connectors that carry a default App, from their own Config.
type AppSource interface {
	// DefaultApp returns the App that Environments without one of their own use;
	// ok is false when the Config names none.
	DefaultApp() (app App, ok bool)
}

// Challenger answers handshakes that the provider cannot sign, because they
// come before a key exists. Signed ones are answered through Decoded.Reply,
// after Verify: answering them here can turn the address into a signing oracle.
type Challenger interface {
	// Challenge returns nil, nil for a request that is no handshake. Pure.
	// HEAD needs no Challenger: the engine answers 200 at every live address.
	Challenge(in *Inbound) (*Handshake, error)
}

// Verifier proves who sent a request. Required for every webhook Intake.
type Verifier interface {
	// Verify fails unless one of in.Secrets (or the provider's public keys)
	// proves the whole request. A missing header, an empty secret and an
	// unknown algorithm are errors. It may do I/O only to fetch public keys.
	Verify(ctx context.Context, in *Inbound) error
}

// Decoder says what a verified request holds and whom each part concerns.
type Decoder interface {
	// Decode is pure: no I/O, no clock. An error means that the request cannot
	// be understood: it is kept, visible and dead, and the provider gets its 2xx.
	Decode(in *Inbound) (*Decoded, error)
}

// Expander turns a thin Notice into Occurrences. It is also the poller and the
// back-fill: then n is nil and it reports what is new since sub.Cursor.
type Expander interface {
	// Expand runs one page. It is never called twice at a time for one
	// Connection; its Notices and its Cursor are stored in one commit. With
	// n == nil and an empty Cursor it sets the starting point and reports nothing.
	Expand(ctx context.Context, s *Session, sub *Subscription, n *Notice) (*Expansion, error)
}

// Identifier finds out who an authorised Account is at the provider. Without
// it a Connection's only Identity is the Connection itself.
type Identifier interface {
	// Identify returns every Identity that the grant covers (sites,
	// workspaces), at least one. Called after consent, on SignalIdentity and daily.
	Identify(ctx context.Context, s *Session) ([]Identity, error)
}

// Subscriber holds watches at the provider by API.
type Subscriber interface {
	// Subscribe makes the provider report sub.Topics of sub.Resource to
	// sub.Address. The Subscription is stored and its address live before the
	// call, because handshakes may arrive while it is open. With sub.Held.ID
	// set it replaces that watch (Topics or Filters changed, or it expires and
	// there is no Renewer): changing it in place and making a new one are both right.
	Subscribe(ctx context.Context, s *Session, sub *Subscription) (*Held, error)
	// Unsubscribe removes sub.Held. What is already gone is no error.
	Unsubscribe(ctx context.Context, s *Session, sub *Subscription) error
}

// ParamChecker asks the provider whether the params of a Trigger can work, before a
// watch is made of them: whether a query parses, whether there is such a label.
// What the Trigger's own Params say has been checked before.
type ParamChecker interface {
	// CheckParams judges one wanted Filter that has params; sub is the Subscription
	// that it belongs to, with the Identity to ask for. A [*ParamError], or another
	// error that wraps ErrRefused or ErrGone, leaves the Filter out of what is
	// watched, and is shown to a person. It is asked about anew when the trigger
	// list, the Connection or its params change; with ParamError.Later and ErrGone
	// every hour, too. Any other error means what it means from Subscribe, which
	// then is not called.
	CheckParams(ctx context.Context, s *Session, sub *Subscription, f trigger.Filter) error
}

// Renewer prolongs a watch in place. Without it an expiring watch is renewed
// by Subscribe; when the Held.ID changes, the former one is removed a little later.
type Renewer interface {
	// Renew returns ErrGone when the provider has lost the watch.
	Renew(ctx context.Context, s *Session, sub *Subscription) (*Held, error)
}

// Lister tells what the provider really holds: the engine adopts or removes
// what a crash left behind and notices watches that were switched off.
type Lister interface {
	// List returns all watches that the grant can see, with ID and Address.
	List(ctx context.Context, s *Session, sub *Subscription) ([]Held, error)
}

// Streamer reads from a provider that pushes no HTTP: Pub/Sub pull, gRPC, WebSocket.
type Streamer interface {
	// Stream runs until ctx ends or the stream breaks; the engine restarts it
	// with backoff. deliver returns nil once the Inbound is durable; only then
	// may it be acknowledged. Decode follows, Verify does not.
	Stream(ctx context.Context, sc StreamContext, deliver func(context.Context, *Inbound) error) error
}

// CallbackVerifier checks an OAuth callback that carries a proof beyond state.
type CallbackVerifier interface {
	VerifyCallback(app map[string]string, query url.Values) error
}

// Granter obtains and refreshes tokens where OAuth as data does not reach:
// tokens minted from a signed assertion (GitHub App, service accounts).
type Granter interface {
	// Grant returns a fresh Token; former is nil for the first one. ErrRevoked:
	// consent is needed anew. One call at a time for one Connection.
	Grant(ctx context.Context, gc GrantContext, former *Token) (*Token, error)
}
