package connectortest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/interactorhq/interactor/connector"
)

// decode runs the rules about what a request says.
func (r *run) decode(p *prepared) {
	r.tb.Helper()
	in := p.fresh()
	before := clone(in)
	r.rule(p.Name, ruleDecode, func() []string {
		d, err := r.entry.Decoder.Decode(in)
		if err != nil || d == nil {
			return []string{fmt.Sprintf("Decode gave %v, %v", d, err)}
		}
		p.decoded = d
		return nil
	})
	if p.decoded == nil {
		return
	}
	d := p.decoded
	r.rule(p.Name, ruleDecodePure, func() []string {
		if !reflect.DeepEqual(in, before) {
			return []string{"Decode changed the request"}
		}
		return nil
	})
	r.rule(p.Name, ruleDecodeRepeat, func() []string {
		again, err := r.entry.Decoder.Decode(p.fresh())
		if err != nil || !reflect.DeepEqual(again, d) {
			return []string{fmt.Sprintf("the second Decode gave something else: %v, %v; keys %q, then %q", again != nil, err, keys(d), keys(again))}
		}
		return nil
	})
	r.rule(p.Name, ruleDecodeDeclared, func() []string { return r.declared(d) })
	r.rule(p.Name, ruleDecodeDistinct, func() []string { return distinct(d) })
	r.rule(p.Name, ruleDecodeTo, func() []string { return r.addressed(p) })
	r.rule(p.Name, ruleDecodeBatch, func() []string { return r.batch(p) })
	r.rule(p.Name, ruleDecodeStranger, func() []string { return r.stranger(p) })
	r.rule(p.Name, ruleDecodeGarbage, func() []string { return r.garbage(p) })
	r.rule(p.Name, ruleGolden, func() []string { return r.golden(p, d) })
	for _, n := range d.Notices {
		for _, o := range n.Occurrences {
			r.seen[o.Trigger] = append(r.seen[o.Trigger], o)
		}
	}
}

func keys(d *connector.Decoded) []string {
	if d == nil {
		return nil
	}
	var all []string
	for _, n := range d.Notices {
		for _, o := range n.Occurrences {
			all = append(all, o.Key)
		}
	}
	return all
}

func (r *run) declared(d *connector.Decoded) (failures []string) {
	for _, n := range d.Notices {
		if n.Watch != "" {
			if _, ok := r.entry.Watch(n.Watch); !ok {
				failures = append(failures, fmt.Sprintf("a Notice is for the Watch %q, which is not declared", n.Watch))
			}
		}
		if n.Thin != nil && (!json.Valid(n.Thin) || r.entry.Expander == nil) {
			failures = append(failures, "Thin must be JSON, and needs Expand")
		}
		for _, o := range n.Occurrences {
			failures = append(failures, r.occurrence(o)...)
		}
	}
	return failures
}

