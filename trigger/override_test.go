package trigger_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/interactorhq/interactor/trigger"
)

func TestOverrides(t *testing.T) {
	t.Parallel()
	labeled := func(label string) trigger.Filter {
		return trigger.Filter{Trigger: "gmail.email.labeled", Params: map[string]string{"label": label}}
	}
	own := trigger.Overrides{"gmail.email.labeled": {"label": "Orders"}}
	for _, row := range []struct {
		name      string
		list      []trigger.Filter
		overrides trigger.Overrides
		label     string // that an email got
		want      []trigger.Filter
		match     bool
	}{
		{"none: the list counts", []trigger.Filter{labeled("Invoices")}, nil, "Invoices", []trigger.Filter{labeled("Invoices")}, true},
		{"none, another label", []trigger.Filter{labeled("Invoices")}, nil, "Orders", []trigger.Filter{labeled("Invoices")}, false},
		{"in place of the list's", []trigger.Filter{labeled("Invoices")}, own, "Orders", []trigger.Filter{labeled("Orders")}, true},
		{"the list's count no more", []trigger.Filter{labeled("Invoices")}, own, "Invoices", []trigger.Filter{labeled("Orders")}, false},
		{"in place of all of the list's", []trigger.Filter{labeled("A"), labeled("B")}, own, "B", []trigger.Filter{labeled("Orders")}, false},
		{"narrow a wildcard", trigger.List("gmail.*"), own, "Invoices", []trigger.Filter{labeled("Orders")}, false},
		{"match below a wildcard", trigger.List("*"), own, "Orders", []trigger.Filter{labeled("Orders")}, true},
		{"empty ones widen", []trigger.Filter{labeled("Invoices")}, trigger.Overrides{"gmail.email.labeled": {}}, "Orders", []trigger.Filter{{Trigger: "gmail.email.labeled", Params: map[string]string{}}}, true},
		{"add nothing to the list", trigger.List("gmail.email.sent"), own, "Orders", nil, false},
		{"of another trigger", []trigger.Filter{labeled("Invoices")}, trigger.Overrides{"gmail.email.sent": {}}, "Invoices", []trigger.Filter{labeled("Invoices")}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, row.want, row.overrides.In(row.list, "gmail.email.labeled"))
			assert.Equal(t, row.match, row.overrides.Match(row.list, "gmail.email.labeled", map[string][]string{"label": {row.label}}))
			assert.False(t, row.overrides.Match(row.list, "gmail.email.labeled", nil) && len(row.overrides["gmail.email.labeled"]) > 0,
				"a param without attribute matches nothing")
		})
	}
}

func TestOverridesAreCopied(t *testing.T) {
	t.Parallel()
	o := trigger.Overrides{"a.b": {"x": "1"}, "a.c": {}}
	c := o.Clone()
	assert.Equal(t, o, c)
	assert.True(t, o.Equal(c))
	c["a.b"]["x"] = "2"
	assert.False(t, o.Equal(c))
	assert.Equal(t, "1", o["a.b"]["x"])
	assert.False(t, o.Equal(trigger.Overrides{"a.b": {"x": "1"}}), "empty params say something")
	assert.Nil(t, trigger.Overrides{}.Clone())
	assert.Equal(t, []trigger.Filter{{Trigger: "a.b", Params: map[string]string{"x": "1"}}, {Trigger: "a.c", Params: map[string]string{}}}, o.Filters())
}
