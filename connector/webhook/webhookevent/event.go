// Package webhookevent holds the name and payload of the trigger of connector
// webhook. It imports the standard library only, so a receiver can use it
// without the connector:
//
//	got, err := trigger.Decode[webhookevent.Payload](ev)
package webhookevent

import "encoding/json"

// Received is the name of the trigger.
const Received = "webhook.received"

// Payload is what a sender sent. One of Body, Text and Base64 holds the body; an
// empty body leaves out all three.
type Payload struct {
	ContentType string            `json:"content_type" jsonschema:"as the sender gave it; may be empty"`
	Body        json.RawMessage   `json:"body,omitempty" jsonschema:"the body, if it is JSON"`
	Text        string            `json:"text,omitempty" jsonschema:"the body, if it is text but not JSON"`
	Base64      []byte            `json:"base64,omitempty" jsonschema:"the body, if it is neither"`
	Headers     map[string]string `json:"headers,omitempty" jsonschema:"the headers that the connection keeps"`
}

// Triggers names the triggers that the type belongs to.
func (Payload) Triggers() []string { return []string{Received} }
