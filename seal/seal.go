// Package seal keeps tokens and secrets unreadable in the store. Most programs
// never import it: interactor.Config.SealingKeys is enough. Implement [Keeper]
// when a KMS or a secret manager holds the key.
//
// Start with [Keyring]; [NewRing] is the same with the keys parsed once. Package
// sealtest judges a Keeper of your own.
package seal

import (
	"context"
	"errors"
)

// MaxPlaintext is how many bytes a Keeper must be able to seal at once.
const MaxPlaintext = 64 << 10

// Keeper seals and opens small secrets (at most [MaxPlaintext] bytes).
// Implementations are safe for concurrent use. bind is authenticated but not
// stored: opening with another bind must fail, so a sealed value cannot be moved
// to another record. It is never empty, and never secret: "<record id>/<field>".
//
// The caller owns what both methods return; they keep none of their arguments.
type Keeper interface {
	Seal(ctx context.Context, plaintext, bind []byte) ([]byte, error)
	Open(ctx context.Context, sealed, bind []byte) ([]byte, error)
}

// Errors to branch on. None of them, nor their texts, holds a key or a plaintext.
var (
	// ErrNoKey means that no key of the ring opens a value: a key was removed too
	// early, or the database belongs to another installation.
	ErrNoKey = errors.New("seal: no key opens this value")

	// ErrDamaged means that the right key is there and the value still does not
	// open: it was changed, cut short, or sealed for another record or field.
	ErrDamaged = errors.New("seal: value is damaged or belongs to another record")

	// ErrTooLarge means that a plaintext has more than [MaxPlaintext] bytes.
	ErrTooLarge = errors.New("seal: plaintext is larger than 64 KiB")

	// ErrNoBind means that a value was to be sealed or opened for no record.
	ErrNoBind = errors.New("seal: bind is empty: name the record and field")
)
