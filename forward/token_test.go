package forward_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

const clientSecret = "hunter2 & more%"

// tokenServer gives tokens as RFC 6749, 4.4 says, and is strict about the request.
type tokenServer struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	n      int                                         // tokens given
	asked  int                                         // requests
	valid  string                                      // the last token
	life   any                                         // expires_in
	inBody bool                                        // takes the secret in the body only
	answer func(w http.ResponseWriter, asked int) bool // true: it has answered
	gate   chan struct{}                               // if set, answers wait for it
}

func newTokenServer(t testing.TB) *tokenServer {
	t.Helper()
	s := &tokenServer{t: t, life: 3600}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) settings() *forward.OAuth2 {
	return &forward.OAuth2{
		TokenURL: s.URL + "/token?tenant=t-hidden", ClientID: "acme:1", ClientSecret: clientSecret,
		Scopes: []string{"events.write", "x:y"}, Audience: "https://receiver.example",
	}
}

func (s *tokenServer) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *tokenServer) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		s.t.Errorf("the token server got %s %s: %v", r.Method, r.URL, err)
	}
	s.mu.Lock()
	gate := s.gate
	s.asked++
	asked, answer := s.asked, s.answer
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if answer != nil && answer(w, asked) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	id, secret, basic := r.BasicAuth()
	if basic { // RFC 6749, 2.3.1: both are form-encoded first
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if id != "acme:1" || secret != clientSecret || basic == s.inBody {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"`+secret+`"}`)
		return
	}
	if form.Get("grant_type") != "client_credentials" || form.Get("scope") != "events.write x:y" || form.Get("audience") != "https://receiver.example" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_request"}`)
		return
	}
	s.n++
	s.valid = fmt.Sprintf("token-%d", s.n)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": s.valid, "token_type": "bearer", "expires_in": s.life})
}

// wants is a receiver that lets the current token in.
func (s *tokenServer) wants(_ int, r *http.Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+s.valid {
		return http.StatusUnauthorized
	}
	return http.StatusNoContent
}

func (s *tokenServer) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valid = "none"
}

func TestOAuth2(t *testing.T) {
	t.Parallel()
	for _, inBody := range []bool{false, true} {
		t.Run(fmt.Sprintf("secret in the body %v", inBody), func(t *testing.T) {
			t.Parallel()
			tokens, d := newTokenServer(t), newDestination(t, nil, 0)
			tokens.inBody, d.status = inBody, tokens.wants
			s := at(d.URL)
			s.OAuth2, s.Retry = tokens.settings(), []time.Duration{time.Millisecond}
			other := at(d.URL)
			other.HeaderKey, other.HeaderValue = "Authorization", "Basic own"
			var log strings.Builder
			f := build(t, forward.Config{Directory: two(s, other), Logger: textLog(&log)})
			stop := start(t, f)
			for range 3 {
				a := try(t, f, "env_A")
				if a.StatusCode != http.StatusNoContent || a.RequestHeader.Get("Authorization") != "[redacted]" {
					t.Errorf("attempt: %d %q %v", a.StatusCode, a.Error, a.RequestHeader)
				}
				if text := fmt.Sprintf("%+v", a); strings.Contains(text, "token-") || strings.Contains(text, "hunter2") {
					t.Errorf("the attempt shows a secret: %s", text)
				}
			}
			if n := tokens.fetches(); n != 1 {
				t.Errorf("%d tokens were fetched for 3 deliveries, want 1", n)
			}
			// Another destination at the same receiver has no part in it.
			if a := try(t, f, "env_B"); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("another destination: %d", a.StatusCode)
			}
			// A token that is refused is fetched anew for the next try.
			tokens.revoke()
			if a := try(t, f, "env_A"); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("with a revoked token: %d", a.StatusCode)
			}
			until(t, "the next try is let in", func() bool { return tokens.fetches() == 2 && f.Stats().Delivered == 4 })
			if err := stop(); err != nil {
				t.Error(err)
			}
			if text := log.String(); strings.Contains(text, "token-") || strings.Contains(text, "hunter2") {
				t.Errorf("the log shows a secret: %s", text)
			}
		})
	}
}

// Who differs in anything has no part in another one's token, least of all who
// knows all but the secret.
func TestOAuth2TokensAreForTheirCredentials(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*forward.OAuth2){
		"secret":   func(o *forward.OAuth2) { o.ClientSecret = "guessed" },
		"client":   func(o *forward.OAuth2) { o.ClientID = "bolt" },
		"scopes":   func(o *forward.OAuth2) { o.Scopes = []string{"events.write"} },
		"audience": func(o *forward.OAuth2) { o.Audience = "https://other.example" },
		"address":  func(o *forward.OAuth2) { o.TokenURL += "2" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens, d := newTokenServer(t), newDestination(t, nil, 0)
			mine, other := at(d.URL), at(d.URL)
			mine.OAuth2, other.OAuth2 = tokens.settings(), tokens.settings()
			change(other.OAuth2)
			f := build(t, forward.Config{Directory: two(mine, other)})
			start(t, f)
			if a := try(t, f, "env_A"); a.StatusCode != http.StatusOK {
				t.Fatalf("attempt: %d %q", a.StatusCode, a.Error)
			}
			asked := tokens.requests()
			try(t, f, "env_B")
			if tokens.requests() == asked {
				t.Errorf("the token of another one was used: %v", d.seen())
			}
		})
	}
}

