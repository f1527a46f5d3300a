package forward

import (
	"fmt"
	"strings"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// checkTrigger reports whether a trigger list entry can ever match anything.
func checkTrigger(catalogue *connector.Registry, f trigger.Filter) error {
	if f.Trigger == "*" || isNews(f) {
		return nil
	}
	name, _, _ := strings.Cut(f.Trigger, ".")
	entry, ok := catalogue.Lookup(name)
	if !ok {
		return fmt.Errorf("names %q, but there is no connector %q; there %s", f.Trigger, name, listed(connectorNames(catalogue)))
	}
	if strings.HasSuffix(f.Trigger, "*") {
		for _, d := range entry.Triggers {
			if f.Covers(d.Name) {
				return nil
			}
		}
	} else if d, ok := entry.Trigger(f.Trigger); ok {
		return d.CheckParams(f.Params)
	}
	names := make([]string, len(entry.Triggers))
	for i, d := range entry.Triggers {
		names[i] = d.Name
	}
	return fmt.Errorf("names %q: %s has no such trigger; there %s", f.Trigger, name, listed(names))
}

func connectorNames(catalogue *connector.Registry) []string {
	var names []string
	for e := range catalogue.All() {
		names = append(names, e.Name)
	}
	return names
}

func listed(names []string) string {
	switch len(names) {
	case 0:
		return "are none"
	case 1:
		return "is " + names[0]
	}
	return "are " + strings.Join(names, ", ")
}
