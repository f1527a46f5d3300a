package interactor_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/seal"
)

// kms is a key management service with one key, which counts.
type kms struct {
	ring  *seal.Ring
	calls atomic.Int64
	away  atomic.Bool
}

func newKMS(t *testing.T) *kms {
	t.Helper()
	ring, err := seal.NewRing(seal.Keyring{seal.NewKey()})
	if err != nil {
		t.Fatal(err)
	}
	return &kms{ring: ring}
}

func (k *kms) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	if k.calls.Add(1); k.away.Load() {
		return nil, errAway
	}
	return k.ring.Seal(ctx, plaintext, []byte("kms"))
}

func (k *kms) Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error) {
	if k.calls.Add(1); k.away.Load() {
		return nil, errAway
	}
	return k.ring.Open(ctx, ciphertext, []byte("kms"))
}

// newEnvelope is what a process makes when it begins.
func newEnvelope(t *testing.T, keys ...seal.KMSKey) *seal.Envelope {
	t.Helper()
	e, err := seal.NewEnvelope(seal.EnvelopeConfig{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A process asks the KMS once, and for nothing that it does afterwards: requests,
// deliveries, refreshes and changes go on while it is away. Without it a process
// that has just begun takes nothing that it could not seal, and loses nothing.
func TestTheKMSIsNotAskedForEvents(t *testing.T) { //nolint:tparallel // its parts follow one another
	t.Parallel()
	w, path, k := newWorld(t), filepath.Join(t.TempDir(), "interactor.db"), newKMS(t)
	w.edit = func(cfg *interactor.Config) {
		cfg.SealingKeys, cfg.Keeper = nil, newEnvelope(t, seal.KMSKey{Name: "key", KMS: k})
	}
	tr := newTraffic(w)
	load := func(t *testing.T, in *interactortest.Server) {
		t.Helper()
		stop := tr.run(t, in)
		tr.more(t)
		stop()
	}
	t.Run("first", func(t *testing.T) {
		in := w.start(t, path)
		w.fill(t, in)
		if n := k.calls.Load(); n != 1 {
			t.Errorf("the KMS was asked %d times for a new installation, want once", n)
		}
		k.away.Store(true)
		load(t, in)
		k.away.Store(false)
		if n := k.calls.Load(); n != 1 {
			t.Errorf("the KMS was asked %d times, want once", n)
		}
	})
	t.Run("started again", func(t *testing.T) {
		in := w.start(t, path)
		load(t, in)
		tr.check(t, in)
		asked := k.calls.Load() - 1
		// One to open with; where something was sealed before that was there, one more.
		if asked < 1 || asked > 2 {
			t.Errorf("the KMS was asked %d times by the second process, want once or twice", asked)
		}
		k.away.Store(true)
		load(t, in)
		done, err := in.Reseal(t.Context())
		if err != nil || done.Failed() != 0 || done.Moved() != 0 || k.calls.Load()-1 != asked {
			t.Errorf("Reseal: %+v, %v, %d calls", done, err, k.calls.Load()-1-asked)
		}
		k.away.Store(false)
	})
	t.Run("from a KMS to another one", func(t *testing.T) {
		next := newKMS(t)
		both := newEnvelope(t, seal.KMSKey{Name: "next", KMS: next}, seal.KMSKey{Name: "key", KMS: k})
		w.edit = func(cfg *interactor.Config) { cfg.SealingKeys, cfg.Keeper = nil, both }
		done, err := w.start(t, path).Reseal(t.Context())
		if err != nil || done.Failed() != 0 || done.Moved() == 0 {
			t.Errorf("%+v, %v", done, err)
		}
		k.away.Store(true) // for good
		w.edit = func(cfg *interactor.Config) {
			cfg.SealingKeys, cfg.Keeper = nil, newEnvelope(t, seal.KMSKey{Name: "next", KMS: next})
		}
		k = next
	})
	t.Run("the other one is away", func(t *testing.T) {
		k.away.Store(true)
		in := newInteractor(t, w, openStore(t, path))
		if _, err := in.Auth.Token(t.Context(), w.token.ID); !errors.Is(err, seal.ErrKMS) {
			t.Errorf("a token without the KMS: %v", err)
		}
		if err := in.Run(t.Context()); !errors.Is(err, seal.ErrKMS) {
			t.Errorf("Run without the KMS: %v", err)
		}
	})
	t.Run("and back", func(t *testing.T) {
		k.away.Store(false)
		tr.check(t, w.start(t, path))
	})
}