func TestOAuth2InTrouble(t *testing.T) {
	t.Parallel()
	write := func(status int, kind, body string) func(http.ResponseWriter, int) bool {
		return func(w http.ResponseWriter, _ int) bool {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	for _, row := range []struct {
		name   string
		answer func(http.ResponseWriter, int) bool
		change func(*forward.OAuth2)
		says   string
	}{
		{"wrong secret", nil, func(o *forward.OAuth2) { o.ClientSecret = "hunter2 of another" }, "oauth2: the server of token_url answered 401: invalid_client"},
		{"its own error", write(400, "application/json", `{"error":"hunter2","error_description":"hunter2"}`), nil, "oauth2: the server of token_url answered 400"},
		{"unavailable", write(503, "text/html", "hunter2"), nil, "oauth2: the server of token_url answered 503"},
		{"redirects", write(307, "text/html", "hunter2"), nil, "oauth2: the server of token_url answered 307"},
		{"no JSON", write(200, "application/json", "hunter2"), nil, "oauth2: the server of token_url answered with what is no token"},
		{"no token", write(200, "application/json", `{"token":"hunter2"}`), nil, "oauth2: the server of token_url answered with what is no token"},
		{"line break in the token", write(200, "application/json", `{"access_token":"hunter2\r\nX-Evil: 1"}`), nil, "oauth2: the server of token_url answered with a malformed token"},
		{"huge token", write(200, "application/json", `{"access_token":"`+strings.Repeat("x", 20<<10)+`"}`), nil, "oauth2: the server of token_url answered with a malformed token"},
		{"huge answer", write(200, "application/json", `{"access_token":"`+strings.Repeat("x", 100<<10)+`"}`), nil, "oauth2: "},
		{"another type", write(200, "application/json", `{"access_token":"x","token_type":"DPoP"}`), nil, "oauth2: the server of token_url gives tokens of another type than Bearer"},
		{"resets", func(http.ResponseWriter, int) bool { panic(http.ErrAbortHandler) }, nil, "oauth2: token_url: reset: "},
		{"unknown name", nil, func(o *forward.OAuth2) { o.TokenURL = "https://login.invalid/?x=hunter2" }, "oauth2: token_url: dns: "},
		{"metadata", nil, func(o *forward.OAuth2) { o.TokenURL = "http://[64:ff9b::a9fe:a9fe]/" }, "oauth2: private address: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			tokens, d := newTokenServer(t), newDestination(t, nil, 0)
			tokens.answer = row.answer
			s := at(d.URL)
			s.OAuth2 = tokens.settings()
			if row.change != nil {
				row.change(s.OAuth2)
			}
			f := build(t, forward.Config{Directory: two(s, settings("*"))})
			start(t, f)
			a := try(t, f, "env_A")
			if !strings.HasPrefix(a.Error, row.says) || strings.Contains(a.Error, "hunter2") || a.StatusCode != 0 {
				t.Errorf("attempt: %d %q, want %q", a.StatusCode, a.Error, row.says)
			}
			if got := d.seen(); len(got) > 0 {
				t.Errorf("the receiver was called without a token: %v", got)
			}
		})
	}
}

// Of many tries at the same time one fetches; a token server that hangs costs
// each try its own timeout and no more.
func TestOAuth2OneFetchAtATime(t *testing.T) {
	t.Parallel()
	tokens, d := newTokenServer(t), newDestination(t, nil, 0)
	tokens.gate, d.status = make(chan struct{}), tokens.wants
	s := at(d.URL)
	s.OAuth2, s.Timeout = tokens.settings(), 30*time.Second
	f := build(t, forward.Config{Directory: two(s, s)})
	start(t, f)
	for i := range 20 {
		ev := trigger.Event{Trigger: "invoice.paid", Environment: []string{"env_A", "env_B"}[i%2], Payload: []byte(`{}`)}
		if err := f.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "a token is being fetched", func() bool { return tokens.requests() > 0 })
	close(tokens.gate)
	until(t, "all are delivered", func() bool { return f.Stats().Delivered == 20 })
	if n := tokens.requests(); n != 1 {
		t.Errorf("%d requests for 20 deliveries at the same time, want 1", n)
	}

	hanging, silent := newTokenServer(t), at(d.URL)
	hanging.gate = make(chan struct{})
	t.Cleanup(func() { close(hanging.gate) })
	silent.OAuth2, silent.Timeout = hanging.settings(), 200*time.Millisecond
	f = build(t, forward.Config{Directory: two(silent, settings("*"))})
	start(t, f)
	if a := try(t, f, "env_A"); !strings.HasPrefix(a.Error, "oauth2: ") || !strings.Contains(a.Error, "within 200ms") {
		t.Errorf("attempt: %q", a.Error)
	}
}

// inMemory is a token server and a receiver without sockets, for synctest.
type inMemory struct {
	mu      sync.Mutex
	n       int
	life    string // "" does not tell
	refuse  bool   // the receiver takes no token at all
	fail    bool   // the token server
	fetched []time.Time
	got     []string
}

func (m *inMemory) RoundTrip(req *http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = io.Copy(io.Discard, req.Body)
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	if req.URL.Host == "login.example" {
		m.fetched = append(m.fetched, time.Now())
		if m.fail {
			return answer(500, `{}`)
		}
		m.n++
		return answer(200, fmt.Sprintf(`{"access_token":"token-%d"%s}`, m.n, m.life))
	}
	m.got = append(m.got, req.Header.Get("Authorization"))
	if m.refuse {
		return answer(401, "")
	}
	return answer(204, "")
}

func (m *inMemory) counts() (fetched, got int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.fetched), len(m.got)
}

