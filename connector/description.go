package connector

import (
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// Description is everything about a product that is data.
type Description struct {
	Name      string              // "gmail"; stored and put in URLs, so it never changes
	Label     string              // "Gmail"
	Docs      string              // the provider's page about its webhooks
	Endpoints map[string]Template // "api" is what relative paths of Session.JSON resolve against
	OAuth     *OAuth              // nil: Fields alone make a Connection
	Fields    []Field             // asked of the end user before consent; become Connection values
	AppFields []Field             // what an App has beside client_id and client_secret
	Use       Use                 // how a credential goes into an API request; defaults to Authorization: Bearer {token}
	Watches   []Watch
	Triggers  []trigger.Definition
	Accepted  Reply   // answer to an accepted request; defaults to 200 and no body
	Rate      float64 // calls a second about watches that the provider gets for each App; defaults to 10
}

// A Watch declares one kind of provider-side watch. The engine keeps one
// Subscription for each Connection and each distinct Resource that the wanted
// Triggers expand to, also where nothing has to be created at the provider
// (it then holds cursor and health alone).
type Watch struct {
	Name     string
	Resource Template      // "repos/{repo}"; {identity}: one per Identity; {topic}: one per Topic; empty: one per Connection
	Intake   Intake        // how the provider reaches us
	Secret   Secret        // what verifies it
	Per      Per           // how many the provider keeps
	Poll     time.Duration // > 0: Expand(nil) at this pace, as safety net or (FromPoll) as the only intake
}

// Intake says how occurrences reach us.
type Intake int

// The ways in.
const (
	FromPoll       Intake = iota // only Expand
	AtApp                        // /webhooks/{connector}[/{app}]: one address for all Connections of an App
	AtSubscription               // /webhooks/{connector}/{subscription}: an address of its own
	FromStream                   // Streamer, one stream per Subscription
	FromAppStream                // Streamer, one stream per App
)

// Per says how many watches of a Resource the provider keeps.
type Per int

const (
	// PerConnection means as many as we create; each is ours alone.
	PerConnection Per = iota
	// PerIdentity means one. Subscribing again replaces it, unsubscribing ends it
	// for all. Connections with the same Identity share Address, Secret, Held
	// and the union of Filters, each keeps its Cursor, all get what arrives, the
	// last one to leave unsubscribes.
	PerIdentity
)

// Secret says where the key comes from that verifies a Watch's requests. The
// address alone chooses it, never the content of the unverified request.
type Secret string

// Where keys come from, beside AppSecret and ConnectionSecret.
const (
	SecretNone   Secret = ""       // public keys; AtApp and streams only
	SecretOurs   Secret = "ours"   // 43 characters [A-Za-z0-9_-] made by the engine for each Subscription
	SecretTheirs Secret = "theirs" // given by the provider, in Held.Secret or Handshake.Secret
)

// AppSecret is the App's field of that name, such as client_secret.
func AppSecret(field string) Secret { return Secret("app:" + field) }

// ConnectionSecret is the Connection's Field of that name.
func ConnectionSecret(field string) Secret { return Secret("connection:" + field) }

// Field returns the App's field or the Connection's Field that holds the key.
// Both are empty for keys that are made, given or public.
func (s Secret) Field() (app, connection string) {
	if f, ok := strings.CutPrefix(string(s), "app:"); ok {
		return f, ""
	}
	if f, ok := strings.CutPrefix(string(s), "connection:"); ok {
		return "", f
	}
	return "", ""
}

// AppAddresses returns the names of those AppFields that an address is made of,
// such as that of a self-hosted server: where credentials are sent to.
func (d Description) AppAddresses() []string {
	var all []Template
	for _, t := range d.Endpoints {
		all = append(all, t)
	}
	if o := d.OAuth; o != nil {
		all = append(all, o.Authorize, o.Token.URL)
		for _, r := range []*Request{o.Refresh, o.Revoke} {
			if r != nil {
				all = append(all, r.URL)
			}
		}
	}
	var names []string
	for _, f := range d.AppFields {
		if slices.ContainsFunc(all, func(t Template) bool { return slices.Contains(t.Names(), "app."+f.Name) }) {
			names = append(names, f.Name)
		}
	}
	return names
}
