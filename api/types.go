package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// Error is the body of every answer with a status of 400 or more.
type Error struct {
	Message string `json:"error"`           // for people: what is wrong and what to do
	Code    string `json:"code"`            // for programs; never changes
	Field   string `json:"field,omitempty"` // the parameter or member that is wrong
}

// List is the body of every answer with several items.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // give it as ?cursor= to get the next page; absent on the last one
}

// AuthURL is the body of GET …/auth-url?format=json.
type AuthURL struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Connector is what can be connected.
type Connector struct {
	Name      string    `json:"name"`
	Label     string    `json:"label"`
	Auth      string    `json:"auth"`    // "oauth2", "fields" (what POST /connections takes as input) or "none"
	OwnApp    bool      `json:"own_app"` // this Environment has its own App
	Docs      string    `json:"docs,omitempty"`
	Fields    []Field   `json:"fields"`             // of a connection
	AppFields []Field   `json:"app_fields"`         // of an App, beside client_id and client_secret
	Triggers  []Trigger `json:"triggers,omitempty"` // only in GET /connectors/{connector}
}

// Field is a value that a person enters.
type Field struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Help     string   `json:"help,omitempty"`
	Default  string   `json:"default,omitempty"`
	Pattern  string   `json:"pattern,omitempty"` // regular expression (RE2) that it must match as a whole
	Options  []string `json:"options,omitempty"` // it must be one of these
	Secret   bool     `json:"secret"`            // never shown again
	Required bool     `json:"required"`
}

// Trigger is an entry of the catalogue.
type Trigger struct {
	Name        string          `json:"name"`
	Connector   string          `json:"connector"`
	Label       string          `json:"label"`
	Description string          `json:"description"`
	Params      []trigger.Param `json:"params"`
	Scopes      []string        `json:"scopes"`
	Schema      json.RawMessage `json:"schema"` // JSON Schema (2020-12) of data.payload
	Example     json.RawMessage `json:"example"`

	// Undeliverable says why this installation cannot deliver it, and what to do.
	// Absent: it can.
	Undeliverable string `json:"undeliverable,omitempty"`
}

// Connection is a connected account.
type Connection struct {
	ID            string     `json:"id"`
	Connector     string     `json:"connector"`
	Account       string     `json:"account"`
	Identity      string     `json:"identity"` // who that is at the provider: mailbox, site, team
	Status        string     `json:"status"`   // "pending", "active", "expired", "revoked" or "failed"
	Reason        string     `json:"reason"`   // why it is not active
	Since         time.Time  `json:"since"`    // of the status
	Scopes        []string   `json:"scopes"`
	MissingScopes []string   `json:"missing_scopes"` // that its triggers need and the user has not granted
	NeedsConsent  bool       `json:"needs_consent"`  // send the user to a new auth URL
	LastEventAt   *time.Time `json:"last_event_at,omitempty"`
	LastRefreshAt *time.Time `json:"last_refresh_at,omitempty"` // of the access token, or the consent
	ExpiresAt     *time.Time `json:"expires_at,omitempty"`      // of the access token, which is refreshed before
	CreatedAt     time.Time  `json:"created_at"`

	// Params are what it has in place of those in the trigger list, by trigger.
	Params trigger.Overrides `json:"params"`

	Watches Watches `json:"watches"` // at the provider

	// Addresses are where a person must tell the sender to send, for connectors
	// that cannot do so themselves, such as webhook.
	Addresses []string `json:"addresses,omitempty"`
}

// Watches say how the watches of a Connection fare. GET /subscriptions?connection=
// has each of them.
type Watches struct {
	Total         int        `json:"total"`
	Unhealthy     int        `json:"unhealthy"`
	NextRenewalAt *time.Time `json:"next_renewal_at,omitempty"` // absent: none expires
}

// Subscription is a watch at a provider, or one to be made there.
type Subscription struct {
	ID            string     `json:"id"`
	Connection    string     `json:"connection"`
	Account       string     `json:"account"`
	Connector     string     `json:"connector"`
	Watch         string     `json:"watch"`     // which of the connector's
	Resource      string     `json:"resource"`  // of what at the provider
	RemoteID      string     `json:"remote_id"` // the provider's
	Triggers      []string   `json:"triggers"`
	State         string     `json:"state"`   // "pending", "active", "failed" or "removing"
	Healthy       bool       `json:"healthy"` // the provider holds it, with all that is wanted of it, and the last call succeeded
	LastError     string     `json:"last_error"`
	Tries         int        `json:"tries"` // failed ones in a row
	CreatedAt     time.Time  `json:"created_at"`
	HeldSince     *time.Time `json:"held_since,omitempty"`
	LastRenewalAt *time.Time `json:"last_renewal_at,omitempty"`
	RenewAt       *time.Time `json:"renew_at,omitempty"`    // absent: it does not expire
	ExpiresAt     *time.Time `json:"expires_at,omitempty"`  // at the provider, unless it is renewed
	NextTryAt     *time.Time `json:"next_try_at,omitempty"` // of the next call about it; absent: none is planned

	// Rejected are wanted triggers that are not watched, because their params cannot work.
	Rejected []Rejection `json:"rejected"`
}

// Rejection is a trigger that is not watched, because its params cannot work at the
// provider.
type Rejection struct {
	Trigger string            `json:"trigger"`
	Params  map[string]string `json:"params"`
	Reason  string            `json:"reason"` // for people
}

// Forwarding is what is in force in the Environment: the members of its settings
// (see [forward.Settings]) and these. Secrets are never in it.
type Forwarding struct {
	Settings           forward.Settings
	HeaderValueSet     bool      // a header value is set
	CertificateExpires time.Time // end of the client certificate; zero: there is none
	From               string    // "deployment", "environment" (its own) or "none"
	Managed            bool      // read-only: the program or its config file has them
	Paused             bool      // deliveries wait until they are resumed
	PausedReason       string    // why
}

