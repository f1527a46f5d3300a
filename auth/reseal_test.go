package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/seal"
)

// turning is a Keeper whose keys are changed while it is in use.
type turning struct{ atomic.Pointer[seal.Ring] }

func (k *turning) turn(t *testing.T, keys ...string) {
	t.Helper()
	ring, err := seal.NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	k.Store(ring)
}

func (k *turning) Seal(ctx context.Context, plaintext, bind []byte) ([]byte, error) {
	return k.Load().Seal(ctx, plaintext, bind)
}

func (k *turning) Open(ctx context.Context, sealed, bind []byte) ([]byte, error) {
	return k.Load().Open(ctx, sealed, bind)
}

func (k *turning) Current(sealed []byte) bool { return k.Load().Current(sealed) }

// resealing is a fixture with keys that can be changed, and a connected account.
func resealing(t *testing.T, change ...func(*fixture)) (f *fixture, connection string, rotate func(), finish func()) {
	t.Helper()
	k1, k2, keeper := seal.NewKey(), seal.NewKey(), &turning{}
	keeper.turn(t, k1)
	f = setUp(t, append(change, func(f *fixture) { f.cfg.Keeper = keeper })...)
	connection = f.connect(t, "alice", auth.ConnectRequest{}).ID
	rotate = func() {
		keeper.turn(t, k2, k1)
		values, _, err := f.store.SealedAfter(t.Context(), seal.KindToken, "", 10)
		if err != nil || len(values) != 1 {
			t.Fatalf("%d tokens, %v", len(values), err)
		}
		anew, err := f.Reseal(t.Context(), values[0])
		if err != nil || anew == nil {
			t.Fatalf("Reseal: %q, %v", anew, err)
		}
		if n, err := f.store.SwapSealed(t.Context(), []seal.Swap{{Stored: values[0], Anew: anew}}); n != 0 || err != nil {
			t.Fatalf("SwapSealed: %d, %v", n, err)
		}
	}
	return f, connection, rotate, func() { keeper.turn(t, k2) }
}

// once answers the next call at the token endpoint, if it does.
func (f *fixture) once(do func(w http.ResponseWriter) bool) {
	var done atomic.Bool
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.p.before = func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Path == "/token" && !done.Swap(true) && do(w)
	}
}

// A token that is sealed anew while it is being refreshed was not replaced by
// another one: what the provider gave is kept. It will not say it twice.
func TestResealDuringRefresh(t *testing.T) {
	t.Parallel()
	f, id, rotate, finish := resealing(t)
	c := f.client(t, id)
	f.clock.advance(2 * time.Hour)
	f.once(func(http.ResponseWriter) bool { rotate(); return false })
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != http.StatusOK {
		t.Errorf("the refreshed token: %d", status)
	}
	finish()
	f.clock.advance(2 * time.Hour)
	if status, _ := get(t, f.client(t, id), f.p.URL+"/api/me"); status != http.StatusOK {
		t.Errorf("the next refresh, with the new key alone: %d", status)
	}
	if n := f.p.count("/token"); n != 3 {
		t.Errorf("%d calls to the token endpoint, want one for each grant", n)
	}
}

// The same where the store did not take what the provider gave.
func TestResealBetweenRefreshAndStore(t *testing.T) {
	t.Parallel()
	disk := &failing{}
	f, id, rotate, finish := resealing(t, func(f *fixture) { disk.Store = f.cfg.Store; f.cfg.Store = disk })
	c := f.client(t, id)
	f.clock.advance(2 * time.Hour)
	disk.broken.Store(true)
	if _, later := errors.AsType[*connector.RetryError](call(c, f.p.URL+"/api/me")); !later {
		t.Error("the store is away and that is no RetryError")
	}
	rotate()
	disk.broken.Store(false)
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != http.StatusOK {
		t.Errorf("the store is back: %d", status)
	}
	finish()
	if status, _ := get(t, f.client(t, id), f.p.URL+"/api/me"); status != http.StatusOK {
		t.Errorf("with the new key alone: %d", status)
	}
	if n := f.p.count("/token"); n != 2 {
		t.Errorf("%d calls to the token endpoint: what it gave was thrown away", n)
	}
}

// A refusal is about the token that was asked with, also when that was sealed anew.
func TestResealDuringRefusal(t *testing.T) {
	t.Parallel()
	f, id, rotate, _ := resealing(t)
	c := f.client(t, id)
	f.clock.advance(2 * time.Hour)
	f.once(func(w http.ResponseWriter) bool {
		rotate()
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant"})
		return true
	})
	if _, ended := errors.AsType[*auth.ReconnectError](call(c, f.p.URL+"/api/me")); !ended {
		t.Error("a dead grant is no ReconnectError")
	}
	if conn, err := f.Connection(t.Context(), id); err != nil || conn.Status != auth.Expired {
		t.Errorf("it is %s, %v", conn.Status, err)
	}
}

// The bind names record and field: a value opens nowhere else.
func TestResealIsBound(t *testing.T) {
	t.Parallel()
	f, id, _, _ := resealing(t)
	rec, err := f.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	f.cfg.Keeper.(*turning).turn(t, seal.NewKey()) //nolint:forcetypeassert // set up that way
	if _, err := f.Reseal(t.Context(), seal.Stored{Kind: seal.KindToken, Record: id, Sealed: rec.Token}); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("without its key: %v", err)
	}
	if _, err := f.Reseal(t.Context(), seal.Stored{Kind: seal.KindPayload, Record: id, Sealed: rec.Token}); err == nil {
		t.Error("a kind of another room was taken")
	}
}

func TestResealOfAnotherRecord(t *testing.T) {
	t.Parallel()
	k1, keeper := seal.NewKey(), &turning{}
	keeper.turn(t, k1)
	f := setUp(t, func(f *fixture) { f.cfg.Keeper = keeper })
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	rec, err := f.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	keeper.turn(t, seal.NewKey(), k1)
	for _, v := range []seal.Stored{
		{Kind: seal.KindToken, Record: "conn_other"},
		{Kind: seal.KindFields, Record: id},
		{Kind: seal.KindApp, Record: id},
		{Kind: seal.KindConsent, Record: id},
	} {
		v.Sealed = rec.Token
		if _, err := f.Reseal(t.Context(), v); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("the token of %s as %s of %s: %v", id, v.Kind, v.Record, err)
		}
	}
}
