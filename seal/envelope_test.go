package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/seal/sealtest"
)

// localKMS does what a KMS does, under a key of its own, and counts.
type localKMS struct {
	ring               *seal.Ring
	encrypted, decrypt atomic.Int64
	away               atomic.Bool
}

func newKMS(t testing.TB) *localKMS {
	t.Helper()
	ring, err := seal.NewRing(seal.Keyring{seal.NewKey()})
	require.NoError(t, err)
	return &localKMS{ring: ring}
}

var errAway = errors.New("dial tcp: connection refused")

func (k *localKMS) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	k.encrypted.Add(1)
	if k.away.Load() {
		return nil, errAway
	}
	return k.ring.Seal(ctx, plaintext, []byte("kms"))
}

func (k *localKMS) Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error) {
	k.decrypt.Add(1)
	if k.away.Load() {
		return nil, errAway
	}
	return k.ring.Open(ctx, ciphertext, []byte("kms"))
}

// wall is a clock that tests move.
type wall struct{ at atomic.Int64 }

func newWall() *wall {
	w := &wall{}
	w.at.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano())
	return w
}

func (w *wall) now() time.Time          { return time.Unix(0, w.at.Load()) }
func (w *wall) advance(d time.Duration) { w.at.Add(int64(d)) }

func newEnvelope(t testing.TB, w *wall, keys ...seal.KMSKey) *seal.Envelope {
	t.Helper()
	e, err := seal.NewEnvelope(seal.EnvelopeConfig{Keys: keys, Now: w.now})
	require.NoError(t, err)
	return e
}

func TestEnvelopeIsAKeeper(t *testing.T) {
	t.Parallel()
	sealtest.Run(t, newEnvelope(t, newWall(), seal.KMSKey{Name: "key", KMS: newKMS(t)}))
}