// MarshalJSON writes the members of Settings and the others beside each other.
func (f Forwarding) MarshalJSON() ([]byte, error) {
	settings, err := json.Marshal(f.Settings)
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(struct {
		HeaderValueSet     bool      `json:"header_value_set"`
		CertificateExpires time.Time `json:"client_certificate_expires_at,omitzero"`
		From               string    `json:"from"`
		Managed            bool      `json:"managed"`
		Paused             bool      `json:"paused"`
		PausedReason       string    `json:"paused_reason,omitempty"`
	}{f.HeaderValueSet, f.CertificateExpires, f.From, f.Managed, f.Paused, f.PausedReason})
	if err != nil {
		return nil, err
	}
	settings[len(settings)-1] = ',' // both are objects with members
	return append(settings, rest[1:]...), nil
}

// Event is an entry of the event log.
type Event struct {
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Timestamp  time.Time       `json:"timestamp"`
	ReceivedAt time.Time       `json:"received_at"`
	Status     string          `json:"status"` // "pending", "delivered", "dead" or "paused"
	Reason     string          `json:"reason"`
	Connector  string          `json:"connector"`
	Account    string          `json:"account"`
	Connection string          `json:"connection"`
	Test       bool            `json:"test,omitempty"` // an example, sent by hand
	Payload    json.RawMessage `json:"payload"`
	Deliveries []Delivery      `json:"deliveries,omitempty"` // only in GET /events/{id}
}

// Delivery is an event on its way to one destination.
type Delivery struct {
	ID       string     `json:"id"`
	Event    string     `json:"event"`
	URL      string     `json:"url"` // of the last attempt
	Status   string     `json:"status"`
	Reason   string     `json:"reason"`
	NextAt   *time.Time `json:"next_at,omitempty"` // of the next attempt
	Replay   bool       `json:"replay"`
	Attempts []Attempt  `json:"attempts"`
}

// Attempt is one try of a Delivery. Secrets are redacted, those that
// the receiver sent back as well.
type Attempt struct {
	At             time.Time   `json:"at"`
	Took           string      `json:"took"` // "41ms"
	Timing         *Timing     `json:"timing,omitempty"`
	URL            string      `json:"url"`
	StatusCode     int         `json:"status_code"` // 0 when no response came
	ErrorClass     string      `json:"error_class"` // "timeout", "dns", "status", …: one word for why it failed, empty when delivered
	Error          string      `json:"error"`
	RequestHeader  http.Header `json:"request_header"`
	ResponseHeader http.Header `json:"response_header"`
	Response       string      `json:"response"` // its beginning
}

// Replay sends events again that a filter selects.
type Replay struct {
	ID          string       `json:"id"`
	State       string       `json:"state"`            // "running", "done" or "cancelled"
	Reason      string       `json:"reason,omitempty"` // why it was cancelled
	Filter      ReplayFilter `json:"filter"`
	Selected    int          `json:"selected"`    // events that it has come to so far
	Queued      int          `json:"queued"`      // deliveries that wait or are being tried
	Delivered   int          `json:"delivered"`   // deliveries
	Dead        int          `json:"dead"`        // deliveries
	Cancelled   int          `json:"cancelled"`   // deliveries that ended because it was cancelled
	Undecodable int          `json:"undecodable"` // events that still cannot be decoded, or that nobody wants
	CreatedAt   time.Time    `json:"created_at"`
	EndedAt     *time.Time   `json:"ended_at,omitempty"`
}

// ReplayFilter is what a Replay selects.
type ReplayFilter struct {
	Connector  string     `json:"connector,omitempty"`
	Trigger    string     `json:"trigger,omitempty"`
	Account    string     `json:"account,omitempty"`
	Connection string     `json:"connection,omitempty"`
	Status     string     `json:"status,omitempty"` // "dead" or "delivered"; absent: both
	Since      *time.Time `json:"since,omitempty"`  // received at or after
	Until      time.Time  `json:"until"`            // received before; at the latest when it was asked for
}

// ReplayCount is the answer to POST /replays with dry_run.
type ReplayCount struct {
	Count int `json:"count"` // events that would be replayed now
}

// Timing is where the time of an Attempt over HTTP went, each as text such as
// "1.2ms". On a connection that was open already the first three are "0s".
type Timing struct {
	DNS       string `json:"dns"`
	Connect   string `json:"connect"`
	TLS       string `json:"tls"`
	FirstByte string `json:"first_byte"` // from having the connection to the first byte of the answer
	Reused    bool   `json:"reused"`     // the connection was open already
}

// App is the Environment's own registration at a provider. Its secrets are never shown.
type App struct {
	Connector   string            `json:"connector"`
	ClientID    string            `json:"client_id"`
	Scopes      []string          `json:"scopes"`
	Fields      map[string]string `json:"fields"`                 // those that are no secret
	SecretsSet  []string          `json:"secrets_set"`            // names of the secrets that are set
	RedirectURI string            `json:"redirect_uri,omitempty"` // register it at the provider
	WebhookURL  string            `json:"webhook_url,omitempty"`  // register it at the provider, where the App has one address
}

// APIKey is the answer to POST /api-key.
//
//nolint:revive // what it holds is named like this everywhere
type APIKey struct {
	Key              string     `json:"api_key"` // shown once
	OldKeyValidUntil *time.Time `json:"old_key_valid_until,omitempty"`
}

// Health is the answer to GET /healthz.
type Health struct {
	Status    string `json:"status"` // "ok" or "store unavailable"
	Running   bool   `json:"running"`
	OldestDue string `json:"oldest_due,omitempty"` // how long the task has been due that waits longest
}
