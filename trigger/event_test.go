package trigger_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/trigger"
)

// full has every member that is sent.
func full() trigger.Event {
	return trigger.Event{
		ID: "evt_01KATF3V5C8Q2M7XN4R0ZJ6H9D", Trigger: "gmail.email.sent",
		Time:      time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC),
		Connector: "gmail", Account: "user-42",
		Connection: "conn_01KATE9W1B6S0Z3YV8K5QH2T4G", Deployment: "dep_1", Environment: "env_1",
		Payload: json.RawMessage(`{"subject":"Lunch on Friday?"}`),
		Raw:     json.RawMessage(`{"historyId":"77"}`),
		Test:    true,
	}
}

// plain encodes as the Forwarder's contract says: without escaping for HTML.
func plain(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(v))
	return strings.TrimSuffix(b.String(), "\n")
}

func TestEventJSON(t *testing.T) {
	t.Parallel()
	cet := time.FixedZone("CET", 3600)
	for _, row := range []struct {
		name string
		edit func(*trigger.Event)
		want string
	}{
		{"every member, in the documented order", func(*trigger.Event) {},
			`{"type":"gmail.email.sent","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_01KATF3V5C8Q2M7XN4R0ZJ6H9D","connector":"gmail","trigger":"gmail.email.sent","account":"user-42","connection":"conn_01KATE9W1B6S0Z3YV8K5QH2T4G","deployment":"dep_1","environment":"env_1","payload":{"subject":"Lunch on Friday?"},"raw":{"historyId":"77"},"test":true}}`},
		{"empty members are absent", func(e *trigger.Event) {
			*e = trigger.Event{ID: "evt_1", Trigger: "a.b", Connector: "a", Time: e.Time, Payload: json.RawMessage(`{}`)}
		}, `{"type":"a.b","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_1","connector":"a","trigger":"a.b","payload":{}}}`},
		{"the dedupe key is not sent", func(e *trigger.Event) {
			*e = trigger.Event{ID: "evt_1", Trigger: "a.b", Time: e.Time, DedupeKey: "k"}
		}, `{"type":"a.b","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_1","trigger":"a.b"}}`},
		{"another zone becomes UTC, decimals are trimmed", func(e *trigger.Event) {
			*e = trigger.Event{ID: "evt_1", Trigger: "a.b", Time: time.Date(2026, 11, 23, 16, 4, 5, 120e6, cet)}
		}, `{"type":"a.b","timestamp":"2026-11-23T15:04:05.12Z","data":{"event":"evt_1","trigger":"a.b"}}`},
		{"payload is compacted, <, > and & stay readable", func(e *trigger.Event) {
			*e = trigger.Event{ID: "evt_1", Trigger: "a.b", Time: e.Time, Account: "<a&b>", Payload: json.RawMessage("{ \"x\" :\n \"<&>\" }")}
		}, `{"type":"a.b","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_1","trigger":"a.b","account":"<a&b>","payload":{"x":"<&>"}}}`},
		{"a hostile account stays inside its string", func(e *trigger.Event) {
			*e = trigger.Event{ID: "evt_1", Trigger: "a.b", Time: e.Time, Account: "\",\"test\":true,\"x\":\"\\\u2028\x00\xff"}
		}, `{"type":"a.b","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_1","trigger":"a.b","account":"\",\"test\":true,\"x\":\"\\\u2028\u0000` + "\uFFFD" + `"}}`},
		{"bytes that are not UTF-8 are replaced", func(e *trigger.Event) {
			*e = trigger.Event{ID: "evt_1", Trigger: "a.b", Time: e.Time, Raw: json.RawMessage("\"a\xffb\"")}
		}, `{"type":"a.b","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_1","trigger":"a.b","raw":"a` + "\uFFFD" + `b"}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ev := full()
			row.edit(&ev)
			got, err := ev.AppendJSON([]byte("kept"))
			require.NoError(t, err)
			assert.Equal(t, "kept"+row.want, string(got))
			assert.Equal(t, row.want, plain(t, ev), "encoding/json gives the same bytes")
		})
	}
}

func TestEventJSONErrors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		edit    func(*trigger.Event)
		payload bool
		text    string
	}{
		{"payload is not JSON", func(e *trigger.Event) { e.Payload = json.RawMessage(`{"a":`) }, true, "payload is not JSON"},
		{"payload is two values", func(e *trigger.Event) { e.Payload = json.RawMessage(`{}},"test":true,{{`) }, true, "payload is not JSON"},
		{"payload is white space", func(e *trigger.Event) { e.Payload = json.RawMessage(` `) }, true, "payload is not JSON"},
		{"raw is not JSON", func(e *trigger.Event) { e.Raw = json.RawMessage(`<xml/>`) }, true, "raw is not JSON"},
		{"year 10000", func(e *trigger.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, false, "RFC 3339 ends at 9999"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ev := full()
			row.edit(&ev)
			dst := []byte("kept")
			got, err := ev.AppendJSON(dst)
			require.ErrorContains(t, err, row.text)
			assert.ErrorContains(t, err, ev.ID)
			assert.Equal(t, row.payload, errorsIsPayload(err))
			assert.Equal(t, "kept", string(got))
			_, err = json.Marshal(ev)
			assert.Error(t, err)
		})
	}
}

func TestEventUnmarshal(t *testing.T) {
	t.Parallel()
	t.Run("what was sent comes back", func(t *testing.T) {
		t.Parallel()
		want := full()
		want.Time = want.Time.Add(123456789)
		var got trigger.Event
		require.NoError(t, json.Unmarshal([]byte(plain(t, want)), &got))
		assert.Equal(t, want, got)
	})
	t.Run("unknown members are ignored, nothing of before stays", func(t *testing.T) {
		t.Parallel()
		got := full()
		require.NoError(t, json.Unmarshal([]byte(`{"type":"a.b","timestamp":"2026-01-01T01:00:00+01:00","new":1,"data":{"event":"evt_1","new":{}}}`), &got))
		assert.Equal(t, trigger.Event{ID: "evt_1", Trigger: "a.b", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, got)
	})
	t.Run("null leaves the value alone", func(t *testing.T) {
		t.Parallel()
		got := full()
		require.NoError(t, json.Unmarshal([]byte(` null `), &got))
		assert.Equal(t, full(), got)
	})
	for _, row := range []struct{ name, in, text string }{
		{"no object", `[]`, "reading an event"},
		{"empty object", `{}`, "type is missing"},
		{"no data", `{"type":"a.b","timestamp":"2026-01-01T00:00:00Z"}`, "data is missing"},
		{"data is no object", `{"type":"a.b","data":[]}`, "reading an event"},
		{"type and trigger differ", `{"type":"a.b","data":{"trigger":"a.c"}}`, "data.trigger"},
		{"timestamp is a number", `{"type":"a.b","timestamp":1,"data":{}}`, "reading an event"},
		{"account is a number", `{"type":"a.b","data":{"account":1}}`, "reading an event"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := full()
			require.ErrorContains(t, json.Unmarshal([]byte(row.in), &got), row.text)
			assert.Equal(t, full(), got, "unchanged on an error")
		})
	}
}

func TestEventLogValueLeavesContentOut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	ev := full()
	slog.New(slog.NewJSONHandler(&b, nil)).Info("got it", "event", ev)
	assert.Contains(t, b.String(), ev.ID)
	assert.Contains(t, b.String(), "user-42")
	assert.NotContains(t, b.String(), "Lunch")
	assert.NotContains(t, b.String(), "historyId")
	assert.NotContains(t, b.String(), "deployment")
}

func BenchmarkEventAppendJSON(b *testing.B) {
	ev := full()
	ev.Raw = nil
	ev.Payload = json.RawMessage(`{"text":"` + strings.Repeat("Lunch on Friday? ", 60) + `"}`)
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = ev.AppendJSON(buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
