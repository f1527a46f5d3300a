package connector

import (
	"fmt"
	"strings"
)

// Fill replaces the placeholders; of several maps the first one that has a name wins.
func (t Template) Fill(values ...map[string]string) (string, error) {
	var b strings.Builder
	rest := string(t)
	for {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("connector: template %q has an unclosed placeholder", string(t))
		}
		v, ok := look(name, values)
		if !ok {
			return "", fmt.Errorf("connector: template %q has no value for {%s}", string(t), name)
		}
		b.WriteString(v)
		rest = tail
	}
}

func look(name string, values []map[string]string) (string, bool) {
	for _, m := range values {
		if v := m[name]; v != "" {
			return v, true
		}
	}
	return "", false
}
