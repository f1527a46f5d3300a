package connector_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

const noHook = "the App has no hook: add one in its settings"

// lame cannot deliver what its Triggers of these names are.
func lame(t *testing.T, names ...string) *connector.Registry {
	t.Helper()
	f := stub()
	for i, d := range f.Triggers {
		for _, name := range names {
			if d.Name == name {
				f.Triggers[i].Undeliverable = noHook
			}
		}
	}
	r, err := connector.NewRegistry(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUndeliverableTriggersAreRefused(t *testing.T) {
	t.Parallel()
	some := lame(t, "shop.order.placed")
	all := lame(t, "shop.order.placed", "shop.app.removed")
	for _, c := range []struct {
		name     string
		registry *connector.Registry
		list     []trigger.Filter
		want     []string // parts of the error
	}{
		{"by name", some, trigger.List("shop.app.removed", "shop.order.placed"), []string{"Triggers[1]: trigger shop.order.placed cannot be delivered: " + noHook}},
		{"a wildcard that matches only such ones", some, trigger.List("shop.order.*"), []string{"Triggers[0]: trigger shop.order.placed cannot be delivered: " + noHook}},
		{"a wildcard that matches others, too", some, trigger.List("shop.*", "*"), nil},
		{"all of a connector", all, trigger.List("shop.*"), []string{"shop.order.placed cannot be", "shop.app.removed cannot be"}},
		{"all there are", all, trigger.List("*"), []string{"shop.order.placed cannot be", "shop.app.removed cannot be"}},
		{"with its other mistakes", some, []trigger.Filter{{Trigger: "shop.order.placed", Params: map[string]string{"color": "red"}}}, []string{noHook, `no param "color"`}},
		{"all at once", all, trigger.List("shop.app.removed", "shop.order.placed"), []string{"Triggers[0]: trigger shop.app.removed", "Triggers[1]: trigger shop.order.placed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.registry.Check(c.list)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want %q in it", err, part)
				}
			}
		})
	}
}

// Where nothing can tell of it, there need not be a Watch for it.
func TestUndeliverableTriggersNeedNoWatch(t *testing.T) {
	t.Parallel()
	for _, why := range []string{"", noHook} {
		f := stub()
		f.Triggers = append(f.Triggers, trigger.Definition{
			Name: "shop.sprint.closed", Label: "A Sprint is Closed", Payload: payload{}, Example: payload{ID: "3"}, Undeliverable: why,
		})
		if _, err := connector.NewRegistry(f); (err == nil) != (why != "") {
			t.Errorf("undeliverable %q: %v", why, err)
		}
	}
}

func TestCheckOverrides(t *testing.T) {
	t.Parallel()
	e, _ := lame(t, "shop.app.removed").Lookup("shop")
	if err := e.CheckOverrides(trigger.Overrides{"shop.order.placed": {"repo": "a/b"}}); err != nil {
		t.Error(err)
	}
	if err := e.CheckOverrides(trigger.Overrides{"shop.order.placed": {}}); err != nil {
		t.Error(err)
	}
	err := e.CheckOverrides(trigger.Overrides{
		"shop.order.placed": {"repo": "x", "color": "red"},
		"shop.order.paid":   {},
		"shop.app.removed":  {},
		"shop.*":            {},
		"billing.x":         {"repo": "a/b"},
		"shop":              {},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{
		`param "repo" is "x": it must match`, `no param "color"`, `shop has no trigger "shop.order.paid"`,
		noHook, `"shop.*" is no name`, `shop has no trigger "billing.x"`, `trigger "shop" is malformed`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
}

func TestParamError(t *testing.T) {
	t.Parallel()
	var err error = &connector.ParamError{Param: "jql", Value: strings.Repeat("x", 5000), Problem: "does not parse: add an operator"}
	if !errors.Is(err, connector.ErrRefused) || errors.Is(err, connector.ErrGone) || len(err.Error()) > 300 {
		t.Error(err)
	}
}
