package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
)

// serve makes a request that call cannot.
func serve(h http.Handler, r *http.Request) response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return response{w.Code, w.Header(), w.Body.String()}
}

// mustURL is nil for what is no URL.
func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		return nil
	}
	return u
}

// with is the same installation with another Config of the API.
func (in *installation) with(t testing.TB, change func(*api.Config)) *installation {
	t.Helper()
	cfg := in.config
	change(&cfg)
	h, err := api.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	other := &installation{
		Handler: h, config: cfg, store: in.store, auth: in.auth, deployments: in.deployments, forwarder: in.forwarder,
		deployment: in.deployment, dev: in.dev, prod: in.prod, key: in.key, devKey: in.devKey, log: in.log,
	}
	other.now.Store(in.now.Load())
	return other
}

// broken fails where it is asked whether it is paused; without an error it panics.
type broken struct {
	api.Forwarder
	err error
}

func (b broken) Paused(context.Context, string) (string, time.Time, error) {
	if b.err == nil {
		panic("secret-detail")
	}
	return "", time.Time{}, b.err
}
