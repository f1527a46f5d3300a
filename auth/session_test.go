package auth_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

// get makes one call as a Connection.
func get(t *testing.T, c *http.Client, address string) (int, string) {
	t.Helper()
	res, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// call is get for who wants to know whether it can be made at all; a 4xx is an
// error, too.
func call(c *http.Client, address string) error {
	res, err := c.Get(address)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		return errors.New(res.Status)
	}
	return nil
}

func (f *fixture) client(t *testing.T, id string) *http.Client {
	t.Helper()
	c, err := f.Client(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTokenGoesToEndpointsOnly(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	var leaked atomic.Value
	var visits atomic.Int64
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		if a := r.Header.Get("Authorization"); a != "" {
			leaked.Store(a)
		}
		_, _ = w.Write([]byte("file"))
	}))
	defer foreign.Close()
	c := f.client(t, id)
	if status, body := get(t, c, f.p.URL+"/api/me"); status != 200 || !strings.Contains(body, "alice") {
		t.Errorf("own host: %d %s", status, body)
	}
	if status, body := get(t, c, f.p.URL+"/api/redirect?to="+url.QueryEscape(foreign.URL)); status != 200 || body != "file" {
		t.Errorf("redirect to a file store: %d %s", status, body)
	}
	for name, address := range map[string]string{
		"foreign host":         foreign.URL,
		"same host other port": strings.Replace(f.p.URL, "127.0.0.1", "localhost", 1),
		"other scheme":         strings.Replace(f.p.URL, "http://", "https://", 1),
	} {
		before := visits.Load()
		err := call(c, address+"/x")
		if !errors.Is(err, connector.ErrRefused) || visits.Load() != before {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v := leaked.Load(); v != nil {
		t.Errorf("leaked %v", v)
	}
	for _, a := range f.p.seen {
		if !strings.HasPrefix(a, "Bearer access-") {
			t.Errorf("the API saw %q", a)
		}
	}
}

func TestRefreshAfter401(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	c := f.client(t, id)
	f.p.set(func() { clear(f.p.access) })
	res, err := c.Post(f.p.URL+"/api/echo", "application/x-www-form-urlencoded", strings.NewReader("x=replayed"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(string(b), "replayed") {
		t.Errorf("after a 401: %d %s", res.StatusCode, b)
	}
	f.p.set(func() { clear(f.p.access) })
	req, _ := http.NewRequest(http.MethodPost, f.p.URL+"/api/echo", io.NopCloser(strings.NewReader("x=once")))
	if res, err = c.Do(req); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("a body that cannot be sent again: %v %v", res, err)
	}
	res.Body.Close()
	before := f.p.count("/token")
	f.p.set(func() {
		f.p.before = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/api/") {
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			return false
		}
	})
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != 401 || f.p.count("/token") != before+1 {
		t.Errorf("an API that always says 401: %d after %d refreshes", status, f.p.count("/token")-before)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	f.p.set(func() { f.p.noRefresh = true })
	short := f.connect(t, "bob", auth.ConnectRequest{}).ID
	f.clock.advance(2 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	until(t, func() bool {
		return f.record(t, id).RefreshAt.After(f.clock.now()) && f.record(t, short).Status == auth.Expired
	})
	wantErr(t, f.Run(t.Context()), auth.ErrRunning)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if auth.FlightsOf(f.Authorizer) != 0 {
		t.Error("Run left a refresh behind")
	}
	if r := f.record(t, short); !strings.Contains(r.Reason, "no refresh token") {
		t.Errorf("%+v", r.Connection)
	}
}

// until waits for something that happens soon.
func until(t *testing.T, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatal("it does not happen")
		case <-tick.C:
		}
	}
}

func TestIdleKeepAlive(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) { f.product.d.OAuth.Idle = 20 * time.Minute })
	r := f.record(t, f.connect(t, "alice", auth.ConnectRequest{}).ID)
	if in := r.RefreshAt.Sub(f.clock.now()); in > 10*time.Minute || in < 9*time.Minute {
		t.Errorf("refreshed in %v", in)
	}
}

func TestUse(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	for name, row := range map[string]struct {
		use  connector.Use
		want func(r *http.Request) bool
	}{
		"own header": {connector.Use{Header: map[string]connector.Template{"X-Token": "{token}"}}, func(r *http.Request) bool {
			return strings.HasPrefix(r.Header.Get("X-Token"), "access-") && r.Header.Get("Authorization") == ""
		}},
		"basic": {connector.Use{User: "{app.client_id}", Pass: "{token}"}, func(r *http.Request) bool {
			u, p, _ := r.BasicAuth()
			return u == "default" && strings.HasPrefix(p, "access-")
		}},
		"path": {connector.Use{Path: "/bot{token}"}, func(r *http.Request) bool {
			return strings.HasPrefix(r.URL.Path, "/botaccess-") && strings.HasSuffix(r.URL.EscapedPath(), "/api/a%2Fb")
		}},
	} {
		f.product.d.Use = row.use
		reg, err := connector.NewRegistry(f.product)
		if err != nil {
			t.Fatal(err)
		}
		f.cfg.Registry = reg
		a := f.again(t)
		right := false
		f.p.set(func() {
			f.p.before = func(_ http.ResponseWriter, r *http.Request) bool { right = row.want(r); return true }
		})
		c, err := a.Client(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Get(f.p.URL + "/api/a%2Fb")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if !right {
			t.Errorf("%s: not as it should be", name)
		}
	}
}

func TestSessionIsBoundedAndBare(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	s, err := f.Session(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if s.Endpoints["api"] != f.p.URL+"/api" || s.App["client_id"] != "default" || s.App["client_secret"] != "" || len(s.Identities) != 1 {
		t.Errorf("%+v", s)
	}
	f.p.set(func() {
		f.p.before = func(w http.ResponseWriter, _ *http.Request) bool {
			block := bytes.Repeat([]byte("x"), 1<<20)
			for range 65 {
				_, _ = w.Write(block)
			}
			return true
		}
	})
	res, err := s.HTTP.Get(f.p.URL + "/api/big")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); !errors.Is(err, connector.ErrRefused) || n != 64<<20 {
		t.Errorf("read %d: %v", n, err)
	}
}
