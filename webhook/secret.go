package webhook

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// How the three kinds of key begin, after the specification.
const (
	prefixSecret  = "whsec_" // symmetric, v1
	prefixPrivate = "whsk_"  // Ed25519 private key, v1a
	prefixPublic  = "whpk_"  // Ed25519 public key, v1a
)

// Bytes of a symmetric secret, after the specification.
const (
	minSecret = 24
	maxSecret = 64
	newSecret = 32
)

// NewSecret returns a fresh symmetric secret, "whsec_…", of 32 random bytes.
func NewSecret() string {
	b := make([]byte, newSecret)
	rand.Read(b) // never fails: it ends the program instead
	return prefixSecret + base64.StdEncoding.EncodeToString(b)
}

// NewKeyPair returns a fresh Ed25519 pair: "whsk_…" signs, "whpk_…" verifies and
// may be public.
func NewKeyPair() (private, public string) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	key := ed25519.NewKeyFromSeed(seed)
	return prefixPrivate + base64.StdEncoding.EncodeToString(key),
		prefixPublic + base64.StdEncoding.EncodeToString(key[ed25519.SeedSize:])
}

// ValidateSecret reports whether s can sign: a "whsec_…" of 24 to 64 bytes or a
// "whsk_…". The error wraps [ErrSecret], says what to do, and does not contain s.
func ValidateSecret(s string) error {
	if _, err := parseSigning(s); err != nil {
		return fmt.Errorf("%w: %w", ErrSecret, err)
	}
	return nil
}

// PublicKey returns the "whpk_…" of a "whsk_…": what to give to receivers. The
// error wraps [ErrSecret].
func PublicKey(private string) (string, error) {
	k, err := parseSigning(private)
	if err == nil && k.private == nil {
		err = errors.New("it is symmetric: it has no public key")
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSecret, err)
	}
	return prefixPublic + base64.StdEncoding.EncodeToString(k.private[ed25519.SeedSize:]), nil
}

// key is a parsed secret: exactly one member is set.
type key struct {
	hmac    []byte
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// parseSigning parses what a Signer may hold.
func parseSigning(s string) (key, error) {
	switch {
	case strings.HasPrefix(s, prefixSecret):
		return parseSymmetric(s)
	case strings.HasPrefix(s, prefixPrivate):
		b, err := decode(s[len(prefixPrivate):])
		if err != nil {
			return key{}, err
		}
		if len(b) != ed25519.PrivateKeySize {
			return key{}, fmt.Errorf("it has %d bytes: a %s key has %d, seed and public key", len(b), prefixPrivate, ed25519.PrivateKeySize)
		}
		// Signing with a public half of another key would give the private key away.
		private := ed25519.NewKeyFromSeed(b[:ed25519.SeedSize])
		if !private.Equal(ed25519.PrivateKey(b)) {
			return key{}, fmt.Errorf("the two halves of the %s key do not belong together", prefixPrivate)
		}
		return key{private: private}, nil
	case strings.HasPrefix(s, prefixPublic):
		return key{}, fmt.Errorf("it is a public key: signing takes %s…", prefixPrivate)
	}
	return key{}, errKind(s, prefixPrivate)
}

// parseVerifying parses what a Verifier may hold.
func parseVerifying(s string) (key, error) {
	switch {
	case strings.HasPrefix(s, prefixSecret):
		return parseSymmetric(s)
	case strings.HasPrefix(s, prefixPublic):
		b, err := decode(s[len(prefixPublic):])
		if err != nil {
			return key{}, err
		}
		if len(b) != ed25519.PublicKeySize {
			return key{}, fmt.Errorf("it has %d bytes: a %s key has %d", len(b), prefixPublic, ed25519.PublicKeySize)
		}
		return key{public: b}, nil
	case strings.HasPrefix(s, prefixPrivate):
		return key{}, fmt.Errorf("it is a private key, which only the sender should have: verifying takes %s…", prefixPublic)
	}
	return key{}, errKind(s, prefixPublic)
}

func parseSymmetric(s string) (key, error) {
	b, err := decode(s[len(prefixSecret):])
	if err != nil {
		return key{}, err
	}
	if len(b) < minSecret || len(b) > maxSecret {
		return key{}, fmt.Errorf("it has %d bytes: a %s secret has %d to %d", len(b), prefixSecret, minSecret, maxSecret)
	}
	return key{hmac: b}, nil
}

func errKind(s, asymmetric string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	return fmt.Errorf("it begins with neither %s nor %s", prefixSecret, asymmetric)
}

// decode is strict, so that a key has one spelling, and refuses a key of one
// repeated byte: that is a buffer nobody filled, and an Ed25519 public key of
// zeros even lets anybody sign.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which encoding/base64 skips
		return nil, errors.New("it contains a line break: remove it")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("what follows the prefix is not padded standard base64")
	}
	for _, c := range b {
		if c != b[0] {
			return b, nil
		}
	}
	return nil, errors.New("it is one byte repeated, or nothing: make a new one")
}

// parseAll parses every secret, and fails if one is malformed: leaving it out
// would turn a typing error into deliveries that fail some day later.
func parseAll(secrets []string, parse func(string) (key, error)) ([]key, error) {
	if len(secrets) == 0 {
		return nil, ErrNoSecret
	}
	if len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%w: there are %d of them, at most %d are possible", ErrSecret, len(secrets), maxSecrets)
	}
	keys := make([]key, len(secrets))
	for i, s := range secrets {
		var err error
		if keys[i], err = parse(s); err != nil {
			return nil, fmt.Errorf("%w: secret %d: %w", ErrSecret, i, err)
		}
	}
	return keys, nil
}
