package forward

import (
	"context"
	"fmt"
	"slices"

	"github.com/interactorhq/interactor/connector"
)

// solo is the Directory of a Forwarder on its own: one address for each
// connector, one recipient for everything.
type solo struct {
	addresses map[string]Address
	recipient Recipient
	settings  Settings
}

var _ Directory = (*solo)(nil)

func newSolo(cfg Config, registry *connector.Registry) *solo {
	d := &solo{
		addresses: make(map[string]Address),
		recipient: Recipient{Deployment: cfg.DefaultDeployment, Environment: cfg.DefaultEnvironment},
		settings:  cfg.Settings,
	}
	if registry == nil {
		return d
	}
	for entry := range registry.All() {
		d.addresses[entry.Name] = Address{
			Connector: entry.Name, Secrets: ownSecrets(entry), AppFields: entry.DefaultApp.Values(),
			Deployment: cfg.DefaultDeployment, Environment: cfg.DefaultEnvironment,
		}
	}
	return d
}

// checkSecrets reports connectors whose requests could not be verified.
func checkSecrets(registry *connector.Registry) (problems []error) {
	for entry := range registry.All() {
		switch {
		case entry.Verifier == nil || entry.Decoder == nil:
			problems = append(problems, fmt.Errorf("Connectors: %s receives no webhooks, so a Forwarder on its own gets nothing from it: connect accounts with package interactor", entry.Name)) //nolint:staticcheck // ST1005: it begins with a field's name
		case len(ownSecrets(entry)) == 0 && needsSecret(entry):
			problems = append(problems, fmt.Errorf("Connectors: %s has no webhook secret: set it in the connector's Config", entry.Name)) //nolint:staticcheck // ST1005: it begins with a field's name
		}
	}
	return problems
}

// ownSecrets are what the connector's own Config names.
func ownSecrets(entry *connector.Entry) []string {
	values := entry.DefaultApp.Values()
	names := []string{connector.FieldWebhookSecret}
	for _, w := range entry.Watches {
		if app, _ := w.Secret.Field(); w.Intake == connector.AtApp && app != "" {
			names = append(names, app)
		}
	}
	var secrets []string
	for _, name := range names {
		if v := values[name]; v != "" && !slices.Contains(secrets, v) {
			secrets = append(secrets, v)
		}
	}
	return secrets
}

// needsSecret is false where public keys verify.
func needsSecret(entry *connector.Entry) bool {
	for _, w := range entry.Watches {
		if w.Intake == connector.AtApp && w.Secret == connector.SecretNone {
			return false
		}
	}
	return true
}

// Address knows the connectors' own addresses.
func (d *solo) Address(_ context.Context, connector, endpoint string) (Address, error) {
	a, ok := d.addresses[connector]
	if !ok || endpoint != "" {
		return Address{}, ErrNoAddress
	}
	return a, nil
}

// Learn refuses: there is nowhere to keep a key.
func (d *solo) Learn(context.Context, Address, string) error { return ErrKeyKnown }

// Recipients is the same one for everything.
func (d *solo) Recipients(context.Context, Address, string, []connector.Key) ([]Recipient, error) {
	return []Recipient{d.recipient}, nil
}

// Subscription finds none: nothing is watched for anybody.
func (d *solo) Subscription(context.Context, string) (*Expandable, error) { return nil, ErrNoAddress }

// Signal is lost: there is no Connection that it could change.
func (d *solo) Signal(context.Context, Recipient, connector.Signal, string) error { return nil }

// Settings are those of the Config.
func (d *solo) Settings(context.Context, string) (Settings, error) { return d.settings, nil }
