package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/interactorhq/interactor/seal"
)

// Reseal returns a stored value of this room sealed under the key of today, or nil
// when it is that already. It stores nothing. Errors: those of the Keeper.
func (a *Authorizer) Reseal(ctx context.Context, v seal.Stored) ([]byte, error) {
	switch v.Kind {
	case seal.KindToken:
		return a.reseal(ctx, v, tokenField)
	case seal.KindFields:
		return a.reseal(ctx, v, fieldsField)
	case seal.KindApp:
		return a.reseal(ctx, v, appField)
	case seal.KindConsent: // the store does not know which of both it is
		anew, err := a.reseal(ctx, v, stateField)
		if errors.Is(err, seal.ErrDamaged) {
			return a.reseal(ctx, v, ticketField)
		}
		return anew, err
	default:
		return nil, fmt.Errorf("auth: nothing of kind %q is kept here", v.Kind)
	}
}

func (a *Authorizer) reseal(ctx context.Context, v seal.Stored, field string) ([]byte, error) {
	anew, err := seal.Anew(ctx, a.cfg.Keeper, v.Sealed, bind(v.Record, field))
	if err != nil {
		return nil, fmt.Errorf("auth: seal %s of %s anew: %w", field, v.Record, err)
	}
	return anew, nil
}

// sameToken reports whether two sealed tokens of a Connection are the same token:
// one that was sealed anew meanwhile was not replaced by another one.
func (a *Authorizer) sameToken(ctx context.Context, connection string, x, y []byte) (bool, error) {
	if bytes.Equal(x, y) {
		return true, nil
	}
	if len(x) == 0 || len(y) == 0 {
		return false, nil
	}
	one, err := a.open(ctx, connection, tokenField, x)
	if err != nil {
		return false, err
	}
	defer clear(one)
	other, err := a.open(ctx, connection, tokenField, y)
	if err != nil {
		return false, err
	}
	defer clear(other)
	return bytes.Equal(one, other), nil
}
