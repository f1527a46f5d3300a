package connector

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// Identity is who an Account is at the provider.
type Identity struct {
	ID     string            // stable, unique within the connector: sub, team id, account + site
	Label  string            // for people: mailbox address, workspace name
	Keys   []Key             // what routes to it
	Values map[string]string // what calls on its behalf need: site URL, cloud id
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
	Filters  []trigger.Filter  // the wanted Triggers themselves, for providers that filter
	Address  string            // public URL to give to the provider
	Secret   string            // with SecretOurs: what to give to the provider; else empty
	Held     Held              // what the provider holds; zero before Subscribe
	Cursor   string            // up to where everything is stored; connector's own format
}

// Held is a watch as the provider holds it.
type Held struct {
	ID        string
	Address   string            // where it points; required from List, ignored from Subscribe
	ExpiresAt time.Time         // zero: never
	Secret    string            // with SecretTheirs: the key it gave
	Keys      []Key             // what routes to it, beside the Identity's Keys
	Cursor    string            // starting point; taken only if the Subscription has no Cursor yet
	Values    map[string]string // what Renew and Unsubscribe need: resource id, former setting
}

// Expansion is one page of what is new.
type Expansion struct {
	Notices []Notice  // as if Decode had told it: Occurrences, Signals, also for others (To)
	Cursor  string    // replaces sub.Cursor in the same commit; empty: unchanged
	More    bool      // there is a next page: called again after the commit
	Next    time.Time // call again (n == nil) then: upcoming timers, a change not yet visible
}

// Errors that the engine acts on. Anything else is retried with backoff.
var (
	ErrGone     = errors.New("connector: the provider no longer has it") // watch: create again; record: skip
	ErrRevoked  = errors.New("connector: authorisation is gone")         // Connection: revoked, ask to reconnect
	ErrScope    = errors.New("connector: authorisation lacks a scope")   // Connection: needs consent
	ErrRefused  = errors.New("connector: the provider refuses this")     // shown to a person, not retried
	ErrUnproven = errors.New("connector: request not proven")            // Verify: 401
)

// RetryError asks for another try after a given time.
type RetryError struct {
	After time.Duration // 0: the engine's backoff
	Err   error
}

func (e *RetryError) Error() string { return fmt.Sprintf("try again after %s: %v", e.After, e.Err) }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// StatusError is an API answer that is no success. errors.Is finds the
// sentinel that its status means.
type StatusError struct {
	Status int
	Body   string
	is     error
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

// Unwrap returns the sentinel that the status means.
func (e *StatusError) Unwrap() error { return e.is }

// App is a registration at the provider.
type App struct {
	ClientID     string            `json:"client_id,omitempty"`
	ClientSecret string            `json:"client_secret,omitempty"`
	Scopes       []string          `json:"scopes,omitempty"` // beyond what the Triggers need
	Fields       map[string]string `json:"fields,omitempty"` // what the connector's AppFields declare
}

// Values returns the fields under the names that templates and secrets know:
// client_id, client_secret and those of AppFields.
func (a App) Values() map[string]string {
	v := make(map[string]string, len(a.Fields)+2)
	for name, f := range a.Fields {
		v[name] = f
	}
	if a.ClientID != "" {
		v["client_id"] = a.ClientID
	}
	if a.ClientSecret != "" {
		v["client_secret"] = a.ClientSecret
	}
	return v
}

// FieldWebhookSecret is the App field whose value verifies requests at
// /webhooks/{connector} where a Forwarder works on its own, without accounts.
const FieldWebhookSecret = "webhook_secret"
