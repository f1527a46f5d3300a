package interactor

import (
	"context"
	"errors"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
)

var _ forward.Streams = (*directory)(nil)

// Streams implements [forward.Streams]: the default App of a connector, and those
// of Environments.
func (d *directory) Streams(ctx context.Context, name string) ([]forward.Address, error) {
	e, ok := d.registry.Lookup(name)
	if !ok {
		return nil, nil
	}
	var list []forward.Address
	if e.HasDefaultApp {
		list = append(list, forward.Address{Connector: name, AppFields: e.DefaultApp.Values()})
	}
	for own, err := range d.auth.Apps(ctx, name) {
		if err != nil {
			return nil, err
		}
		dep, err := d.deploymentOf(ctx, own.Environment)
		if errors.Is(err, deployment.ErrNotFound) {
			continue // the Environment is being deleted
		}
		if err != nil {
			return nil, err
		}
		for _, app := range append([]connector.App{own.App}, own.Former...) {
			if app.ClientID == "" && len(app.Fields) == 0 {
				continue // Config.App no longer knows it
			}
			list = append(list, forward.Address{
				Connector: name, App: own.ID, Endpoint: own.ID, Environment: own.Environment, Deployment: dep, AppFields: app.Values(),
			})
		}
	}
	return list, nil
}
