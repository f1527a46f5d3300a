// Package webhook receives from any sender that can post to an address: a
// product without a connector of its own, an own service, a monitoring script.
// How requests prove who sent them is chosen for each Connection: Standard
// Webhooks, an HMAC-SHA256 in hex, a bearer token, or Basic. Start with [New].
//
// # Duplicates
//
// A request with a webhook-id or Idempotency-Key header, or the header that
// id_header names, is taken once: a sender that tries again with the same id
// makes no second event. A request without any is an event of its own each
// time. Equal bodies are no sign of a repetition: {"status":"down"} twice is
// two outages, and losing one is worse than telling one twice. So senders that
// try again should send an id.
//
// # On its own
//
// With [Config].Secret a Forwarder takes requests at /webhooks/webhook without
// any accounts.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/signature"
	"github.com/interactorhq/interactor/connector/webhook/webhookevent"
	"github.com/interactorhq/interactor/trigger"
)

// Name of the connector.
const Name = "webhook"

// Received is the trigger "A Webhook is Received"; Payload is its payload.
const Received = webhookevent.Received

// Payload is the payload of Received.
type Payload = webhookevent.Payload

// Schemes, by which a request proves who sent it.
const (
	// StandardWebhooks is https://www.standardwebhooks.com; the secret is
	// "whsec_…", or the sender's public key "whpk_…".
	StandardWebhooks = "standard-webhooks"
	// HMAC is a header with the hex HMAC-SHA256 of the raw body, with or without
	// "sha256=" before it.
	HMAC = "hmac-sha256"
	// Bearer is "Authorization: Bearer {secret}".
	Bearer = "bearer"
	// Basic is HTTP Basic with username and the secret as password.
	Basic = "basic"
)

// defaultHeader of the scheme HMAC.
const defaultHeader = "X-Signature-256"

// Config is for a Forwarder on its own; with accounts it stays zero, because
// each Connection chooses for itself.
type Config struct {
	Scheme   string `json:"scheme,omitempty"`   // defaults to StandardWebhooks
	Secret   string `json:"secret,omitempty"`   // empty: nothing is taken without an account
	Header   string `json:"header,omitempty"`   // of HMAC; defaults to X-Signature-256
	Username string `json:"username,omitempty"` // of Basic

	IDHeader    string `json:"id_header,omitempty"`    // holds what is unique for an event, beside webhook-id and Idempotency-Key
	KeepHeaders string `json:"keep_headers,omitempty"` // names, separated by commas, that the payload has
}

// Connector receives from any sender. Make one with New.
type Connector struct{ cfg Config }

var (
	_ connector.Verifier  = Connector{}
	_ connector.Decoder   = Connector{}
	_ connector.AppSource = Connector{}
)

// New returns the connector. What is wrong with cfg, connector.NewRegistry says.
func New(cfg Config) Connector { return Connector{cfg: cfg} }

// Names of the Fields, of a Connection and of the App.
const (
	fieldScheme      = "scheme"
	fieldSecret      = "secret"
	fieldHeader      = "header"
	fieldUsername    = "username"
	fieldIDHeader    = "id_header"
	fieldKeepHeaders = "keep_headers"
)

// headerPattern is a token of RFC 9110.
const headerPattern = "[A-Za-z0-9!#$%&'*+.^_`|~-]+"

