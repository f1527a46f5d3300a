package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/seal"
)

// Fixed keys, so that a fuzz finding can be repeated.
const (
	keyA = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
	keyB = "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A="
)

// golden was sealed under keyA for bind "conn_1/token": values that were sealed
// by a former release must open for ever.
const (
	golden      = "Aay8Wd8R6/7WFFgjuV/UIZfuh8+b5Gq+UqACrjdoo80UeKVC0WttxKfTjQ2WO7tEl3ff1YHIP+DGOmrPcHmtJoJBtR0t22Pi"
	goldenPlain = "refresh-token-1"
)

var bind = []byte("conn_1/token")

func must(t testing.TB, k seal.Keeper, plaintext string) []byte {
	t.Helper()
	sealed, err := k.Seal(t.Context(), []byte(plaintext), bind)
	require.NoError(t, err)
	return sealed
}

func keepers(t testing.TB, keys ...string) map[string]interface {
	seal.Keeper
	Current([]byte) bool
} {
	t.Helper()
	ring, err := seal.NewRing(keys)
	require.NoError(t, err)
	return map[string]interface {
		seal.Keeper
		Current([]byte) bool
	}{"Keyring": seal.Keyring(keys), "Ring": ring}
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	for name, k := range keepers(t, keyA) {
		for _, plaintext := range []string{"", "x", "refresh-token", strings.Repeat("x", seal.MaxPlaintext)} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, len(plaintext)), func(t *testing.T) {
				t.Parallel()
				sealed := must(t, k, plaintext)
				got, err := k.Open(t.Context(), sealed, bind)
				require.NoError(t, err)
				assert.Equal(t, plaintext, string(got))
				assert.True(t, k.Current(sealed))
				if len(plaintext) > 1 {
					assert.False(t, bytes.Contains(sealed, []byte(plaintext)))
				}
			})
		}
		t.Run(name+", the same twice differs", func(t *testing.T) {
			t.Parallel()
			a, b := must(t, k, "token"), must(t, k, "token")
			assert.NotEqual(t, a, b)
			assert.NotEqual(t, a[len(a)-21:], b[len(b)-21:], "also without the salt")
		})
		t.Run(name+", refuses", func(t *testing.T) {
			t.Parallel()
			_, err := k.Seal(t.Context(), make([]byte, seal.MaxPlaintext+1), bind)
			require.ErrorIs(t, err, seal.ErrTooLarge)
			_, err = k.Seal(t.Context(), []byte("x"), nil)
			require.ErrorIs(t, err, seal.ErrNoBind)
			_, err = k.Open(t.Context(), must(t, k, "x"), nil)
			require.ErrorIs(t, err, seal.ErrNoBind)
		})
		t.Run(name+", keeps and changes none of its arguments", func(t *testing.T) {
			t.Parallel()
			plaintext, b := []byte("token"), append(make([]byte, 0, 64), bind...)
			sealed, err := k.Seal(t.Context(), plaintext, b)
			require.NoError(t, err)
			before := bytes.Clone(sealed)
			got, err := k.Open(t.Context(), sealed, b)
			require.NoError(t, err)
			assert.Equal(t, "token", string(plaintext))
			assert.Equal(t, bind, b)
			got[0] ^= 1
			assert.Equal(t, before, sealed)
		})
	}
}

func TestFormerReleasesOpen(t *testing.T) {
	t.Parallel()
	sealed, err := base64.StdEncoding.DecodeString(golden)
	require.NoError(t, err)
	got, err := seal.Keyring{keyB, keyA}.Open(t.Context(), sealed, bind)
	require.NoError(t, err)
	assert.Equal(t, goldenPlain, string(got))
}

