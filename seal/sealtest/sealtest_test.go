package sealtest_test

import (
	"testing"

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/seal/sealtest"
)

func TestOurOwnKeepers(t *testing.T) {
	t.Parallel()
	keys := seal.Keyring{seal.NewKey(), seal.NewKey()}
	ring, err := seal.NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]seal.Keeper{"Keyring": keys, "Ring": ring} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealtest.Run(t, k)
		})
	}
}
