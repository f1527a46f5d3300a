package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/internal/realtest/e2e/giteaserver"
)

// client calls the JSON API of a service.
type client struct{ base, key string }

// answer is what a call brought.
type answer struct {
	status int
	body   []byte
}

// call does one request to the JSON API: path is what follows /api/v1, in is sent as JSON unless it is nil.
func (c client) call(t *testing.T, method, path string, in any) answer {
	t.Helper()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.base+"/api/v1"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if c.key != "" {
		req.Header.Set("x-api-key", c.key)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return send(t, req)
}

func send(t *testing.T, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, body}
}

// want calls, demands a status and decodes the answer into out unless that is nil.
func (c client) want(t *testing.T, status int, method, path string, in, out any) {
	t.Helper()
	got := c.call(t, method, path, in)
	if got.status != status {
		t.Fatalf("%s %s answered %d %s, want %d", method, path, got.status, got.body, status)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(got.body, out); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, got.body)
	}
}

// authURL asks for the address at which account connects a connector.
func (c client) authURL(t *testing.T, connector, account string) string {
	t.Helper()
	got := c.call(t, http.MethodGet, "/connector/interactor/"+connector+"/auth-url?account="+url.QueryEscape(account), nil)
	if got.status != http.StatusOK {
		t.Fatalf("the auth-url endpoint answered %d %s, want 200", got.status, got.body)
	}
	return string(got.body)
}

// useOwnApp gives the Environment its own OAuth client at Gitea.
func (c client) useOwnApp(t *testing.T, app giteaserver.OAuthApp) {
	t.Helper()
	var stored api.App
	c.want(t, http.StatusOK, http.MethodPut, "/apps/gitea", object{"client_id": app.ClientID, "client_secret": app.ClientSecret}, &stored)
	if stored.ClientID != app.ClientID || !slices.Equal(stored.SecretsSet, []string{"client_secret"}) || stored.RedirectURI != c.base+"/oauth/callback" {
		t.Fatalf("PUT /apps/gitea answered %+v", stored)
	}
}

// connections lists those of an account.
func (c client) connections(t *testing.T, account string) []api.Connection {
	t.Helper()
	var list api.List[api.Connection]
	c.want(t, http.StatusOK, http.MethodGet, "/connections?account="+url.QueryEscape(account), nil, &list)
	return list.Items
}

// connection returns the one that an account has.
func (c client) connection(t *testing.T, account string) api.Connection {
	t.Helper()
	list := c.connections(t, account)
	if len(list) != 1 {
		t.Fatalf("account %s has %d connections %+v, want 1", account, len(list), list)
	}
	return list[0]
}

// events reads the whole event log, page by page.
func (c client) events(t *testing.T, query url.Values) []api.Event {
	t.Helper()
	var all []api.Event
	q := url.Values{"limit": {"100"}}
	maps.Copy(q, query)
	for {
		var page api.List[api.Event]
		c.want(t, http.StatusOK, http.MethodGet, "/events?"+q.Encode(), nil, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		q.Set("cursor", page.Next)
	}
}

// delivered waits until the log says of an event that it was delivered, and returns it with its attempts.
func (c client) delivered(t *testing.T, id string) api.Event {
	t.Helper()
	var ev api.Event
	waitUntil(t, arrivalDeadline, "event "+id+" is delivered in the log", func() bool {
		c.want(t, http.StatusOK, http.MethodGet, "/events/"+id, nil, &ev)
		return ev.Status == "delivered"
	})
	return ev
}

// arrivalDeadline bounds how long an event may take from the provider to the receiver.
const arrivalDeadline = 10 * time.Second