// Every change of a sealed value, wherever it is, is noticed.
func TestOpenRefusesChanges(t *testing.T) {
	t.Parallel()
	ring, err := seal.NewRing(seal.Keyring{keyA, keyB})
	require.NoError(t, err)
	sealed := must(t, ring, "refresh-token")
	refused := func(t *testing.T, value []byte, bind string) error {
		t.Helper()
		got, err := ring.Open(t.Context(), value, []byte(bind))
		require.Error(t, err)
		require.Nil(t, got)
		require.NotEqual(t, errors.Is(err, seal.ErrDamaged), errors.Is(err, seal.ErrNoKey), "one of the two: %v", err)
		return err
	}
	t.Run("moved to another record, field, or part of one", func(t *testing.T) {
		t.Parallel()
		for _, other := range []string{"conn_2/token", "conn_1/refresh", "conn_1/toke", "conn_1/token ", "CONN_1/token"} {
			require.ErrorIs(t, refused(t, sealed, other), seal.ErrDamaged)
		}
	})
	t.Run("any bit flipped", func(t *testing.T) {
		t.Parallel()
		for i := range sealed {
			for bit := range 8 {
				changed := bytes.Clone(sealed)
				changed[i] ^= 1 << bit
				refused(t, changed, string(bind))
			}
		}
	})
	t.Run("cut short", func(t *testing.T) {
		t.Parallel()
		for n := range sealed {
			require.ErrorIs(t, refused(t, sealed[:n], string(bind)), seal.ErrDamaged)
		}
	})
	t.Run("bytes added", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, refused(t, append(bytes.Clone(sealed), 0), string(bind)), seal.ErrDamaged)
		require.ErrorIs(t, refused(t, append(bytes.Clone(sealed), make([]byte, seal.MaxPlaintext)...), string(bind)), seal.ErrDamaged)
	})
	t.Run("border between header and bind moved", func(t *testing.T) {
		t.Parallel()
		refused(t, sealed[:len(sealed)-1], string(sealed[len(sealed)-1:])+string(bind))
	})
	t.Run("fingerprint of the other key put in", func(t *testing.T) {
		t.Parallel()
		other := must(t, seal.Keyring{keyB}, "x")
		changed := bytes.Clone(sealed)
		copy(changed[1:9], other[1:9])
		require.ErrorIs(t, refused(t, changed, string(bind)), seal.ErrDamaged)
	})
	t.Run("not sealed at all", func(t *testing.T) {
		t.Parallel()
		refused(t, nil, string(bind))
		refused(t, []byte(strings.Repeat("plaintext token ", 8)), string(bind))
	})
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before, during, after := keepers(t, keyA), keepers(t, keyB, keyA), keepers(t, keyB)
	for name := range before {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := must(t, before[name], "token")
			got, err := during[name].Open(t.Context(), old, bind)
			require.NoError(t, err, "the former key still opens")
			assert.Equal(t, "token", string(got))
			assert.False(t, during[name].Current(old))

			fresh := must(t, during[name], "token")
			assert.True(t, during[name].Current(fresh))
			_, err = after[name].Open(t.Context(), fresh, bind)
			require.NoError(t, err, "the first key seals")

			_, err = after[name].Open(t.Context(), old, bind)
			require.ErrorIs(t, err, seal.ErrNoKey, "removed too early")
			assert.False(t, after[name].Current(nil))
			assert.False(t, after[name].Current(fresh[:20]))
		})
	}
}

func TestKeyringValidate(t *testing.T) {
	t.Parallel()
	zeros := base64.StdEncoding.EncodeToString(make([]byte, 32))
	bad := seal.Keyring{keyA, "", "short", keyB + "\n", keyA[:43], base64.StdEncoding.EncodeToString(make([]byte, 16)), zeros, keyB, keyA[:20] + "\n" + keyA[20:]}
	err := bad.Validate()
	var keyErr *seal.KeyError
	require.ErrorAs(t, err, &keyErr)
	assert.Equal(t, 1, keyErr.Index)
	assert.Equal(t, []string{
		`seal: key 1 is empty: make a key with "openssl rand -base64 32"`,
		`seal: key 2 is not base64: make a key with "openssl rand -base64 32"`,
		`seal: key 3 has white space around or in it: remove it`,
		`seal: key 4 is not base64: make a key with "openssl rand -base64 32"`,
		`seal: key 5 has 16 bytes instead of 32: make a key with "openssl rand -base64 32"`,
		`seal: key 6 is nothing but zeros: make a key with "openssl rand -base64 32"`,
		`seal: key 8 has white space around or in it: remove it`,
	}, strings.Split(err.Error(), "\n"))

	require.NoError(t, seal.Keyring{keyA, seal.NewKey()}.Validate())
	require.ErrorIs(t, seal.Keyring(nil).Validate(), seal.ErrNoKey)

	_, err = bad.Seal(t.Context(), []byte("x"), bind)
	require.ErrorAs(t, err, &keyErr, "never sealed with the keys that happen to be good")
	_, err = bad.Open(t.Context(), must(t, seal.Keyring{keyA}, "x"), bind)
	require.ErrorAs(t, err, &keyErr)
	assert.False(t, bad.Current(must(t, seal.Keyring{keyA}, "x")))
	_, err = seal.Keyring(nil).Seal(t.Context(), []byte("x"), bind)
	require.ErrorIs(t, err, seal.ErrNoKey)
}

