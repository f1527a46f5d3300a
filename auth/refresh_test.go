package auth_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

func TestRefreshAheadOfExpiry(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	c := f.client(t, id)
	for name, row := range map[string]struct {
		pass  time.Duration
		calls int
	}{"early": {50 * time.Minute, 1}} {
		f.clock.advance(row.pass)
		get(t, c, f.p.URL+"/api/me")
		if n := f.p.count("/token"); n != row.calls {
			t.Errorf("%s: %d calls to the token endpoint", name, n)
		}
	}
	f.clock.advance(9*time.Minute + time.Second) // 59 s left
	get(t, c, f.p.URL+"/api/me")
	if n := f.p.count("/token"); n != 2 {
		t.Errorf("a minute ahead: %d calls", n)
	}
	r := f.record(t, id)
	if left := r.RefreshAt.Sub(f.clock.now()); left < 58*time.Minute || left > 59*time.Minute {
		t.Errorf("next refresh in %v", left)
	}
}

// 50 goroutines over two Authorizers that share nothing but the store: one
// refresh, and the single-use refresh token survives.
func TestOneRefreshAtATime(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	both := []*auth.Authorizer{f.Authorizer, f.again(t)}
	for round := range 3 {
		f.clock.advance(2 * time.Hour)
		before := f.p.count("/token")
		var work sync.WaitGroup
		for i := range 50 {
			work.Go(func() {
				c, err := both[i%2].Client(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				if status, _ := get(t, c, f.p.URL+"/api/me"); status != http.StatusOK {
					t.Errorf("call: %d", status)
				}
			})
		}
		work.Wait()
		if n := f.p.count("/token") - before; n != 1 {
			t.Errorf("round %d: %d refreshes", round, n)
		}
	}
}

// failing is a store that does not take connections while broken.
type failing struct {
	auth.Store
	broken atomic.Bool
}

func (s *failing) SaveConnection(ctx context.Context, w auth.Write) (int64, error) {
	if s.broken.Load() {
		return 0, errors.New("disk full")
	}
	return s.Store.SaveConnection(ctx, w)
}

// A refreshed token is stored before it is used, and a store that fails at that
// moment costs nothing: the provider is not asked again, what it gave is kept.
func TestRefreshDurableBeforeUse(t *testing.T) {
	t.Parallel()
	disk := &failing{}
	f := setUp(t, func(f *fixture) { disk.Store = f.cfg.Store; f.cfg.Store = disk })
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	c := f.client(t, id)
	f.clock.advance(2 * time.Hour)
	disk.broken.Store(true)
	seen := len(f.p.seen)
	err := call(c, f.p.URL+"/api/me")
	if _, later := errors.AsType[*connector.RetryError](err); !later {
		t.Errorf("store away: %v", err)
	}
	if len(f.p.seen) != seen {
		t.Errorf("the API saw a token that is not stored: %v", f.p.seen[seen:])
	}
	if n := f.p.count("/token"); n != 2 {
		t.Errorf("%d calls to the token endpoint", n)
	}
	disk.broken.Store(false)
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != 200 {
		t.Errorf("store back: %d", status)
	}
	if n := f.p.count("/token"); n != 2 {
		t.Errorf("%d calls to the token endpoint: what it gave was thrown away", n)
	}
	f.clock.advance(2 * time.Hour)
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != 200 {
		t.Errorf("the grant did not survive: %d", status)
	}
}

// The provider's answer to a refresh is lost, or did not become true on its side.
func TestRefreshAnswerLost(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	c := f.client(t, id)
	first := f.p.refreshTokens()
	f.clock.advance(2 * time.Hour)
	get(t, c, f.p.URL+"/api/me")
	// The provider forgets its last refresh: the token before it is good again.
	f.p.set(func() {
		clear(f.p.refresh)
		f.p.refresh[first[0]] = "alice"
	})
	f.clock.advance(2 * time.Hour)
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != 200 {
		t.Errorf("with the former refresh token: %d", status)
	}
	if r := f.record(t, id); r.Status != auth.Active {
		t.Errorf("%+v", r.Connection)
	}
	// The connection breaks after the provider has rotated; it takes the token once more.
	var broke atomic.Bool
	kept := f.p.refreshTokens()
	f.p.set(func() {
		f.p.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/token" || broke.Swap(true) {
				return false
			}
			panic(http.ErrAbortHandler)
		}
	})
	f.clock.advance(2 * time.Hour)
	err := call(c, f.p.URL+"/api/me")
	var retry *connector.RetryError
	if !errors.As(err, &retry) {
		t.Errorf("answer lost: %v", err)
	}
	if err = call(c, f.p.URL+"/api/me"); !errors.As(err, &retry) || retry.After <= 0 {
		t.Errorf("before it is time: %v", err)
	}
	f.clock.advance(time.Minute)
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != 200 || len(kept) != 1 {
		t.Errorf("the same refresh token again: %d", status)
	}
}

