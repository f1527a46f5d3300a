package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/webhook"
)

// A sealing key is rotated by the config file: a new one in front, -reseal, the
// old one out.
func TestReseal(t *testing.T) {
	t.Parallel()
	vars := map[string]string{
		"INTERACTOR_KEY": seal.NewKey(), "NEXT": seal.NewKey(), "OTHER": seal.NewKey(),
		"GOOGLE_CLIENT_SECRET": "s", "SIGNING_SECRET": webhook.NewSecret(),
	}
	env := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	db := filepath.Join(t.TempDir(), "interactor.db")
	with := func(keys ...string) string {
		return file(t, map[string]any{"store": map[string]any{"sqlite": db}, "sealing_keys": keys})
	}
	reseal := func(keys ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), []string{"-config", with(keys...), "-reseal"}, env, &out, io.Discard)
		return out.String(), err
	}
	_, stop := start(t, with("${INTERACTOR_KEY}"), env)
	stop()

	if out, err := reseal("${OTHER}"); err == nil || !strings.Contains(out, "forwarding: 0 sealed anew, 0 were so already, 1 could not be opened\n  dep_default: ") {
		t.Errorf("with another key: %v\n%s", err, out)
	}
	for _, want := range []string{"forwarding: 1 sealed anew, 0 were", "forwarding: 0 sealed anew, 1 were"} {
		if out, err := reseal("${NEXT}", "${INTERACTOR_KEY}"); err != nil || !strings.HasPrefix(out, want) {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if out, err := reseal("${NEXT}"); err != nil || !strings.HasPrefix(out, "forwarding: 0 sealed anew, 1 were") {
		t.Errorf("the new key alone: %v\n%s", err, out)
	}
	_, stop = start(t, with("${NEXT}"), env)
	stop()
	for name := range vars {
		if b, err := os.ReadFile(db); err != nil || bytes.Contains(b, []byte(vars[name])) && len(vars[name]) > 10 {
			t.Errorf("the file holds %s, or cannot be read: %v", name, err)
		}
	}
}
