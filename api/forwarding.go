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
		Managed: f.Managed, Paused: !since.IsZero(), PausedReason: reason,
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
	next, keepValue, err := readSettings(body)
	if err != nil {
		return answer{}, err
	}
	f, err := a.cfg.Deployments.EditForwarding(c.r.Context(), c.environment, func(s *forward.Settings) error {
		merged := next
		// Only what is this Environment's own is kept: the Deployment's header
		// value is not for an address that a key can choose.
		if keepValue && next.HeaderKey != "" {
			merged.HeaderValue = s.HeaderValue
		}
		merged.Secrets = s.Secrets
		*s = merged
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	return a.replyForwarding(c, f)
}

// readSettings reads the body of PUT /forwarding. keepValue: it says nothing
// about header_value.
func readSettings(body []byte) (s forward.Settings, keepValue bool, err error) {
	o := parseObject(body)
	var raw json.RawMessage
	for _, name := range []string{"url", "header_key", "triggers", "raw", "retry", "timeout", "rate_limit", "concurrency", "ordered", "pause_after"} {
		o.take(name, "a value", &raw)
	}
	var value string
	keepValue = !o.text("header_value", &value)
	if _, named := o.members["secrets"]; named && o.err == nil {
		return s, false, badBody("secrets", "secrets cannot be set with an API key: use the console, the config file or Go")
	}
	if err := o.end(); err != nil {
		return s, false, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		if problems, ok := errors.AsType[forward.Problems](err); ok {
			return s, false, refused(&deployment.InvalidError{Err: problems})
		}
		return s, false, badBody("", "%s", bare(err))
	}
	if s.IsZero() {
		return s, false, badBody("", "the settings are empty: send url and triggers, or DELETE /forwarding to go back to those of the deployment")
	}
	return s, keepValue, nil
}

// removeForwarding serves DELETE /forwarding.
func (a *api) removeForwarding(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.cfg.Deployments.SetForwarding(c.r.Context(), c.environment, forward.Settings{})
}
