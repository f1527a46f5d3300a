package seal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// Chain seals with its first Keeper and opens with whichever of them can: from a
// [Keyring] to an [Envelope], from one KMS to another. Remove those behind the
// first one when everything was sealed anew (interactor.Interactor.Reseal).
type Chain []Keeper

var _ Keeper = Chain(nil)

// Seal implements [Keeper].
func (c Chain) Seal(ctx context.Context, plaintext, bind []byte) ([]byte, error) {
	if len(c) == 0 {
		return nil, ErrNoKey
	}
	return c[0].Seal(ctx, plaintext, bind)
}

// Open implements [Keeper]. When none of them opens a value, an error that may
// pass, such as of a KMS that does not answer, goes before [ErrNoKey] and
// [ErrDamaged]: nothing is taken for lost while somebody who may know was not
// heard. Of values that it has not sealed a Keeper in a Chain says ErrNoKey.
func (c Chain) Open(ctx context.Context, sealed, bind []byte) ([]byte, error) {
	var passing, damaged, noKey, foreign error
	for _, k := range c {
		plaintext, err := k.Open(ctx, sealed, bind)
		switch {
		case err == nil:
			return plaintext, nil
		case errors.Is(err, errForeign):
			foreign = cmp.Or(foreign, err)
		case errors.Is(err, ErrNoKey):
			noKey = cmp.Or(noKey, err)
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNoBind): // it has the key
			damaged = cmp.Or(damaged, err)
		default:
			passing = cmp.Or(passing, err)
		}
	}
	return nil, cmp.Or(passing, damaged, noKey, foreign, ErrNoKey)
}

// Current reports whether a value is sealed under the key of today of the first one.
func (c Chain) Current(sealed []byte) bool { return len(c) > 0 && Current(c[0], sealed) }

// errForeign means that a value has a form that a Keeper of this package does not
// make: one that another Keeper may open.
var errForeign = fmt.Errorf("%w: unknown version: it was sealed by a newer release, or not by this Keeper", ErrDamaged)
