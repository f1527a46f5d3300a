package e2e_test

import (
	"net/http"
	"testing"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/webhook"
)

// TestKeys: wrong, missing and rotated API keys, against examples/server as a process.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := newService(t, object{"webhook": object{}}, object{
		"url": "http://127.0.0.1:9/nobody", "triggers": []string{"webhook.received"}, "secrets": []string{webhook.NewSecret()},
	})
	other := newKey()
	s.config["deployments"].([]object)[0]["environments"].(object)["Development"] = object{"api_key": other}
	s.start(t)
	var made api.Connection
	s.want(t, http.StatusCreated, http.MethodPost, "/connections", object{
		"connector": "webhook", "account": "sender", "input": object{"scheme": "bearer", "secret": "0123456789abcdef"},
	}, &made)

	fixed := s.client
	var rotated api.APIKey
	fixed.want(t, http.StatusCreated, http.MethodPost, "/api-key", object{"grace": "1h"}, &rotated)
	graced := client{base: s.base, key: rotated.Key}
	fixed.want(t, http.StatusOK, http.MethodGet, "/connections", nil, nil) // in its grace
	var second api.APIKey
	graced.want(t, http.StatusCreated, http.MethodPost, "/api-key", nil, &second)

	for _, c := range []struct {
		name, key string
		want      int
	}{
		{"the key", second.Key, http.StatusOK},
		{"no key", "", http.StatusUnauthorized},
		{"an invented key", newKey(), http.StatusUnauthorized},
		{"the beginning of the key", second.Key[:len(second.Key)-1], http.StatusUnauthorized},
		{"more than the key", second.Key + "0", http.StatusUnauthorized},
		{"the key that was replaced", graced.key, http.StatusUnauthorized},
		{"the key in its grace, which the next one ended", fixed.key, http.StatusUnauthorized},
		{"the key of another Environment, which has no such connection", other, http.StatusNotFound},
	} {
		got := client{base: s.base, key: c.key}.call(t, http.MethodGet, "/connections/"+made.ID, nil)
		if got.status != c.want {
			t.Errorf("%s: answered %d %s, want %d", c.name, got.status, got.body, c.want)
		}
	}
	s.stop(t)
}
