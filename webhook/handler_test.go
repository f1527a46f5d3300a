package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

const eventBody = `{"type":"gmail.email.sent","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_1","account":"user-42","payload":{"subject":"Hi"}}}`

func signed(t *testing.T, id, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body))
	require.NoError(t, webhook.Signer{Secrets: []string{specSecret}}.Sign(r.Header, id, specTime(), []byte(body)))
	return r
}

func TestHandler(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		id     string
		body   string
		edit   func(*http.Request)
		result error
		status int
		called bool
		answer string
	}{
		{name: "an event", id: "evt_1", body: eventBody, status: 204, called: true},
		{name: "any Standard Webhooks event, without an id in its body", id: "evt_1", body: `{"type":"a.b","data":{}}`, status: 204, called: true},
		{name: "the handler fails", id: "evt_1", body: eventBody, result: errors.New("disk full"), status: 500, called: true, answer: "could not be handled"},
		{name: "not signed", id: "evt_1", body: eventBody, edit: func(r *http.Request) { r.Header = http.Header{} }, status: 401, answer: "missing"},
		{name: "wrong signature", id: "evt_1", body: eventBody, edit: func(r *http.Request) { r.Header.Set(webhook.HeaderSignature, specV1) }, status: 401, answer: "no signature matches"},
		{name: "stale", id: "evt_1", body: eventBody, edit: func(r *http.Request) { r.Header.Set(webhook.HeaderTimestamp, "1") }, status: 401, answer: "tolerance"},
		{name: "unsigned and too large is 401, without reading it", id: "evt_1", body: strings.Repeat(" ", 2000), edit: func(r *http.Request) {
			r.Header = http.Header{}
			r.Body = io.NopCloser(errReader{errors.New("read although unsigned")})
		}, status: 401, answer: "missing"},
		{name: "too large", id: "evt_1", body: strings.Repeat(" ", 1025), status: 413, answer: "1024"},
		{name: "as large as possible", id: "evt_1", body: eventBody + strings.Repeat(" ", 1024-len(eventBody)), status: 204, called: true},
		{name: "body breaks off", id: "evt_1", body: eventBody, edit: func(r *http.Request) { r.Body = io.NopCloser(errReader{io.ErrUnexpectedEOF}) }, status: 400, answer: "to its end"},
		{name: "no JSON", id: "evt_1", body: `hello`, status: 400, answer: "no event"},
		{name: "no event", id: "evt_1", body: `{"hello":1}`, status: 400, answer: "type is missing"},
		{name: "null", id: "evt_1", body: `null`, status: 400, answer: "no event"},
		{name: "empty", id: "evt_1", body: ``, status: 400, answer: "no event"},
		{name: "body of another event", id: "evt_2", body: eventBody, status: 400, answer: "evt_1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var got []trigger.Event
			v := webhook.Verifier{Secrets: []string{specSecret}, Now: specTime, MaxBody: 1024}
			var logged bytes.Buffer
			h := v.Handler(func(_ context.Context, ev trigger.Event) error {
				got = append(got, ev)
				return row.result
			})
			r := signed(t, row.id, row.body)
			if row.edit != nil {
				row.edit(r)
			}
			r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, &http.Server{ErrorLog: log.New(&logged, "", 0)}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Equal(t, row.status, w.Code)
			assert.Contains(t, w.Body.String(), row.answer)
			if !row.called {
				assert.Empty(t, got, "nothing unproven or unreadable reaches the handler")
				return
			}
			require.Len(t, got, 1)
			assert.Equal(t, "evt_1", got[0].ID)
			if row.result != nil {
				assert.Contains(t, logged.String(), row.result.Error(), "whoever runs the server reads why")
				assert.NotContains(t, w.Body.String(), row.result.Error(), "the sender does not")
			}
		})
	}
}

func TestHandlerRecoversPanics(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		value any
	}{{"an error", errors.New("boom")}, {"a text", "boom"}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			v := webhook.Verifier{Secrets: []string{specSecret}, Now: specTime}
			server := httptest.NewUnstartedServer(v.Handler(func(context.Context, trigger.Event) error { panic(row.value) }))
			server.Config.ErrorLog = log.New(&logged, "", 0)
			server.Start()
			r := signed(t, "evt_1", eventBody)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(eventBody))
			require.NoError(t, err)
			req.Header = r.Header
			resp, err := server.Client().Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			server.Close() // waits for the handler, so that its log is complete
			assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
			assert.Contains(t, logged.String(), "boom")
			assert.Contains(t, logged.String(), "handler_test.go", "with the place")
		})
	}
	t.Run("http.ErrAbortHandler keeps its meaning", func(t *testing.T) {
		t.Parallel()
		v := webhook.Verifier{Secrets: []string{specSecret}, Now: specTime}
		h := v.Handler(func(context.Context, trigger.Event) error { panic(http.ErrAbortHandler) })
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
			h.ServeHTTP(httptest.NewRecorder(), signed(t, "evt_1", eventBody))
		})
	})
}

func TestHandlerWithoutSecretAcceptsNothing(t *testing.T) {
	t.Parallel()
	h := webhook.Verifier{Now: specTime}.Handler(func(context.Context, trigger.Event) error {
		t.Error("called")
		return nil
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, signed(t, "evt_1", eventBody))
	assert.Equal(t, http.StatusUnauthorized, w.Code)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
