package auth

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// ConnectRequest says who connects what. Connector and Account are required.
type ConnectRequest struct {
	Connector string // "gmail". Required
	Account   string // the end user's id as your server knows it; opaque to us, at most 512 bytes. Required

	// Environment, "env_…". Defaults to the default one; with MultiTenant there is
	// none, and an empty Environment is an error.
	Environment string

	RedirectURL string            // where the browser ends up; its origin must be in Config.RedirectOrigins. Defaults to a page saying it worked
	SkipInput   bool              // do not ask for Input on the Continue page
	Input       map[string]string // fields the connector needs, such as a site address or an API key
	Scopes      []string          // beyond those that the trigger list needs
	LoginHint   string            // the provider's account name, if you know it
}

// Status of a Connection.
type Status string

// A Connection is made Active; Pending is for grants that somebody at the
// provider has yet to approve.
const (
	Pending Status = "pending" // consent not finished
	Active  Status = "active"
	Expired Status = "expired" // the provider refuses the grant: ask the user to connect again
	Revoked Status = "revoked" // disconnected by you, or by the user at the provider
	Failed  Status = "failed"  // see Reason
)

// Connection is an account's authorised link to a connector.
type Connection struct {
	ID           string // "conn_…"; survives reconnecting
	Environment  string
	Connector    string
	Account      string
	Identity     string // who that is at the provider: mailbox, site, team
	Status       Status
	Reason       string // why it is not active, or what its refresh suffers from, in words
	Since        time.Time
	Scopes       []string  // granted
	Missing      []string  // scopes that its triggers need and the user has not granted
	NeedsConsent bool      // the provider refused a call for lack of a scope, or Missing is not empty
	LastEvent    time.Time // zero if none yet; at most a minute old news
	ExpiresAt    time.Time // of the access token; it is refreshed before. Zero: unknown
	LastRefresh  time.Time // of the last successful one, or of the consent
	CreatedAt    time.Time

	// Params are what it has in place of those in the trigger list; see
	// [Authorizer.SetParams]. Do not modify them.
	Params trigger.Overrides
}

// Record is a Connection with what other rooms and the store need. Its tokens
// and secret Fields are sealed.
type Record struct {
	Connection
	App        string               // id of the own App it was made with; "" is the default one
	ClientID   string               // of the App it was made with
	Holder     string               // who granted: smallest Identity ID at creation; "" where the connector tells none
	Identities []connector.Identity // in order of ID
	Values     map[string]string    // what was entered and what callback and token answer gave, less secrets
	Closing    bool                 // disconnected, its watches are being removed; Session still works
	Erased     bool                 // tokens and secrets are gone

	RefreshAt    time.Time // when [Authorizer.Run] refreshes it, or tries again; zero: never
	RefreshTries int       // failed refreshes in a row

	Grant   string // fingerprint of the grant: equal where the provider gave the same one twice
	Token   []byte // sealed for "<id>/token"
	Secrets []byte // secret Fields, sealed for "<id>/fields"
	Version int64  // guards against lost updates; 0: not stored yet
}

// live reports whether calls can be made with the Connection.
func (r *Record) live() bool {
	return !r.Erased && (r.Closing || r.Status == Active || r.Status == Failed || r.Status == Pending)
}

// Query selects connections. The zero value selects all of the default environment.
type Query struct {
	Environment string // "" is the default one, "*" is all
	Connector   string
	Account     string
	Status      Status
	After       string // id of the last one already seen
}

const listPage = 100

// Connections iterates in order of creation, reading in pages.
func (a *Authorizer) Connections(ctx context.Context, q Query) iter.Seq2[Connection, error] {
	return func(yield func(Connection, error) bool) {
		env, err := a.queryEnvironment(q.Environment)
		if err != nil {
			yield(Connection{}, err)
			return
		}
		q.Environment = env
		for {
			page, err := a.cfg.Store.ConnectionsAfter(ctx, q, listPage)
			if err != nil {
				yield(Connection{}, fmt.Errorf("auth: list connections: %w", err))
				return
			}
			for _, r := range page {
				if !yield(r.Connection, nil) {
					return
				}
			}
			if len(page) < listPage {
				return
			}
			q.After = page[len(page)-1].ID
		}
	}
}

// Find returns the only connection that q selects, else [ErrNotFound] or
// [ErrAmbiguous]. Pending and revoked ones count only if q.Status says so.
func (a *Authorizer) Find(ctx context.Context, q Query) (Connection, error) {
	var found []Connection
	for c, err := range a.Connections(ctx, q) {
		if err != nil {
			return Connection{}, err
		}
		if q.Status == "" && (c.Status == Pending || c.Status == Revoked) {
			continue
		}
		if found = append(found, c); len(found) > 1 {
			return Connection{}, fmt.Errorf("%w: %s and %s among them: name the connection by its id", ErrAmbiguous, found[0].ID, found[1].ID)
		}
	}
	if len(found) == 0 {
		return Connection{}, ErrNotFound
	}
	return found[0], nil
}

// Connection returns one by its id, or [ErrNotFound].
func (a *Authorizer) Connection(ctx context.Context, id string) (Connection, error) {
	r, err := a.Get(ctx, id)
	return r.Connection, err
}

// Get returns a Connection with what the other rooms need, or [ErrNotFound].
func (a *Authorizer) Get(ctx context.Context, id string) (Record, error) {
	r, err := a.cfg.Store.ConnectionByID(ctx, id)
	if err != nil {
		return Record{}, fmt.Errorf("auth: connection %q: %w", id, err)
	}
	return r, nil
}

// environment applies the default one.
func (a *Authorizer) environment(env string) (string, error) {
	if env == "" {
		env = a.cfg.DefaultEnvironment
	}
	if env == "" {
		return "", ErrEnvironment
	}
	return env, nil
}

func (a *Authorizer) queryEnvironment(env string) (string, error) {
	if env == "*" {
		return env, nil
	}
	return a.environment(env)
}

// identify puts identities into the record, in order of ID, with the label that
// people see.
func (r *Record) identify(ids []connector.Identity) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b connector.Identity) int { return strings.Compare(a.ID, b.ID) })
	r.Identities = slices.CompactFunc(ids, func(a, b connector.Identity) bool { return a.ID == b.ID })
	var labels []string
	for _, i := range r.Identities {
		switch {
		case i.Label != "":
			labels = append(labels, i.Label)
		case i.ID != r.ID:
			labels = append(labels, i.ID)
		}
	}
	r.Identity = strings.Join(labels, ", ")
}

// become changes the status; Since is when it did.
func (r *Record) become(s Status, reason string, now time.Time) {
	if r.Status != s {
		r.Status, r.Since = s, now
	}
	r.Reason = reason
}
