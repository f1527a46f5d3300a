package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/seal"
)

// OwnApp is an Environment's own App with its secrets. It prints without them.
type OwnApp struct {
	AppRecord
	App    connector.App   // what consents use now; zero with External
	Former []connector.App // replaced ones that Connections were made with, newest first
}

type sealedApp struct {
	Current connector.App   `json:"current"`
	Former  []connector.App `json:"former,omitempty"`
}

const appField = "app"

// CallbackURL is what a registration at a provider must allow as redirect address.
func (a *Authorizer) CallbackURL() string { return a.callbackURL() }

// SetApp makes an environment use its own OAuth client for a connector; the zero
// App goes back to the default one. Its id, and with it its webhook address, stays
// when it is replaced. Existing connections keep the App they were made with until
// they reconnect. While there are any, an App with their client id cannot move to
// another server, to which their tokens would then be sent. An [*InputError] names
// the fields that are missing or refused.
func (a *Authorizer) SetApp(ctx context.Context, environment, connectorName string, app connector.App) error {
	if zeroApp(app) {
		return a.DeleteApp(ctx, environment, connectorName)
	}
	env, err := a.environment(environment)
	if err != nil {
		return err
	}
	e, err := a.lookup(connectorName)
	if err != nil {
		return err
	}
	fields, err := checkInput(e.Name, e.AppFields, app.Fields)
	var bad *InputError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	if e.OAuth != nil && app.ClientID == "" {
		if bad == nil {
			bad = &InputError{Connector: e.Name}
		}
		bad.Missing = append([]string{"client_id"}, bad.Missing...)
	}
	if bad != nil {
		return bad
	}
	app.Fields, app.Scopes = fields, union(app.Scopes)
	if err := checkAppSize(e.Name, app); err != nil {
		return err
	}
	return a.changeApp(ctx, env, e.Name, func(rec *AppRecord, c *sealedApp) error {
		if old := c.Current; !zeroApp(old) && old.ClientID != app.ClientID {
			c.Former = append([]connector.App{old}, c.Former...)
		}
		used, err := a.cfg.Store.AppClients(ctx, rec.ID)
		if err != nil {
			return fmt.Errorf("auth: connections of App %s: %w", rec.ID, err)
		}
		if err := checkMove(e, used, append([]connector.App{c.Current}, c.Former...), app); err != nil {
			return err
		}
		c.Former = slices.DeleteFunc(c.Former, func(f connector.App) bool {
			return f.ClientID == app.ClientID || !slices.Contains(used, f.ClientID)
		})
		c.Current = app
		rec.ClientID, rec.External, rec.Deleted = app.ClientID, false, false
		return nil
	})
}

// checkMove refuses to send the tokens of Connections to another server than the
// one that gave them: whoever may set an App may not see them.
func checkMove(e *connector.Entry, used []string, former []connector.App, app connector.App) error {
	if !slices.Contains(used, app.ClientID) {
		return nil
	}
	i := slices.IndexFunc(former, func(f connector.App) bool { return !zeroApp(f) && f.ClientID == app.ClientID })
	if i < 0 {
		return nil
	}
	for _, name := range e.AppAddresses() {
		if former[i].Fields[name] != app.Fields[name] {
			return &InputError{Connector: e.Name, Invalid: map[string]string{
				name: name + " cannot change while there are connections made with this client id, whose tokens would be sent there: disconnect them first",
			}}
		}
	}
	return nil
}

// Bounds of an App, in bytes: it is sealed in one piece, with those before it.
const (
	maxClientID     = 1 << 10
	maxClientSecret = 16 << 10 // some are private keys
	maxApp          = 32 << 10 // as JSON
)

func checkAppSize(connectorName string, app connector.App) error {
	plain, err := json.Marshal(app)
	if err != nil {
		return fmt.Errorf("auth: encode App: %w", err)
	}
	bad := &InputError{Connector: connectorName, Invalid: make(map[string]string)}
	for _, part := range []struct {
		name      string
		size, max int
	}{
		{"client_id", len(app.ClientID), maxClientID},
		{"client_secret", len(app.ClientSecret), maxClientSecret},
		{"fields", len(plain), maxApp},
	} {
		if part.size > part.max {
			bad.Invalid[part.name] = fmt.Sprintf("%s has %d bytes: at most %d are possible", part.name, part.size, part.max)
			return bad
		}
	}
	return nil
}

