package connector

import "maps"

// App is a registration at the provider.
type App struct {
	ClientID     string            `json:"client_id,omitempty"`
	ClientSecret string            `json:"client_secret,omitempty"`
	Scopes       []string          `json:"scopes,omitempty"` // beyond what the Triggers need
	Fields       map[string]string `json:"fields,omitempty"` // what the connector's AppFields declare
}

// FieldWebhookSecret is the App field whose value verifies requests at
// /webhooks/{connector} where a Forwarder works on its own, without accounts.
const FieldWebhookSecret = "webhook_secret"

// Names of what every App has, beside its Fields.
const (
	fieldClientID     = "client_id"
	fieldClientSecret = "client_secret"
)

// Values returns the fields under the names that secrets and Inbound.App know:
// client_id, client_secret and those of AppFields.
func (a App) Values() map[string]string {
	v := make(map[string]string, len(a.Fields)+2)
	maps.Copy(v, a.Fields)
	if a.ClientID != "" {
		v[fieldClientID] = a.ClientID
	}
	if a.ClientSecret != "" {
		v[fieldClientSecret] = a.ClientSecret
	}
	return v
}

// Placeholders returns the fields under the names that a Template knows:
// app.client_id, app.client_secret and app.{field}.
func (a App) Placeholders() map[string]string {
	v := make(map[string]string, len(a.Fields)+2)
	for name, f := range a.Values() {
		v["app."+name] = f
	}
	return v
}

// String hides what is in the App, so that a log line cannot show it.
func (a App) String() string { return "App{…}" }

// GoString hides what is in the App, as String does.
func (a App) GoString() string { return "connector.App{…}" }
