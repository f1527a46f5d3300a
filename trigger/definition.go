package trigger

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Definition is one Trigger as a connector offers it in its catalogue. It is
// data: a connector returns equal Definitions each time it is asked.
type Definition struct {
	// Name, such as "gmail.email.sent": the connector's name, a full stop, and
	// one or more parts of it. It is stored and sent, so it never changes.
	Name string `json:"name"`

	// Label for people, such as "An Email is Sent".
	Label string `json:"label"`

	// Help is one sentence for the person who chooses.
	Help string `json:"help,omitempty"`

	// Payload is the zero value of the typed payload. The JSON Schema of the
	// catalogue is derived from its type.
	Payload any `json:"-"`

	// Example is a filled value of Payload's type: what a test event sends.
	Example any `json:"example,omitempty"`

	// Params are what a Filter may or must narrow the Trigger by.
	Params []Param `json:"params,omitempty"`

	// Scopes are the consent that the Trigger needs. "name=scope" puts the scope
	// into the query parameter name of the consent URL instead of "scope".
	Scopes []string `json:"scopes,omitempty"`

	// Watch is the name of the connector's Watch through which it is noticed.
	Watch string `json:"watch,omitempty"`

	// Topics are the provider's own names of what that Watch must report.
	Topics []string `json:"topics,omitempty"`

	// Undeliverable says why this configuration of the connector cannot deliver
	// the Trigger, and what to do; empty: it can. Setting it in a trigger list is
	// refused.
	Undeliverable string `json:"undeliverable,omitempty"`
}

// Param is a value that narrows a Trigger, such as a label or a repository. One
// that occurs in the Resource of the Definition's Watch chooses which watch is
// held at the provider; every other one is compared with the attributes of what
// happened (see [Filter.Match]).
type Param struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Pattern  string   `json:"pattern,omitempty"` // regular expression (RE2) that the whole value must match
	Required bool     `json:"required,omitempty"`
	Enum     []string `json:"enum,omitempty"` // non-empty: one of these
}

// CheckParams reports, all at once, what is wrong with the Params of a Filter on
// this Trigger: names that the Trigger does not have, required ones that are
// missing, values that are refused.
func (d Definition) CheckParams(params map[string]string) error {
	var errs []error
	known := make([]string, 0, len(d.Params))
	for _, p := range d.Params {
		known = append(known, p.Name)
		value, set := params[p.Name]
		switch {
		case set:
			if err := p.Check(value); err != nil {
				errs = append(errs, fmt.Errorf("trigger %s: %w", d.Name, err))
			}
		case p.Required:
			errs = append(errs, fmt.Errorf("trigger %s: param %q is missing: it is required (%s)", d.Name, p.Name, p.Label))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		switch {
		case slices.Contains(known, name):
		case len(known) == 0:
			errs = append(errs, fmt.Errorf("trigger %s: there is no param %q: it takes none", d.Name, name))
		default:
			errs = append(errs, fmt.Errorf("trigger %s: there is no param %q: it has %s", d.Name, name, strings.Join(known, ", ")))
		}
	}
	return errors.Join(errs...)
}

// Check reports whether value is acceptable for the Param.
func (p Param) Check(value string) error {
	if value == "" {
		return fmt.Errorf("param %q is empty: leave it out or give it a value", p.Name)
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, value) {
		return fmt.Errorf("param %q is %q: it must be one of %s", p.Name, value, strings.Join(p.Enum, ", "))
	}
	if p.Pattern == "" {
		return nil
	}
	// Compiled here and not kept: a Param is data, and this runs when settings
	// change, not when events come in.
	re, err := regexp.Compile(`\A(?:` + p.Pattern + `)\z`)
	if err != nil {
		return fmt.Errorf("param %q: the connector's pattern is no regular expression: %w", p.Name, err)
	}
	if !re.MatchString(value) {
		return fmt.Errorf("param %q is %q: it must match %s", p.Name, value, p.Pattern)
	}
	return nil
}
