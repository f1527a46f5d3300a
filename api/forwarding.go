package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
)

// forwarding serves GET /forwarding.
func (a *api) forwarding(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	f, err := a.cfg.Deployments.Forwarding(c.r.Context(), c.environment)
	if err != nil {
		return answer{}, err
	}
	return a.replyForwarding(c, f)
}

func (a *api) replyForwarding(c *call, f deployment.Forwarding) (answer, error) {
	reason, since, err := a.cfg.Forwarder.Paused(c.r.Context(), c.environment)
	if err != nil {
		return answer{}, err
	}
	out := Forwarding{
		Settings: f.Settings, HeaderValueSet: f.Settings.HeaderValue != "", From: string(f.From),
		CertificateExpires: f.Settings.CertificateExpires().UTC(),
		Managed:            f.Managed, Paused: !since.IsZero(), PausedReason: reason,
	}
	if f.From == deployment.FromNowhere {
		out.From = "none"
	}
	return reply(http.StatusOK, out)
}

// setForwarding serves PUT /forwarding. It writes the Environment's own settings:
// a key for Development must not be able to redirect Production.
func (a *api) setForwarding(c *call) (answer, error) {
	body, err := c.body()
	if err != nil {
		return answer{}, err
	}
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	next, keep, err := readSettings(body)
	if err != nil {
		return answer{}, err
	}
	f, err := a.cfg.Deployments.EditForwarding(c.r.Context(), c.environment, func(s *forward.Settings) error {
		// Only what is this Environment's own is kept: the Deployment's secrets
		// are not for an address that a key can choose.
		*s = keep.merge(next, *s)
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	return a.replyForwarding(c, f)
}

// kept says which secrets a body says nothing about, so that they stay.
type kept struct{ headerValue, clientKey, clientSecret bool }

func (k kept) merge(next, former forward.Settings) forward.Settings {
	if k.headerValue && next.HeaderKey != "" {
		next.HeaderValue = former.HeaderValue
	}
	if k.clientKey && next.ClientCertificate != "" {
		next.ClientKey = former.ClientKey
	}
	// For the same client at the same server only: the secret is sent to
	// token_url, and who may change that must not learn it.
	if o, old := next.OAuth2, former.OAuth2; k.clientSecret && o != nil && old != nil && o.TokenURL == old.TokenURL && o.ClientID == old.ClientID {
		with := *o
		with.ClientSecret = old.ClientSecret
		next.OAuth2 = &with
	}
	next.Secrets = former.Secrets
	return next
}

// readSettings reads the body of PUT /forwarding.
func readSettings(body []byte) (s forward.Settings, keep kept, err error) {
	o := parseObject(body)
	var raw json.RawMessage
	for _, name := range []string{"url", "header_key", "client_certificate", "triggers", "raw", "retry", "timeout", "rate_limit", "concurrency", "ordered", "pause_after"} {
		o.take(name, "a value", &raw)
	}
	var value string
	keep.headerValue = !o.text("header_value", &value)
	keep.clientKey = !o.text("client_key", &value)
	var access map[string]json.RawMessage
	o.take("oauth2", "an object", &access)
	_, named := access["client_secret"]
	keep.clientSecret = !named
	if _, named := o.members["secrets"]; named && o.err == nil {
		return s, keep, badBody("secrets", "secrets cannot be set with an API key: use the console, the config file or Go")
	}
	if err := o.end(); err != nil {
		return s, keep, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		if problems, ok := errors.AsType[forward.Problems](err); ok {
			return s, keep, refused(&deployment.InvalidError{Err: problems})
		}
		return s, keep, badBody("", "%s", bare(err))
	}
	if s.IsZero() {
		return s, keep, badBody("", "the settings are empty: send url and triggers, or DELETE /forwarding to go back to those of the deployment")
	}
	return s, keep, nil
}

// removeForwarding serves DELETE /forwarding.
func (a *api) removeForwarding(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.cfg.Deployments.SetForwarding(c.r.Context(), c.environment, forward.Settings{})
}
