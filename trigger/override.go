package trigger

import (
	"maps"
	"slices"
)

// Overrides are what one Connection has in place of the Params in the trigger
// list: by name of the Trigger, all of its params. Empty ones are a Trigger
// without params. They add nothing to a trigger list: of what it does not name,
// nothing happens for the Connection.
type Overrides map[string]map[string]string

// In returns what a trigger list, with the Overrides, asks of the named Trigger:
// the Filters that cover it or, where there are params of its own, one Filter
// with those. None: it is not wanted.
func (o Overrides) In(list []Filter, name string) []Filter {
	var covering []Filter
	for _, f := range list {
		if f.Covers(name) {
			covering = append(covering, f)
		}
	}
	if params, own := o[name]; own && len(covering) > 0 {
		return []Filter{{Trigger: name, Params: params}}
	}
	return covering
}

// Match reports whether an occurrence of the named Trigger with these attributes
// is wanted by a trigger list with the Overrides. See [Filter.Match].
func (o Overrides) Match(list []Filter, name string, attributes map[string][]string) bool {
	params, own := o[name]
	for _, f := range list {
		if own {
			if f.Covers(name) {
				return Filter{Trigger: name, Params: params}.Match(name, attributes)
			}
		} else if f.Match(name, attributes) {
			return true
		}
	}
	return false
}

// Filters returns the Overrides as Filters, in order of name.
func (o Overrides) Filters() []Filter {
	filters := make([]Filter, 0, len(o))
	for _, name := range slices.Sorted(maps.Keys(o)) {
		filters = append(filters, Filter{Trigger: name, Params: o[name]})
	}
	return filters
}

// Equal reports whether both say the same.
func (o Overrides) Equal(b Overrides) bool {
	return maps.EqualFunc(o, b, maps.Equal)
}

// Clone returns a copy that shares nothing with o; nil for none.
func (o Overrides) Clone() Overrides {
	if len(o) == 0 {
		return nil
	}
	c := make(Overrides, len(o))
	for name, params := range o {
		own := make(map[string]string, len(params))
		maps.Copy(own, params)
		c[name] = own
	}
	return c
}
