package subscription

import (
	"context"
	"errors"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// Store is what this room keeps. Package store/storetest states its rules in words.
type Store interface {
	Intents
	Lookups
}

// Intents are what is to be done.
type Intents interface {
	// ClaimDirty leases Connections whose watches must be compared with what is
	// wanted: new ones, changed ones, those whose trigger list changed.
	ClaimDirty(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]Dirty, error)

	// SaveComparison commits the result of a comparison, all of it or nothing: new and
	// changed Subscriptions, and the Dirty mark removed, unless the Connection
	// was marked again since. [ErrConflict] when a changed Subscription has
	// another Version by now, or when one that is not going is there already
	// for the Connection, Watch, Resource and Identity of a new one.
	SaveComparison(ctx context.Context, d Dirty, create, change []Subscription) error

	// MarkDirty puts a Dirty mark off, or sets one.
	MarkDirty(ctx context.Context, connection string, due time.Time) error

	// ClaimSubscriptions leases Subscriptions that are due.
	ClaimSubscriptions(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]Subscription, error)

	// SaveSubscription stores a Subscription whose Version is still s.Version, and makes its
	// routes equal to Held.Keys. The stored cursor stays; Held.Cursor is taken
	// only if there is none. A Removed one loses routes and tasks, and marks its
	// Connection in the same commit: it may have waited for that. It returns what
	// is stored now, or [ErrConflict].
	SaveSubscription(ctx context.Context, s Subscription, o SaveOptions) (Subscription, error)

	// NextSubscription returns when the next Dirty mark or Subscription is due; zero: nothing is planned.
	NextSubscription(ctx context.Context) (time.Time, error)

	// ForgetSubscriptions deletes at most limit Removed ones whose removal is older than before.
	ForgetSubscriptions(ctx context.Context, before time.Time, limit int) (int, error)
}

// Lookups are what others ask.
type Lookups interface {
	// Subscription returns one, Removed ones included, or [ErrNotFound].
	Subscription(ctx context.Context, id string) (Subscription, error)

	// SubscriptionsOf returns those of a Connection that are not Removed.
	SubscriptionsOf(ctx context.Context, connection string) ([]Subscription, error)

	// Siblings returns those that are not Removed and not Removing with the same
	// Connector, App, Watch, Resource and Identity, without s itself.
	Siblings(ctx context.Context, s Subscription) ([]Subscription, error)

	// SubscriptionsAt returns those that are not Removed and have the Endpoint.
	SubscriptionsAt(ctx context.Context, endpoint string) ([]Subscription, error)

	// RouteKeys returns those that are not Removed, of Connections of the connector
	// and App that are not ended, that have one of the keys or whose Connection
	// has one on an Identity; each once. watch limits them when it is not empty.
	RouteKeys(ctx context.Context, connector, app, watch string, keys []connector.Key) ([]Subscription, error)

	// SubscriptionsAfter lists those that are not Removed in order of creation.
	SubscriptionsAfter(ctx context.Context, q Query, limit int) ([]Subscription, error)
}

// SaveOptions of SaveSubscription.
type SaveOptions struct {
	Poll      time.Time // not zero: its Poll task is due then
	KeepLease bool      // somebody else may hold the lease, or the caller goes on working

	// News are to be told once the commit is durable.
	News []trigger.Event
}

// Dirty marks a Connection whose watches must be compared with what is wanted.
type Dirty struct {
	Connection string
	Version    int64 // grows with each mark
}

// Errors to branch on.
var (
	ErrNotFound = errors.New("subscription: no such subscription")
	ErrConflict = errors.New("subscription: changed by somebody else meanwhile")
	ErrKeyKnown = errors.New("subscription: this address has a key already")
	ErrRunning  = errors.New("subscription: Run is already running")
)
