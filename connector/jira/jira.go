// Package jira connects Jira Cloud sites: issues, comments, worklogs, sprints,
// versions and projects.
//
// It is handed to interactor.Config.Connectors; start with [New]. A receiver in
// another service that only wants the payload types imports package jiraevent,
// which has no dependencies; the types here are aliases of it. Package jiratest
// is a stand-in for Atlassian.
//
// # Where news come from
//
// [Config].Sources says which of three ways are used. Each trigger has those that
// can deliver it; one that none of the Sources delivers is marked in the
// catalogue (trigger.Definition.Undeliverable) and refused in a trigger list.
//
//	Dynamic  webhooks that the App registers in the name of who consented. Issues,
//	         comments, sprints and versions. They end after 30 days and are
//	         prolonged long before. Jira keeps 5 for an App, person and site: the
//	         triggers of a Connection share one for what is about issues and one
//	         for sprints and versions; each jql param needs one of its own.
//	Admin    webhooks of the site, which only its administrators can make: everything.
//	Poll     searches by JQL. No webhook and no public address are needed; what
//	         has been deleted cannot be found, nor sprints, versions and projects.
//
// Dynamic and Admin also search now and then for what was lost on the way, and
// tell when something may be lost that a search cannot find.
//
// # To confirm against the real service
//
// Taken from Atlassian's documentation or from reports of others, and not tried
// against it: see docs/connectors/jira.md for the list. What can differ has a
// setting: [Config].NoPKCE, [Config].TokenIssuer and [Config].RouteBySite.
package jira

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// Name of the connector.
const Name = "jira"

// Source is a way in which news come.
type Source string

// The ways in.
const (
	Dynamic Source = "dynamic"
	Admin   Source = "admin"
	Poll    Source = "poll"
)

// Config of the connector. The zero value has no default App: every
// Environment then needs its own.
type Config struct {
	// ClientID and ClientSecret of the default App: an OAuth 2.0 integration of
	// Atlassian's developer console. The secret also verifies dynamic webhooks.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`

	// Sources in order of preference: a trigger comes from the first one that can
	// deliver it. Defaults to Dynamic alone.
	Sources []Source `json:"sources,omitempty"`

	// PollInterval is the pace of Poll. Defaults to one minute.
	PollInterval time.Duration `json:"-"`

	// SafetyInterval is how often Dynamic and Admin search for what was lost on
	// the way. Defaults to six hours.
	SafetyInterval time.Duration `json:"-"`

	// NoPKCE leaves the PKCE challenge out of the consent. Atlassian does not
	// document it for OAuth 2.0 integrations. Defaults to false: it is sent.
	NoPKCE bool `json:"no_pkce,omitempty"`

	// TokenIssuer must be the issuer (iss) of the tokens that sign dynamic
	// webhooks. Atlassian does not document it. Defaults to "": not compared.
	TokenIssuer string `json:"token_issuer,omitempty"`

	// RouteBySite tells dynamic webhooks that do not say which registrations they
	// match to every Connection of their site, whatever its person may see there.
	// Defaults to false: those Connections then search for what they missed.
	RouteBySite bool `json:"route_by_site,omitempty"`

	// WebhookSecret verifies webhooks that an administrator made by hand, at
	// /webhooks/jira, for a Forwarder without accounts.
	WebhookSecret string `json:"webhook_secret,omitempty"`

	// Endpoints replace Atlassian's addresses, for tests.
	Endpoints connector.Endpoints `json:"endpoints,omitzero"`
}

const (
	defaultPoll   = time.Minute
	defaultSafety = 6 * time.Hour
)

// Connector is Jira Cloud. It is safe for concurrent use.
type Connector struct{ cfg Config }

var (
	_ connector.AppSource  = (*Connector)(nil)
	_ connector.Verifier   = (*Connector)(nil)
	_ connector.Decoder    = (*Connector)(nil)
	_ connector.Identifier = (*Connector)(nil)
	_ connector.Subscriber = (*Connector)(nil)
	_ connector.Renewer    = (*Connector)(nil)
	_ connector.Lister     = (*Connector)(nil)
	_ connector.Expander   = (*Connector)(nil)
)

// New returns the connector. It does no I/O. A Source that does not exist
// delivers nothing: the catalogue and each call say so.
func New(cfg Config) *Connector {
	cfg.Sources = slices.Clone(cfg.Sources)
	if len(cfg.Sources) == 0 {
		cfg.Sources = []Source{Dynamic}
	}
	if cfg.PollInterval <= 0 {
		cfg.PollInterval = defaultPoll
	}
	if cfg.SafetyInterval <= 0 {
		cfg.SafetyInterval = defaultSafety
	}
	return &Connector{cfg: cfg}
}

// DefaultApp is the App of the Config.
func (c *Connector) DefaultApp() (connector.App, bool) {
	app := connector.App{ClientID: c.cfg.ClientID, ClientSecret: c.cfg.ClientSecret}
	if c.cfg.WebhookSecret != "" {
		app.Fields = map[string]string{connector.FieldWebhookSecret: c.cfg.WebhookSecret}
	}
	return app, app.ClientID != "" || app.Fields != nil
}

// usable reports a Source that does not exist. New has no error to say it with.
func (c *Connector) usable() error {
	for _, s := range c.cfg.Sources {
		if !slices.Contains([]Source{Dynamic, Admin, Poll}, s) {
			return fmt.Errorf("jira: Config.Sources has %q: use %q, %q and %q: %w", s, Dynamic, Admin, Poll, connector.ErrRefused)
		}
	}
	return nil
}

// siteKey routes what names its site and nothing else.
func siteKey(host string) connector.Key { return connector.NewKey("site", host) }

func cloudKey(cloud string) connector.Key { return connector.NewKey("cloud", cloud) }

// webhookKey routes dynamic webhooks. Their ids are small numbers that repeat
// from site to site, so the site is part of it.
func webhookKey(site, id string) connector.Key { return connector.NewKey("webhook", site, id) }

func foldHost(host string) string { return strings.ToLower(host) }