func (p *provider) refreshTokens() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for tok := range p.refresh {
		all = append(all, tok)
	}
	return all
}

// What a token endpoint says decides between "try again" and "connect again".
func TestRefreshRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status int
		body   string
		dead   bool
	}{
		"invalid_grant":                {400, `{"error":"invalid_grant"}`, true},
		"unauthorized_client in a 403": {403, `{"error":"unauthorized_client","error_description":"refresh_token is invalid"}`, true},
		"error in a 200":               {200, `{"ok":false,"error":"token_revoked"}`, true},
		"nested code":                  {400, `{"error":{"type":"OAuthException","code":190}}`, true},
		"code without error":           {400, `{"status":"BAD_REFRESH_TOKEN","message":"gone"}`, true},
		"500":                          {500, `oops`, false},
		"429":                          {429, `{"error":"slow_down"}`, false},
		"invalid_client":               {401, `{"error":"invalid_client"}`, false},
		"unknown 400":                  {400, `{"error":"weird"}`, false},
		"200 without a token":          {200, `{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t, func(f *fixture) { f.product.d.OAuth.Dead = []string{"token_revoked", "190", "BAD_REFRESH_TOKEN"} })
			id := f.connect(t, "alice", auth.ConnectRequest{}).ID
			c := f.client(t, id)
			f.p.set(func() {
				f.p.before = func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path != "/token" {
						return false
					}
					w.WriteHeader(row.status)
					_, _ = w.Write([]byte(row.body))
					return true
				}
			})
			f.clock.advance(59*time.Minute + 30*time.Second) // 30 s left
			err := call(c, f.p.URL+"/api/me")
			r := f.record(t, id)
			var again *auth.ReconnectError
			if row.dead {
				if !errors.As(err, &again) || again.Connection.ID != id || !errors.Is(err, connector.ErrRevoked) {
					t.Errorf("refused for good: %v", err)
				}
				if r.Status != auth.Expired || r.Reason == "" || !r.RefreshAt.IsZero() || len(f.changed) == 0 {
					t.Errorf("%+v", r.Connection)
				}
				if _, err := f.Session(t.Context(), id); !errors.As(err, &again) {
					t.Errorf("session: %v", err)
				}
				return
			}
			if err != nil {
				t.Errorf("the present token is good for a while: %v", err)
			}
			if r.Status != auth.Active || r.RefreshTries != 1 || !r.RefreshAt.After(f.clock.now()) || r.Reason == "" {
				t.Errorf("%+v", r)
			}
			f.clock.advance(time.Hour)
			var retry *connector.RetryError
			if err := call(c, f.p.URL+"/api/me"); !errors.As(err, &retry) {
				t.Errorf("after its end: %v", err)
			}
			f.p.set(func() { f.p.before = nil })
			f.clock.advance(time.Hour)
			if status, _ := get(t, c, f.p.URL+"/api/me"); status != 200 {
				t.Errorf("provider back: %d", status)
			}
			if r := f.record(t, id); r.Reason != "" || r.RefreshTries != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// One caller's end does not tear a refresh that others wait for.
func TestRefreshOutlivesCaller(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	c := f.client(t, id)
	asked, answer := make(chan struct{}), make(chan struct{})
	f.p.set(func() {
		f.p.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				close(asked)
				<-answer
			}
			return false
		}
	})
	f.clock.advance(2 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, f.p.URL+"/api/me", nil)
		res, err := c.Do(req)
		if err == nil {
			res.Body.Close()
		}
		ended <- err
	}()
	<-asked
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("caller got %v", err)
	}
	close(answer)
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != 200 || f.p.count("/token") != 2 {
		t.Errorf("%d after %d calls", status, f.p.count("/token"))
	}
}

// A refresh under way does not overwrite what a new consent brought meanwhile.
func TestReconnectDuringRefresh(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	c := f.client(t, id)
	asked, answer := make(chan struct{}), make(chan struct{})
	f.p.set(func() {
		f.p.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/token" || r.Form.Get("grant_type") != "refresh_token" {
				return false
			}
			close(asked)
			<-answer
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
			return true
		}
	})
	f.clock.advance(2 * time.Hour)
	ended := make(chan error)
	go func() {
		err := call(c, f.p.URL+"/api/me")
		ended <- err
	}()
	<-asked
	b := f.browser(t)
	if res := b.get(f.p.consent(t, b.press(t, f.link(t, auth.ConnectRequest{}), nil).Header().Get("Location"), "alice")); res.Code != 200 {
		t.Fatalf("reconnect: %d", res.Code)
	}
	close(answer)
	var retry *connector.RetryError
	if err := <-ended; !errors.As(err, &retry) {
		t.Errorf("the old refresh: %v", err)
	}
	if r := f.record(t, id); r.Status != auth.Active {
		t.Errorf("the new consent was undone: %+v", r.Connection)
	}
	f.p.set(func() { f.p.before = nil })
	if status, _ := get(t, c, f.p.URL+"/api/me"); status != 200 {
		t.Errorf("call: %d", status)
	}
}
