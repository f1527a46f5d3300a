package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/interactorhq/interactor/seal"
)

// NewDataKey lets payloads be sealed under a new data key from now on, which the
// Keeper seals under its key of today. Where none was needed yet, it does nothing.
// When the Keeper fails, the former one is used on.
func (f *Forwarder) NewDataKey(ctx context.Context) error {
	f.keys.making.Lock()
	defer f.keys.making.Unlock()
	if f.keys.current.Load() == nil {
		return nil
	}
	if _, err := f.keys.make(ctx); err != nil {
		return fmt.Errorf("forward: a new data key: %w", err)
	}
	return nil
}

// Reseal returns a stored value of this room sealed under the keys of today, or
// nil when it is that already or is stored in plain. It stores nothing. Errors:
// [ErrSealed], those of the Keeper.
func (f *Forwarder) Reseal(ctx context.Context, v seal.Stored) ([]byte, error) {
	anew, err := f.reseal(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("forward: sealing the %s of %s anew: %w", v.Kind, v.Record, err)
	}
	return anew, nil
}

func (f *Forwarder) reseal(ctx context.Context, v seal.Stored) ([]byte, error) {
	var field string
	switch v.Kind {
	case seal.KindRequest:
		return f.resealRequest(ctx, v)
	case seal.KindPayload, seal.KindRaw, seal.KindThin, seal.KindResponse:
		field = string(v.Kind)
	default:
		return nil, errors.New("there is no such kind")
	}
	switch {
	case len(v.Sealed) == 0 || v.Sealed[0] != formKeyed:
		return nil, nil
	case f.cfg.Keeper == nil:
		return nil, ErrSealed
	}
	if key, ok := sealedKey(v.Sealed); ok && seal.Current(f.cfg.Keeper, key) {
		return nil, nil
	}
	plaintext, err := f.keys.open(ctx, v.Sealed, v.Record, field)
	if err != nil {
		return nil, err
	}
	return f.keys.seal(ctx, plaintext, v.Record, field)
}

func (f *Forwarder) resealRequest(ctx context.Context, v seal.Stored) ([]byte, error) {
	switch {
	case len(v.Sealed) == 0 || v.Sealed[0] == formPlain:
		return nil, nil
	case f.cfg.Keeper == nil:
		return nil, ErrSealed
	}
	if key, ok := sealedKey(v.Sealed); ok && seal.Current(f.cfg.Keeper, key) {
		return nil, nil
	}
	request, err := openLarge(ctx, f.cfg.Keeper, v.Sealed, bindDead(v.Record))
	if errors.Is(err, errDamaged) {
		return nil, errSealedDamaged
	}
	if err != nil {
		return nil, err
	}
	return sealLarge(ctx, f.cfg.Keeper, request, bindDead(v.Record))
}

// sealedKey returns the sealed key that both forms of sealed values begin with.
func sealedKey(stored []byte) (key []byte, ok bool) {
	if len(stored) < 3 || len(stored) < 3+int(binary.BigEndian.Uint16(stored[1:])) {
		return nil, false
	}
	return stored[3 : 3+int(binary.BigEndian.Uint16(stored[1:]))], true
}
