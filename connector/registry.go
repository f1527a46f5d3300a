package connector

import (
	"iter"
	"maps"
	"slices"

	"github.com/interactorhq/interactor/trigger"
)

// Entry is a connector with its capabilities resolved; nil: it has none.
type Entry struct {
	Description
	Challenger       Challenger
	Verifier         Verifier
	Decoder          Decoder
	Expander         Expander
	Identifier       Identifier
	Subscriber       Subscriber
	Renewer          Renewer
	Lister           Lister
	Streamer         Streamer
	CallbackVerifier CallbackVerifier
	Granter          Granter

	DefaultApp    App  // when HasDefaultApp
	HasDefaultApp bool // the connector's Config names an App
}

// Registry is an immutable set of connectors.
type Registry struct{ entries map[string]*Entry }

// NewRegistry resolves and checks the connectors; its error joins every disagreement.
func NewRegistry(connectors ...Connector) (*Registry, error) {
	r := &Registry{entries: make(map[string]*Entry)}
	for _, c := range connectors {
		e := &Entry{Description: c.Describe()}
		e.Challenger, _ = c.(Challenger)
		e.Verifier, _ = c.(Verifier)
		e.Decoder, _ = c.(Decoder)
		e.Expander, _ = c.(Expander)
		e.Identifier, _ = c.(Identifier)
		e.Subscriber, _ = c.(Subscriber)
		e.Renewer, _ = c.(Renewer)
		e.Lister, _ = c.(Lister)
		e.Streamer, _ = c.(Streamer)
		e.CallbackVerifier, _ = c.(CallbackVerifier)
		e.Granter, _ = c.(Granter)
		if s, ok := c.(AppSource); ok {
			e.DefaultApp, e.HasDefaultApp = s.DefaultApp()
		}
		r.entries[e.Name] = e
	}
	return r, nil
}

// Lookup finds a connector by name.
func (r *Registry) Lookup(name string) (*Entry, bool) {
	e, ok := r.entries[name]
	return e, ok
}

// All yields the connectors in order of name.
func (r *Registry) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, name := range slices.Sorted(maps.Keys(r.entries)) {
			if !yield(r.entries[name]) {
				return
			}
		}
	}
}

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
