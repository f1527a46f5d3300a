package connector

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxFieldValue bounds what a person can enter, in bytes; a private key fits.
const maxFieldValue = 16 << 10

// A Field is one value that a person enters.
type Field struct {
	Name, Label, Help, Default string
	Pattern                    string   // regular expression (RE2) that must match it all; defaults to any one line
	Options                    []string // non-empty: one of these
	Secret, Optional           bool     // Secret: sealed, never shown again, never in Session
}

// Check reports whether value can be entered. Its error names the Field and
// what to put there, and never shows the value of a secret one.
func (f Field) Check(value string) error {
	shown := fmt.Sprintf("%q", value)
	if f.Secret || len(value) > 200 {
		shown = "what was entered"
	}
	switch {
	case value == "" && f.Optional:
		return nil
	case value == "":
		return fmt.Errorf("%s is missing: %s", f.Name, f.ask())
	case len(value) > maxFieldValue:
		return fmt.Errorf("%s has %d bytes: at most %d are possible", f.Name, len(value), maxFieldValue)
	case len(f.Options) > 0:
		if !slices.Contains(f.Options, value) {
			return fmt.Errorf("%s: %s is none of %s", f.Name, shown, strings.Join(f.Options, ", "))
		}
		return nil
	}
	re, err := f.pattern()
	if err != nil {
		return fmt.Errorf("%s: the connector's Pattern is no regular expression: %w", f.Name, err)
	}
	if !re.MatchString(value) {
		return fmt.Errorf("%s: %s does not fit: %s", f.Name, shown, f.ask())
	}
	return nil
}

// oneLine is what a Field without a Pattern takes.
var oneLine = regexp.MustCompile(`\A[^\r\n\x00]+\z`)

// ask says what to enter.
func (f Field) ask() string {
	ask := f.Label
	if f.Help != "" {
		ask += " (" + f.Help + ")"
	}
	if f.Pattern != "" {
		ask += ", matching " + f.Pattern
	}
	return ask
}

func (f Field) pattern() (*regexp.Regexp, error) {
	if f.Pattern == "" {
		return oneLine, nil
	}
	return regexp.Compile(`\A(?:` + f.Pattern + `)\z`)
}

// CheckFields checks what a person entered against the Fields that ask for it
// and returns it with the Defaults filled in. Its error joins every
// disagreement: missing, unknown and refused values.
func CheckFields(fields []Field, entered map[string]string) (map[string]string, error) {
	var errs []error
	values := make(map[string]string, len(fields))
	var known []string
	for _, f := range fields {
		known = append(known, f.Name)
		v := entered[f.Name]
		if v == "" {
			v = f.Default
		}
		if err := f.Check(v); err != nil {
			errs = append(errs, err)
		} else if v != "" {
			values[f.Name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entered)) {
		if !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("%q is unknown: %s", name, has(known)))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return values, nil
}

// has lists names for an error message.
func has(names []string) string {
	if len(names) == 0 {
		return "there are none"
	}
	return "there are " + strings.Join(names, ", ")
}
