package interactor_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
)

// A program that is told to stop before it has begun ends as it does later: without an error.
func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	in, err := interactor.New(interactor.Config{
		PublicURL: "https://hooks.example.com", Store: db, SealingKeys: []string{seal.NewKey()},
		Connectors: []interactor.Connector{webhook.New(webhook.Config{})},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 { // it may be called again
		if err := in.Run(ended); err != nil {
			t.Fatalf("got %v, want nil", err)
		}
	}
}

// Of two at the same time, one runs.
func TestSecondRunIsAnError(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	in, err := interactor.New(interactor.Config{
		PublicURL: "https://hooks.example.com", Store: db, SealingKeys: []string{seal.NewKey()},
		Connectors: []interactor.Connector{webhook.New(webhook.Config{})},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- in.Run(ctx) }()
		}
		if err := <-ended; !errors.Is(err, forward.ErrRunning) {
			t.Errorf("the second one got %v, want ErrRunning", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatalf("the first one got %v, want it to run until its context ends", err)
		}
	}
}
