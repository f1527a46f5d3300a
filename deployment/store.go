package deployment

import (
	"context"
	"errors"
	"time"
)

// Store is what this room keeps. Package store/storetest states its rules in
// words and judges implementations. Methods that write return when the write is
// durable.
type Store interface {
	Tree
	ForwardingStore
	KeyStore
}

// Tree keeps Organizations, Deployments and Environments. What is marked as
// deleted is gone for every method but DeletedEnvironments and EraseEnvironment,
// and its name is free again.
type Tree interface {
	// EnsureDeployment creates what is missing, in one commit, and returns what is
	// then there. A record is the one with the given ID, else the one with the
	// given name in the same parent; only if there is neither it is created as
	// given. Settings whose Owner was created by this call are stored with it, as
	// if by PutForwarding; others are left alone.
	EnsureDeployment(ctx context.Context, o Organization, d Deployment, settings []StoredForwarding) (Deployment, error)

	// DeploymentByID returns the Deployment with the id, or the one with the
	// Environment of that id, else [ErrNotFound].
	DeploymentByID(ctx context.Context, id string) (Deployment, error)

	// DeploymentByName returns the Deployment by the name of its Organization and
	// its own, else [ErrNotFound].
	DeploymentByName(ctx context.Context, organization, name string) (Deployment, error)

	// OrganizationsAfter returns Organizations in order of CreatedAt and ID, those
	// behind the given one (zero: from the start), at most limit.
	OrganizationsAfter(ctx context.Context, after Organization, limit int) ([]Organization, error)

	// DeploymentsAfter is the same for the Deployments of an Organization, of all
	// of them when organization is "".
	DeploymentsAfter(ctx context.Context, organization string, after Deployment, limit int) ([]Deployment, error)

	// SetName renames an Organization, Deployment or Environment. Errors:
	// [ErrNotFound]; [ErrExists] when the name is taken in the same parent.
	SetName(ctx context.Context, id, name string) error

	// MarkDeleted marks an Organization, Deployment or Environment and all that is
	// below it as deleted, in one commit with the removal of their API keys and
	// settings, and returns the Environments concerned. [ErrNotFound] when it is
	// not there. The Connections concerned become dirty.
	MarkDeleted(ctx context.Context, id string, at time.Time) (environments []string, err error)

	// DeletedEnvironments returns ids of Environments that are marked and not yet
	// erased, at most limit, those behind the id after in order of id.
	DeletedEnvironments(ctx context.Context, after string, limit int) ([]string, error)

	// EraseEnvironment removes what is left of an Environment that is marked, and
	// of its marked parents with the last one below them. None is no error.
	EraseEnvironment(ctx context.Context, id string) error
}

// ForwardingStore keeps forwarding settings.
type ForwardingStore interface {
	// OwnForwarding returns the settings that a Deployment or an Environment has
	// itself; Revision is 0 when it has none. [ErrNotFound] when there is no such record.
	OwnForwarding(ctx context.Context, id string) (StoredForwarding, error)

	// ForwardingInForce returns the settings of an Environment: its own, else those
	// of its Deployment, else none (Revision 0). [ErrNotFound] when there is no
	// such Environment.
	ForwardingInForce(ctx context.Context, environment string) (StoredForwarding, error)

	// PutForwarding replaces (Public nil: removes) the settings of f.Owner if
	// their Revision is still f.Revision, else [ErrConflict]. The stored Revision
	// is another one afterwards, also after removal and creation anew. With
	// watches, the Connections that the settings apply to become dirty in the same
	// commit: they wait for the subscription room to compare their watches with
	// what is wanted. [ErrNotFound] when there is no such Deployment or Environment.
	PutForwarding(ctx context.Context, f StoredForwarding, watches bool, at time.Time) error

	// ForwardingVersion returns a number that is another one after every change to
	// what ForwardingInForce answers. It is asked for every event, so it must be
	// quick: a store that one process owns keeps it in memory. A change is seen at
	// once in the process that made it, and elsewhere after at most one second.
	ForwardingVersion(ctx context.Context) (int64, error)
}

// StoredForwarding are forwarding settings as the store sees them.
type StoredForwarding struct {
	Owner    string // "dep_…" or "env_…"
	Public   []byte // JSON; without header value and signing secrets
	Sealed   []byte // these, sealed
	Revision int64  // of the settings of this Owner; 0: there are none

	// Managed is kept with a Deployment's settings: they belong to the program.
	// With an Environment's it is read as its Deployment's, and not written.
	Managed bool
}

// KeyStore keeps hashes of API keys.
type KeyStore interface {
	// PutKey makes k the key of its Environment. Keys that it had before end at
	// oldUntil, or earlier if they do already; with a zero oldUntil they are
	// removed. A key that is the Environment's current one already changes
	// nothing. Errors: [ErrNotFound] when there is no such Environment,
	// [ErrKeyTaken] when the key is another Environment's.
	PutKey(ctx context.Context, k Key, oldUntil time.Time) error

	// EnvironmentByKey returns the key with the hash and its Environment, else
	// [ErrNotFound]. A key that has ended may be returned or not.
	EnvironmentByKey(ctx context.Context, hash []byte) (Environment, Key, error)
}

// Key is an API key as it is kept: not the key, its hash.
type Key struct {
	Environment string
	Hash        []byte // SHA-256
	IssuedAt    time.Time
	Until       time.Time // zero: the current one
}

// ErrConflict is what PutForwarding returns when somebody else was faster.
var ErrConflict = errors.New("deployment: the settings were changed by somebody else at the same time; read them again")
