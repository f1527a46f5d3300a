package forward

import (
	"context"
	"errors"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// Directory says whose a request is and where events go. Package interactor has
// one backed by connected accounts; without one the Forwarder has a single
// recipient, everybody, and its Settings.
type Directory interface {
	// Address returns what belongs to /webhooks/{connector}/{endpoint}; endpoint
	// is "" for the default App. Errors: [ErrNoAddress], [ErrAddressGone].
	Address(ctx context.Context, connector, endpoint string) (Address, error)

	// Learn keeps a key that the provider told in a handshake, durably, before
	// the handshake is answered. [ErrKeyKnown] when there is one already.
	Learn(ctx context.Context, a Address, secret string) error

	// Recipients returns whom a Notice concerns: with keys, every active
	// Connection of the address's App that has one of them on an Identity or a
	// Subscription (limited to watch, when given); without, the address's
	// Subscription and its siblings. None is no error.
	Recipients(ctx context.Context, a Address, watch string, keys []connector.Key) ([]Recipient, error)

	// Subscription returns what Expand works with. Errors: [ErrNoAddress] when it
	// is gone: the task is dropped.
	Subscription(ctx context.Context, id string) (*Expandable, error)

	// Signal acts on what a provider says about the link itself.
	Signal(ctx context.Context, r Recipient, s connector.Signal, reason string) error

	// Settings that are in force in an Environment; secrets included.
	Settings(ctx context.Context, environment string) (Settings, error)
}

// Errors of a Directory.
var (
	ErrNoAddress   = errors.New("forward: no such address")
	ErrAddressGone = errors.New("forward: this address was removed")
	ErrKeyKnown    = errors.New("forward: this address has a key already")
)

// Address is what the path of a request chooses, and nothing else does.
type Address struct {
	Connector    string
	Endpoint     string // as in the path
	App          string // id of the App whose requests arrive here; "" is the default one
	Deployment   string
	Environment  string // of an own App or a Subscription; "" at the default App's address
	Connection   string // at a Subscription's address
	Account      string
	Subscription string
	Watch        string
	Secrets      []string          // candidates, newest first
	AppFields    map[string]string // secrets included
	Values       map[string]string // the Connection's, less secrets
	KeyPending   bool              // a key is on its way: unverifiable requests get 503

	turn int64 // of erasures, when it was looked up
}

// Recipient is a Subscription of a Connection that gets the events of a request.
type Recipient struct {
	Connection, Account, Deployment, Environment string
	Subscription                                 string
	Watch                                        string
	Params                                       map[string]string // of the Subscription's Resource; added to Attributes
	Overrides                                    trigger.Overrides // what the Connection has in place of the trigger list's params
}

// Expandable is a Subscription with what is needed to ask the provider about it.
type Expandable struct {
	Recipient    Recipient
	Connector    string
	App          string
	Session      *connector.Session
	Subscription *connector.Subscription
}
