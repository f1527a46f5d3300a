package trigger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

var (
	_ json.Marshaler   = Event{}
	_ json.Unmarshaler = (*Event)(nil)
)

// MarshalJSON returns the envelope. Encode with SetEscapeHTML(false) to get the
// bytes that the Forwarder sends, with <, > and & readable; json.Marshal escapes
// those three, which means the same to a JSON reader.
func (e Event) MarshalJSON() ([]byte, error) {
	return e.AppendJSON(make([]byte, 0, 512+len(e.Payload)+len(e.Raw)))
}

// AppendJSON appends the envelope to dst: the very bytes that are signed and
// sent. Payload and Raw are compacted; one that is not JSON is an error that
// wraps [ErrPayload], and dst is returned as it was.
//
// The timestamp is RFC 3339 in UTC with as many decimals as it needs. Members
// that are empty are left out, except type, timestamp, event and trigger. Bytes
// that are not UTF-8 are replaced by U+FFFD, because JSON has no place for them.
func (e Event) AppendJSON(dst []byte) ([]byte, error) {
	at := e.Time.UTC()
	if y := at.Year(); y < 0 || y > 9999 {
		return dst, fmt.Errorf("trigger: event %s: time is in the year %d: RFC 3339 ends at 9999", e.ID, y)
	}
	b := dst
	b = append(b, `{"type":`...)
	b = appendString(b, e.Trigger)
	b = append(b, `,"timestamp":"`...)
	b = at.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","data":{"event":`...)
	b = appendString(b, e.ID)
	b = appendMember(b, `,"connector":`, e.Connector)
	b = append(b, `,"trigger":`...)
	b = appendString(b, e.Trigger)
	b = appendMember(b, `,"account":`, e.Account)
	b = appendMember(b, `,"connection":`, e.Connection)
	b = appendMember(b, `,"deployment":`, e.Deployment)
	b = appendMember(b, `,"environment":`, e.Environment)
	var err error
	if b, err = appendRaw(b, `,"payload":`, e.Payload); err != nil {
		return dst, fmt.Errorf("trigger: event %s: %w: payload is not JSON: %w", e.ID, ErrPayload, err)
	}
	if b, err = appendRaw(b, `,"raw":`, e.Raw); err != nil {
		return dst, fmt.Errorf("trigger: event %s: %w: raw is not JSON: %w", e.ID, ErrPayload, err)
	}
	if e.Test {
		b = append(b, `,"test":true`...)
	}
	return append(b, '}', '}'), nil
}

// envelope is the reading side of AppendJSON.
type envelope struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      *struct {
		Event       string          `json:"event"`
		Connector   string          `json:"connector"`
		Trigger     string          `json:"trigger"`
		Account     string          `json:"account"`
		Connection  string          `json:"connection"`
		Deployment  string          `json:"deployment"`
		Environment string          `json:"environment"`
		Payload     json.RawMessage `json:"payload"`
		Raw         json.RawMessage `json:"raw"`
		Test        bool            `json:"test"`
	} `json:"data"`
}

// UnmarshalJSON reads the envelope; members that it does not know are ignored.
// It refuses one without type or data, and one whose type and data.trigger
// differ. Nothing of the Event's former value stays.
func (e *Event) UnmarshalJSON(b []byte) error {
	var in envelope
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("trigger: reading an event: %w", err)
	}
	switch {
	case bytes.Equal(bytes.TrimSpace(b), []byte("null")):
		return nil // the convention of encoding/json
	case in.Type == "":
		return errors.New("trigger: reading an event: type is missing")
	case in.Data == nil:
		return errors.New("trigger: reading an event: data is missing")
	case in.Data.Trigger != "" && in.Data.Trigger != in.Type:
		return fmt.Errorf("trigger: reading an event: type is %s but data.trigger is %s", quote(in.Type), quote(in.Data.Trigger))
	}
	*e = Event{
		ID: in.Data.Event, Trigger: in.Type, Time: in.Timestamp.UTC(),
		Connector: in.Data.Connector, Account: in.Data.Account, Connection: in.Data.Connection,
		Deployment: in.Data.Deployment, Environment: in.Data.Environment,
		Payload: in.Data.Payload, Raw: in.Data.Raw, Test: in.Data.Test,
	}
	return nil
}

func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, name...), value)
}

func appendRaw(b []byte, name string, value json.RawMessage) ([]byte, error) {
	if len(value) == 0 {
		return b, nil
	}
	if !utf8.Valid(value) {
		value = bytes.ToValidUTF8(value, []byte("\uFFFD"))
	}
	buf := bytes.NewBuffer(append(b, name...))
	if err := json.Compact(buf, value); err != nil {
		return b, err
	}
	return buf.Bytes(), nil
}

// appendString appends s as encoding/json does without HTML escaping, but for a
// byte that is not UTF-8: that becomes U+FFFD itself and not its escape, so that
// writing what was read gives the same bytes again.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[start:i]...), "\uFFFD"...)
			start = i + size
		case r == '\u2028' || r == '\u2029': // line ends to JavaScript, so escaped
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hex[r&0xF])
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}
