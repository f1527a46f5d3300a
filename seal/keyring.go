package seal

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

const keySize = 32 // bytes: AES-256

// Keyring is a Keeper over local keys: each is 32 random bytes in base64
// (openssl rand -base64 32). The first one seals, all of them open, so a key is
// rotated by putting a new one in front. AES-256-GCM; sealed values carry a
// fingerprint of their key, so keys need no names.
//
// Every call parses the keys anew, which costs a few microseconds. [NewRing]
// does it once.
type Keyring []string

var (
	_ Keeper         = Keyring(nil)
	_ fmt.Formatter  = Keyring(nil)
	_ fmt.Stringer   = Keyring(nil)
	_ fmt.GoStringer = Keyring(nil)
	_ slog.LogValuer = Keyring(nil)
	_ json.Marshaler = Keyring(nil)
)

// KeyError says what is wrong with one key of a Keyring, by its position and
// never by its content.
type KeyError struct {
	Index  int    // position in the Keyring
	Reason string // "is empty: make a key with …"
}

func (e *KeyError) Error() string { return fmt.Sprintf("seal: key %d %s", e.Index, e.Reason) }

// Validate reports every key that is not 32 bytes of base64, by its position,
// never by its content: a [KeyError] each, joined. No key at all is [ErrNoKey].
func (k Keyring) Validate() error {
	_, err := NewRing(k)
	return err
}

// Seal implements [Keeper].
func (k Keyring) Seal(ctx context.Context, plaintext, bind []byte) ([]byte, error) {
	r, err := NewRing(k)
	if err != nil {
		return nil, err
	}
	return r.Seal(ctx, plaintext, bind)
}

// Open implements [Keeper].
func (k Keyring) Open(ctx context.Context, sealed, bind []byte) ([]byte, error) {
	r, err := NewRing(k)
	if err != nil {
		return nil, err
	}
	return r.Open(ctx, sealed, bind)
}

// Current reports whether a value is sealed under the first key. One that is
// not should be opened and sealed again before its key is removed.
func (k Keyring) Current(sealed []byte) bool {
	r, err := NewRing(k)
	return err == nil && r.Current(sealed)
}

// String hides the keys.
func (k Keyring) String() string { return fmt.Sprintf("seal.Keyring(%d keys)", len(k)) }

// GoString hides the keys.
func (k Keyring) GoString() string { return k.String() }

// Format hides the keys from every verb of package fmt.
func (k Keyring) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// LogValue hides the keys.
func (k Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON hides the keys.
func (k Keyring) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// NewKey returns a fresh key for a Keyring.
func NewKey() string {
	var key [keySize]byte
	rand.Read(key[:]) // never fails: it ends the program instead
	return base64.StdEncoding.EncodeToString(key[:])
}

// parseKey returns the key, or what is wrong with it.
func parseKey(text string) (key [keySize]byte, reason string) {
	const advice = `make a key with "openssl rand -base64 32"`
	switch {
	case text == "":
		return key, "is empty: " + advice
	case strings.TrimSpace(text) != text || strings.ContainsAny(text, "\r\n"):
		return key, "has white space around or in it: remove it"
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return key, "is not base64: " + advice
	}
	if len(b) != keySize {
		return key, fmt.Sprintf("has %d bytes instead of %d: %s", len(b), keySize, advice)
	}
	copy(key[:], b)
	if key == ([keySize]byte{}) {
		return key, "is nothing but zeros: " + advice
	}
	return key, ""
}

// NewRing parses the keys of a Keyring. Its errors are those of
// [Keyring.Validate].
func NewRing(keys Keyring) (*Ring, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: the keyring is empty: make a key with \"openssl rand -base64 32\"", ErrNoKey)
	}
	var errs []error
	r := &Ring{keys: make([]ringKey, 0, len(keys))}
	for i, text := range keys {
		key, reason := parseKey(text)
		if reason != "" {
			errs = append(errs, &KeyError{Index: i, Reason: reason})
			continue
		}
		r.keys = append(r.keys, newRingKey(key))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return r, nil
}