func TestNothingPrintsKeys(t *testing.T) {
	t.Parallel()
	ring, err := seal.NewRing(seal.Keyring{keyA})
	require.NoError(t, err)
	raw, err := base64.StdEncoding.DecodeString(keyA)
	require.NoError(t, err)
	type unexported struct{ r *seal.Ring }
	type embedded struct{ r seal.Ring }
	for _, v := range []any{seal.Keyring{keyA}, ring, *ring, unexported{ring}, embedded{*ring}} {
		var b bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&b, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
		out, err := json.Marshal(v)
		require.NoError(t, err)
		b.Write(out)
		assert.NotContains(t, b.String(), keyA)
		assert.NotContains(t, b.String(), "1 2 3 4", "as numbers")
		assert.NotContains(t, b.String(), fmt.Sprintf("%x", raw))
		assert.NotContains(t, b.String(), fmt.Sprintf("%x", keyA))
	}
}

func TestZeroRing(t *testing.T) {
	t.Parallel()
	var r seal.Ring
	_, err := r.Seal(t.Context(), []byte("x"), bind)
	require.ErrorIs(t, err, seal.ErrNoKey)
	sealed := must(t, seal.Keyring{keyA}, "x")
	_, err = r.Open(t.Context(), sealed, bind)
	require.ErrorIs(t, err, seal.ErrNoKey)
	assert.False(t, r.Current(sealed))
}

func FuzzOpen(f *testing.F) {
	ring, err := seal.NewRing(seal.Keyring{keyA, keyB})
	require.NoError(f, err)
	sealed, err := base64.StdEncoding.DecodeString(golden)
	require.NoError(f, err)
	f.Add(sealed, bind)
	f.Add(sealed[:41], bind)
	// Constant, because each worker of the fuzzer runs this anew: "x" under keyB.
	second, err := hex.DecodeString("0129dff743b5813e0f8bed5f8bb1ab5bbaf87c4f2d662db31fa46905e97b95c43159c17796bbbe7a4b28bbe6d26d417039649102859b7d6c3c7e")
	require.NoError(f, err)
	opened, err := ring.Open(f.Context(), second, bind)
	require.NoError(f, err)
	require.Equal(f, "x", string(opened))
	f.Add(second, []byte("conn_2/token"))
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, value, b []byte) {
		got, err := ring.Open(t.Context(), value, b)
		// Only what was sealed opens, for what it was sealed for; the fuzzer finds
		// the right bind of the second value by itself.
		whole := bytes.Equal(value, sealed) && string(got) == goldenPlain || bytes.Equal(value, second) && string(got) == "x"
		if err == nil && (!whole || !bytes.Equal(b, bind)) {
			t.Fatalf("opened %x for %q", value, b)
		}
		if err != nil && !errors.Is(err, seal.ErrDamaged) && !errors.Is(err, seal.ErrNoKey) && !errors.Is(err, seal.ErrNoBind) {
			t.Fatalf("unknown error %v", err)
		}
	})
}

func FuzzKeyring(f *testing.F) {
	f.Add(keyA)
	f.Add(keyA + "\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if seal.Keyring.Validate(seal.Keyring{text}) != nil {
			return
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != 32 || base64.StdEncoding.EncodeToString(raw) != text {
			t.Fatalf("%q was accepted", text)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for name, k := range keepers(b, keyA, keyB) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Seal(b.Context(), []byte("a refresh token of usual length, or about so"), bind); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
