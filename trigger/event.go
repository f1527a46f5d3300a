package trigger

import (
	"encoding/json"
	"log/slog"
	"time"
)

// Event is one occurrence of a Trigger, for one connected account.
//
// Its JSON form is the envelope that is forwarded, so the same value is what an
// in-process handler is called with and what a receiver unmarshals:
//
//	{"type":"gmail.email.sent","timestamp":"…","data":{"event":"evt_…","connector":"gmail","account":"user-42",…,"payload":{…}}}
//
// An Event is a plain value; do not modify Payload or Raw, they are shared.
type Event struct {
	ID          string          // "evt_…", ordered by time; equals the webhook-id header. The same on every retry and replay
	Trigger     string          // "gmail.email.sent"
	Time        time.Time       // when it happened, as the provider says; else when we received it
	Connector   string          // "gmail"; "interactor" for news about a connection itself
	Account     string          // your user's id, as given to AuthURL; empty without accounts
	Connection  string          // "conn_…"; give it to Interactor.Client. Empty without accounts
	Deployment  string          // "dep_…"
	Environment string          // "env_…"
	Payload     json.RawMessage // normalised; see Decode and Definition.Payload
	Raw         json.RawMessage // what the provider sent; only when the settings ask for it

	Test bool // an example, sent by hand

	// DedupeKey tells occurrences apart: a second event of the same connection
	// and trigger with the same key is dropped. Connectors set it; it is not sent.
	// For Publish: any stable id of yours. Defaults to ID.
	DedupeKey string
}

var _ slog.LogValuer = Event{}

// LogValue names the Event in a log and leaves its content out: payloads are
// people's mail and records.
func (e Event) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 5)
	for _, a := range []struct{ key, value string }{
		{"id", e.ID}, {"trigger", e.Trigger}, {"account", e.Account},
		{"connection", e.Connection}, {"environment", e.Environment},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	return slog.GroupValue(attrs...)
}
