package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/webhook"
)

const apiKey = "a-fixed-api-key-of-32-characters-or-more"

// file writes a config file with some members changed and returns its path.
func file(t *testing.T, change map[string]any) string {
	t.Helper()
	cfg := map[string]any{
		"address":      "127.0.0.1:0",
		"public_url":   "https://hooks.example.com",
		"sealing_keys": []string{"${INTERACTOR_KEY}"},
		"connectors": map[string]any{
			"gmail":   map[string]any{"client_id": "id", "client_secret": "${GOOGLE_CLIENT_SECRET}"},
			"gitea":   map[string]any{"client_id": "id", "client_secret": "secret", "url": "https://git.example.com"},
			"webhook": map[string]any{},
		},
		"deployments": []any{map[string]any{
			"forwarding": map[string]any{
				"url": "https://app.example.com/events", "header_key": "X-Acme-Token", "header_value": "token",
				"secrets": []string{"${SIGNING_SECRET}"}, "triggers": []any{"gitea.*", "webhook.received"},
			},
			"environments": map[string]any{"Production": map[string]any{"api_key": apiKey}},
		}},
		"log": map[string]any{"level": "warn", "format": "text"},
	}
	maps.Copy(cfg, change)
	b, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "server.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func environment() func(string) (string, bool) {
	vars := map[string]string{"INTERACTOR_KEY": seal.NewKey(), "GOOGLE_CLIENT_SECRET": "s", "SIGNING_SECRET": webhook.NewSecret()}
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	deployments := func(more map[string]any) map[string]any {
		return map[string]any{"deployments": []any{more}}
	}
	for _, row := range []struct {
		name   string
		change map[string]any
		want   string
	}{
		{"unknown member", map[string]any{"addresses": "x"}, `"addresses"`},
		{"variable that is not set", map[string]any{"public_url": "${NOPE}"}, "public_url: the environment variable NOPE is not set"},
		{"unknown connector", map[string]any{"connectors": map[string]any{"gmial": map[string]any{}}}, "connectors.gmial: no such connector; there are gitea, gmail, jira, webhook"},
		{"unknown member of a connector", map[string]any{"connectors": map[string]any{"gmail": map[string]any{"clientid": "x"}}}, `connectors.gmail: json: unknown field "clientid"`},
		{"no public address", map[string]any{"public_url": ""}, "PublicURL is missing"},
		{"bad sealing key", map[string]any{"sealing_keys": []string{"short"}}, "SealingKeys[0]"},
		{"short api key", deployments(map[string]any{"environments": map[string]any{"Production": map[string]any{"api_key": "short"}}}), "at least 32 characters"},
		{"app of a connector that is not listed", deployments(map[string]any{"environments": map[string]any{"Production": map[string]any{"apps": map[string]any{"jira": map[string]any{}}}}}), "apps.jira: no connector"},
		{"the same deployment twice", map[string]any{"deployments": []any{map[string]any{}, map[string]any{"name": "Default"}}}, "is there twice"},
		{"unknown trigger", deployments(map[string]any{"forwarding": map[string]any{"url": "https://a.example.com", "triggers": []string{"gmail.email.snt"}}}), "gmail.email.snt"},
		{"private address", deployments(map[string]any{"forwarding": map[string]any{"url": "http://127.0.0.1:9", "triggers": []string{"*"}}}), "AllowPrivateNetworks"},
		{"proxy of another kind", map[string]any{"proxy": "socks5://user:hunter2@proxy.example.com"}, "Proxy is no http or https address"},
		{"malformed proxy", map[string]any{"proxy": "http://user:hunter2@proxy example"}, "proxy: is no address"},
		{"authorities that are not there", map[string]any{"root_cas": "nothing.pem"}, "root_cas: open "},
		{"authorities that are none", map[string]any{"root_cas": "server.json"}, "server.json holds no certificate in PEM"},
		{"client certificate without its key", deployments(map[string]any{"forwarding": map[string]any{"url": "https://a.example.com", "triggers": []string{"*"}, "client_certificate": "x"}}), "client_key is missing"},
		{"oauth2 without a secret", deployments(map[string]any{"forwarding": map[string]any{"url": "https://a.example.com", "triggers": []string{"*"}, "oauth2": map[string]any{"token_url": "https://b.example.com", "client_id": "x"}}}), "oauth2.client_secret is missing"},
		{"bad log level", map[string]any{"log": map[string]any{"level": "loud"}}, "log.level"},
		{"bad duration", map[string]any{"limits": map[string]any{"drain_timeout": 5}}, "duration"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), []string{"-config", file(t, row.change)}, environment(), io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want something with %q", err, row.want)
			}
		})
	}
	if err := run(t.Context(), nil, environment(), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "-config") {
		t.Errorf("without a file: %v", err)
	}
}