// DeleteApp goes back to the default App. Existing connections keep the App they
// were made with until they reconnect. Deleting none is no error.
func (a *Authorizer) DeleteApp(ctx context.Context, environment, connectorName string) error {
	env, err := a.environment(environment)
	if err != nil {
		return err
	}
	if _, err := a.lookup(connectorName); err != nil {
		return err
	}
	if _, err := a.cfg.Store.AppOf(ctx, env, connectorName); errors.Is(err, ErrNoApp) {
		return nil
	} else if err != nil {
		return fmt.Errorf("auth: App of %s: %w", env, err)
	}
	return a.changeApp(ctx, env, connectorName, func(rec *AppRecord, _ *sealedApp) error {
		rec.Deleted = true
		return nil
	})
}

// App returns an environment's own App for a connector, or [ErrNoApp].
func (a *Authorizer) App(ctx context.Context, environment, connectorName string) (OwnApp, error) {
	env, err := a.environment(environment)
	if err != nil {
		return OwnApp{}, err
	}
	if _, err := a.lookup(connectorName); err != nil {
		return OwnApp{}, err
	}
	rec, err := a.cfg.Store.AppOf(ctx, env, connectorName)
	if err != nil {
		return OwnApp{}, fmt.Errorf("auth: App of %s: %w", env, err)
	}
	if rec.Deleted {
		return OwnApp{}, ErrNoApp
	}
	return a.ownApp(ctx, rec)
}

// AppByID returns an own App, deleted ones included because Connections made with
// them still use them, or [ErrNoApp]. With Config.App, App is what that returns.
func (a *Authorizer) AppByID(ctx context.Context, appID string) (OwnApp, error) {
	rec, err := a.cfg.Store.AppByID(ctx, appID)
	if err != nil {
		return OwnApp{}, fmt.Errorf("auth: App %q: %w", appID, err)
	}
	own, err := a.ownApp(ctx, rec)
	if err != nil || !rec.External {
		return own, err
	}
	own.App, err = a.configuredApp(ctx, rec.Environment, rec.Connector)
	return own, err
}

// Apps iterates over the own Apps for a connector that are in use, whatever the
// environment: those that are set, and deleted ones as long as Connections live
// on them. With Config.App, App is what that returns.
func (a *Authorizer) Apps(ctx context.Context, connectorName string) iter.Seq2[OwnApp, error] {
	const page = 100
	return func(yield func(OwnApp, error) bool) {
		after := ""
		for {
			recs, err := a.cfg.Store.AppsOf(ctx, connectorName, after, page)
			if err != nil {
				yield(OwnApp{}, fmt.Errorf("auth: Apps of %s: %w", connectorName, err))
				return
			}
			for _, rec := range recs {
				after = rec.ID
				own, err := a.usedApp(ctx, rec)
				if errors.Is(err, ErrNoApp) {
					continue
				}
				if !yield(own, err) || err != nil {
					return
				}
			}
			if len(recs) < page {
				return
			}
		}
	}
}

// usedApp returns an App that is set or that Connections live on, else [ErrNoApp].
func (a *Authorizer) usedApp(ctx context.Context, rec AppRecord) (OwnApp, error) {
	if rec.Deleted {
		used, err := a.cfg.Store.AppClients(ctx, rec.ID)
		if err != nil {
			return OwnApp{}, fmt.Errorf("auth: connections of App %s: %w", rec.ID, err)
		}
		if len(used) == 0 {
			return OwnApp{}, ErrNoApp
		}
	}
	return a.AppByID(ctx, rec.ID)
}

func (a *Authorizer) ownApp(ctx context.Context, rec AppRecord) (OwnApp, error) {
	c, err := a.openApp(ctx, rec)
	if err != nil {
		return OwnApp{}, err
	}
	return OwnApp{AppRecord: rec, App: c.Current, Former: c.Former}, nil
}

func (a *Authorizer) openApp(ctx context.Context, rec AppRecord) (sealedApp, error) {
	var c sealedApp
	if len(rec.Sealed) == 0 {
		return c, nil
	}
	plain, err := a.open(ctx, rec.ID, appField, rec.Sealed)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		return c, fmt.Errorf("auth: App %s is not readable: %w", rec.ID, err)
	}
	return c, nil
}

