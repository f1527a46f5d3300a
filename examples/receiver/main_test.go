package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

func TestReceiver(t *testing.T) {
	t.Parallel()
	current, former := webhook.NewSecret(), webhook.NewSecret()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-addr", "127.0.0.1:0"}, func(string) string { return current + " " + former }, write)
		write.Close()
	}()
	lines := bufio.NewScanner(read)
	require.True(t, lines.Scan())
	url, ok := strings.CutPrefix(lines.Text(), "receiver ready on ")
	require.True(t, ok, lines.Text())
	printed := make(chan string, 10)
	go func() {
		defer close(printed)
		for lines.Scan() {
			printed <- lines.Text()
		}
	}()

	post := func(id, secret string) int {
		t.Helper()
		body, err := trigger.Event{ID: id, Trigger: "gmail.email.sent", Time: time.Now(), Account: "user-42",
			Payload: json.RawMessage(`{"subject":"Hi"}`)}.AppendJSON(nil)
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, webhook.Signer{Secrets: []string{secret}}.Sign(req.Header, id, time.Now(), body))
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	assert.Equal(t, http.StatusNoContent, post("evt_1", current))
	assert.Equal(t, http.StatusNoContent, post("evt_1", current), "a retry is taken")
	assert.Equal(t, http.StatusUnauthorized, post("evt_2", webhook.NewSecret()))
	assert.Equal(t, http.StatusNoContent, post("evt_3", former))

	cancel()
	require.NoError(t, <-done)
	var got []string
	for line := range printed {
		got = append(got, line)
	}
	assert.Equal(t, []string{
		`evt_1 gmail.email.sent account="user-42" {"subject":"Hi"}`,
		`evt_3 gmail.email.sent account="user-42" {"subject":"Hi"}`,
	}, got, "each once, and nothing unproven")
}

func TestReceiverNeedsItsSecret(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"", "whsec_typo", "whsk_private"} {
		err := run(t.Context(), nil, func(string) string { return secret }, io.Discard)
		require.ErrorContains(t, err, "SIGNING_SECRET")
	}
	require.Error(t, run(t.Context(), []string{"-nonsense"}, func(string) string { return "" }, io.Discard))
}

func TestPrinterForgetsTheOldest(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newPrinter(&out)
	for i := range remember + 1 {
		require.NoError(t, p.show(t.Context(), trigger.Event{ID: fmt.Sprint("evt_", i)}))
	}
	assert.Len(t, p.seen, remember)
	assert.False(t, p.seen["evt_0"])
	assert.True(t, p.seen["evt_1"])
}
