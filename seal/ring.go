package seal

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
)

// A sealed value:
//
//	version 1 byte | fingerprint of the key 8 bytes | salt 32 bytes | AES-256-GCM ciphertext and tag
//
// The GCM key and nonce of each value are derived from the ring's key and the
// salt (HKDF-SHA-256, RFC 5869). Random 96-bit nonces under one key would have
// to stop after 2^32 values (NIST SP 800-38D, section 8.3), which a large
// installation that refreshes tokens every hour reaches within a year; with a
// key per value nobody has to count. Everything before the ciphertext is
// authenticated together with bind.
const (
	version1        = 1
	fingerprintSize = 8
	saltSize        = 32
	nonceSize       = 12
	tagSize         = 16
	headerSize      = 1 + fingerprintSize + saltSize
	overhead        = headerSize + tagSize
)

// What a key is used for; part of the format.
const (
	infoFingerprint = "interactor/seal/v1 fingerprint"
	infoValue       = "interactor/seal/v1 value"
)

// Ring is a Keyring whose keys were parsed by [NewRing]. It is immutable and
// safe for concurrent use. The zero Ring has no key and opens nothing.
type Ring struct{ keys []ringKey }

type ringKey struct {
	// secret returns the key. A function, because package fmt cannot see the
	// methods of a Ring in an unexported field of somebody's struct and would
	// print bytes, also behind a pointer; of a function it prints the address.
	secret      func() [keySize]byte
	fingerprint [fingerprintSize]byte
}

var (
	_ Keeper         = (*Ring)(nil)
	_ fmt.Formatter  = Ring{}
	_ fmt.Stringer   = Ring{}
	_ fmt.GoStringer = Ring{}
	_ slog.LogValuer = Ring{}
)

func newRingKey(key [keySize]byte) ringKey {
	k := ringKey{secret: func() [keySize]byte { return key }}
	copy(k.fingerprint[:], derive(key, nil, infoFingerprint, fingerprintSize))
	return k
}

// Seal implements [Keeper]: it seals with the first key. ctx is not used.
func (r *Ring) Seal(_ context.Context, plaintext, bind []byte) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, ErrTooLarge
	}
	if len(bind) == 0 {
		return nil, ErrNoBind
	}
	if len(r.keys) == 0 {
		return nil, ErrNoKey
	}
	k := r.keys[0]
	out := make([]byte, headerSize, overhead+len(plaintext))
	out[0] = version1
	copy(out[1:], k.fingerprint[:])
	rand.Read(out[1+fingerprintSize:]) // never fails: it ends the program instead
	return k.value(out[1+fingerprintSize:]).seal(out, plaintext, associated(out, bind)), nil
}

// Open implements [Keeper]. Its errors are [ErrNoKey], [ErrDamaged] and
// [ErrNoBind]. ctx is not used.
func (r *Ring) Open(_ context.Context, sealed, bind []byte) ([]byte, error) {
	if len(bind) == 0 {
		return nil, ErrNoBind
	}
	if len(sealed) > 0 && sealed[0] != version1 {
		return nil, errForeign
	}
	if len(sealed) < overhead || len(sealed) > overhead+MaxPlaintext {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(sealed))
	}
	header, ciphertext := sealed[:headerSize], sealed[headerSize:]
	var known bool
	for _, k := range r.keys {
		// The fingerprint is no secret: it stands in clear in every value.
		if !bytes.Equal(header[1:1+fingerprintSize], k.fingerprint[:]) {
			continue
		}
		known = true
		if plaintext, ok := k.value(header[1+fingerprintSize:]).open(ciphertext, associated(header, bind)); ok {
			return plaintext, nil
		}
	}
	if !known {
		return nil, ErrNoKey
	}
	return nil, ErrDamaged
}

// Current reports whether a value is sealed under the first key. One that is
// not should be opened and sealed again before its key is removed.
func (r *Ring) Current(sealed []byte) bool {
	return len(r.keys) > 0 && len(sealed) >= overhead && sealed[0] == version1 &&
		bytes.Equal(sealed[1:1+fingerprintSize], r.keys[0].fingerprint[:])
}

// String hides the keys.
func (r Ring) String() string { return fmt.Sprintf("seal.Ring(%d keys)", len(r.keys)) }

// GoString hides the keys.
func (r Ring) GoString() string { return r.String() }

// Format hides the keys from every verb of package fmt.
func (r Ring) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// LogValue hides the keys.
func (r Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// valueKey is what seals one single value.
type valueKey struct {
	aead  cipher.AEAD
	nonce []byte
}

func (k ringKey) value(salt []byte) valueKey { return valueKeyOf(k.secret(), salt) }

func valueKeyOf(key [keySize]byte, salt []byte) valueKey {
	b := derive(key, salt, infoValue, keySize+nonceSize)
	block, err := aes.NewCipher(b[:keySize])
	if err != nil {
		panic("seal: AES refused a key of 32 bytes: " + err.Error()) // cannot be
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("seal: GCM refused AES: " + err.Error()) // cannot be
	}
	return valueKey{aead, b[keySize:]}
}

func (v valueKey) seal(dst, plaintext, ad []byte) []byte {
	return v.aead.Seal(dst, v.nonce, plaintext, ad)
}

func (v valueKey) open(ciphertext, ad []byte) ([]byte, bool) {
	plaintext, err := v.aead.Open(nil, v.nonce, ciphertext, ad)
	return plaintext, err == nil
}

// associated is unambiguous because the header has a fixed size, or says its size.
func associated(header, bind []byte) []byte {
	return append(append(make([]byte, 0, len(header)+len(bind)), header...), bind...)
}

func derive(key [keySize]byte, salt []byte, info string, size int) []byte {
	b, err := hkdf.Key(sha256.New, key[:], salt, info, size)
	if err != nil {
		panic("seal: HKDF refused " + info + ": " + err.Error()) // only beyond 255 hashes of output
	}
	return b
}
