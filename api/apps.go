package api

import (
	"errors"
	"net/http"
	"slices"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

// setApp serves PUT /apps/{connector}. Secrets are write-only: one that the body
// does not name stays, as long as client id and server do; "" removes it. All
// else is replaced.
func (a *api) setApp(c *call) (answer, error) {
	e, err := a.lookup(c)
	if err != nil {
		return answer{}, err
	}
	body, err := c.body()
	if err != nil {
		return answer{}, err
	}
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	var app connector.App
	o := parseObject(body)
	o.text("client_id", &app.ClientID)
	secretGiven := o.text("client_secret", &app.ClientSecret)
	o.texts("scopes", &app.Scopes)
	o.textMap("fields", &app.Fields)
	if err := o.end(); err != nil {
		return answer{}, err
	}
	before, err := a.cfg.Auth.App(c.r.Context(), c.environment, e.Name)
	if err != nil && !errors.Is(err, auth.ErrNoApp) {
		return answer{}, err
	}
	if err == nil && before.External {
		return answer{}, managedApp()
	}
	if err == nil && before.App.ClientID == app.ClientID {
		if err := keepSecrets(e, &app, before.App, secretGiven); err != nil {
			return answer{}, err
		}
	}
	if app.ClientID == "" && app.ClientSecret == "" && len(app.Scopes) == 0 && len(app.Fields) == 0 {
		if e.OAuth != nil {
			return answer{}, missing("client_id", "give the one of your registration at the provider, or DELETE to go back to the default App")
		}
		return answer{}, badBody("", "the App is empty: give fields, or DELETE to go back to the default App")
	}
	if err := a.cfg.Auth.SetApp(c.r.Context(), c.environment, e.Name, app); err != nil {
		return answer{}, err
	}
	now, err := a.cfg.Auth.App(c.r.Context(), c.environment, e.Name)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusOK, a.appOf(e, now))
}

func managedApp() *failure {
	return fail(http.StatusConflict, CodeManaged, "", "the program has the App of this environment; change it there")
}

// keepSecrets takes over what the body left out; but not to another server, which
// would be a way to read what is write-only.
func keepSecrets(e *connector.Entry, app *connector.App, before connector.App, secretGiven bool) error {
	moved := slices.ContainsFunc(e.AppAddresses(), func(name string) bool { return app.Fields[name] != before.Fields[name] })
	if !secretGiven && before.ClientSecret != "" {
		if moved {
			return missing("client_secret", "the App moves to another server, so name its secrets again")
		}
		app.ClientSecret = before.ClientSecret
	}
	for _, f := range e.AppFields {
		if !f.Secret {
			continue
		}
		value, given := app.Fields[f.Name]
		switch {
		case given && value == "":
			delete(app.Fields, f.Name)
		case !given && before.Fields[f.Name] != "":
			if moved {
				return missing(f.Name, "the App moves to another server, so name its secrets again")
			}
			if app.Fields == nil {
				app.Fields = make(map[string]string)
			}
			app.Fields[f.Name] = before.Fields[f.Name]
		}
	}
	return nil
}

func (a *api) appOf(e *connector.Entry, own auth.OwnApp) App {
	out := App{
		Connector: e.Name, ClientID: own.App.ClientID, Scopes: some(own.App.Scopes),
		Fields: make(map[string]string), SecretsSet: []string{},
	}
	if own.App.ClientSecret != "" {
		out.SecretsSet = append(out.SecretsSet, "client_secret")
	}
	for name, value := range own.App.Fields {
		declared := slices.IndexFunc(e.AppFields, func(f connector.Field) bool { return f.Name == name })
		switch {
		case declared >= 0 && !e.AppFields[declared].Secret:
			out.Fields[name] = value
		case value != "": // of what is no longer declared nobody knows that it is no secret
			out.SecretsSet = append(out.SecretsSet, name)
		}
	}
	slices.Sort(out.SecretsSet)
	if e.OAuth != nil {
		out.RedirectURI = a.cfg.Auth.CallbackURL()
	}
	if slices.ContainsFunc(e.Watches, func(w connector.Watch) bool { return w.Intake == connector.AtApp }) {
		out.WebhookURL = a.public + "/webhooks/" + e.Name + "/" + own.ID
	}
	return out
}

// removeApp serves DELETE /apps/{connector}.
func (a *api) removeApp(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	e, err := a.lookup(c)
	if err != nil {
		return answer{}, err
	}
	own, err := a.cfg.Auth.App(c.r.Context(), c.environment, e.Name)
	if err == nil && own.External { // the program would bring it back with the next consent
		return answer{}, managedApp()
	}
	if err != nil && !errors.Is(err, auth.ErrNoApp) {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.cfg.Auth.DeleteApp(c.r.Context(), c.environment, e.Name)
}
