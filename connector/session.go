package connector

import (
	"net/http"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// Identity is who an Account is at the provider.
type Identity struct {
	ID     string            `json:"id"`               // stable, unique within the connector: sub, team id, account + site
	Label  string            `json:"label,omitempty"`  // for people: mailbox address, workspace name
	Keys   []Key             `json:"keys,omitempty"`   // what routes to it
	Values map[string]string `json:"values,omitempty"` // what calls on its behalf need: site URL, cloud id
}

// Session is one Connection as a connector may see it: no token, no secret.
type Session struct {
	HTTP       *http.Client      // authorised for the hosts of Endpoints only; refreshes by itself; guarded; bounded
	Endpoints  map[string]string // Description.Endpoints, filled in
	Identities []Identity        // empty in the first Identify
	Values     map[string]string // what the end user entered and what callback and token answer gave, less secrets
	App        map[string]string // fields of the App, less secrets
	Now        func() time.Time
}

// Subscription is the watch held, or to be held, at the provider for a
// Connection: one Resource of one Watch.
type Subscription struct {
	ID       string            // ours
	Watch    string            // Watch.Name
	Resource string            // Watch.Resource, filled in
	Params   map[string]string // the Params that filled it; the engine adds them to its Occurrences' Attributes
	Identity Identity          // the one of {identity}; else the Connection's first
	Topics   []string          // union of the wanted Triggers' Topics, sorted
	Filters  []trigger.Filter  // the wanted Triggers themselves, for providers that filter, less what CheckParams refused
	Address  string            // public URL to give to the provider
	Secret   string            // with SecretOurs: what to give to the provider; else empty
	Held     Held              // what the provider holds; zero before Subscribe
	Cursor   string            // up to where everything is stored; connector's own format
}

// Held is a watch as the provider holds it.
type Held struct {
	ID        string            `json:"id,omitempty"`
	Address   string            `json:"address,omitempty"`   // where it points; required from List, ignored from Subscribe
	ExpiresAt time.Time         `json:"expires_at,omitzero"` // zero: never
	Secret    string            `json:"-"`                   // with SecretTheirs: the key it gave
	Keys      []Key             `json:"keys,omitempty"`      // what routes to it, beside the Identity's Keys
	Cursor    string            `json:"cursor,omitempty"`    // starting point; taken only if the Subscription has no Cursor yet
	Values    map[string]string `json:"values,omitempty"`    // what Renew and Unsubscribe need: resource id, former setting
}

// Expansion is one page of what is new.
type Expansion struct {
	Notices []Notice  // as if Decode had told it: Occurrences, Signals, also for others (To)
	Cursor  string    // replaces sub.Cursor in the same commit; empty: unchanged
	More    bool      // there is a next page: called again after the commit
	Next    time.Time // call again (n == nil) then: upcoming timers, a change not yet visible
}
