package gocloud_test

import (
	"context"
	"fmt"

	_ "gocloud.dev/secrets/localsecrets" // the driver; a program imports that of its cloud

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/seal/gocloud"
)

func ExampleOpen() {
	ctx := context.Background()
	former := seal.Keyring{seal.NewKey()} // Config.SealingKeys until now

	keeper, err := gocloud.Open(ctx, gocloud.Config{
		Keys:   []gocloud.Key{{URL: "base64key://smGbjm71Nxd1Ig5FS0wj9SlbzAIrnolCz9bQQ6uAhl4="}},
		Former: former,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = keeper.Close() }()

	sealed, err := former.Seal(ctx, []byte("refresh-token"), []byte("conn_1/token"))
	if err != nil {
		fmt.Println(err)
	}
	opened, err := keeper.Open(ctx, sealed, []byte("conn_1/token"))
	fmt.Println(string(opened), err, keeper.Current(sealed))
	// Output: refresh-token <nil> false
}
