package e2e_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/api"
	connectorwebhook "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/interactortest"
)

// TestKeys: wrong, missing and rotated API keys, of examples/server as a process, whose config file
// fixes them, and rotated by the API, where nothing fixes them.
func TestKeys(t *testing.T) {
	t.Parallel()
	t.Run("fixed by the config file", func(t *testing.T) {
		t.Parallel()
		testFixedKey(t)
	})
	t.Run("rotated by the API", func(t *testing.T) {
		t.Parallel()
		testRotatedKey(t)
	})
}

// keyRow is a key and what a call with it is answered.
type keyRow struct {
	name, key string
	want      int
}

func wantKeys(t *testing.T, base, path string, rows ...keyRow) {
	t.Helper()
	for _, row := range rows {
		if got := (client{base: base, key: row.key}).call(t, http.MethodGet, path, nil); got.status != row.want {
			t.Errorf("%s: answered %d %s, want %d", row.name, got.status, got.body, row.want)
		}
	}
}

func testFixedKey(t *testing.T) {
	s := newService(t, object{"webhook": object{}}, nil)
	environments := s.config["deployments"].([]object)[0]["environments"].(object)
	other, first := newKey(), s.key
	environments["Development"] = object{"api_key": other}
	s.start(t)
	var made api.Connection
	s.want(t, http.StatusCreated, http.MethodPost, "/connections", object{
		"connector": connectorwebhook.Name, "account": "sender", "input": object{"scheme": connectorwebhook.Bearer, "secret": "0123456789abcdef"},
	}, &made)
	path := "/connections/" + made.ID
	if got := s.call(t, http.MethodPost, "/api-key", nil); got.status != http.StatusConflict || !bytes.Contains(got.body, []byte(`"managed"`)) {
		t.Errorf("POST /api-key answered %d %s, want 409: the next start would bring back the file's key", got.status, got.body)
	}
	wantKeys(t, s.base, path,
		keyRow{"the key", first, http.StatusOK},
		keyRow{"no key", "", http.StatusUnauthorized},
		keyRow{"an invented key", newKey(), http.StatusUnauthorized},
		keyRow{"the beginning of the key", first[:len(first)-1], http.StatusUnauthorized},
		keyRow{"more than the key", first + "0", http.StatusUnauthorized},
		keyRow{"the key of another Environment, which has no such connection", other, http.StatusNotFound},
	)

	s.stop(t)
	s.key = newKey()
	environments["Production"] = object{"api_key": s.key}
	s.start(t)
	wantKeys(t, s.base, path,
		keyRow{"the new key", s.key, http.StatusOK},
		keyRow{"the key that was replaced", first, http.StatusUnauthorized},
	)
	s.stop(t)
}

func testRotatedKey(t *testing.T) {
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{connectorwebhook.New(connectorwebhook.Config{})},
	})
	first, err := in.Deployments.IssueKey(t.Context(), deployment.KeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	rotate := func(key string, body any) string {
		t.Helper()
		var out api.APIKey
		client{base: in.URL, key: key}.want(t, http.StatusCreated, http.MethodPost, "/api-key", body, &out)
		return out.Key
	}
	second := rotate(first, object{"grace": "1h"})
	wantKeys(t, in.URL, "/connections",
		keyRow{"the key", second, http.StatusOK},
		keyRow{"the key in its grace", first, http.StatusOK},
	)
	third := rotate(second, nil)
	wantKeys(t, in.URL, "/connections",
		keyRow{"the key", third, http.StatusOK},
		keyRow{"the key that was replaced", second, http.StatusUnauthorized},
		keyRow{"the key whose grace the next one ended", first, http.StatusUnauthorized},
		keyRow{"no key", "", http.StatusUnauthorized},
	)
}
