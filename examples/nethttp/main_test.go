package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/webhook"
)

// start runs the program on a free port; env holds pairs of names and values.
func start(t *testing.T, db string, env ...string) (address string, lines <-chan string, stop func()) {
	t.Helper()
	getenv := func(name string) string {
		for i := 0; i < len(env); i += 2 {
			if env[i] == name {
				return env[i+1]
			}
		}
		return ""
	}
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-addr", "127.0.0.1:0", "-db", db, "-allow-private-networks"}, getenv, write)
		write.CloseWithError(err)
		done <- err
	}()
	stop = func() {
		cancel()
		require.NoError(t, <-done)
	}
	scanner := bufio.NewScanner(read)
	require.True(t, scanner.Scan(), "it ended early: %v", scanner.Err())
	address, ok := strings.CutPrefix(scanner.Text(), "ready: send webhooks to ")
	require.True(t, ok, scanner.Text())
	printed := make(chan string, 10)
	go func() {
		defer close(printed)
		for scanner.Scan() {
			printed <- scanner.Text()
		}
	}()
	return address, printed, stop
}

func post(t *testing.T, address, secret, id, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewBufferString(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	require.NoError(t, webhook.Signer{Secrets: []string{secret}}.Sign(req.Header, id, time.Now(), []byte(body)))
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestForwards(t *testing.T) {
	t.Parallel()
	secret, receiver := webhook.NewSecret(), forwardtest.NewReceiver(t)
	address, _, stop := start(t, filepath.Join(t.TempDir(), "hooks.db"),
		"WEBHOOK_SECRET", secret, "FORWARD_URL", receiver.URL, "SIGNING_SECRET", receiver.Secret)
	defer stop()

	assert.Equal(t, http.StatusUnauthorized, post(t, address, webhook.NewSecret(), "msg_0", `{"forged":true}`))
	assert.Equal(t, http.StatusOK, post(t, address, secret, "msg_1", `{"hello":"world"}`))
	assert.Equal(t, http.StatusOK, post(t, address, secret, "msg_1", `{"hello":"world"}`), "the sender tries again")
	assert.Equal(t, http.StatusOK, post(t, address, secret, "msg_2", `{"hello":"again"}`))

	got := []string{string(receiver.Next().Payload), string(receiver.Next().Payload)}
	assert.ElementsMatch(t, []string{"world", "again"}, []string{between(got[0]), between(got[1])})
	assert.Len(t, receiver.Events(), 2, "nothing forged, nothing twice")
}

// between returns what stands behind "hello".
func between(payload string) string {
	_, after, _ := strings.Cut(payload, `"hello":"`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}

func TestCallsAFunction(t *testing.T) {
	t.Parallel()
	secret, db := webhook.NewSecret(), filepath.Join(t.TempDir(), "hooks.db")
	address, lines, stop := start(t, db, "WEBHOOK_SECRET", secret)
	assert.Equal(t, http.StatusOK, post(t, address, secret, "msg_1", `{"hello":"world"}`))
	line := <-lines
	assert.Contains(t, line, "webhook.received")
	assert.Contains(t, line, `"hello":"world"`)
	stop()

	_, lines, stop = start(t, db, "WEBHOOK_SECRET", secret)
	stop()
	assert.Empty(t, <-lines, "what was delivered stays delivered after a restart")
}

func TestOwnPageStaysItsOwn(t *testing.T) {
	t.Parallel()
	address, _, stop := start(t, filepath.Join(t.TempDir(), "hooks.db"), "WEBHOOK_SECRET", webhook.NewSecret())
	defer stop()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(address, "webhooks/webhook"), nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "my own page\n", string(page))
}

func TestSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"no secret of the sender", nil, "webhook has no webhook secret"},
		{"no signing secret", map[string]string{"WEBHOOK_SECRET": webhook.NewSecret(), "FORWARD_URL": "https://app.example.com"}, "Settings.Secrets is missing"},
		{
			"private address",
			map[string]string{"WEBHOOK_SECRET": webhook.NewSecret(), "FORWARD_URL": "http://127.0.0.1:1/", "SIGNING_SECRET": webhook.NewSecret()},
			"loopback",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"-addr", "127.0.0.1:0", "-db", filepath.Join(t.TempDir(), "hooks.db")}
			err := run(t.Context(), args, func(name string) string { return c.env[name] }, io.Discard)
			require.ErrorContains(t, err, c.want)
		})
	}
}
