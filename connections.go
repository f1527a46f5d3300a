package interactor

import (
	"context"
	"errors"
	"log/slog"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/subscription"
)

// connections shows the accounts that auth keeps to the subscription room.
type connections struct{ auth *auth.Authorizer }

var _ subscription.Connections = connections{}

// Connection implements [subscription.Connections].
func (c connections) Connection(ctx context.Context, id string) (subscription.Connection, error) {
	rec, err := c.auth.Get(ctx, id)
	if errors.Is(err, auth.ErrNotFound) {
		return subscription.Connection{}, subscription.ErrNotFound
	}
	if err != nil {
		return subscription.Connection{}, err
	}
	return subscription.Connection{
		ID: rec.ID, Environment: rec.Environment, Account: rec.Account, Connector: rec.Connector, App: rec.App,
		Usable:     rec.Status == auth.Active,
		Ended:      rec.Status == auth.Revoked,
		Closing:    rec.Closing,
		EndedAt:    rec.Since,
		Identities: rec.Identities,
		Params:     rec.Params,
	}, nil
}

// Session implements [subscription.Connections].
func (c connections) Session(ctx context.Context, id string) (*connector.Session, error) {
	return c.auth.Session(ctx, id)
}

// Closed implements [subscription.Connections].
func (c connections) Closed(ctx context.Context, id string, giveUp bool) error {
	if giveUp {
		return c.auth.AbandonDisconnect(ctx, id)
	}
	return c.auth.FinishDisconnect(ctx, id)
}

// Refused implements [subscription.Connections].
func (c connections) Refused(ctx context.Context, id string, err error) error {
	if _, known := errors.AsType[*auth.ReconnectError](err); known {
		return nil // auth said so, and the account may have been connected again since
	}
	if errors.Is(err, connector.ErrScope) {
		return c.auth.MarkNeedsConsent(ctx, id, err.Error())
	}
	return c.auth.MarkExpired(ctx, id, err.Error())
}

func (cfg *Config) log() *slog.Logger {
	if cfg.Logger != nil {
		return cfg.Logger
	}
	return slog.Default() //nolint:forbidigo // the documented default
}
