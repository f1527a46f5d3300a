package api

import (
	"net/http"

	"github.com/interactorhq/interactor/auth"
)

// authURL serves GET /connector/[interactor/]{connector}/auth-url.
func (a *api) authURL(c *call) (answer, error) {
	q := parseQuery(c.r)
	req := auth.ConnectRequest{
		Connector: c.params["connector"], Environment: c.environment,
		Account: q.one("account"), RedirectURL: q.one("redirectUrl"),
		SkipInput: q.among("skipInput", "true", "false") == "true",
		LoginHint: q.one("loginHint"), Scopes: q.many("scope"),
	}
	format := q.among("format", "text", "json")
	req.Input = q.prefixed("input.")
	if _, ok := a.cfg.Registry.Lookup(req.Connector); !ok {
		return answer{}, unknownConnector(req.Connector)
	}
	if err := q.end(); err != nil {
		return answer{}, err
	}
	if req.Account == "" {
		return answer{}, missing("account", "add ?account= with the user's id on your server")
	}
	address, expires, err := a.cfg.Auth.URL(c.r.Context(), req)
	if err != nil {
		return answer{}, err
	}
	if format == "json" {
		return reply(http.StatusOK, AuthURL{URL: address, ExpiresAt: expires.UTC()})
	}
	return answer{status: http.StatusOK, body: text(address)}, nil
}
