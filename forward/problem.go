package forward

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with Settings.
type Problem struct {
	Field string // as JSON names it: "url", "triggers[2]"
	Err   error  // what is wrong and what to do
}

func (p Problem) Error() string { return p.Field + " " + p.Err.Error() }

// Unwrap returns what is wrong.
func (p Problem) Unwrap() error { return p.Err }

// Problems are all that is wrong with Settings, one line each. It is the error
// of [Settings.Validate] and [Settings.Check].
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems one by one.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, one := range p {
		errs[i] = one
	}
	return errs
}

func (p *Problems) add(field, format string, args ...any) {
	*p = append(*p, Problem{field, fmt.Errorf(format, args...)})
}

func (p *Problems) join(err error) {
	if more := (Problems)(nil); errors.As(err, &more) {
		*p = append(*p, more...)
	}
}

func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
