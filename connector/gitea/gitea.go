// Package gitea connects accounts of a Gitea server, gitea.com or one's own, and
// hears of what happens in their repositories through signed webhooks that it
// makes by Gitea's API. Start with [New].
//
// Without the param "repo" a trigger covers every repository that the account
// owns, new ones included, through one webhook of the user. Repositories of
// organizations and of other people are not covered by it: name them,
// {"trigger":"gitea.push","params":{"repo":"org/name"}}; the account must
// administrate them. A repository that is covered both ways reports each
// event twice, with different ids.
//
// Gitea sends each event once and does not try again, so what happens while
// nothing listens is lost there; its page "Recent Deliveries" can send it anew.
// It offers no webhook about stars.
//
// Source: Gitea v1.26, modules/structs/hook.go, routers/api/v1/utils/hook.go,
// services/webhook/deliver.go; https://docs.gitea.com/development/oauth2-provider.
package gitea

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/signature"
)

// Name of the connector.
const Name = "gitea"

// defaultURL is the server of who names none.
const defaultURL = "https://gitea.com"

// refreshLifetime is how long Gitea keeps an unused refresh token unless its
// administrator changed REFRESH_TOKEN_EXPIRATION_TIME.
const refreshLifetime = 730 * time.Hour

// Config of the connector. The zero value is gitea.com without a default App.
type Config struct {
	// ClientID and ClientSecret of the OAuth2 application, made in Gitea under
	// Settings, Applications, with the redirect URI …/oauth/callback.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`

	// URL of the Gitea server, with its path if it has one: "https://git.example.com".
	// An Environment's own App may name another one. Defaults to https://gitea.com.
	URL string `json:"url,omitempty"`

	// Endpoints replaces single addresses, for a server that browsers and this
	// program reach under different ones. Default to those at URL.
	Endpoints connector.Endpoints `json:"endpoints,omitzero"`

	// WebhookSecret verifies webhooks that were made by hand, at /webhooks/gitea,
	// for a Forwarder without accounts.
	WebhookSecret string `json:"webhook_secret,omitempty"`
}

// Connector is Gitea's. Make one with New.
type Connector struct {
	signature.HMAC
	cfg Config
}

var (
	_ connector.Verifier   = (*Connector)(nil)
	_ connector.Decoder    = (*Connector)(nil)
	_ connector.Identifier = (*Connector)(nil)
	_ connector.Subscriber = (*Connector)(nil)
	_ connector.Lister     = (*Connector)(nil)
	_ connector.AppSource  = (*Connector)(nil)
)

// New returns the connector. What is wrong with cfg, connector.NewRegistry says.
func New(cfg Config) *Connector {
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.URL == "" {
		cfg.URL = defaultURL
	}
	return &Connector{HMAC: signature.HMAC{Header: "X-Gitea-Signature"}, cfg: cfg}
}

// DefaultApp implements connector.AppSource.
func (c *Connector) DefaultApp() (connector.App, bool) {
	app := connector.App{ClientID: c.cfg.ClientID, ClientSecret: c.cfg.ClientSecret}
	if c.cfg.WebhookSecret != "" {
		app.Fields = map[string]string{connector.FieldWebhookSecret: c.cfg.WebhookSecret}
	}
	return app, app.ClientID != "" || app.Fields != nil
}

// Describe implements connector.Connector.
func (c *Connector) Describe() connector.Description {
	at := func(path string) connector.Template {
		return connector.Template("{app.url}" + path + "|" + c.cfg.URL + path)
	}
	d := connector.Description{
		Name: Name, Label: "Gitea", Docs: "https://docs.gitea.com/usage/webhooks",
		Endpoints: map[string]connector.Template{"api": at("/api/v1")},
		OAuth: &connector.OAuth{
			Authorize: at("/login/oauth/authorize"),
			Token:     connector.Request{URL: at("/login/oauth/access_token")},
			// The user's webhooks are the user's settings, a repository's are the
			// repository's. Without a scope Gitea would grant everything.
			Scopes: []string{"write:user", "write:repository"},
			Idle:   refreshLifetime,
		},
		AppFields: []connector.Field{{
			Name: "url", Label: "Address of the Gitea server", Help: "without a slash at the end; empty: " + c.cfg.URL,
			Pattern: `https?://[^/\s?#@|{}]+(/[^/\s?#|{}]+)*`, Optional: true,
		}},
		Watches: []connector.Watch{{
			Name: watchHook, Resource: "repos/{repo}|user",
			Intake: connector.AtSubscription, Secret: connector.SecretOurs,
		}},
		Triggers: definitions(),
	}
	return d.WithEndpoints(c.cfg.Endpoints)
}

// Identify implements connector.Identifier: who consented, at which server.
func (c *Connector) Identify(ctx context.Context, s *connector.Session) ([]connector.Identity, error) {
	var me struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
	}
	if err := s.JSON(ctx, http.MethodGet, "user", nil, &me); err != nil {
		return nil, err
	}
	if me.ID == 0 || me.Login == "" {
		return nil, fmt.Errorf("gitea: GET /user names no user")
	}
	api, err := url.Parse(s.Endpoints["api"])
	if err != nil {
		return nil, fmt.Errorf(`gitea: Endpoints["api"]: %w`, err)
	}
	host, id := strings.ToLower(api.Host), fmt.Sprint(me.ID) // ids count from 1 at each server
	return []connector.Identity{{
		ID: host + "/" + id, Label: me.Login,
		Keys:   []connector.Key{connector.NewKey("user", host, id)},
		Values: map[string]string{"login": me.Login},
	}}, nil
}
