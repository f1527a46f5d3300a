package trigger_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/trigger"
)

type mail struct {
	Subject string `json:"subject"`
}

func (mail) Triggers() []string { return []string{"mail.sent", "mail.received"} }

type pointed struct{ Subject string }

func (*pointed) Triggers() []string { return []string{"mail.sent"} }

type nobodys struct{ Subject string }

func (nobodys) Triggers() []string { return nil }

func TestDecode(t *testing.T) {
	t.Parallel()
	sent := trigger.Event{ID: "evt_1", Trigger: "mail.sent", Payload: json.RawMessage(`{"subject":"Hi"}`)}
	other := trigger.Event{ID: "evt_2", Trigger: "issue.created", Payload: json.RawMessage(`{"subject":"Hi"}`)}

	got, err := trigger.Decode[mail](sent)
	require.NoError(t, err)
	assert.Equal(t, mail{"Hi"}, got)

	ptr, err := trigger.Decode[*mail](sent)
	require.NoError(t, err)
	assert.Equal(t, &mail{"Hi"}, ptr)

	own, err := trigger.Decode[map[string]any](other)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"subject": "Hi"}, own)

	for _, row := range []struct {
		name string
		err  error
		text string
	}{
		{"of another trigger", second(trigger.Decode[mail](other)), "belongs to mail.sent, mail.received"},
		{"a pointer, of another trigger", second(trigger.Decode[*mail](other)), "belongs to"},
		{"method of the pointer, of another trigger", second(trigger.Decode[pointed](other)), "belongs to mail.sent"},
		{"a type that belongs to no trigger", second(trigger.Decode[nobodys](sent)), "belongs to"},
		{"no payload", second(trigger.Decode[mail](trigger.Event{Trigger: "mail.sent"})), "there is none"},
		{"null", second(trigger.Decode[mail](trigger.Event{Trigger: "mail.sent", Payload: json.RawMessage(` null`)})), "there is none"},
		{"another type of member", second(trigger.Decode[mail](trigger.Event{Trigger: "mail.sent", Payload: json.RawMessage(`{"subject":1}`)})), "cannot unmarshal"},
		{"no JSON", second(trigger.Decode[mail](trigger.Event{Trigger: "mail.sent", Payload: json.RawMessage(`{`)})), "unexpected end"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, row.err, trigger.ErrPayload)
			assert.ErrorContains(t, row.err, row.text)
		})
	}

	half, err := trigger.Decode[struct{ A, B any }](trigger.Event{Payload: json.RawMessage(`{"A":1,"B":}`)})
	require.Error(t, err)
	assert.Zero(t, half)
}

func second[P any](_ P, err error) error { return err }