func (r *run) occurrence(o connector.Occurrence) []string {
	def, ok := r.entry.Trigger(o.Trigger)
	switch {
	case !ok:
		return []string{fmt.Sprintf("the Trigger %q is not declared", o.Trigger)}
	case o.Key == "":
		return []string{fmt.Sprintf("%s has no Key", o.Trigger)}
	case reflect.TypeOf(o.Payload) != reflect.TypeOf(def.Payload):
		return []string{fmt.Sprintf("%s has a payload of type %T, declared is %T", o.Trigger, o.Payload, def.Payload)}
	case len(o.Raw) > 0 && !json.Valid(o.Raw):
		return []string{fmt.Sprintf("%s: Raw is not JSON", o.Trigger)}
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(r.entry.Schema(o.Trigger), &schema); err != nil {
		return []string{fmt.Sprintf("%s: the schema does not read: %v", o.Trigger, err)}
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		return []string{fmt.Sprintf("%s: the schema does not resolve: %v", o.Trigger, err)}
	}
	text, err := json.Marshal(o.Payload)
	if err != nil {
		return []string{fmt.Sprintf("%s: the payload does not encode: %v", o.Trigger, err)}
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return []string{fmt.Sprintf("%s: the payload does not encode to JSON: %v", o.Trigger, err)}
	}
	if err := resolved.Validate(plain); err != nil {
		return []string{fmt.Sprintf("%s: the schema refuses the payload: %v", o.Trigger, err)}
	}
	return nil
}

// distinct looks for Occurrences that the store would take for one.
func distinct(d *connector.Decoded) (failures []string) {
	seen := make(map[string]bool)
	for _, n := range d.Notices {
		for _, o := range n.Occurrences {
			id := fmt.Sprintf("%q %q %q", n.To, o.Trigger, o.Key)
			if seen[id] {
				failures = append(failures, fmt.Sprintf("%s comes twice with the Key %q", o.Trigger, o.Key))
			}
			seen[id] = true
		}
	}
	return failures
}

// addressed checks To where the App's address is the only one.
func (r *run) addressed(p *prepared) []string {
	onlyApp := r.entry.Identifier != nil
	for _, w := range r.entry.Watches {
		onlyApp = onlyApp && w.Intake == connector.AtApp
	}
	if !onlyApp || p.in.Subscription != "" {
		return nil
	}
	for _, n := range p.decoded.Notices {
		if len(n.To) == 0 {
			return []string{"a Notice has an empty To"}
		}
	}
	return nil
}

func (r *run) batch(p *prepared) []string {
	if len(p.Parts) == 0 {
		return nil
	}
	var want []connector.Notice
	for _, name := range p.Parts {
		part := r.find(name)
		if part == nil {
			return []string{fmt.Sprintf("Parts names %q, which is none of the Requests", name)}
		}
		d, err := r.entry.Decoder.Decode(part.fresh())
		if err != nil {
			return []string{fmt.Sprintf("the part %s: %v", name, err)}
		}
		want = append(want, d.Notices...)
	}
	got, wanted := flat(p.decoded.Notices), flat(want)
	if !slices.Equal(got, wanted) {
		return []string{fmt.Sprintf("the batch says %q, its parts %q", got, wanted)}
	}
	return nil
}

// flat lists what Notices say, one line each, without Raw.
func flat(notices []connector.Notice) (lines []string) {
	for _, n := range notices {
		for _, o := range n.Occurrences {
			payload, err := json.Marshal(o.Payload)
			if err != nil {
				payload = []byte(err.Error())
			}
			lines = append(lines, fmt.Sprintf("%v %s %s %s %v %s", n.To, o.Trigger, o.Key, o.OccurredAt, o.Attributes, payload))
		}
		if n.Thin != nil {
			lines = append(lines, fmt.Sprintf("%v thin %s %s %s", n.To, n.Watch, n.Merge, n.Thin))
		}
		if n.Signal != connector.SignalNone {
			lines = append(lines, fmt.Sprintf("%v %s", n.To, n.Signal))
		}
	}
	return lines
}

func (r *run) stranger(p *prepared) []string {
	if p.Stranger == "" {
		return nil
	}
	other := r.find(p.Stranger)
	if other == nil {
		return []string{fmt.Sprintf("Stranger names %q, which is none of the Requests", p.Stranger)}
	}
	d, err := r.entry.Decoder.Decode(other.fresh())
	if err != nil {
		return []string{fmt.Sprintf("the stranger's request: %v", err)}
	}
	theirs := make(map[connector.Key]bool)
	for _, n := range d.Notices {
		for _, k := range n.To {
			theirs[k] = true
		}
	}
	for _, n := range p.decoded.Notices {
		for _, k := range n.To {
			if theirs[k] {
				return []string{fmt.Sprintf("both have the Key %s", k)}
			}
		}
	}
	return nil
}

// garbage decodes what no provider sends. Errors are fine.
func (r *run) garbage(p *prepared) (failures []string) {
	bodies := [][]byte{nil, []byte(" "), []byte("null"), []byte("[]"), []byte("[null]"), []byte("{}"), []byte(`""`), []byte("1"), []byte("\xff\x00"),
		[]byte("<html>"), bytes.Repeat([]byte("["), 5000), bytes.Repeat([]byte(`{"a":`), 5000)}
	for cut := len(p.in.Body) - 1; cut > 0; cut /= 2 {
		bodies = append(bodies, p.in.Body[:cut])
	}
	bodies = append(bodies, nulled(p.in.Body)...)
	for _, body := range bodies {
		in := p.fresh()
		in.Body = slices.Clone(body)
		failures = append(failures, caught(func() []string {
			d, err := r.entry.Decoder.Decode(in)
			if err == nil && d == nil {
				return []string{fmt.Sprintf("the body %.60q gave neither an answer nor an error", body)}
			}
			return nil
		})...)
		if len(failures) > 3 {
			break
		}
	}
	return failures
}

// nulled returns the body once for each top-level member, with null in its place.
func nulled(body []byte) (bodies [][]byte) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	for name, v := range members {
		members[name] = json.RawMessage("null")
		if b, err := json.Marshal(members); err == nil {
			bodies = append(bodies, b)
		}
		members[name] = v
	}
	return bodies
}

// attributes: each Param that does not choose the Resource was seen at least once.
func (r *run) attributes() (failures []string) {
	for name, occurrences := range r.seen {
		def, ok := r.entry.Trigger(name)
		if !ok {
			continue
		}
		w, _ := r.entry.Watch(def.Watch)
		for _, param := range def.Params {
			if slices.Contains(w.Resource.Names(), param.Name) {
				continue
			}
			if !slices.ContainsFunc(occurrences, func(o connector.Occurrence) bool { return len(o.Attributes[param.Name]) > 0 }) {
				failures = append(failures, fmt.Sprintf("no Occurrence of %s has the attribute %q", name, param.Name))
			}
		}
	}
	return failures
}
