package auth

import (
	"context"
	"errors"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// Store is what this room keeps. Package store/storetest states its rules in
// words and judges implementations. Every method that writes returns when the
// write is durable, but for locks.
type Store interface {
	States
	Connections
	Apps
	Locks
}

// States are consents under way: tickets of the Continue page and states at the
// provider. ID is a hash, Sealed unreadable without the key.
type States interface {
	// PutState stores a State under a new ID.
	PutState(ctx context.Context, s State) error

	// PeekState returns a State that ends after now, or [ErrState].
	PeekState(ctx context.Context, id string, now time.Time) (State, error)

	// TakeState removes a State and returns it, or [ErrState] if it is unknown or
	// has ended. Of several calls at the same time one gets it.
	TakeState(ctx context.Context, id string, now time.Time) (State, error)

	// PurgeStates removes at most limit States that ended before the given time
	// and returns how many.
	PurgeStates(ctx context.Context, before time.Time, limit int) (int, error)
}

// Connections are connected accounts.
type Connections interface {
	// SaveConnection stores w, all of it or nothing: a new Connection (Version 0)
	// or a changed one whose stored Version is still w.Record.Version, else
	// [ErrConflict]. A new one whose Environment, Connector, Account and Holder
	// exist is [ErrConflict], too. LastEvent of a stored one is left as it is.
	// It returns the Version that is stored now.
	SaveConnection(ctx context.Context, w Write) (version int64, err error)

	// ConnectionByID returns one, or [ErrNotFound].
	ConnectionByID(ctx context.Context, id string) (Record, error)

	// ConnectionsAfter returns those that q selects in order of id, at most
	// limit. q.Environment is an id or "*".
	ConnectionsAfter(ctx context.Context, q Query, limit int) ([]Record, error)

	// ConnectionsDue returns ids of those whose RefreshAt is set and not later
	// than now, the longest due first.
	ConnectionsDue(ctx context.Context, now time.Time, limit int) ([]string, error)

	// TouchConnection moves LastEvent forward. The Version stays.
	TouchConnection(ctx context.Context, id string, lastEvent time.Time) error

	// SharesGrant reports whether another Connection that is neither Erased nor
	// Closing has the same Connector and App and, with one of r's Identities or
	// its Grant, the same consent at the provider.
	SharesGrant(ctx context.Context, r Record) (bool, error)
}

// Apps are the Environments' own registrations at providers.
type Apps interface {
	// SaveApp stores an App: a new one (Version 0) or a changed one whose stored
	// Version is still a.Version, else [ErrConflict]. An Environment has one App
	// for a Connector.
	SaveApp(ctx context.Context, a AppRecord) error

	// AppByID returns one, deleted ones included, or [ErrNoApp].
	AppByID(ctx context.Context, id string) (AppRecord, error)

	// AppOf returns the Environment's own one for a connector, deleted ones
	// included, or [ErrNoApp].
	AppOf(ctx context.Context, environment, connector string) (AppRecord, error)

	// AppsOf returns those for a connector whose id is greater than after, in
	// order of id, deleted ones included, at most limit.
	AppsOf(ctx context.Context, connector, after string, limit int) ([]AppRecord, error)

	// AppClients returns the client ids that Connections of an App were made
	// with, each once, those of Erased ones left out.
	AppClients(ctx context.Context, app string) ([]string, error)
}

// Locks let one of several processes do something. They need not survive a
// crash of the store's only process.
type Locks interface {
	// TryLock takes the lock for owner until the given time, if nobody else holds
	// it at now. The owner may take it again.
	TryLock(ctx context.Context, name, owner string, now, until time.Time) (bool, error)

	// Unlock gives it back, if owner still holds it.
	Unlock(ctx context.Context, name, owner string) error
}

// ErrConflict means that a record was changed by somebody else meanwhile.
var ErrConflict = errors.New("auth: changed by somebody else meanwhile")

// State is a consent under way.
type State struct {
	ID     string // hash of what stands in the URL
	Sealed []byte
	Until  time.Time
}

// Write is one commit of a Connection.
type Write struct {
	Record Record

	// Dirty, if not zero, marks the Connection in the same commit: its watches
	// must be compared with what is wanted, due then. Set with each change of
	// status, identities, scopes, params or closing.
	Dirty time.Time

	// Routes says that the keys of Record.Identities replace the former ones.
	Routes bool

	// News are to be told once the commit is durable: [forward.Outbox] has them.
	News []trigger.Event

	// Ticket, if not empty, is the ID of a State that is removed in the same
	// commit. Without such a State nothing is stored: [ErrState].
	Ticket string
}

// AppRecord is an Environment's own App, or with External the place of one that
// Config.App returns: its id is part of webhook addresses, so it never changes.
type AppRecord struct {
	ID          string // "app_…"
	Environment string
	Connector   string
	ClientID    string
	External    bool // Config.App has its secrets
	Deleted     bool // kept for the Connections made with it
	Sealed      []byte
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}
