package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/interactorhq/interactor/trigger"
)

// schemaDialect is what $schema of every derived schema says.
const schemaDialect = "https://json-schema.org/draft/2020-12/schema"

// form is what the catalogue shows of a Trigger, derived once by NewRegistry.
type form struct{ schema, example json.RawMessage }

// Schema returns the JSON Schema (2020-12) of a Trigger's payload, derived from
// the type of its Definition's Payload; nil if there is no such Trigger. Members
// that it does not know are allowed, because payloads grow.
func (e *Entry) Schema(trigger string) json.RawMessage {
	return slices.Clone(e.forms[trigger].schema)
}

// Example returns the Trigger's example payload, which its Schema accepts; nil
// if there is no such Trigger.
func (e *Entry) Example(trigger string) json.RawMessage {
	return slices.Clone(e.forms[trigger].example)
}

// schemas derives one schema per payload type, whatever number of Triggers share it.
type schemas map[reflect.Type]derived

// derived is the schema of a type, as text and ready to validate with.
type derived struct {
	text     []byte // an object with members
	resolved *jsonschema.Resolved
}

// form derives what the catalogue shows of def, or says what is wrong with it.
func (s schemas) form(def trigger.Definition) (form, error) {
	t := reflect.TypeOf(def.Payload)
	switch {
	case t == nil:
		return form{}, errors.New("its Payload is nil: put the zero value of the payload's struct there")
	case t.Kind() != reflect.Struct:
		return form{}, fmt.Errorf("its Payload is a %s: put a struct there, as a value", t)
	case reflect.TypeOf(def.Example) != t:
		return form{}, fmt.Errorf("its Example is a %T, Payload a %s: both must be of one type", def.Example, t)
	case reflect.ValueOf(def.Example).IsZero():
		return form{}, fmt.Errorf("its Example is the zero %s: fill it in, a test event sends it", t)
	}
	if own, ok := def.Payload.(interface{ Triggers() []string }); ok && !slices.Contains(own.Triggers(), def.Name) {
		return form{}, fmt.Errorf("its Payload: %s.Triggers() does not list it: add it, or trigger.Decode refuses its events", t)
	}
	d, err := s.of(t)
	if err != nil {
		return form{}, fmt.Errorf("its Payload: no JSON Schema can be derived from %s: %w", t, err)
	}
	example, err := json.Marshal(def.Example)
	if err != nil {
		return form{}, fmt.Errorf("its Example does not encode: %w", err)
	}
	var plain any
	if err := json.Unmarshal(example, &plain); err != nil {
		return form{}, fmt.Errorf("its Example does not encode to JSON: %w", err)
	}
	if err := d.resolved.Validate(plain); err != nil {
		return form{}, fmt.Errorf("its Example does not match the schema of its own type %s: %w", t, err)
	}
	head, err := json.Marshal(struct {
		Schema      string `json:"$schema"`
		Title       string `json:"title,omitempty"`
		Description string `json:"description,omitempty"`
	}{schemaDialect, def.Label, def.Help})
	if err != nil {
		return form{}, fmt.Errorf("its Label or Help does not encode: %w", err)
	}
	// Both are objects with members: one object of both, without encoding the
	// schema anew for each Trigger.
	text := slices.Concat(head[:len(head)-1], []byte{','}, d.text[1:])
	return form{schema: text, example: example}, nil
}

func (s schemas) of(t reflect.Type) (derived, error) {
	if have, ok := s[t]; ok {
		return have, nil
	}
	schema, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time"},
		reflect.TypeFor[json.RawMessage](): {}, // anything
		reflect.TypeFor[json.Number]():     {Type: "number"},
		reflect.TypeFor[[]byte]():          {Types: []string{"null", "string"}, ContentEncoding: "base64"},
	}})
	if err != nil {
		return derived{}, err
	}
	open(schema)
	resolved, err := schema.Resolve(nil)
	if err != nil {
		return derived{}, err
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return derived{}, err
	}
	s[t] = derived{text, resolved}
	return s[t], nil
}

// open allows members that the schema does not know: payloads get new ones in
// later versions, and who validates must not break then.
func open(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Not != nil {
		s.AdditionalProperties = nil
	}
	for _, p := range s.Properties {
		open(p)
	}
	open(s.Items)
	open(s.AdditionalProperties)
}