// changeApp changes an Environment's App, which it makes if there is none.
func (a *Authorizer) changeApp(ctx context.Context, env, connectorName string, change func(*AppRecord, *sealedApp) error) error {
	for try := 0; ; try++ {
		rec, err := a.cfg.Store.AppOf(ctx, env, connectorName)
		if errors.Is(err, ErrNoApp) {
			rec = AppRecord{ID: id.New("app", a.now()), Environment: env, Connector: connectorName, CreatedAt: a.now()}
		} else if err != nil {
			return fmt.Errorf("auth: App of %s: %w", env, err)
		}
		c, err := a.openApp(ctx, rec)
		if err != nil {
			return err
		}
		if err := change(&rec, &c); err != nil {
			return err
		}
		if !zeroApp(c.Current) || len(c.Former) > 0 {
			plain, err := json.Marshal(c)
			if err != nil {
				return fmt.Errorf("auth: encode App: %w", err)
			}
			if len(plain) > seal.MaxPlaintext {
				return &InputError{Connector: connectorName, Invalid: map[string]string{
					"client_id": fmt.Sprintf("client_id cannot change once more while connections live on %d Apps before it: let them reconnect first", len(c.Former)),
				}}
			}
			if rec.Sealed, err = a.seal(ctx, rec.ID, appField, plain); err != nil {
				return err
			}
		}
		rec.UpdatedAt = a.now()
		err = a.cfg.Store.SaveApp(ctx, rec)
		if errors.Is(err, ErrConflict) && try < maxConflicts {
			continue
		}
		if err != nil {
			return fmt.Errorf("auth: save App of %s: %w", env, err)
		}
		return nil
	}
}

// chosenApp is what a consent uses. id is "" for the default App.
type chosenApp struct {
	id  string
	app connector.App
}

// chooseApp returns what new consents of an Environment use: what Config.App
// returns, else the stored one, else the connector's default.
func (a *Authorizer) chooseApp(ctx context.Context, env string, e *connector.Entry) (chosenApp, error) {
	app, err := a.configuredApp(ctx, env, e.Name)
	if err != nil {
		return chosenApp{}, err
	}
	rec, err := a.cfg.Store.AppOf(ctx, env, e.Name)
	if err != nil && !errors.Is(err, ErrNoApp) {
		return chosenApp{}, fmt.Errorf("auth: App of %s: %w", env, err)
	}
	switch {
	case !zeroApp(app):
		if err != nil || rec.Deleted || !rec.External || rec.ClientID != app.ClientID {
			err = a.changeApp(ctx, env, e.Name, func(r *AppRecord, _ *sealedApp) error {
				r.External, r.Deleted, r.ClientID = true, false, app.ClientID
				return nil
			})
			if err != nil {
				return chosenApp{}, err
			}
			if rec, err = a.cfg.Store.AppOf(ctx, env, e.Name); err != nil {
				return chosenApp{}, fmt.Errorf("auth: App of %s: %w", env, err)
			}
		}
		return chosenApp{rec.ID, app}, nil
	case err == nil && !rec.Deleted && !rec.External:
		c, err := a.openApp(ctx, rec)
		return chosenApp{rec.ID, c.Current}, err
	case e.HasDefaultApp:
		return chosenApp{"", e.DefaultApp}, nil
	case e.OAuth == nil:
		return chosenApp{}, nil
	}
	return chosenApp{}, ErrNoApp
}

func (a *Authorizer) configuredApp(ctx context.Context, env, connectorName string) (connector.App, error) {
	if a.cfg.App == nil {
		return connector.App{}, nil
	}
	app, err := a.cfg.App(ctx, env, connectorName)
	if err != nil {
		return connector.App{}, fmt.Errorf("auth: Config.App of %s for %s: %w", connectorName, env, err)
	}
	return app, nil
}

// appOf returns the App that a Connection was made with.
func (a *Authorizer) appOf(ctx context.Context, r Record, e *connector.Entry) (connector.App, error) {
	if r.App == "" {
		return e.DefaultApp, nil
	}
	configured, err := a.configuredApp(ctx, r.Environment, r.Connector)
	if err != nil {
		return connector.App{}, err
	}
	if !zeroApp(configured) && configured.ClientID == r.ClientID {
		return configured, nil
	}
	rec, err := a.cfg.Store.AppByID(ctx, r.App)
	if err != nil {
		return connector.App{}, fmt.Errorf("auth: App %s of %s: %w", r.App, r.ID, err)
	}
	c, err := a.openApp(ctx, rec)
	if err != nil {
		return connector.App{}, err
	}
	for _, app := range append([]connector.App{c.Current}, c.Former...) {
		if !zeroApp(app) && app.ClientID == r.ClientID {
			return app, nil
		}
	}
	if !zeroApp(configured) {
		return configured, nil
	}
	return connector.App{}, fmt.Errorf("%w: %s was made with client id %q, which is gone: the user must connect again", ErrNoApp, r.ID, r.ClientID)
}
