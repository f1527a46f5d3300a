package oidc_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/trigger"
)

// issued keeps what the OP answers at its token endpoint.
type issued struct {
	http.ResponseWriter
	bytes.Buffer
}

func (w *issued) Write(b []byte) (int, error) {
	w.Buffer.Write(b)
	return w.ResponseWriter.Write(b)
}

// A destination whose receiver takes the OP's tokens: fetched with the client's
// own credentials, used until shortly before they end, never without the secret.
func TestClientCredentials(t *testing.T) { //nolint:paralleltest // the OP keeps its clients in a package variable
	var mu sync.Mutex
	valid := map[string]bool{}
	ahead := time.Duration(0)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	tokens := func() int { mu.Lock(); defer mu.Unlock(); return len(valid) }

	op := httptest.NewUnstartedServer(nil)
	issuer := "http://" + strings.Replace(op.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	router := exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), slog.New(slog.DiscardHandler), false)
	op.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept := &issued{ResponseWriter: w}
		router.ServeHTTP(kept, r)
		var answer struct {
			Token string `json:"access_token"`
		}
		mu.Lock()
		defer mu.Unlock()
		if json.Unmarshal(kept.Bytes(), &answer) == nil && answer.Token != "" {
			valid["Bearer "+answer.Token] = true
		}
	})
	op.Start()
	t.Cleanup(op.Close)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !valid[r.Header.Get("Authorization")] {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(receiver.Close)

	in := interactortest.Start(t, interactor.Config{Connectors: []interactor.Connector{webhook.New(webhook.Config{})}, Now: now})
	settings := forward.Settings{
		URL: receiver.URL, Triggers: trigger.List("*"),
		OAuth2: &forward.OAuth2{TokenURL: issuer + "/oauth/token", ClientID: "sid1", ClientSecret: "verysecret", Scopes: []string{"openid"}},
	}
	attempt := func() forward.Attempt {
		t.Helper()
		sent, err := in.Forwarder.SendExample(t.Context(), "", webhook.Received, "")
		if err != nil {
			t.Fatal(err)
		}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for late := time.After(10 * time.Second); ; {
			rec, err := in.Forwarder.Event(t.Context(), sent.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(rec.Deliveries) > 0 && len(rec.Deliveries[0].Attempts) > 0 {
				return rec.Deliveries[0].Attempts[0]
			}
			select {
			case <-tick.C:
			case <-late:
				t.Fatal("no try was recorded")
			}
		}
	}
	if err := in.Deployments.SetForwarding(t.Context(), "", settings); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a := attempt(); a.StatusCode != http.StatusOK {
			t.Fatalf("attempt: %d %q", a.StatusCode, a.Error)
		}
	}
	if n := tokens(); n != 1 {
		t.Errorf("%d tokens for 3 deliveries", n)
	}
	// The OP's tokens live for five minutes.
	mu.Lock()
	ahead = 4*time.Minute + 45*time.Second
	mu.Unlock()
	if a := attempt(); a.StatusCode != http.StatusOK || tokens() != 2 {
		t.Errorf("shortly before the end: %d %q, %d tokens", a.StatusCode, a.Error, tokens())
	}
	settings.OAuth2.ClientSecret = "wrong"
	if err := in.Deployments.SetForwarding(t.Context(), "", settings); err != nil {
		t.Fatal(err)
	}
	if a := attempt(); a.StatusCode != 0 || !strings.HasPrefix(a.Error, "oauth2: the server of token_url answered 4") {
		t.Errorf("with a wrong secret: %d %q", a.StatusCode, a.Error)
	}
}