// lines is a writer that tells when a line has come.
type lines struct {
	mu   sync.Mutex
	b    bytes.Buffer
	come chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() {
		select {
		case l.come <- struct{}{}:
		default:
		}
	}()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs the server and returns its address and what stops it.
func start(t *testing.T, path string, env func(string) (string, bool)) (address string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	out := &lines{come: make(chan struct{}, 1)}
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-config", path}, env, out, io.Discard) }()
	select {
	case <-out.come:
	case err := <-done:
		t.Fatal(err)
	case <-time.After(30 * time.Second):
		t.Fatal("it did not become ready")
	}
	m := regexp.MustCompile(`^interactor: listening on (http://\S+) \(public https://hooks.example.com\)\n$`).FindStringSubmatch(out.String())
	if m == nil {
		t.Fatalf("it printed %q", out.String())
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return m[1], stop
}

func get(t *testing.T, address, key string) (int, string) {
	t.Helper()
	return send(t, http.MethodGet, address, key)
}

func send(t *testing.T, method, address, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-api-key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServesAndStopsAndStartsAgain(t *testing.T) {
	t.Parallel()
	env := environment()
	path := file(t, nil)
	for range 2 { // the second time the deployments are there
		address, stop := start(t, path, env)
		status, body := get(t, address+"/api/v1/connector/interactor/gmail/auth-url?account=user-42", apiKey)
		if status != http.StatusOK || !strings.HasPrefix(body, "https://hooks.example.com/connect/") {
			t.Errorf("auth-url: %d %s", status, body)
		}
		// The key of the file is replaced there: a restart would bring it back.
		if status, body := send(t, http.MethodPost, address+"/api/v1/api-key", apiKey); status != http.StatusConflict || !strings.Contains(body, "managed") {
			t.Errorf("replacing the key of the file: %d %s", status, body)
		}
		if status, _ := get(t, address+"/api/v1/connections", "itk_wrong"); status != http.StatusUnauthorized {
			t.Errorf("a wrong key got %d", status)
		}
		status, body = get(t, address+"/api/v1/forwarding", apiKey)
		if status != http.StatusOK || !strings.Contains(body, `"managed":true`) || strings.Contains(body, "token\"") {
			t.Errorf("forwarding: %d %s", status, body)
		}
		stop()
	}
}

func TestSeveralDeployments(t *testing.T) {
	t.Parallel()
	forwarding := map[string]any{"url": "https://app.example.com/events", "triggers": []string{"gitea.*"}}
	one, two := "key-of-acme-production-0123456789abcdef", "key-of-acme-development-0123456789abcdef"
	address, _ := start(t, file(t, map[string]any{"deployments": []any{map[string]any{
		"organization": "Acme", "name": "CRM", "forwarding": forwarding,
		"environments": map[string]any{
			"Production": map[string]any{"api_key": one, "apps": map[string]any{"gitea": map[string]any{"client_id": "own", "client_secret": "s"}}},
			"Development": map[string]any{"api_key": two, "forwarding": map[string]any{
				"url": "https://dev.example.com/events", "triggers": []string{"webhook.received"},
			}},
		},
	}}}), environment())
	if _, body := get(t, address+"/api/v1/forwarding", one); !strings.Contains(body, "app.example.com") {
		t.Errorf("Production: %s", body)
	}
	if _, body := get(t, address+"/api/v1/forwarding", two); !strings.Contains(body, "dev.example.com") {
		t.Errorf("Development: %s", body)
	}
	if _, body := get(t, address+"/api/v1/connector/interactor/gitea/auth-url?account=u", one); !strings.HasPrefix(body, "https://git.example.com/login/oauth/authorize?") || !strings.Contains(body, "client_id=own") {
		t.Errorf("with an own App: %s", body)
	}
	if status, _ := get(t, address+"/api/v1/connections", apiKey); status != http.StatusUnauthorized {
		t.Errorf("a key of nobody got %d", status)
	}
}
