package gocloud_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gocloud.dev/secrets"
	"gocloud.dev/secrets/localsecrets"

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/seal/gocloud"
	"github.com/interactorhq/interactor/seal/sealtest"
)

func localURL(t *testing.T) string {
	t.Helper()
	key, err := localsecrets.NewRandomKey()
	if err != nil {
		t.Fatal(err)
	}
	return "base64key://" + base64.URLEncoding.EncodeToString(key[:])
}

func open(t *testing.T, cfg gocloud.Config) *gocloud.Keeper {
	t.Helper()
	k, err := gocloud.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func TestKeeper(t *testing.T) {
	t.Parallel()
	sealtest.Run(t, open(t, gocloud.Config{Keys: []gocloud.Key{{URL: localURL(t)}}}))
}

// From local keys to a KMS, and from one key there to another.
func TestRotation(t *testing.T) {
	t.Parallel()
	ctx, bind := t.Context(), []byte("conn_1/token")
	ring := seal.Keyring{seal.NewKey()}
	one, two := gocloud.Key{URL: localURL(t)}, gocloud.Key{URL: localURL(t)}
	value, err := ring.Seal(ctx, []byte("token"), bind)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []gocloud.Config{
		{Keys: []gocloud.Key{one}, Former: ring},
		{Keys: []gocloud.Key{two, one}},
	} {
		k := open(t, step)
		if k.Current(value) {
			t.Error("a value of before is taken for one of today")
		}
		anew, err := seal.Anew(ctx, k, value, bind)
		if err != nil || !k.Current(anew) {
			t.Fatalf("sealed anew: %v", err)
		}
		value = anew
	}
	if got, err := open(t, gocloud.Config{Keys: []gocloud.Key{two}}).Open(ctx, value, bind); err != nil || string(got) != "token" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := open(t, gocloud.Config{Keys: []gocloud.Key{one}}).Open(ctx, value, bind); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("with the former key alone: %v", err)
	}
}

// The name of a key is not its URL where the URL is the key.
func TestErrorsHoldNoKey(t *testing.T) {
	t.Parallel()
	secret := localURL(t)
	other := localURL(t)
	k := open(t, gocloud.Config{Keys: []gocloud.Key{{URL: secret, Name: "key"}}})
	sealed, err := k.Seal(t.Context(), []byte("token"), []byte("conn_1/token"))
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	_, err = open(t, gocloud.Config{Keys: []gocloud.Key{{URL: other, Name: "key"}}}).Open(t.Context(), sealed, []byte("conn_1/token"))
	if !errors.Is(err, seal.ErrKMS) {
		t.Errorf("the KMS does not decrypt: %v", err)
	}
	errs = append(errs, err)
	closed, err := gocloud.Open(t.Context(), gocloud.Config{Keys: []gocloud.Key{{URL: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err = closed.Seal(t.Context(), nil, []byte("conn_1/token")); !errors.Is(err, seal.ErrKMS) || !strings.Contains(err.Error(), "with base64key ") {
		t.Errorf("of a key without a name: %v", err)
	}
	errs = append(errs, err)
	for _, cfg := range []gocloud.Config{
		{},
		{Keys: []gocloud.Key{{}}},
		{Keys: []gocloud.Key{{URL: secret}, {URL: secret}}},
		{Keys: []gocloud.Key{{URL: secret + "?x=" + secret}}},
		{Keys: []gocloud.Key{{URL: secret[:40]}}},
		{Keys: []gocloud.Key{{URL: "nocloudkms://key"}}},
		{Keys: []gocloud.Key{{Keeper: closedKeeper(t)}}},
		{Keys: []gocloud.Key{{Keeper: closedKeeper(t), Name: "closed"}}},
	} {
		k, err := gocloud.Open(t.Context(), cfg)
		if err == nil {
			t.Errorf("%d keys were opened: %v", len(cfg.Keys), k.Close())
			continue
		}
		errs = append(errs, err)
	}
	for _, err := range errs {
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, secret[12:32]) || strings.Contains(text, other[12:32]) {
			t.Errorf("the key stands in %v", err)
		}
	}
}

func closedKeeper(t *testing.T) *secrets.Keeper {
	t.Helper()
	key, err := localsecrets.NewRandomKey()
	if err != nil {
		t.Fatal(err)
	}
	k := localsecrets.NewKeeper(key)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	return k
}

// A KMS that goes away stops what it has to be asked for, and nothing else.
func TestOutage(t *testing.T) {
	t.Parallel()
	key, err := localsecrets.NewRandomKey()
	if err != nil {
		t.Fatal(err)
	}
	local := localsecrets.NewKeeper(key)
	k := open(t, gocloud.Config{Keys: []gocloud.Key{{Keeper: local, Name: "key"}}})
	ctx, bind := t.Context(), []byte("conn_1/token")
	sealed, err := k.Seal(ctx, []byte("token"), bind)
	if err != nil {
		t.Fatal(err)
	}
	fresh := open(t, gocloud.Config{Keys: []gocloud.Key{{Keeper: local, Name: "key"}}})
	if err := local.Close(); err != nil { // from here on it answers nothing
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got, err := k.Open(ctx, sealed, bind); err != nil || string(got) != "token" {
				t.Errorf("%q, %v", got, err)
			}
			if _, err := k.Seal(ctx, []byte("token"), bind); err != nil {
				t.Error(err)
			}
			if _, err := fresh.Open(ctx, sealed, bind); !errors.Is(err, seal.ErrKMS) {
				t.Errorf("a data key that was never decrypted: %v", err)
			}
		})
	}
	wg.Wait()
	_, err = gocloud.Open(context.WithoutCancel(ctx), gocloud.Config{Keys: []gocloud.Key{{Keeper: local, Name: "key"}}})
	if !errors.Is(err, seal.ErrKMS) {
		t.Errorf("Open: %v", err)
	}
}
