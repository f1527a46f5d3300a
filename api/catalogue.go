package api

import (
	"errors"
	"net/http"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// connectors serves GET /connectors.
func (a *api) connectors(c *call) (answer, error) {
	q := parseQuery(c.r)
	// Names are the cursor of this list: it is in their order, and short.
	cursor := q.one("cursor")
	if _, known := a.cfg.Registry.Lookup(cursor); cursor != "" && !known && q.err == nil {
		q.err = invalid("cursor", "is not one that an answer gave as next")
	}
	limit := q.limit()
	if err := q.end(); err != nil {
		return answer{}, err
	}
	list := List[Connector]{Items: []Connector{}}
	for e := range a.cfg.Registry.All() {
		if e.Name <= cursor && cursor != "" {
			continue
		}
		if len(list.Items) == limit {
			list.Next = list.Items[limit-1].Name
			break
		}
		item, err := a.describe(c, e)
		if err != nil {
			return answer{}, err
		}
		list.Items = append(list.Items, item)
	}
	return reply(http.StatusOK, list)
}

// connector serves GET /connectors/{connector}.
func (a *api) connector(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	e, err := a.lookup(c)
	if err != nil {
		return answer{}, err
	}
	item, err := a.describe(c, e)
	if err != nil {
		return answer{}, err
	}
	item.Triggers = make([]Trigger, 0, len(e.Triggers))
	for _, d := range e.Triggers {
		item.Triggers = append(item.Triggers, Trigger{
			Name: d.Name, Connector: e.Name, Label: d.Label, Description: d.Help,
			Params: some[trigger.Param](d.Params), Scopes: some[string](d.Scopes),
			Schema: e.Schema(d.Name), Example: e.Example(d.Name), Undeliverable: d.Undeliverable,
		})
	}
	return reply(http.StatusOK, item)
}

// lookup finds the connector that the path names.
func (a *api) lookup(c *call) (*connector.Entry, error) {
	e, ok := a.cfg.Registry.Lookup(c.params["connector"])
	if !ok {
		return nil, unknownConnector(c.params["connector"])
	}
	return e, nil
}

func (a *api) describe(c *call, e *connector.Entry) (Connector, error) {
	item := Connector{Name: e.Name, Label: e.Label, Auth: "none", Docs: e.Docs, Fields: fields(e.Fields), AppFields: fields(e.AppFields)}
	switch {
	case e.OAuth != nil:
		item.Auth = "oauth2"
	case len(e.Fields) > 0:
		item.Auth = "fields"
	}
	_, err := a.cfg.Auth.App(c.r.Context(), c.environment, e.Name)
	if err != nil && !errors.Is(err, auth.ErrNoApp) {
		return item, err
	}
	item.OwnApp = err == nil
	return item, nil
}

func fields(declared []connector.Field) []Field {
	out := make([]Field, 0, len(declared))
	for _, f := range declared {
		out = append(out, Field{
			Name: f.Name, Label: f.Label, Help: f.Help, Default: f.Default, Pattern: f.Pattern,
			Options: f.Options, Secret: f.Secret, Required: !f.Optional,
		})
	}
	return out
}

// some is a list that marshals as [] when it is empty.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
