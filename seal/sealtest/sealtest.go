// Package sealtest says when a [seal.Keeper] is one: run it in the test of a
// Keeper over a KMS or a secret manager.
package sealtest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/interactorhq/interactor/seal"
)

// Run checks what the rest of the module relies on. Each failure names the rule.
func Run(t *testing.T, k seal.Keeper) {
	t.Helper()
	bind := []byte("conn_1/token")
	t.Run("what was sealed opens, up to 64 KiB", func(t *testing.T) {
		for _, size := range []int{0, 1, 1000, seal.MaxPlaintext} {
			plaintext := bytes.Repeat([]byte("x"), size)
			opened, err := k.Open(t.Context(), mustSeal(t, k, plaintext, bind), bind)
			if err != nil || !bytes.Equal(opened, plaintext) {
				t.Errorf("a value of %d bytes must open to what it was: %v", size, err)
			}
		}
	})
	t.Run("a sealed value does not show its plaintext", func(t *testing.T) {
		secret := []byte("a-refresh-token-of-somebody")
		if bytes.Contains(mustSeal(t, k, secret, bind), secret) {
			t.Error("the plaintext stands in the sealed value")
		}
		if bytes.Equal(mustSeal(t, k, secret, bind), mustSeal(t, k, secret, bind)) {
			t.Error("sealing the same twice must differ, or equal secrets can be told in the store")
		}
	})
	t.Run("a sealed value cannot be moved to another record or field", func(t *testing.T) {
		sealed := mustSeal(t, k, []byte("token"), bind)
		for _, other := range []string{"conn_2/token", "conn_1/refresh", "conn_1/toke", "conn_1/token/"} {
			mustRefuse(t, k, sealed, []byte(other), "bind "+other)
		}
	})
	t.Run("a changed value does not open", func(t *testing.T) {
		sealed := mustSeal(t, k, []byte("token"), bind)
		for i := range sealed {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1
			mustRefuse(t, k, changed, bind, fmt.Sprintf("byte %d changed", i))
		}
		mustRefuse(t, k, sealed[:len(sealed)-1], bind, "last byte cut off")
		mustRefuse(t, k, nil, bind, "empty")
		mustRefuse(t, k, []byte("token"), bind, "never sealed")
	})
	t.Run("arguments are neither changed nor kept", func(t *testing.T) {
		plaintext, b := []byte("token"), append(make([]byte, 0, 64), bind...)
		sealed := mustSeal(t, k, plaintext, b)
		plaintext[0], b[0] = 'X', 'X'
		opened, err := k.Open(t.Context(), sealed, bind)
		if err != nil || string(opened) != "token" {
			t.Errorf("changing the arguments afterwards changed the value: %q, %v", opened, err)
		}
	})
	t.Run("it is safe for concurrent use", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				own := fmt.Appendf(nil, "conn_%d/token", i)
				sealed, err := k.Seal(t.Context(), own, own)
				if err != nil {
					t.Error(err)
					return
				}
				if opened, err := k.Open(t.Context(), sealed, own); err != nil || !bytes.Equal(opened, own) {
					t.Errorf("opened %q for %q: %v", opened, own, err)
				}
			})
		}
		wg.Wait()
	})
}

func mustSeal(t *testing.T, k seal.Keeper, plaintext, bind []byte) []byte {
	t.Helper()
	sealed, err := k.Seal(t.Context(), plaintext, bind)
	if err != nil {
		t.Fatalf("sealing %d bytes: %v", len(plaintext), err)
	}
	return sealed
}

func mustRefuse(t *testing.T, k seal.Keeper, sealed, bind []byte, what string) {
	t.Helper()
	if opened, err := k.Open(t.Context(), sealed, bind); err == nil {
		t.Errorf("%s: opened to %q, must be an error", what, opened)
	}
}
