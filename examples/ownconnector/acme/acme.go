// Package acme connects Acme, an invented help desk: it is the connector that
// docs/connectors.md writes step by step. It lives outside of the library and
// uses what is exported, nothing else. Start with [New].
package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/signature"
)

// Config of the connector. Endpoints replace Acme's addresses, for tests.
type Config struct {
	ClientID     string              `json:"client_id,omitempty"`
	ClientSecret string              `json:"client_secret,omitempty"`
	Endpoints    connector.Endpoints `json:"endpoints,omitzero"`
}

// Connector is Acme's. Embedding a family of package signature gives it Verify.
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
	return &Connector{cfg: cfg, HMAC: signature.HMAC{
		Header: "Acme-Signature", Prefix: "v1=", Separator: ",", // Acme-Signature: t=1795446245,v1=5257a8…
		Timestamp: &signature.Timestamp{Element: "t"}, Base: signature.TimestampDotBody,
	}}
}

// DefaultApp implements connector.AppSource.
func (c *Connector) DefaultApp() (connector.App, bool) {
	return connector.App{ClientID: c.cfg.ClientID, ClientSecret: c.cfg.ClientSecret}, c.cfg.ClientID != ""
}

// Describe implements connector.Connector.
func (c *Connector) Describe() connector.Description {
	return connector.Description{
		Name: Name, Label: "Acme", Docs: "https://acme.example/docs/webhooks",
		Endpoints: map[string]connector.Template{"api": "https://api.acme.example/v1"},
		OAuth: &connector.OAuth{
			Authorize: "https://acme.example/oauth/authorize",
			Token:     connector.Request{URL: "https://acme.example/oauth/token"},
			Revoke:    &connector.Request{URL: "https://acme.example/oauth/revoke"},
			Scopes:    []string{"tickets:read", "webhooks:write"},
		},
		Watches:  []connector.Watch{{Name: "hook", Intake: connector.AtSubscription, Secret: connector.SecretOurs}},
		Triggers: definitions(),
	}.WithEndpoints(c.cfg.Endpoints)
}

// Identify implements connector.Identifier.
func (c *Connector) Identify(ctx context.Context, s *connector.Session) ([]connector.Identity, error) {
	var me struct{ ID, Email string }
	if err := s.JSON(ctx, http.MethodGet, "me", nil, &me); err != nil {
		return nil, err
	}
	return []connector.Identity{{ID: me.ID, Label: me.Email, Keys: []connector.Key{connector.NewKey("agent", me.ID)}}}, nil
}

// hook is a webhook as Acme's API writes it.
type hook struct {
	ID     string   `json:"id,omitempty"`
	URL    string   `json:"url"`
	Secret string   `json:"secret,omitempty"`
	Events []string `json:"events"`
}

// Subscribe implements connector.Subscriber.
func (c *Connector) Subscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	method, path := http.MethodPost, "webhooks"
	if sub.Held.ID != "" { // it changes: the same hook with other events, not a second one
		method, path = http.MethodPut, "webhooks/"+sub.Held.ID
	}
	var made hook
	if err := s.JSON(ctx, method, path, hook{URL: sub.Address, Secret: sub.Secret, Events: sub.Topics}, &made); err != nil {
		return nil, err
	}
	return &connector.Held{ID: made.ID}, nil
}

// Unsubscribe implements connector.Subscriber.
func (c *Connector) Unsubscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) error {
	err := s.JSON(ctx, http.MethodDelete, "webhooks/"+sub.Held.ID, nil, nil)
	if errors.Is(err, connector.ErrGone) {
		return nil // what is gone already is no error
	}
	return err
}

// List implements connector.Lister.
func (c *Connector) List(ctx context.Context, s *connector.Session, _ *connector.Subscription) ([]connector.Held, error) {
	var hooks []hook
	if err := s.JSON(ctx, http.MethodGet, "webhooks", nil, &hooks); err != nil {
		return nil, err
	}
	var held []connector.Held
	for _, h := range hooks {
		held = append(held, connector.Held{ID: h.ID, Address: h.URL})
	}
	return held, nil
}

// Decode implements connector.Decoder.
func (c *Connector) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	var body struct {
		ID     string    `json:"id"`
		Type   string    `json:"type"`
		At     time.Time `json:"at"`
		Ticket Ticket    `json:"ticket"`
	}
	if err := json.Unmarshal(in.Body, &body); err != nil {
		return nil, fmt.Errorf("acme: body: %w", err)
	}
	if body.Type == "ping" {
		return &connector.Decoded{}, nil // a sign of life, no news
	}
	name, ok := map[string]string{"ticket.opened": TicketOpened, "ticket.solved": TicketSolved}[body.Type]
	if !ok {
		return nil, fmt.Errorf("acme: type %.40q is not known", body.Type)
	}
	if body.ID == "" {
		return nil, errors.New("acme: body has no id")
	}
	return &connector.Decoded{Notices: []connector.Notice{{Occurrences: []connector.Occurrence{{
		Trigger: name, Key: body.ID, OccurredAt: body.At, Payload: body.Ticket, Raw: in.Body,
		Attributes: map[string][]string{"priority": {body.Ticket.Priority}},
	}}}}}, nil
}
