package interactor_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{google: newGoogle(t), inbox: newReceiver(t), spy: newSpy()}
}

// sealedValues returns everything that is sealed in a store.
func sealedValues(t *testing.T, db seal.Store) map[seal.Kind][]seal.Stored {
	t.Helper()
	all := make(map[seal.Kind][]seal.Stored)
	for _, kind := range seal.Kinds() {
		for after := ""; ; {
			values, next, err := db.SealedAfter(t.Context(), kind, after, 10)
			if err != nil {
				t.Fatal(err)
			}
			all[kind] = append(all[kind], values...)
			if after = next; after == "" {
				break
			}
		}
	}
	return all
}

// Every kind of value is moved from a former key to the one of today, and can be
// used when the former one is gone.
func TestReseal(t *testing.T) { //nolint:tparallel // its parts follow one another
	t.Parallel()
	w, path := newWorld(t), filepath.Join(t.TempDir(), "interactor.db")
	k1, k2, k3 := seal.NewKey(), seal.NewKey(), seal.NewKey()

	t.Run("fill", func(t *testing.T) { w.fill(t, w.start(t, path, k1)) })
	t.Run("rotate", func(t *testing.T) {
		in := w.start(t, path, k2, k1)
		w.check(t, in)
		done, err := in.Reseal(t.Context())
		if err != nil || done.Failed() != 0 {
			t.Fatalf("%+v, %v", done, err)
		}
		for _, k := range done.Kinds {
			if k.Moved == 0 {
				t.Errorf("nothing of kind %s was moved: the test proves nothing about it", k.Kind)
			}
		}
		if done, err = in.Reseal(t.Context()); err != nil || done.Moved() != 0 || done.Failed() != 0 {
			t.Errorf("the second time: %+v, %v", done, err)
		}
	})
	t.Run("the new key alone", func(t *testing.T) { w.check(t, w.start(t, path, k2)) })
	t.Run("and again", func(t *testing.T) {
		in := w.start(t, path, k3, k2)
		done, err := in.Reseal(t.Context())
		if err != nil || done.Failed() != 0 || len(done.Kinds) != len(seal.Kinds()) {
			t.Fatalf("%+v, %v", done, err)
		}
		w.check(t, in)
	})
	t.Run("a key that was removed too early", func(t *testing.T) {
		db := openStore(t, path)
		before := sealedValues(t, db)
		in := newInteractor(t, w, db, k1)
		done, err := in.Reseal(t.Context())
		if err != nil || done.Moved() != 0 {
			t.Errorf("%+v, %v", done, err)
		}
		after := sealedValues(t, db)
		for _, k := range done.Kinds {
			if k.Failed == 0 || k.Failed != len(k.Failures) || k.Failed != len(before[k.Kind]) {
				t.Errorf("%s: %d of %d failed, %d by name", k.Kind, k.Failed, len(before[k.Kind]), len(k.Failures))
			}
			for i, f := range k.Failures {
				if f.Record != before[k.Kind][i].Record || !errors.Is(f.Err, seal.ErrNoKey) {
					t.Errorf("%s: failure %+v, want one of %s", k.Kind, f, before[k.Kind][i].Record)
				}
			}
			for i, v := range before[k.Kind] {
				if !bytes.Equal(v.Sealed, after[k.Kind][i].Sealed) {
					t.Errorf("%s of %s could not be opened and was changed", k.Kind, v.Record)
				}
			}
		}
	})
}

func newInteractor(t *testing.T, w *world, db interactor.Store, keys ...string) *interactor.Interactor {
	t.Helper()
	cfg := w.config(db, keys...)
	cfg.PublicURL = "https://hooks.example.com"
	in, err := interactor.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// It goes on where it was ended: what was moved is not moved again, and a value
// that cannot be opened holds up none of the others.
func TestResealGoesOn(t *testing.T) { //nolint:tparallel // its parts follow one another
	t.Parallel()
	w, path := newWorld(t), filepath.Join(t.TempDir(), "interactor.db")
	k1, k2 := seal.NewKey(), seal.NewKey()
	t.Run("fill", func(t *testing.T) { w.fill(t, w.start(t, path, k1)) })

	db := openStore(t, path)
	total := 0
	for _, values := range sealedValues(t, db) {
		total += len(values)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopping := &stoppingStore{Store: db, after: 3, stop: cancel}
	first, err := newInteractor(t, w, stopping, k2, k1).Reseal(ctx)
	if !errors.Is(err, context.Canceled) || first.Moved() == 0 || first.Moved() >= total {
		t.Fatalf("ended after %d of %d with %v", first.Moved(), total, err)
	}
	rest, err := newInteractor(t, w, db, k2, k1).Reseal(t.Context())
	if err != nil || rest.Failed() != 0 {
		t.Fatalf("%+v, %v", rest, err)
	}
	if got := first.Moved() + rest.Moved(); got != total {
		t.Errorf("moved %d and then %d, want %d together", first.Moved(), rest.Moved(), total)
	}
	last, err := newInteractor(t, w, db, k2).Reseal(t.Context())
	if err != nil || last.Moved() != 0 || last.Failed() != 0 {
		t.Errorf("with the new key alone: %+v, %v", last, err)
	}
}

// stoppingStore ends a context when it has swapped some times.
type stoppingStore struct {
	*sqlite.Store
	after int
	stop  func()
}

func (s *stoppingStore) SwapSealed(ctx context.Context, swaps []seal.Swap) (int, error) {
	n, err := s.Store.SwapSealed(ctx, swaps)
	if s.after--; s.after == 0 {
		s.stop()
	}
	return n, err
}

// A Keeper that is away ends it at once, and nothing is taken for lost.
func TestResealWhileTheKeeperIsAway(t *testing.T) { //nolint:tparallel // its parts follow one another
	t.Parallel()
	w, path := newWorld(t), filepath.Join(t.TempDir(), "interactor.db")
	k1 := seal.NewKey()
	t.Run("fill", func(t *testing.T) { w.fill(t, w.start(t, path, k1)) })
	db := openStore(t, path)
	cfg := w.config(db)
	cfg.PublicURL, cfg.SealingKeys, cfg.Keeper = "https://hooks.example.com", nil, awayKeeper{}
	in, err := interactor.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done, err := in.Reseal(t.Context())
	if !errors.Is(err, errAway) || done.Failed() != 0 || done.Moved() != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

var errAway = errors.New("connection refused")

type awayKeeper struct{}

func (awayKeeper) Seal(context.Context, []byte, []byte) ([]byte, error) { return nil, errAway }
func (awayKeeper) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, errAway }
