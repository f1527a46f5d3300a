package main

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/catest"
	"github.com/interactorhq/interactor/internal/proxytest"
	"github.com/interactorhq/interactor/webhook"
)

// All that a receiver can ask for, by the config file alone: an authority of its
// own, a client certificate, an access token, and a proxy on the way.
func TestDestinationByConfigFile(t *testing.T) {
	t.Parallel()
	ca, p, secret := catest.New(t), proxytest.New(t, false), webhook.NewSecret()
	p.Open = true
	tokens := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "acme" || secret != "from-the-environment" || len(r.TLS.PeerCertificates) > 0 {
			t.Errorf("the token server was asked by %q with %d certificates", id, len(r.TLS.PeerCertificates))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}`)
	}))
	ca.Start(tokens, tls.RequestClientCert)
	t.Cleanup(tokens.Close)
	got := make(chan string, 1)
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := (webhook.Verifier{Secrets: []string{secret}}).Verify(r.Header, body); err != nil {
			t.Error(err)
		}
		got <- r.TLS.PeerCertificates[0].Subject.CommonName + ", " + r.Header.Get("Authorization")
	}))
	ca.Start(receiver, tls.RequireAndVerifyClientCert)
	t.Cleanup(receiver.Close)

	certificate, key := ca.Client("acme-crm")
	vars := map[string]string{"CERTIFICATE": certificate, "KEY": key, "CLIENT_SECRET": "from-the-environment"}
	base := environment()
	env := func(name string) (string, bool) {
		if v, ok := vars[name]; ok {
			return v, true
		}
		return base(name)
	}
	path := file(t, map[string]any{
		"allow_private_networks": true, "proxy": p.Address(url.UserPassword("user", "password")).String(), "root_cas": "authorities.pem",
		"deployments": []any{map[string]any{
			"forwarding": map[string]any{
				"url": receiver.URL + "/events", "triggers": []any{"*"}, "secrets": []string{secret},
				"client_certificate": "${CERTIFICATE}", "client_key": "${KEY}",
				"oauth2": map[string]any{"token_url": tokens.URL + "/token", "client_id": "acme", "client_secret": "${CLIENT_SECRET}", "scopes": []string{"events"}},
			},
			"environments": map[string]any{"Production": map[string]any{"api_key": apiKey}},
		}},
	})
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate()})
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "authorities.pem"), authority, 0o600); err != nil {
		t.Fatal(err)
	}
	address, _ := start(t, path, env)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/api/v1/events/test", strings.NewReader(`{"trigger":"webhook.received"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-api-key", apiKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("the test button: %d", res.StatusCode)
	}
	select {
	case who := <-got:
		if who != "acme-crm, Bearer t0ken" {
			t.Errorf("the receiver was called by %s", who)
		}
	case <-time.After(10 * time.Second):
		_, body := get(t, address+"/api/v1/events", apiKey)
		t.Fatalf("nothing arrived: %s", body)
	}
	want := []string{"CONNECT " + tokens.Listener.Addr().String(), "CONNECT " + receiver.Listener.Addr().String()}
	if seen := p.Seen(); !slices.Equal(seen, want) {
		t.Errorf("the proxy was asked for %v, want %v", seen, want)
	}
	status, body := get(t, address+"/api/v1/forwarding", apiKey)
	if status != http.StatusOK || strings.Contains(body, "from-the-environment") || strings.Contains(body, "PRIVATE KEY") || !strings.Contains(body, "BEGIN CERTIFICATE") {
		t.Errorf("forwarding: %d %s", status, body)
	}
}
