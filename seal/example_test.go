package seal_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/interactorhq/interactor/seal"
)

func ExampleKeyring() {
	ctx := context.Background()
	former, current := seal.NewKey(), seal.NewKey()

	sealed, err := seal.Keyring{former}.Seal(ctx, []byte("refresh-token"), []byte("conn_1/token"))
	if err != nil {
		fmt.Println(err)
	}

	ring := seal.Keyring{current, former} // a new key in front
	opened, err := ring.Open(ctx, sealed, []byte("conn_1/token"))
	fmt.Println(string(opened), err, ring.Current(sealed))

	_, err = ring.Open(ctx, sealed, []byte("conn_2/token")) // another record
	fmt.Println(errors.Is(err, seal.ErrDamaged))

	_, err = seal.Keyring{current}.Open(ctx, sealed, []byte("conn_1/token")) // the former key was removed too early
	fmt.Println(errors.Is(err, seal.ErrNoKey))
	// Output:
	// refresh-token <nil> false
	// true
	// true
}