// However much is sealed and opened, the KMS is asked once for each data key; and
// a new process goes on with the data key of the one before.
func TestEnvelopeAsksOncePerDataKey(t *testing.T) {
	t.Parallel()
	kms, clock := newKMS(t), newWall()
	key := seal.KMSKey{Name: "key", KMS: kms}
	e := newEnvelope(t, clock, key)
	var wg sync.WaitGroup
	values := make([][]byte, 64)
	for i := range values {
		wg.Go(func() {
			var err error
			if values[i], err = e.Seal(t.Context(), []byte("token"), bind); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, kms.encrypted.Load())
	assert.EqualValues(t, 0, kms.decrypt.Load(), "its own data key is known")

	e = newEnvelope(t, clock, key)
	for _, v := range values {
		wg.Go(func() {
			if got, err := e.Open(t.Context(), v, bind); err != nil || string(got) != "token" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, kms.decrypt.Load())
	_, err := e.Seal(t.Context(), []byte("token"), bind)
	require.NoError(t, err)
	assert.EqualValues(t, 1, kms.encrypted.Load(), "a restart costs no data key")

	clock.advance(31 * 24 * time.Hour)
	assert.False(t, e.Current(values[0]), "its data key is too old")
	anew, err := seal.Anew(t.Context(), e, values[0], bind)
	require.NoError(t, err)
	assert.True(t, e.Current(anew))
	assert.EqualValues(t, 2, kms.encrypted.Load())
	again, err := seal.Anew(t.Context(), e, anew, bind)
	require.NoError(t, err)
	assert.Nil(t, again)
}

// What needs the KMS fails while it is away, in so many words; what does not goes on.
func TestEnvelopeWhileTheKMSIsAway(t *testing.T) {
	t.Parallel()
	kms, clock := newKMS(t), newWall()
	key := seal.KMSKey{Name: "projects/p/key", KMS: kms}
	e := newEnvelope(t, clock, key)
	kms.away.Store(true)
	_, err := e.Seal(t.Context(), []byte("token"), bind)
	require.ErrorIs(t, err, seal.ErrKMS)
	require.ErrorIs(t, err, errAway)
	assert.Contains(t, err.Error(), "projects/p/key")
	for range 100 {
		_, err = e.Seal(t.Context(), []byte("token"), bind)
		require.ErrorIs(t, err, seal.ErrKMS)
	}
	assert.EqualValues(t, 1, kms.encrypted.Load(), "it is not asked again at once")
	clock.advance(2 * time.Second)
	kms.away.Store(false)
	sealed, err := e.Seal(t.Context(), []byte("token"), bind)
	require.NoError(t, err)

	kms.away.Store(true)
	_, err = e.Open(t.Context(), sealed, bind)
	require.NoError(t, err, "its data key is known")
	clock.advance(31 * 24 * time.Hour)
	late, err := e.Seal(t.Context(), []byte("token"), bind)
	require.NoError(t, err, "the former data key is used on")
	assert.False(t, e.Current(late))

	other := newEnvelope(t, clock, key)
	before := kms.decrypt.Load()
	for range 100 {
		_, err = other.Open(t.Context(), sealed, bind)
		require.ErrorIs(t, err, seal.ErrKMS)
		require.NotErrorIs(t, err, seal.ErrNoKey)
		require.NotErrorIs(t, err, seal.ErrDamaged)
	}
	assert.EqualValues(t, 1, kms.decrypt.Load()-before)
	kms.away.Store(false)
	clock.advance(2 * time.Second)
	_, err = other.Open(t.Context(), sealed, bind)
	require.NoError(t, err)
}

// Keys rotate by order, as in a Keyring.
func TestEnvelopeRotation(t *testing.T) {
	t.Parallel()
	clock := newWall()
	one, two := seal.KMSKey{Name: "one", KMS: newKMS(t)}, seal.KMSKey{Name: "two", KMS: newKMS(t)}
	sealed, err := newEnvelope(t, clock, one).Seal(t.Context(), []byte("token"), bind)
	require.NoError(t, err)
	both := newEnvelope(t, clock, two, one)
	assert.False(t, both.Current(sealed))
	anew, err := seal.Anew(t.Context(), both, sealed, bind)
	require.NoError(t, err)
	assert.True(t, both.Current(anew), "opening with the former key must not make it the one that seals")
	alone := newEnvelope(t, clock, two)
	got, err := alone.Open(t.Context(), anew, bind)
	require.NoError(t, err)
	assert.Equal(t, "token", string(got))
	_, err = alone.Open(t.Context(), sealed, bind)
	require.ErrorIs(t, err, seal.ErrNoKey)
}

// A data key belongs to the age that it says: nobody makes it younger.
func TestEnvelopeForged(t *testing.T) {
	t.Parallel()
	kms, clock := newKMS(t), newWall()
	key := seal.KMSKey{Name: "key", KMS: kms}
	sealed, err := newEnvelope(t, clock, key).Seal(t.Context(), []byte("token"), bind)
	require.NoError(t, err)
	clock.advance(40 * 24 * time.Hour)
	younger := bytes.Clone(sealed)
	younger[14] ^= 0x7f // a byte of the time
	e := newEnvelope(t, clock, key)
	_, err = e.Open(t.Context(), younger, bind)
	require.ErrorIs(t, err, seal.ErrDamaged)
	_, err = e.Seal(t.Context(), nil, bind)
	require.NoError(t, err)
	assert.EqualValues(t, 2, kms.encrypted.Load(), "it was taken for the data key of today")
}

func TestEnvelopeConfig(t *testing.T) {
	t.Parallel()
	_, err := seal.NewEnvelope(seal.EnvelopeConfig{
		Keys:    []seal.KMSKey{{}, {Name: "a", KMS: newKMS(t)}, {Name: "a", KMS: newKMS(t)}},
		Timeout: -1,
	})
	require.Error(t, err)
	for _, want := range []string{"Keys[0].Name", "Keys[0].KMS", "Keys[2].Name", "Timeout"} {
		assert.Contains(t, err.Error(), want)
	}
	_, err = seal.NewEnvelope(seal.EnvelopeConfig{})
	require.ErrorContains(t, err, "Keys has 0 entries")
}

func TestEnvelopeHidesItsKeys(t *testing.T) {
	t.Parallel()
	e := newEnvelope(t, newWall(), seal.KMSKey{Name: "a-name", KMS: newKMS(t)})
	_, err := e.Seal(t.Context(), []byte("x"), bind)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb, e); text != "seal.Envelope(1 keys)" {
			t.Errorf("%s shows %s", verb, text)
		}
	}
}

// From a Keyring to a KMS, and back.
func TestChain(t *testing.T) {
	t.Parallel()
	ctx, clock, kms := t.Context(), newWall(), newKMS(t)
	ring := seal.Keyring{seal.NewKey()}
	envelope := newEnvelope(t, clock, seal.KMSKey{Name: "key", KMS: kms})
	chain := seal.Chain{envelope, ring}
	sealtest.Run(t, chain)

	former, err := ring.Seal(ctx, []byte("token"), bind)
	require.NoError(t, err)
	assert.False(t, chain.Current(former))
	anew, err := seal.Anew(ctx, chain, former, bind)
	require.NoError(t, err)
	assert.True(t, chain.Current(anew))
	got, err := envelope.Open(ctx, anew, bind)
	require.NoError(t, err)
	assert.Equal(t, "token", string(got))

	back := seal.Chain{ring, envelope}
	again, err := seal.Anew(ctx, back, anew, bind)
	require.NoError(t, err)
	_, err = ring.Open(ctx, again, bind)
	require.NoError(t, err)

	lost, err := seal.Keyring{seal.NewKey()}.Seal(ctx, []byte("token"), bind)
	require.NoError(t, err)
	for _, c := range []seal.Chain{chain, back} {
		_, err = c.Open(ctx, lost, bind)
		require.ErrorIs(t, err, seal.ErrNoKey, "of a key that nobody has")
		_, err = c.Open(ctx, former, []byte("conn_2/token"))
		require.ErrorIs(t, err, seal.ErrDamaged, "of another record")
		_, err = c.Open(ctx, anew, []byte("conn_2/token"))
		require.ErrorIs(t, err, seal.ErrDamaged, "of another record")
	}
	kms.away.Store(true)
	fresh := newEnvelope(t, clock, seal.KMSKey{Name: "key", KMS: kms})
	for _, c := range []seal.Chain{{fresh, ring}, {ring, fresh}} {
		_, err = c.Open(ctx, anew, bind)
		require.ErrorIs(t, err, seal.ErrKMS)
		require.NotErrorIs(t, err, seal.ErrDamaged)
	}
	_, err = seal.Chain{}.Open(ctx, anew, bind)
	require.ErrorIs(t, err, seal.ErrNoKey)
	_, err = seal.Chain{}.Seal(ctx, nil, bind)
	require.ErrorIs(t, err, seal.ErrNoKey)
}

func FuzzEnvelopeOpen(f *testing.F) {
	e := newEnvelope(f, newWall(), seal.KMSKey{Name: "key", KMS: newKMS(f)})
	sealed, err := e.Seal(f.Context(), []byte("token"), bind)
	require.NoError(f, err)
	f.Add(sealed)
	f.Add(sealed[:20])
	f.Add([]byte{2})
	f.Add([]byte(strings.Repeat("\x02", 200)))
	f.Fuzz(func(t *testing.T, b []byte) {
		e.Current(b)
		if got, err := e.Open(t.Context(), b, bind); err == nil && string(got) != "token" {
			t.Errorf("%x opened to %q", b, got)
		}
	})
}