func TestOAuth2TokensAreRenewed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, life string
		send       []time.Duration // since the start
		fetched    int
	}{
		{"before the end", `,"expires_in":600`, []time.Duration{0, 569 * time.Second, 571 * time.Second, 1100 * time.Second}, 2},
		{"as text", `,"expires_in":"600"`, []time.Duration{0, 569 * time.Second, 571 * time.Second}, 2},
		{"short life", `,"expires_in":10`, []time.Duration{0, 7 * time.Second, 9 * time.Second}, 2},
		{"no life", `,"expires_in":-5`, []time.Duration{0, time.Second, 2 * time.Second}, 3},
		{"does not tell", ``, []time.Duration{0, 59 * time.Minute, 61 * time.Minute}, 2},
		{"for ever", `,"expires_in":2000000000`, []time.Duration{0, 23 * time.Hour, 25 * time.Hour}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &inMemory{life: row.life}
				f := inSync(t, m, nil)
				began := time.Now()
				for i, when := range row.send {
					wait(t, time.Until(began.Add(when)))
					publishOne(t, f)
					if _, got := m.counts(); got != i+1 {
						t.Fatalf("%d deliveries after %s", got, when)
					}
				}
				if fetched, _ := m.counts(); fetched != row.fetched {
					t.Errorf("%d tokens were fetched, want %d", fetched, row.fetched)
				}
			})
		})
	}
}

// A receiver that refuses fresh tokens, too, does not make us storm the token
// server; nor does a token server that fails.
func TestOAuth2DoesNotStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &inMemory{refuse: true}
		f := inSync(t, m, []time.Duration{time.Second, time.Second, time.Second, time.Second, 2 * time.Minute, time.Second})
		publishOne(t, f)
		wait(t, 10*time.Second)
		// The first one, and the one that replaces it; that one is kept for a minute.
		if fetched, got := m.counts(); fetched != 2 || got != 5 {
			t.Errorf("%d tokens for %d tries", fetched, got)
		}
		wait(t, 3*time.Minute)
		if fetched, got := m.counts(); fetched != 3 || got != 7 {
			t.Errorf("%d tokens for %d tries after three minutes", fetched, got)
		}
		m.mu.Lock()
		m.refuse = false
		m.mu.Unlock()
		publishOne(t, f)
		if _, got := m.counts(); got != 8 {
			t.Errorf("%d tries", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := &inMemory{fail: true}
		f := inSync(t, m, nil)
		for range 50 {
			publishOne(t, f)
		}
		// Each fetch is two requests while the server's way is not known.
		if fetched, got := m.counts(); fetched != 2 || got != 0 {
			t.Errorf("%d requests to a failing token server, %d to the receiver", fetched, got)
		}
		m.mu.Lock()
		m.fail = false
		m.mu.Unlock()
		wait(t, 10*time.Second)
		if fetched, got := m.counts(); fetched != 3 || got != 50 {
			t.Errorf("%d requests to the token server, %d to the receiver", fetched, got)
		}
	})
}

func inSync(t *testing.T, m *inMemory, retry []time.Duration) *forward.Forwarder {
	t.Helper()
	s := settings("*")
	s.Retry = retry
	s.OAuth2 = &forward.OAuth2{TokenURL: "https://login.example/token", ClientID: "acme", ClientSecret: "x"}
	f := build(t, forward.Config{Settings: s, Transport: m})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return f
}

func publishOne(t *testing.T, f *forward.Forwarder) {
	t.Helper()
	if err := f.Publish(t.Context(), trigger.Event{Trigger: "invoice.paid", Payload: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// wait lets the time of a synctest bubble pass.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	synctest.Wait()
}
