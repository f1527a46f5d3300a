package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// connections serves GET /connections.
func (a *api) connections(c *call) (answer, error) {
	q := parseQuery(c.r)
	sel := auth.Query{
		Environment: c.environment, Connector: q.one("connector"), Account: q.one("account"),
		Status: auth.Status(q.among("status", "pending", "active", "expired", "revoked", "failed")),
	}
	var limit int
	sel.After, limit = q.page("conn")
	if err := q.end(); err != nil {
		return answer{}, err
	}
	list := List[Connection]{Items: []Connection{}}
	for found, err := range a.cfg.Auth.Connections(c.r.Context(), sel) {
		if err != nil {
			return answer{}, err
		}
		if len(list.Items) == limit {
			list.Next = list.Items[limit-1].ID
			break
		}
		one, err := a.connectionOf(c.r.Context(), found)
		if err != nil {
			return answer{}, err
		}
		list.Items = append(list.Items, one)
	}
	return reply(http.StatusOK, list)
}

// connection serves GET /connections/{id}.
func (a *api) connection(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	found, err := a.ownConnection(c)
	if err != nil {
		return answer{}, err
	}
	one, err := a.connectionOf(c.r.Context(), found)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusOK, one)
}

// ownConnection returns the one that the path names, if it is this Environment's.
func (a *api) ownConnection(c *call) (auth.Connection, error) {
	wanted := c.params["id"]
	if !id.Valid("conn", wanted) {
		return auth.Connection{}, notFound("connection", wanted)
	}
	found, err := a.cfg.Auth.Connection(c.r.Context(), wanted)
	if errors.Is(err, auth.ErrNotFound) || err == nil && found.Environment != c.environment {
		return auth.Connection{}, notFound("connection", wanted)
	}
	return found, err
}

// connect serves POST /connections.
func (a *api) connect(c *call) (answer, error) {
	body, err := c.body()
	if err != nil {
		return answer{}, err
	}
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	req := auth.ConnectRequest{Environment: c.environment}
	o := parseObject(body)
	o.text("connector", &req.Connector)
	o.text("account", &req.Account)
	o.textMap("input", &req.Input)
	if err := o.end(); err != nil {
		return answer{}, err
	}
	switch {
	case req.Connector == "":
		return answer{}, missing("connector", "name one of GET /connectors")
	case req.Account == "":
		return answer{}, missing("account", "give the user's id on your server")
	}
	made, err := a.cfg.Auth.Connect(c.r.Context(), req)
	if err != nil {
		return answer{}, err
	}
	one, err := a.connectionOf(c.r.Context(), made)
	if err != nil {
		return answer{}, err
	}
	ans, err := reply(http.StatusCreated, one)
	ans.header = http.Header{"Location": {a.base + "/connections/" + made.ID}}
	return ans, err
}

// changeConnection serves PATCH /connections/{id}.
func (a *api) changeConnection(c *call) (answer, error) {
	body, err := c.body()
	if err != nil {
		return answer{}, err
	}
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	found, err := a.ownConnection(c)
	if err != nil {
		return answer{}, err
	}
	var params trigger.Overrides
	o := parseObject(body)
	named := o.overrides("params", &params)
	if err := o.end(); err != nil {
		return answer{}, err
	}
	if !named {
		return answer{}, missing("params", `send {"params":{"name of a trigger":{"name of a param":"value"}}}, or {"params":{}} for those of the trigger list`)
	}
	changed, err := a.cfg.Auth.SetParams(c.r.Context(), found.ID, params)
	if err != nil {
		return answer{}, err
	}
	one, err := a.connectionOf(c.r.Context(), changed)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusOK, one)
}

// disconnect serves DELETE /connections/{id}.
func (a *api) disconnect(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	found, err := a.ownConnection(c)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.cfg.Auth.Disconnect(c.r.Context(), found.ID)
}

func (a *api) connectionOf(ctx context.Context, c auth.Connection) (Connection, error) {
	addresses, err := a.cfg.Addresses(ctx, c)
	if err != nil {
		return Connection{}, err
	}
	watches, err := a.watchesOf(ctx, c)
	return Connection{
		ID: c.ID, Connector: c.Connector, Account: c.Account, Identity: c.Identity,
		Status: string(c.Status), Reason: c.Reason, Since: c.Since.UTC(),
		Scopes: some(c.Scopes), MissingScopes: some(c.Missing), NeedsConsent: c.NeedsConsent,
		LastEventAt: when(c.LastEvent), LastRefreshAt: when(c.LastRefresh), ExpiresAt: when(c.ExpiresAt), CreatedAt: c.CreatedAt.UTC(),
		Params: overrides(c.Params), Watches: watches, Addresses: addresses,
	}, err
}

// watchesOf sums up how a Connection's watches fare.
func (a *api) watchesOf(ctx context.Context, c auth.Connection) (w Watches, err error) {
	var next time.Time
	for s, err := range a.cfg.Subscriptions.Subscriptions(ctx, subscription.Query{Environment: c.Environment, Connection: c.ID}) {
		if err != nil {
			return w, err
		}
		if w.Total++; !s.Healthy() {
			w.Unhealthy++
		}
		if !s.RenewAt.IsZero() && (next.IsZero() || s.RenewAt.Before(next)) {
			next = s.RenewAt
		}
	}
	w.NextRenewalAt = when(next)
	return w, nil
}

// overrides are the params as an object, be it an empty one.
func overrides(o trigger.Overrides) trigger.Overrides {
	if o == nil {
		return trigger.Overrides{}
	}
	return o
}

// when is nil for no time, so that the member is absent.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
