// Package gocloud keeps the sealing key in a cloud's KMS, by way of
// gocloud.dev/secrets: AWS KMS, Google Cloud KMS, Azure Key Vault, and for tests a
// local key. It is a module of its own, so that programs without a KMS do not get
// its dependencies.
//
// Start with [Open], import the driver of your cloud beside it, and give the
// Keeper to interactor.Config:
//
//	import _ "gocloud.dev/secrets/gcpkms"
//
//	keeper, err := gocloud.Open(ctx, gocloud.Config{Keys: []gocloud.Key{{URL: "gcpkms://projects/p/locations/eu/keyRings/r/cryptoKeys/k"}}})
//	…
//	defer keeper.Close()
//	interactor.New(interactor.Config{Keeper: keeper, …})
//
// The KMS is asked for data keys, once for each in a process, and never for an
// event: see seal.Envelope.
package gocloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"gocloud.dev/gcerrors"
	"gocloud.dev/secrets"

	"github.com/interactorhq/interactor/seal"
)

// Config of a [Keeper].
type Config struct {
	// Keys at a KMS. The first one seals, all of them open; put a new one in front
	// to rotate. Required.
	Keys []Key

	// Former opens what was sealed before there was a KMS, such as the
	// seal.Keyring of former Config.SealingKeys. Defaults to none.
	Former seal.Keeper

	// DataKeyLife, Timeout and Logger are those of seal.EnvelopeConfig.
	DataKeyLife, Timeout time.Duration
	Logger               *slog.Logger
}

// Key is a key at a KMS: its URL, or a Keeper that the caller has opened.
type Key struct {
	// URL of the key, as https://gocloud.dev/howto/secrets says for each cloud.
	URL string

	// Keeper takes the place of URL, for credentials of one's own. Its caller
	// closes it.
	Keeper *secrets.Keeper

	// Name tells keys apart in the store, by a hash, and in errors. It must stay as
	// it is while values are sealed with the key. Defaults to URL, whose parameters
	// have to stay, then; required with Keeper.
	Name string
}

// localScheme is that of keys that stand in their URLs.
const localScheme = "base64key"

// Keeper is a seal.Keeper over keys at a KMS. It is safe for concurrent use.
type Keeper struct {
	seal.Chain // an Envelope, and Config.Former if there is one

	opened []*secrets.Keeper
}

var _ seal.Keeper = (*Keeper)(nil)

// Open opens the keys of cfg and checks that the first one encrypts and decrypts,
// so that a wrong name or a missing right shows at once. Close the Keeper when
// nothing uses it any more. Errors: those of cfg, and seal.ErrKMS.
func Open(ctx context.Context, cfg Config) (*Keeper, error) {
	if len(cfg.Keys) == 0 {
		return nil, errors.New(`gocloud: Config.Keys is empty: name a key, such as {URL: "awskms://alias/interactor?region=eu-central-1"}`)
	}
	k := &Keeper{}
	if err := k.open(ctx, cfg); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Keeper) open(ctx context.Context, cfg Config) error {
	keys := make([]seal.KMSKey, 0, len(cfg.Keys))
	for i, key := range cfg.Keys {
		keeper, name := key.Keeper, key.Name
		switch {
		case (keeper == nil) == (key.URL == ""):
			return fmt.Errorf("gocloud: Config.Keys[%d] needs either a URL or a Keeper", i)
		case keeper != nil && name == "":
			return fmt.Errorf("gocloud: Config.Keys[%d].Name is empty: a Keeper does not say which key it has", i)
		case keeper == nil:
			var err error
			if keeper, err = openURL(ctx, key.URL); err != nil {
				return fmt.Errorf("gocloud: Config.Keys[%d].URL: %w", i, err)
			}
			k.opened = append(k.opened, keeper)
		}
		if name == "" {
			name = nameOf(key.URL)
		}
		keys = append(keys, seal.KMSKey{Name: name, KMS: kms{keeper}})
	}
	envelope, err := seal.NewEnvelope(seal.EnvelopeConfig{Keys: keys, DataKeyLife: cfg.DataKeyLife, Timeout: cfg.Timeout, Logger: cfg.Logger})
	if err != nil {
		return fmt.Errorf("gocloud: %w", err)
	}
	k.Chain = seal.Chain{envelope}
	if cfg.Former != nil {
		k.Chain = append(k.Chain, cfg.Former)
	}
	return check(ctx, keys[0], cfg.Timeout)
}

// openURL opens a key by its URL. What stands in the URL is not in its errors: of
// a local key it is the key.
func openURL(ctx context.Context, address string) (*secrets.Keeper, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return nil, errors.New("is none: see https://gocloud.dev/howto/secrets for those of each cloud")
	}
	keeper, err := secrets.OpenKeeper(ctx, address)
	switch {
	case err == nil:
		return keeper, nil
	case u.Scheme == localScheme:
		return nil, errors.New("is no local key: base64key:// and 32 bytes in base64url")
	}
	return nil, fmt.Errorf("import the driver of %s://, such as gocloud.dev/secrets/awskms, and see that the rest is as it says: %w", u.Scheme, err)
}

// nameOf is how a key is called in errors: never by itself.
func nameOf(address string) string {
	if scheme, _, _ := strings.Cut(address, "://"); scheme != localScheme {
		return address
	}
	sum := sha256.Sum256([]byte(address))
	return localScheme + " " + hex.EncodeToString(sum[:8])
}

// check lets a key encrypt and decrypt once.
func check(ctx context.Context, key seal.KMSKey, timeout time.Duration) error {
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	probe := []byte("interactor: does this key work?!")
	sealed, err := key.KMS.Encrypt(ctx, probe)
	if err != nil {
		return fmt.Errorf("gocloud: %w: %s does not encrypt: %w", seal.ErrKMS, key.Name, err)
	}
	opened, err := key.KMS.Decrypt(ctx, sealed)
	if err != nil {
		return fmt.Errorf("gocloud: %w: %s encrypts and does not decrypt: %w", seal.ErrKMS, key.Name, err)
	}
	if !bytes.Equal(opened, probe) {
		return fmt.Errorf("gocloud: %w: %s decrypts something else than it encrypted", seal.ErrKMS, key.Name)
	}
	return nil
}

// Close closes the keys that Open opened by URL.
func (k *Keeper) Close() error {
	var errs []error
	for _, one := range k.opened {
		if err := one.Close(); err != nil {
			errs = append(errs, fmt.Errorf("gocloud: %w", err))
		}
	}
	k.opened = nil
	return errors.Join(errs...)
}

// kms says which errors are final. What a KMS calls an invalid argument is a
// ciphertext that it did not make, or that was changed; all else may pass: a key
// that is disabled is enabled again, a right that was taken is given back.
type kms struct{ *secrets.Keeper }

var _ seal.KMS = kms{}

// Decrypt implements seal.KMS.
func (k kms) Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error) {
	plaintext, err := k.Keeper.Decrypt(ctx, ciphertext)
	if err != nil && gcerrors.Code(err) == gcerrors.InvalidArgument {
		return nil, fmt.Errorf("%w: the KMS did not make its data key: %w", seal.ErrDamaged, err)
	}
	return plaintext, err
}
