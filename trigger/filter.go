package trigger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a Filter. They are far above what any connector offers and keep a
// stored trigger list small whoever wrote it.
const (
	maxName       = 128  // bytes of a trigger's name
	maxParams     = 32   // params of one Filter
	maxParamName  = 64   // bytes
	maxParamValue = 2048 // bytes: room for a JQL query
)

// Filter is one line of a trigger list: a Trigger, narrowed by params where it
// offers some. In JSON it is an object, or just the name:
//
//	["gmail.email.sent", {"trigger":"gmail.email.labeled","params":{"label":"Invoices"}}]
type Filter struct {
	// Trigger is a name; "gmail.*" stands for all that begin with "gmail.",
	// which is all of a connector, and "*" for all of every connector.
	Trigger string `json:"trigger"`

	// Params narrow a Trigger named in full. All of them must match.
	Params map[string]string `json:"params,omitempty"`
}

// List returns a trigger list of names without params:
//
//	trigger.List(gmail.EmailSent, jira.IssueCreated)
//	trigger.List("github.*")
func List(names ...string) []Filter {
	filters := make([]Filter, len(names))
	for i, name := range names {
		filters[i].Trigger = name
	}
	return filters
}

// Covers reports whether the Filter is about the named Trigger, whatever its
// Params. A zero Filter, and one whose "*" stands anywhere but alone or at the
// end after a full stop, covers nothing beside its own text.
func (f Filter) Covers(name string) bool {
	switch {
	case name == "" || f.Trigger == "":
		return false
	case f.Trigger == "*" || f.Trigger == name:
		return true
	}
	prefix, wild := strings.CutSuffix(f.Trigger, "*")
	return wild && len(name) > len(prefix) && len(prefix) > 1 &&
		strings.HasSuffix(prefix, ".") && strings.HasPrefix(name, prefix)
}

// Match reports whether an occurrence of the named Trigger with these attributes
// is wanted. It fails closed: a Param whose attribute is absent, or has other
// values only, does not match.
func (f Filter) Match(name string, attributes map[string][]string) bool {
	if !f.Covers(name) {
		return false
	}
	for param, want := range f.Params {
		if !slices.Contains(attributes[param], want) {
			return false
		}
	}
	return true
}

// Validate reports whether the Filter is well formed, which says nothing about
// whether such a Trigger exists. Filters read from JSON have been validated.
func (f Filter) Validate() error {
	if f.Trigger == "" {
		return fmt.Errorf("trigger is missing: name one, such as \"gmail.email.sent\", \"gmail.*\" or \"*\"")
	}
	if !validPattern(f.Trigger) {
		return fmt.Errorf("trigger %s is malformed: it must be a name such as \"gmail.email.sent\", \"gmail.*\" or \"*\", of at most %d bytes", quote(f.Trigger), maxName)
	}
	if len(f.Params) == 0 {
		return nil
	}
	if strings.HasSuffix(f.Trigger, "*") {
		return fmt.Errorf("trigger %q has params: they belong to one trigger, so name it in full", f.Trigger)
	}
	if len(f.Params) > maxParams {
		return fmt.Errorf("trigger %q has %d params: at most %d are possible", f.Trigger, len(f.Params), maxParams)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Params)) {
		if !validPart(name) || len(name) > maxParamName {
			return fmt.Errorf("trigger %q has a param named %s: names are of letters, digits, _ and -, at most %d bytes", f.Trigger, quote(name), maxParamName)
		}
		if err := checkValue(f.Params[name]); err != nil {
			return fmt.Errorf("trigger %q: param %q %w", f.Trigger, name, err)
		}
	}
	return nil
}

// UnmarshalJSON accepts the object form and the bare name, and refuses members
// it does not know and Filters that [Filter.Validate] refuses.
func (f *Filter) UnmarshalJSON(b []byte) error {
	read, err := readFilter(b)
	if err == nil {
		err = read.Validate()
	}
	if err != nil {
		return fmt.Errorf("trigger list: %w", err)
	}
	*f = read
	return nil
}

func readFilter(b []byte) (Filter, error) {
	var f Filter
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '"' {
		return f, json.Unmarshal(b, &f.Trigger)
	}
	if len(b) == 0 || b[0] != '{' {
		return f, fmt.Errorf("an entry is neither a name nor an object: write \"gmail.email.sent\" or {\"trigger\":\"gmail.email.sent\"}")
	}
	// By exact names: decoding into the struct would also take "Trigger" and
	// "PARAMS", which other readers of the same file would not.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return f, err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var err error
		switch name {
		case "trigger":
			err = json.Unmarshal(members[name], &f.Trigger)
		case "params":
			err = json.Unmarshal(members[name], &f.Params)
		default:
			return f, fmt.Errorf("an entry has the unknown member %s: it may have trigger and params", quote(name))
		}
		if err != nil {
			return f, fmt.Errorf("member %q: %w", name, err)
		}
	}
	return f, nil
}

// ValidName reports whether s can name a Trigger: two or more parts of letters,
// digits, _ and -, separated by full stops, at most 128 bytes.
func ValidName(s string) bool {
	return len(s) <= maxName && strings.Contains(s, ".") && validParts(s)
}

func validPattern(s string) bool {
	if s == "*" {
		return true
	}
	if prefix, wild := strings.CutSuffix(s, ".*"); wild {
		return len(s) <= maxName && validParts(prefix)
	}
	return ValidName(s)
}

func validParts(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !validPart(part) {
			return false
		}
	}
	return true
}

func validPart(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

func checkValue(v string) error {
	switch {
	case v == "":
		return fmt.Errorf("is empty: leave it out or give it a value")
	case len(v) > maxParamValue:
		return fmt.Errorf("has %d bytes: at most %d are possible", len(v), maxParamValue)
	case !utf8.ValidString(v):
		return fmt.Errorf("is not valid UTF-8")
	case strings.ContainsFunc(v, unicode.IsControl):
		return fmt.Errorf("contains a control character")
	}
	return nil
}

// quote keeps what a stranger wrote short and on one line in an error message.
func quote(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%q…", s[:80])
	}
	return fmt.Sprintf("%q", s)
}
