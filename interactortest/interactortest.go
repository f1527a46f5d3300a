// Package interactortest runs a whole Interactor inside a Go test: real HTTP on
// loopback, a real store in a temporary directory, nothing to install.
//
// Start with [Start]. Stand-ins for providers come with their connectors, such
// as connector/gmail/gmailtest; forward/forwardtest receives what is forwarded.
package interactortest

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
)

// Server is a running Interactor on a loopback address.
type Server struct {
	*interactor.Interactor
	URL string // its PublicURL
}

// checker is a store that can tell what contradicts itself and what nothing will
// ever pick up.
type checker interface {
	Check(ctx context.Context) error
}

var _ checker = (*sqlite.Store)(nil)

// Start completes cfg with what a test wants (SQLite in t.TempDir, a fresh
// sealing key, private networks allowed, a loopback PublicURL), serves Handler
// and runs Run. When the test ends it stops both, and fails the test if the store
// holds work that nothing will ever pick up.
func Start(t testing.TB, cfg interactor.Config) *Server {
	t.Helper()
	if cfg.Store == nil {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
		if err != nil {
			t.Fatalf("interactortest: %v", err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Errorf("interactortest: closing the store: %v", err)
			}
		})
		cfg.Store = db
	}
	if len(cfg.SealingKeys) == 0 && cfg.Keeper == nil {
		cfg.SealingKeys = []string{seal.NewKey()}
	}
	cfg.AllowPrivateNetworks = true
	web := httptest.NewUnstartedServer(nil)
	if cfg.PublicURL == "" {
		cfg.PublicURL = "http://" + web.Listener.Addr().String()
	}
	in, err := interactor.New(cfg)
	if err != nil {
		web.Close()
		t.Fatalf("interactortest: %v", err)
	}
	web.Config.Handler = in.Handler()
	web.Start()

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	t.Cleanup(func() {
		web.Close() // first, so that nothing new comes in
		cancel()
		if err := <-done; err != nil {
			t.Errorf("interactortest: Run: %v", err)
		}
		if store, ok := cfg.Store.(checker); ok {
			if err := store.Check(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("interactortest: %v", err)
			}
		}
	})
	return &Server{Interactor: in, URL: cfg.PublicURL}
}
