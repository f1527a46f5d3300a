package connector

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/trigger"
)

// Entry is a connector with its capabilities resolved; nil: it has none. It is
// shared: do not modify it.
type Entry struct {
	Description
	Challenger       Challenger
	Verifier         Verifier
	Decoder          Decoder
	Expander         Expander
	Identifier       Identifier
	Subscriber       Subscriber
	ParamChecker     ParamChecker
	Renewer          Renewer
	Lister           Lister
	Streamer         Streamer
	CallbackVerifier CallbackVerifier
	Granter          Granter

	DefaultApp    App  // when HasDefaultApp
	HasDefaultApp bool // the connector's Config names an App

	forms map[string]form // by Trigger name
}

// Registry is an immutable set of connectors, safe for concurrent use.
type Registry struct{ entries map[string]*Entry }

// NewRegistry resolves and checks the connectors; its error joins every
// disagreement and says for each which connector and which field it is about
// and what to put there. What it checks is what would otherwise go wrong at
// the first consent, the first webhook or the first person who chooses.
func NewRegistry(connectors ...Connector) (*Registry, error) {
	r := &Registry{entries: make(map[string]*Entry, len(connectors))}
	derived := make(schemas)
	var errs []error
	for i, c := range connectors {
		if c == nil || reflect.ValueOf(c).Kind() == reflect.Pointer && reflect.ValueOf(c).IsNil() {
			errs = append(errs, fmt.Errorf("connector: number %d is nil: remove it", i+1))
			continue
		}
		e := resolve(c)
		errs = append(errs, check(c, e, derived)...)
		if _, twice := r.entries[e.Name]; twice {
			errs = append(errs, fmt.Errorf("connector %s: Name is taken by another one: register it once", e.Name))
			continue
		}
		r.entries[e.Name] = e
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return r, nil
}

// resolve finds out what c can do. Nobody else type-asserts.
func resolve(c Connector) *Entry {
	e := &Entry{Description: c.Describe()}
	e.Challenger, _ = c.(Challenger)
	e.Verifier, _ = c.(Verifier)
	e.Decoder, _ = c.(Decoder)
	e.Expander, _ = c.(Expander)
	e.Identifier, _ = c.(Identifier)
	e.Subscriber, _ = c.(Subscriber)
	e.ParamChecker, _ = c.(ParamChecker)
	e.Renewer, _ = c.(Renewer)
	e.Lister, _ = c.(Lister)
	e.Streamer, _ = c.(Streamer)
	e.CallbackVerifier, _ = c.(CallbackVerifier)
	e.Granter, _ = c.(Granter)
	if s, ok := c.(AppSource); ok {
		e.DefaultApp, e.HasDefaultApp = s.DefaultApp()
	}
	return e
}

// Lookup finds a connector by name.
func (r *Registry) Lookup(name string) (*Entry, bool) {
	e, ok := r.entries[name]
	return e, ok
}

// All yields the connectors in order of name.
func (r *Registry) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, name := range r.names() {
			if !yield(r.entries[name]) {
				return
			}
		}
	}
}

func (r *Registry) names() []string { return slices.Sorted(maps.Keys(r.entries)) }

// Watch finds a declared Watch by name.
func (e *Entry) Watch(name string) (Watch, bool) {
	for _, w := range e.Watches {
		if w.Name == name {
			return w, true
		}
	}
	return Watch{}, false
}

// Trigger finds a declared Trigger by name.
func (e *Entry) Trigger(name string) (trigger.Definition, bool) {
	for _, t := range e.Triggers {
		if t.Name == name {
			return t, true
		}
	}
	return trigger.Definition{}, false
}

// TriggerError is one mistake in a trigger list.
type TriggerError struct {
	Index   int // place in the list, from 0
	Trigger string
	Err     error // what is wrong and what there is instead
}

var _ error = (*TriggerError)(nil)

func (e *TriggerError) Error() string { return fmt.Sprintf("Triggers[%d]: %v", e.Index, e.Err) }

// Unwrap returns what is wrong, without the place.
func (e *TriggerError) Unwrap() error { return e.Err }

// Check validates a trigger list: names, wildcards and params, and that what it
// names can be delivered. extra are further names that may stand in it, such as "connection.expired". Its error
// joins one *TriggerError for each mistake. An empty list is none.
func (r *Registry) Check(filters []trigger.Filter, extra ...string) error {
	var errs []error
	for i, f := range filters {
		err := f.Validate()
		if err == nil {
			err = r.checkFilter(f, extra)
		}
		if err != nil {
			errs = append(errs, &TriggerError{Index: i, Trigger: f.Trigger, Err: err})
		}
	}
	return errors.Join(errs...)
}

func (r *Registry) checkFilter(f trigger.Filter, extra []string) error {
	if f.Trigger == "*" {
		return r.deliverable(f, slices.Collect(r.All()))
	}
	if !strings.HasSuffix(f.Trigger, "*") && slices.Contains(extra, f.Trigger) {
		if len(f.Params) > 0 {
			return fmt.Errorf("trigger %q takes no params", f.Trigger)
		}
		return nil
	}
	name, _, _ := strings.Cut(f.Trigger, ".")
	e, ok := r.entries[name]
	if !ok {
		if slices.ContainsFunc(extra, f.Covers) {
			return nil // "connection.*"
		}
		return fmt.Errorf("there is no connector %q for trigger %q; there are %s", name, f.Trigger, strings.Join(r.names(), ", "))
	}
	if strings.HasSuffix(f.Trigger, "*") && slices.ContainsFunc(e.Triggers, func(d trigger.Definition) bool { return f.Covers(d.Name) }) {
		return r.deliverable(f, []*Entry{e})
	}
	return e.checkTrigger(f)
}

// deliverable refuses a wildcard that stands only for what cannot be delivered.
func (r *Registry) deliverable(f trigger.Filter, entries []*Entry) error {
	var errs []error
	for _, e := range entries {
		for _, d := range e.Triggers {
			switch {
			case !f.Covers(d.Name):
			case d.Undeliverable == "":
				return nil
			default:
				errs = append(errs, undeliverable(d))
			}
		}
	}
	return errors.Join(errs...)
}

func undeliverable(d trigger.Definition) error {
	return fmt.Errorf("trigger %s cannot be delivered: %s", d.Name, d.Undeliverable)
}

// checkTrigger judges a Filter that names a Trigger in full.
func (e *Entry) checkTrigger(f trigger.Filter) error {
	if def, ok := e.Trigger(f.Trigger); ok {
		if def.Undeliverable != "" {
			return errors.Join(undeliverable(def), def.CheckParams(f.Params))
		}
		return def.CheckParams(f.Params)
	}
	names := make([]string, 0, len(e.Triggers))
	for _, def := range e.Triggers {
		names = append(names, def.Name)
	}
	slices.Sort(names)
	return fmt.Errorf("%s has no trigger %q; it has %s", e.Name, f.Trigger, strings.Join(names, ", "))
}

// CheckOverrides validates the params that a Connection to this product is to have
// in place of those of a trigger list. Its error joins everything that is wrong.
func (e *Entry) CheckOverrides(o trigger.Overrides) error {
	var errs []error
	for _, f := range o.Filters() {
		err := f.Validate()
		if err == nil && strings.HasSuffix(f.Trigger, "*") {
			err = fmt.Errorf("trigger %q is no name: params belong to one trigger, so name it in full", f.Trigger)
		}
		if err == nil {
			err = e.checkTrigger(f)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
