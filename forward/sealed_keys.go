package forward

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interactorhq/interactor/seal"
)

// Bounds of a data key. Nonces are random, so NIST SP 800-38D, 8.3, allows 2^32
// messages under one key; half of that is left for those who still use it while
// the next one is made.
const (
	dataKeyLife  = 24 * time.Hour
	dataKeyUses  = 1 << 31
	dataKeyMost  = 1<<32 - 1<<20 // more are refused
	dataKeyRetry = time.Minute   // after a Keeper that failed to seal the next one

	openedKeys    = 256 // kept; each process makes one a day
	openedTimeout = 30 * time.Second
)

// dataKeys seals with keys of this process, each of which the Keeper has sealed
// once, and keeps those that it has opened: a KMS is asked about keys and not
// about events. Safe for concurrent use.
type dataKeys struct {
	keeper seal.Keeper
	now    func() time.Time
	log    *slog.Logger

	current atomic.Pointer[dataKey]
	making  sync.Mutex

	mu     sync.Mutex
	opened map[string]*openedKey // by the sealed key
}

// dataKey is one that seals.
type dataKey struct {
	sealed []byte
	aead   cipher.AEAD // makes nonces by itself
	uses   atomic.Uint64
	renew  atomic.Int64 // when to make the next one, in nanoseconds since 1970
}

// openedKey is one that opens. done is closed when it was opened, or could not be.
type openedKey struct {
	done chan struct{}
	aead cipher.AEAD
	err  error
}

// bindDataKey is what sealed data keys are bound to, beside every other record.
func bindDataKey() []byte { return []byte("forward/data-key") }

func bindField(id, field string) []byte { return []byte(id + "/" + field) }

// seal returns the stored form of a field. None stays none.
func (k *dataKeys) seal(ctx context.Context, plaintext []byte, id, field string) ([]byte, error) {
	if len(plaintext) == 0 {
		return plaintext, nil
	}
	key, err := k.key(ctx)
	if err != nil {
		return nil, fmt.Errorf("forward: sealing: %w", err)
	}
	out := make([]byte, 0, 3+len(key.sealed)+len(plaintext)+key.aead.Overhead())
	out = binary.BigEndian.AppendUint16(append(out, formKeyed), uint16(len(key.sealed))) //nolint:gosec // its length was checked
	out = append(out, key.sealed...)
	return key.aead.Seal(out, nil, plaintext, bindField(id, field)), nil //nolint:gosec // G407: it makes a random nonce by itself
}

// key returns the one to seal with, and makes the next one when it is time to.
func (k *dataKeys) key(ctx context.Context) (*dataKey, error) {
	if key := k.current.Load(); key != nil {
		uses := key.uses.Add(1)
		if uses < dataKeyUses && k.now().UnixNano() < key.renew.Load() {
			return key, nil
		}
		if uses < dataKeyMost && !k.making.TryLock() {
			return key, nil // somebody makes it
		} else if uses < dataKeyMost {
			defer k.making.Unlock()
			if next := k.current.Load(); next != key {
				next.uses.Add(1)
				return next, nil
			}
			next, err := k.make(ctx)
			if err != nil { // a KMS that is away stops nothing
				k.log.WarnContext(ctx, "the Keeper could not seal a new data key; the former one is used on", "error", err)
				key.renew.Store(k.now().Add(dataKeyRetry).UnixNano())
				return key, nil
			}
			return next, nil
		}
	}
	k.making.Lock()
	defer k.making.Unlock()
	if key := k.current.Load(); key != nil && key.uses.Add(1) < dataKeyUses {
		return key, nil
	}
	return k.make(ctx)
}

// make makes a key and lets the Keeper seal it. making is held.
func (k *dataKeys) make(ctx context.Context) (*dataKey, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails: it ends the program instead
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openedTimeout)
	defer cancel()
	sealed, err := k.keeper.Seal(ctx, secret, bindDataKey())
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 || len(sealed) > 1<<16-1 {
		return nil, errors.New("the Keeper made nothing, or more than 64 KiB, of a key")
	}
	aead, err := newDataGCM(secret)
	if err != nil {
		return nil, err
	}
	key := &dataKey{sealed: sealed, aead: aead}
	key.uses.Store(1)
	key.renew.Store(k.now().Add(dataKeyLife).UnixNano())
	k.current.Store(key)
	done := make(chan struct{})
	close(done)
	k.remember(string(sealed), &openedKey{done: done, aead: aead})
	return key, nil
}

// open returns a field in plain. stored begins with formKeyed.
func (k *dataKeys) open(ctx context.Context, stored []byte, id, field string) ([]byte, error) {
	if len(stored) < 3 || len(stored) < 3+int(binary.BigEndian.Uint16(stored[1:])) {
		return nil, errSealedDamaged
	}
	end := 3 + int(binary.BigEndian.Uint16(stored[1:]))
	aead, err := k.opener(ctx, stored[3:end])
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nil, stored[end:], bindField(id, field))
	if err != nil {
		return nil, errSealedDamaged
	}
	return plaintext, nil
}

// opener returns what opens the values of a sealed data key. Of several who want
// the same one at the same time one asks the Keeper.
func (k *dataKeys) opener(ctx context.Context, sealed []byte) (cipher.AEAD, error) {
	k.mu.Lock()
	have := k.opened[string(sealed)]
	if have == nil {
		have = &openedKey{done: make(chan struct{})}
		name := string(sealed)
		k.put(name, have)
		k.mu.Unlock()
		k.ask(ctx, name, have)
	} else {
		k.mu.Unlock()
	}
	select {
	case <-have.done:
		return have.aead, have.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask opens a data key. What fails is not kept.
func (k *dataKeys) ask(ctx context.Context, name string, into *openedKey) {
	defer close(into.done)
	into.err = errors.New("forward: the Keeper panicked") // unless it returns
	defer func() {
		if into.err != nil {
			k.forget(name, into)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openedTimeout)
	defer cancel()
	secret, err := k.keeper.Open(ctx, []byte(name), bindDataKey())
	if err == nil {
		into.aead, err = newDataGCM(secret)
	}
	into.err = err
}

func (k *dataKeys) remember(name string, key *openedKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.put(name, key)
}

// put keeps a key; when there are too many, any other one goes. k.mu is held.
func (k *dataKeys) put(name string, key *openedKey) {
	if k.opened == nil {
		k.opened = make(map[string]*openedKey)
	}
	if len(k.opened) >= openedKeys {
		for other := range k.opened {
			delete(k.opened, other)
			break
		}
	}
	k.opened[name] = key
}

func (k *dataKeys) forget(name string, key *openedKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opened[name] == key {
		delete(k.opened, name)
	}
}

func newDataGCM(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, errSealedDamaged
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
