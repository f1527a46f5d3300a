package jira

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// The types here read what Jira sends and never fail: a member that has changed
// its type is taken for absent, so that one odd field does not hide an event.

// text is a string; anything else, such as a document of REST v3, is "".
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
	}
	return nil
}

// ident is an id: a string in some places and a number in others.
type ident string

// UnmarshalJSON implements json.Unmarshaler.
func (i *ident) UnmarshalJSON(b []byte) error {
	var s string
	switch {
	case json.Unmarshal(b, &s) == nil:
		*i = ident(s)
	case len(b) > 0 && len(b) <= 20 && b[0] >= '0' && b[0] <= '9' && !bytes.ContainsAny(b, ".eE"):
		*i = ident(b)
	}
	return nil
}

// number is a whole number.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	if v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64); err == nil {
		*n = number(v)
	}
	return nil
}

// flag is true or false; nil when it is neither.
type flag struct{ value *bool }

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(b []byte) error {
	var v bool
	if string(b) != "null" && json.Unmarshal(b, &v) == nil {
		f.value = &v
	}
	return nil
}

func (f flag) is() bool { return f.value != nil && *f.value }

// moment is a time in any of the forms that Jira writes; else zero.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(b []byte) error {
	m.Time = time.Time{}
	var s string
	if json.Unmarshal(b, &s) == nil {
		m.Time = parseTime(s)
		return nil
	}
	if ms, err := strconv.ParseInt(string(b), 10, 64); err == nil && ms > 0 && ms < maxMillis {
		m.Time = time.UnixMilli(ms).UTC()
	}
	return nil
}

// maxMillis is the end of the year 9999, the last one that RFC 3339 can write.
const maxMillis = 253402300799999

func parseTime(s string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05.999-0700", time.RFC3339Nano} {
		if at, err := time.Parse(layout, s); err == nil && at.UTC().Year() >= 1 && at.UTC().Year() <= 9999 {
			return at.UTC()
		}
	}
	return time.Time{}
}

// object is a JSON object of type T; nil when it is absent or something else.
type object[T any] struct{ v *T }

// UnmarshalJSON implements json.Unmarshaler.
func (o *object[T]) UnmarshalJSON(b []byte) error {
	var v T
	if len(b) > 0 && b[0] == '{' && json.Unmarshal(b, &v) == nil {
		o.v = &v
	}
	return nil
}

// some returns the object, or an empty one.
func (o object[T]) some() T {
	if o.v == nil {
		var zero T
		return zero
	}
	return *o.v
}

// array is a JSON array; elements that are no T are left out.
type array[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (a *array[T]) UnmarshalJSON(b []byte) error {
	var raw []json.RawMessage
	_ = json.Unmarshal(b, &raw) // no array has no elements
	for _, one := range raw {
		var v T
		if json.Unmarshal(one, &v) == nil {
			*a = append(*a, v)
		}
	}
	return nil
}
