package subscription

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// want is one watch that a trigger list asks of a Connection.
type want struct {
	watch    string
	resource string
	identity string
	params   map[string]string
	topics   []string
	filters  []trigger.Filter
	triggers []string
}

// wantKey tells watches apart.
type wantKey struct{ watch, resource, identity string }

func (w *want) key() wantKey { return wantKey{w.watch, w.resource, w.identity} }

// plan fills a trigger list in for a Connection: which watches it needs. Triggers
// that share a Resource share a watch. What cannot be filled in, or not be
// delivered, is in problems; the rest is planned all the same.
func plan(e *connector.Entry, conn Connection, filters []trigger.Filter) (wants []*want, problems []error) {
	byKey := make(map[wantKey]*want)
	for _, def := range e.Triggers {
		if def.Undeliverable != "" {
			// A wildcard leaves it out. By name it was allowed once, or stands in a
			// list that nobody has checked since.
			if slices.ContainsFunc(filters, func(f trigger.Filter) bool { return f.Trigger == def.Name }) {
				problems = append(problems, fmt.Errorf("%s cannot be delivered: %s", def.Name, def.Undeliverable))
			}
			continue
		}
		w, ok := e.Watch(def.Watch)
		if !ok {
			continue // the registry has refused such a connector
		}
		for _, f := range conn.Params.In(filters, def.Name) {
			if err := planOne(byKey, w, def, f, conn.Identities); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", def.Name, err))
			}
		}
	}
	wants = slices.SortedFunc(maps.Values(byKey), func(a, b *want) int {
		return strings.Compare(a.watch+"\x00"+a.resource+"\x00"+a.identity, b.watch+"\x00"+b.resource+"\x00"+b.identity)
	})
	for _, w := range wants {
		slices.Sort(w.topics)
		w.topics = slices.Compact(w.topics)
		slices.Sort(w.triggers)
		w.triggers = slices.Compact(w.triggers)
	}
	return wants, problems
}

func planOne(byKey map[wantKey]*want, w connector.Watch, def trigger.Definition, f trigger.Filter, identities []connector.Identity) error {
	who := identities
	if !strings.Contains(string(w.Resource), "{identity}") && len(who) > 1 {
		who = who[:1]
	}
	if len(who) == 0 {
		who = []connector.Identity{{}}
	}
	topics := []string{""}
	if strings.Contains(string(w.Resource), "{topic}") {
		topics = def.Topics
	}
	for _, id := range who {
		for _, topic := range topics {
			resource, err := w.Resource.Fill(map[string]string{"identity": id.ID, "topic": topic}, f.Params)
			if err != nil {
				return err
			}
			one := &want{watch: w.Name, resource: resource, identity: id.ID}
			if have, ok := byKey[one.key()]; ok {
				one = have
			} else {
				one.params = resourceParams(w.Resource, f.Params)
				byKey[one.key()] = one
			}
			if topic != "" {
				one.topics = append(one.topics, topic)
			} else {
				one.topics = append(one.topics, def.Topics...)
			}
			one.triggers = append(one.triggers, def.Name)
			one.addFilter(trigger.Filter{Trigger: def.Name, Params: f.Params})
		}
	}
	return nil
}

func (w *want) addFilter(f trigger.Filter) {
	for _, have := range w.filters {
		if sameFilter(have, f) {
			return
		}
	}
	w.filters = append(w.filters, f)
}

func sameFilter(a, b trigger.Filter) bool {
	return a.Trigger == b.Trigger && maps.Equal(a.Params, b.Params)
}

// resourceParams are those Params that chose the Resource.
func resourceParams(t connector.Template, params map[string]string) map[string]string {
	var out map[string]string
	for name, v := range params {
		if strings.Contains(string(t), "{"+name+"}") {
			if out == nil {
				out = make(map[string]string)
			}
			out[name] = v
		}
	}
	return out
}

// differs reports whether the provider must be told that s changed into w.
func (w *want) differs(s Subscription) bool {
	return !slices.Equal(w.topics, s.Topics) || !slices.EqualFunc(w.filters, s.Filters, sameFilter)
}
