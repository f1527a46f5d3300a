package auth_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/trigger"
)

func TestParamsOfAConnection(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) {
		d := &f.product.d.Triggers[0]
		d.Params = []trigger.Param{{Name: "folder", Label: "Folder", Pattern: "[a-z]+"}, {Name: "color", Label: "Color", Enum: []string{"red", "blue"}}}
	})
	ctx := t.Context()
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	marked := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.changed)
	}
	before := marked()
	want := trigger.Overrides{"acme.note.added": {"folder": "inbox", "color": "red"}}
	given := trigger.Overrides{"acme.note.added": maps.Clone(want["acme.note.added"])}
	c, err := f.SetParams(ctx, id, given)
	if err != nil || !c.Params.Equal(want) {
		t.Fatalf("%+v, %v", c, err)
	}
	given["acme.note.added"]["folder"] = "changed" // is the caller's
	if !c.Params.Equal(want) {
		t.Errorf("what was returned changed with it: %v", c.Params)
	}
	if got := f.record(t, id); !got.Params.Equal(want) || marked() != before+1 {
		t.Errorf("stored %v, marked %d times", got.Params, marked()-before)
	}
	dirty, err := f.store.ClaimDirty(ctx, f.clock.now(), 1, 10)
	if err != nil || len(dirty) != 1 || dirty[0].Connection != id {
		t.Errorf("marked are %v, %v", dirty, err)
	}
	version := f.record(t, id).Version
	if _, err := f.SetParams(ctx, id, want); err != nil || f.record(t, id).Version != version || marked() != before+1 {
		t.Errorf("the same again was written: %v", err)
	}

	_, err = f.SetParams(ctx, id, trigger.Overrides{
		"acme.note.added":   {"folder": "In Box", "color": "green", "size": "1"},
		"acme.note.removed": {},
	})
	var wrong *auth.ParamsError
	if !errors.As(err, &wrong) || wrong.Connection != id {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{`"folder"`, `"color"`, `"size"`, "acme.note.removed"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not in %v", part, err)
		}
	}
	if got := f.record(t, id); !got.Params.Equal(want) {
		t.Errorf("a refused change is stored: %v", got.Params)
	}
	_, err = f.SetParams(ctx, "conn_unknown", want)
	wantErr(t, err, auth.ErrNotFound)

	// They are the Connection's, not the grant's.
	b := f.browser(t)
	if res := b.get(f.p.consent(t, b.press(t, f.link(t, auth.ConnectRequest{}), nil).Header().Get("Location"), "alice")); res.Code != 200 {
		t.Fatalf("connect again: %d", res.Code)
	}
	if r := f.record(t, f.only(t)); r.ID != id || !r.Params.Equal(want) {
		t.Errorf("connected again: %v", r.Params)
	}
	if c, err = f.SetParams(ctx, id, nil); err != nil || len(c.Params) != 0 || len(f.record(t, id).Params) != 0 {
		t.Errorf("%v, %v", c.Params, err)
	}
}
