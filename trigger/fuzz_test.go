package trigger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/trigger"
)

func errorsIsPayload(err error) bool { return errors.Is(err, trigger.ErrPayload) }

// reflected is the envelope as encoding/json writes it by reflection: the
// yardstick of the hand-built one.
type reflected struct {
	Type      string        `json:"type"`
	Timestamp time.Time     `json:"timestamp"`
	Data      reflectedData `json:"data"`
}

type reflectedData struct {
	Event       string          `json:"event"`
	Connector   string          `json:"connector,omitempty"`
	Trigger     string          `json:"trigger"`
	Account     string          `json:"account,omitempty"`
	Connection  string          `json:"connection,omitempty"`
	Deployment  string          `json:"deployment,omitempty"`
	Environment string          `json:"environment,omitempty"`
	Payload     json.RawMessage `json:"payload,omitempty"`
	Raw         json.RawMessage `json:"raw,omitempty"`
	Test        bool            `json:"test,omitempty"`
}

func FuzzEventAppendJSON(f *testing.F) {
	f.Add("evt_1", "gmail.email.sent", "user-42", "conn_1", int64(1795446245), int64(0), []byte(`{"a":1}`), []byte(`null`), false)
	f.Add("", "", "\xff\u2028<&>\"\\\x00\x1f\x7f", "é世\u2029", int64(-1), int64(120e6), []byte(" [ 1 , \"<\\u2028\xe2\x80\xa8\" ] "), []byte(nil), true)
	f.Add("evt_2", "a.b", "\b\f\n\r\t", "\xc3", int64(253402300799), int64(999999999), []byte(`{"a":`), []byte("\"\xff\""), true)
	f.Add("evt_3", "a.b", "\xa7\xff", "conn_1", int64(0), int64(0), []byte("[\"\xff\xfe\"]"), []byte(nil), false)
	f.Fuzz(func(t *testing.T, id, name, account, connection string, sec, nsec int64, payload, raw []byte, test bool) {
		ev := trigger.Event{
			ID: id, Trigger: name, Time: time.Unix(sec, nsec).UTC(), Connector: account, Account: account,
			Connection: connection, Deployment: id, Environment: connection, Payload: payload, Raw: raw, Test: test,
		}
		got, err := ev.AppendJSON(nil)
		if err != nil {
			require.Empty(t, got)
			badTime := ev.Time.Year() < 0 || ev.Time.Year() > 9999
			badJSON := len(payload) > 0 && !json.Valid(payload) || len(raw) > 0 && !json.Valid(raw)
			require.True(t, badTime || badJSON, "refused without a reason: %v", err)
			return
		}
		require.Equal(t, string(got), plain(t, ev), "MarshalJSON gives the same bytes")

		utf8 := func(s string) string { return string([]rune(s)) } // a byte that is not UTF-8 is U+FFFD
		want := reflected{utf8(name), ev.Time, reflectedData{utf8(id), utf8(account), utf8(name), utf8(account),
			utf8(connection), utf8(id), utf8(connection), bytes.ToValidUTF8(payload, []byte("\uFFFD")), bytes.ToValidUTF8(raw, []byte("\uFFFD")), test}}
		require.Equal(t, plain(t, want), string(got), "encoding/json gives the same bytes")

		var back trigger.Event
		err = json.Unmarshal(got, &back)
		if name == "" {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		assert.True(t, back.Time.Equal(ev.Time))
		again, err := back.AppendJSON(nil)
		require.NoError(t, err)
		assert.Equal(t, string(got), string(again), "round trip")
	})
}

func FuzzEventUnmarshal(f *testing.F) {
	f.Add([]byte(`{"type":"a.b","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_1","payload":{"a":[1]},"raw":null,"test":true}}`))
	f.Add([]byte(`{"TYPE":"a.b","type":"a.c","data":{"trigger":"a.b"}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ev trigger.Event
		if json.Unmarshal(b, &ev) != nil {
			assert.Equal(t, trigger.Event{}, ev)
			return
		}
		out, err := ev.AppendJSON(nil)
		require.NoError(t, err, "what can be read can be written")
		require.True(t, json.Valid(out))
	})
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(`"gmail.email.sent"`), "gmail.email.sent")
	f.Add([]byte(`{"trigger":"gmail.email.labeled","params":{"label":"Invoices"}}`), "gmail.email.labeled")
	f.Add([]byte(`"gmail.*"`), "gmailx.a")
	f.Add([]byte(`{"trigger":"*","params":null}`), "a.b")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		var filter trigger.Filter
		if json.Unmarshal(b, &filter) != nil {
			assert.Equal(t, trigger.Filter{}, filter)
			return
		}
		require.NoError(t, filter.Validate())
		if len(filter.Params) > 0 {
			assert.False(t, filter.Match(name, nil), "a param without attribute matches nothing")
		}
		out, err := json.Marshal(filter)
		require.NoError(t, err)
		var back trigger.Filter
		require.NoError(t, json.Unmarshal(out, &back))
		assert.Equal(t, filter.Trigger, back.Trigger)
		assert.Len(t, back.Params, len(filter.Params))
		assert.Equal(t, filter.Covers(name), back.Covers(name))
	})
}