// Describe implements connector.Connector.
func (c Connector) Describe() connector.Description {
	secret := connector.Field{
		Name: fieldSecret, Label: "Secret", Pattern: `[^\r\n\x00]{16,}`, Secret: true,
		Help: "what sender and receiver share, at least 16 characters; for Standard Webhooks whsec_…",
	}
	choices := []connector.Field{
		{Name: fieldScheme, Label: "How requests prove who sent them", Options: []string{StandardWebhooks, HMAC, Bearer, Basic}, Default: StandardWebhooks},
		{Name: fieldHeader, Label: "Header with the signature", Help: "for " + HMAC, Pattern: headerPattern, Default: defaultHeader, Optional: true},
		{Name: fieldUsername, Label: "User name", Help: "for " + Basic, Pattern: `[^:\r\n\x00]{1,200}`, Optional: true},
		{Name: fieldIDHeader, Label: "Header with the event's id", Help: "if the sender has one beside webhook-id and Idempotency-Key", Pattern: headerPattern, Optional: true},
		{Name: fieldKeepHeaders, Label: "Headers to keep", Help: "separated by commas, such as X-GitHub-Event", Pattern: headerPattern + `( *, *` + headerPattern + `)*`, Optional: true},
	}
	ofApp := secret
	ofApp.Name, ofApp.Optional = connector.FieldWebhookSecret, true
	appFields := []connector.Field{ofApp}
	for _, f := range choices {
		f.Optional = true
		appFields = append(appFields, f)
	}
	return connector.Description{
		Name: Name, Label: "Webhook", Docs: "https://www.standardwebhooks.com",
		Fields: append([]connector.Field{secret}, choices...), AppFields: appFields,
		Watches: []connector.Watch{{Name: "address", Intake: connector.AtSubscription, Secret: connector.ConnectionSecret(fieldSecret)}},
		Triggers: []trigger.Definition{{
			Name: Received, Label: "A Webhook is Received", Help: "Each request to the address, whatever it holds.", Watch: "address",
			Payload: Payload{}, Example: Payload{ContentType: "application/json", Body: json.RawMessage(`{"hello":"world"}`)},
		}},
	}
}

// DefaultApp implements connector.AppSource.
func (c Connector) DefaultApp() (connector.App, bool) {
	if c.cfg.Secret == "" {
		return connector.App{}, false
	}
	fields := map[string]string{connector.FieldWebhookSecret: c.cfg.Secret}
	for name, v := range map[string]string{
		fieldScheme: c.cfg.Scheme, fieldHeader: c.cfg.Header, fieldUsername: c.cfg.Username,
		fieldIDHeader: c.cfg.IDHeader, fieldKeepHeaders: c.cfg.KeepHeaders,
	} {
		if v != "" {
			fields[name] = v
		}
	}
	return connector.App{Fields: fields}, true
}

// settings are those of the called address: the Connection's at its own, the
// App's at the App's.
func settings(in *connector.Inbound) map[string]string {
	if in.Subscription != "" {
		return in.Values
	}
	return in.App
}

// Verify implements connector.Verifier by the scheme of the address.
func (c Connector) Verify(ctx context.Context, in *connector.Inbound) error {
	s := settings(in)
	switch scheme := s[fieldScheme]; scheme {
	case "", StandardWebhooks:
		return signature.StandardWebhooks{}.Verify(ctx, in)
	case HMAC:
		h := signature.HMAC{Header: s[fieldHeader]}
		if h.Header == "" {
			h.Header = defaultHeader
		}
		if strings.HasPrefix(in.Header.Get(h.Header), "sha256=") {
			h.Prefix = "sha256="
		}
		return h.Verify(ctx, in)
	case Bearer:
		return signature.Bearer{}.Verify(ctx, in)
	case Basic:
		return signature.BasicAuth{Username: s[fieldUsername]}.Verify(ctx, in)
	default:
		return fmt.Errorf("webhook: %w: the scheme %q is not known", connector.ErrUnproven, scheme)
	}
}

// kept returns the headers that the settings name, never those that hold the
// secret or belong to another one.
func kept(in *connector.Inbound, names string) map[string]string {
	var out map[string]string
	for name := range strings.SplitSeq(names, ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		v := in.Header.Get(name)
		switch name {
		case "", "Authorization", "Proxy-Authorization", "Cookie":
			continue
		}
		if v == "" {
			continue
		}
		if out == nil {
			out = make(map[string]string)
		}
		out[name] = strings.ToValidUTF8(v, "�")
	}
	return out
}
