package trigger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ErrPayload is the error of [Decode]. An in-process handler that returns it is
// not called again for that event: another try cannot help.
var ErrPayload = errors.New("payload does not match")

// payloadType is what a payload type may say of itself.
type payloadType interface{ Triggers() []string }

// Decode unmarshals the payload of ev:
//
//	mail, err := trigger.Decode[gmail.Email](ev)
//
// Payload types of this module say which triggers they belong to (a method
// Triggers() []string), and an event of another trigger is refused instead of
// giving a struct of zero values. A type of your own without that method is
// unmarshalled as it is. Errors wrap [ErrPayload].
func Decode[P any](ev Event) (P, error) {
	var p P
	if own, ok := triggersOf[P](); ok && !slices.Contains(own, ev.Trigger) {
		return p, fmt.Errorf("trigger: event %s: %w: %T belongs to %s, the event is %s",
			ev.ID, ErrPayload, p, strings.Join(own, ", "), quote(ev.Trigger))
	}
	if b := bytes.TrimSpace(ev.Payload); len(b) == 0 || bytes.Equal(b, []byte("null")) {
		return p, fmt.Errorf("trigger: event %s: %w: there is none", ev.ID, ErrPayload)
	}
	if err := json.Unmarshal(ev.Payload, &p); err != nil {
		var zero P // not what was read before the error
		return zero, fmt.Errorf("trigger: event %s: %w: %w", ev.ID, ErrPayload, err)
	}
	return p, nil
}

// triggersOf asks P, or what P points to, for its triggers. It asks a fresh
// value, because a method of the value panics on a nil pointer.
func triggersOf[P any]() ([]string, bool) {
	if own, ok := any(new(P)).(payloadType); ok {
		return own.Triggers(), true
	}
	if t := reflect.TypeFor[P](); t.Kind() == reflect.Pointer {
		if own, ok := reflect.TypeAssert[payloadType](reflect.New(t.Elem())); ok {
			return own.Triggers(), true
		}
	}
	return nil, false
}
