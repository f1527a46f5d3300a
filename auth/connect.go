package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
)

// Connect makes a connection without a browser, from what is in req.Input: an API
// key, a bearer token, a service account. It is for connectors without OAuth; the
// others need the end user's consent: see [Authorizer.URL]. The error names the
// fields that are missing. Connecting the same again keeps the id.
func (a *Authorizer) Connect(ctx context.Context, req ConnectRequest) (Connection, error) {
	r, e, err := a.check(req)
	if err != nil {
		return Connection{}, err
	}
	if e.OAuth != nil {
		return Connection{}, &RequestError{"connector", e.Name + " needs the end user's consent: send the browser to an auth URL"}
	}
	values, err := checkInput(e.Name, e.Fields, r.Input)
	if err != nil {
		return Connection{}, err
	}
	r.Input = values
	rec, err := a.connectFields(ctx, e, r, "", nil)
	return rec.Connection, err
}

// connectFields makes a Connection from Fields.
func (a *Authorizer) connectFields(ctx context.Context, e *connector.Entry, r request, ticket string, confirm func(Connection) error) (Record, error) {
	app, err := a.chooseApp(ctx, r.Environment, e)
	if err != nil {
		return Record{}, err
	}
	g := granted{request: r, app: app, ticket: ticket, confirm: confirm}
	if e.Granter != nil {
		t, err := a.grant(ctx, e, app.app, r.Input, "", nil)
		if err != nil {
			return Record{}, err
		}
		g.token = *t
	}
	return a.establish(ctx, e, g)
}

// granted is a consent that succeeded.
type granted struct {
	request request
	app     chosenApp
	token   connector.Token // zero: Fields alone
	values  map[string]string
	asked   []string // scopes
	needed  []string
	ticket  string // hash; removed with the commit
	confirm func(Connection) error
}

// establish finds out who it is and stores the Connection: a new one, or the one
// that the same person at the provider has already, under its id.
func (a *Authorizer) establish(ctx context.Context, e *connector.Entry, g granted) (Record, error) {
	now := a.now()
	values, secrets := split(e.Fields, g.request.Input)
	maps.Copy(values, g.values)
	maps.Copy(values, g.token.Values)
	t := token{Access: g.token.Access, Refresh: g.token.Refresh, ExpiresAt: g.token.ExpiresAt}
	rec := Record{
		Connection: Connection{
			ID: id.New("conn", now), Environment: g.request.Environment, Connector: e.Name, Account: g.request.Account,
			CreatedAt: now,
		},
		App: g.app.id, ClientID: g.app.app.ClientID, Values: values,
	}
	var ids []connector.Identity
	if e.Identifier != nil {
		s, err := a.makeSession(e, rec, g.app.app, secrets, &fresh{held{record: rec, token: t, fields: secrets}}, maxSessionAnswer)
		if err != nil {
			return rec, err
		}
		if ids, err = identities(ctx, e, s); err != nil {
			return rec, err
		}
		rec.identify(ids)
		rec.Holder = rec.Identities[0].ID
	}
	rec.Scopes = g.token.Scopes
	if rec.Scopes == nil {
		rec.Scopes = g.asked
	}
	rec.Missing = missingScopes(g.needed, g.token.Scopes)
	rec.NeedsConsent = len(rec.Missing) > 0
	rec.ExpiresAt, rec.LastRefresh, rec.Grant = t.ExpiresAt, now, grantFingerprint(t)
	if t.Access != "" {
		rec.RefreshAt = refreshTime(e, t, now, jitter)
	}
	rec.become(Active, "", now)
	if g.confirm != nil {
		if err := g.confirm(rec.Connection); err != nil {
			return rec, &refusal{err}
		}
	}
	return a.storeGrant(ctx, rec, t, secrets, g.ticket)
}

// storeGrant commits a grant as a new Connection or on top of the one of the
// same person.
func (a *Authorizer) storeGrant(ctx context.Context, rec Record, t token, secrets map[string]string, ticket string) (Record, error) {
	for try := 0; ; try++ {
		next, before := rec, Record{}
		former, found, err := a.sameHolder(ctx, rec)
		if err != nil {
			return rec, err
		}
		if found {
			before = former
			next.ID, next.Holder, next.CreatedAt, next.Version = former.ID, former.Holder, former.CreatedAt, former.Version
			next.LastEvent, next.Params = former.LastEvent, former.Params
			if former.Status == Active {
				next.Since = former.Since
			}
		}
		if len(next.Identities) == 0 { // the Connection is its own Identity
			next.identify([]connector.Identity{{ID: next.ID}})
		}
		if t.Access != "" {
			if next.Token, err = a.sealToken(ctx, next.ID, t); err != nil {
				return rec, err
			}
		}
		if next.Secrets, err = a.sealFields(ctx, next.ID, secrets); err != nil {
			return rec, err
		}
		saved, err := a.save(ctx, before, next, ticket)
		if errors.Is(err, ErrConflict) && try < maxConflicts {
			continue
		}
		if err != nil {
			return rec, err
		}
		a.mu.Lock()
		delete(a.unsaved, saved.ID)
		a.mu.Unlock()
		return saved, nil
	}
}

// sameHolder finds the Connection of the same Account that the same person at
// the provider made: by Holder, else by any Identity that both cover.
func (a *Authorizer) sameHolder(ctx context.Context, rec Record) (Record, bool, error) {
	q := Query{Environment: rec.Environment, Connector: rec.Connector, Account: rec.Account}
	var overlap *Record
	for {
		page, err := a.cfg.Store.ConnectionsAfter(ctx, q, listPage)
		if err != nil {
			return Record{}, false, fmt.Errorf("auth: connections of account %q: %w", rec.Account, err)
		}
		for i, c := range page {
			covers := func(holder string) bool {
				return slices.ContainsFunc(rec.Identities, func(i connector.Identity) bool { return i.ID == holder })
			}
			switch {
			case c.Holder == rec.Holder:
				return c, true, nil
			case overlap == nil && (covers(c.Holder) || slices.ContainsFunc(c.Identities, func(i connector.Identity) bool { return covers(i.ID) })):
				overlap = &page[i]
			}
		}
		if len(page) < listPage {
			break
		}
		q.After = page[len(page)-1].ID
	}
	if overlap == nil {
		return Record{}, false, nil
	}
	return *overlap, true, nil
}

// refusal is Config.Confirm's error: its text is shown to the end user.
type refusal struct{ err error }

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }
