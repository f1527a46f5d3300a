package id_test

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/internal/id"
)

func TestNew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 15, 4, 5, 678e6, time.UTC)
	s := id.New("evt", now)
	require.True(t, strings.HasPrefix(s, "evt_"))
	require.True(t, id.Valid("evt", s))
	assert.Equal(t, "evt", id.Prefix(s))
	assert.NotContains(t, s, ".")
	parsed, err := ulid.ParseStrict(s[4:])
	require.NoError(t, err)
	// Another test may have moved the clock of the process by up to a second.
	assert.WithinDuration(t, now, ulid.Time(parsed.Time()), time.Second)

	assert.Less(t, s, id.New("evt", now.Add(2*time.Second)), "ordered by time")
	for _, at := range []time.Time{{}, time.Unix(-5, 0), time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		assert.True(t, id.Valid("evt", id.New("evt", at)), "%s is no reason to fail", at)
	}
}

// It runs alone: another test whose clock is hours away, as that of
// TestNeighboursAreFarApart, would turn back the one of the process by more than
// the order of ids allows for.
//
//nolint:paralleltest // see above
func TestNewIsMonotonicAndUnique(t *testing.T) {
	const workers, each = 8, 2000
	at := time.Now().Add(time.Hour)
	var mu sync.Mutex
	var all []string
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			own := make([]string, each)
			for i := range own {
				// Back and forth within a second, as goroutines and clocks do.
				own[i] = id.New("evt", at.Add(time.Duration(i%3)*100*time.Millisecond))
			}
			assert.True(t, slices.IsSorted(own), "later is greater")
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	wg.Wait()
	slices.Sort(all)
	assert.Len(t, slices.Compact(all), workers*each)
}

// Ids are also addresses: one must not tell the next.
func TestNeighboursAreFarApart(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(2 * time.Hour)
	ids := make([]ulid.ULID, 200)
	for i := range ids {
		var err error
		ids[i], err = ulid.ParseStrict(strings.TrimPrefix(id.New("sub", at), "sub_"))
		require.NoError(t, err)
	}
	var far int
	for i := range ids[1:] {
		a, b := new(big.Int).SetBytes(ids[i].Entropy()), new(big.Int).SetBytes(ids[i+1].Entropy())
		if new(big.Int).Sub(b, a).BitLen() > 48 {
			far++
		}
	}
	assert.Greater(t, far, 150)
}

func TestValid(t *testing.T) {
	t.Parallel()
	const good = "01KATF3V5C8Q2M7XN4R0ZJ6H9D"
	for _, row := range []struct {
		prefix, s string
		want      bool
	}{
		{"evt", "evt_" + good, true},
		{"conn", "conn_" + good, true},
		{"env", "env_default", true},
		{"org", "org_default", true},
		{"dep", "dep_default", true},
		{"evt", "env_default", false},
		{"evt", "evt_default", false},
		{"sub", "evt_" + good, false},
		{"evt", "evt" + good, false},
		{"evt", "evt__" + good[1:], false},
		{"", "_" + good, false},
		{"", good, false},
		{"evt", "", false},
		{"evt", "evt_", false},
		{"evt", "evt_" + strings.ToLower(good), false},
		{"evt", "EVT_" + good, false},
		{"evt", "evt_" + good + "0", false},
		{"evt", "evt_" + good[1:], false},
		{"evt", "evt_8" + good[1:], false}, // beyond 128 bits
		{"evt", "evt_" + good[:25] + "U", false},
		{"evt", "evt_" + good[:25] + "I", false}, // Crockford reads it as 1
		{"evt", "evt_" + good[:25] + ".", false},
		{"evt", "evt_" + good[:25] + "\n", false},
		{"evt", "evt_" + good[:24] + "é", false},
	} {
		t.Run(fmt.Sprintf("%q %q", row.prefix, row.s), func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, row.want, id.Valid(row.prefix, row.s))
			if row.want {
				assert.Equal(t, row.prefix, id.Prefix(row.s))
			}
		})
	}
	for _, s := range []string{"", "_", "evt_", "evt_x", "x_default", good, "_" + good} {
		assert.Empty(t, id.Prefix(s), "%q", s)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	a, b := id.Token(32), id.Token(32)
	assert.Len(t, a, 43)
	assert.NotEqual(t, a, b)
	raw, err := base64.RawURLEncoding.DecodeString(a)
	require.NoError(t, err)
	assert.Len(t, raw, 32)
}

func TestAPIKey(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 500 {
		key := id.APIKey()
		require.Len(t, key, 53)
		require.Regexp(t, `^itk_[0-9A-Za-z]{49}$`, key)
		require.True(t, id.ValidAPIKey(key))
		require.False(t, seen[key])
		seen[key] = true
	}
	key := id.APIKey()
	for i := range key {
		for _, c := range []byte{'0', 'A', 'z', '-', 0} {
			if key[i] != c {
				assert.False(t, id.ValidAPIKey(key[:i]+string(rune(c))+key[i+1:]), "typo at %d", i)
			}
		}
	}
	swapped := []byte(key)
	for i := 4; i+1 < 47; i++ {
		if swapped[i] != swapped[i+1] {
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			break
		}
	}
	assert.False(t, id.ValidAPIKey(string(swapped)), "two characters exchanged")
	for _, s := range []string{"", "itk_", key[4:], key + "0", key[:52], " " + key, key + "\n", strings.ToUpper(key)} {
		assert.False(t, id.ValidAPIKey(s), "%q", s)
	}
	// A fixed one: keys given out by a former release stay valid.
	assert.True(t, id.ValidAPIKey("itk_00000000000000000000000000000000000000000010hnupX"))
}

func FuzzValid(f *testing.F) {
	f.Add("evt", "evt_01KATF3V5C8Q2M7XN4R0ZJ6H9D")
	f.Add("env", "env_default")
	f.Fuzz(func(t *testing.T, prefix, s string) {
		id.ValidAPIKey(s)
		if p := id.Prefix(s); p != "" && !id.Valid(p, s) {
			t.Fatalf("Prefix(%q) = %q", s, p)
		}
		if id.Valid(prefix, s) && (!strings.HasPrefix(s, prefix+"_") || len(s) > len(prefix)+27) {
			t.Fatalf("%q %q", prefix, s)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		id.New("evt", time.Now())
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	if at, ok := id.Time(id.New("evt", now)); !ok || now.Sub(at).Abs() > time.Second {
		t.Errorf("%v %v, want about %v", at, ok, now)
	}
	for _, wrong := range []string{"", "evt", "evt_", "evt_x", "env_default"} {
		if at, ok := id.Time(wrong); ok || !at.IsZero() {
			t.Errorf("%q: %v %v", wrong, at, ok)
		}
	}
}
