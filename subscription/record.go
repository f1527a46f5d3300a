package subscription

import (
	"slices"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// News about watches, as trigger names. They go to Config.Notify always, and are
// forwarded like any other event when a trigger list names them.
const (
	Created   = "subscription.created"   // the provider holds the watch
	Renewed   = "subscription.renewed"   // it was prolonged
	Failed    = "subscription.failed"    // the provider refuses it or params of a Trigger, or calls about it have failed for minutes: told once, until Recovered
	Recovered = "subscription.recovered" // it is held again, after Failed or because the provider had lost it
	Gap       = "subscription.gap"       // the provider has lost events for good
)

// State of a Subscription.
type State string

// A Subscription is made Pending, becomes Active once the provider holds the
// watch, and leaves through Removing. Removed ones are remembered for a while,
// so that their address can answer 410.
const (
	Pending  State = "pending"  // to be created or changed at the provider
	Active   State = "active"   // held
	Refused  State = "failed"   // the provider refuses it; see LastError. Tried again when the trigger list or the Connection changes, and at Due
	Removing State = "removing" // to be removed at the provider
	Removed  State = "removed"
)

// Subscription is a watch at a provider: one Resource of one Watch, for one Connection.
type Subscription struct {
	ID          string // "sub_…"
	Environment string
	Connection  string
	Account     string
	Connector   string
	App         string // "" is the default App
	Watch       string
	Resource    string
	Params      map[string]string // what filled Resource
	Identity    string            // id of the Identity it belongs to
	Topics      []string
	Filters     []trigger.Filter // the wanted Triggers
	Triggers    []string         // their names, sorted
	Rejected    []Rejection      // of Filters, those that the provider says cannot work

	State     State
	LastError string    // of the last call; empty after a success
	Tries     int       // failed calls in a row
	Due       time.Time // of the next call; zero: none is planned
	RenewAt   time.Time // zero: never expires
	CreatedAt time.Time
	HeldSince time.Time // when the provider first held it; zero: it never did

	// LastRenewal is the last successful call that made or prolonged it, or found it
	// there; zero: there was none, or no call is needed.
	LastRenewal time.Time

	FailureTold bool      // Failed was told, and Recovered not yet
	EndedAt     time.Time // when it became Removing

	Endpoint string         // last part of its address; its own id, or that of a sibling that the provider shares it with
	Held     connector.Held // as the provider holds it, less Secret
	Cursor   string

	// Sealed holds the key that verifies its requests, and Version guards it
	// against lost updates. Both are the store's and the Reconciler's business.
	Sealed  []byte
	Version int64

	lost bool // in a call: the provider has held it before, and does not any more
}

// Healthy reports whether the provider holds the watch with all that is wanted of
// it, and the last call succeeded.
func (s Subscription) Healthy() bool {
	return s.State == Active && s.LastError == "" && len(s.Rejected) == 0
}

// Rejection is a wanted Filter that is not watched, because its params cannot work
// at the provider.
type Rejection struct {
	Filter trigger.Filter `json:"filter"`
	Reason string         `json:"reason"` // for a person
	Later  bool           `json:"later"`  // what is missing may come to be: it is looked for at Due
}

// watched are the Filters that the provider has not rejected.
func (s Subscription) watched() []trigger.Filter {
	if len(s.Rejected) == 0 {
		return s.Filters
	}
	var out []trigger.Filter
	for _, f := range s.Filters {
		if !slices.ContainsFunc(s.Rejected, func(r Rejection) bool { return sameFilter(r.Filter, f) }) {
			out = append(out, f)
		}
	}
	return out
}

// Query selects subscriptions.
type Query struct {
	Environment string // "" is the default one, "*" is all
	Connection  string
	Connector   string
	Healthy     bool   // only those that are
	Unhealthy   bool   // only those that are not
	After       string // id of the last one already seen
}

// Connection is what this room knows of a connected account.
type Connection struct {
	ID, Environment, Account, Connector, App string

	Usable     bool // active: watches may be created
	Ended      bool // disconnected or revoked: nothing is wanted any more
	Closing    bool // Ended, and its watches can still be removed with its Session
	EndedAt    time.Time
	Identities []connector.Identity
	Params     trigger.Overrides // in place of those in the trigger list
}
