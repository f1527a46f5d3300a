// Package acmetest is a stand-in for Acme, as small as its product allows: OAuth
// that consents at once, the API for webhooks, and signed requests to them. A
// connector's author writes one from the provider's documentation, so that tests
// need neither network nor account. Start with [NewServer].
package acmetest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/examples/ownconnector/acme"
)

// Server is Acme on loopback. Its methods are safe for concurrent use.
type Server struct {
	URL string

	web   *httptest.Server
	mu    sync.Mutex
	codes map[string]consent // by code
	valid map[string]string  // access and refresh tokens; whose they are
	hooks map[string]Hook
	last  int // number of the last hook or event
}

// Hook is a webhook as Acme keeps it.
type Hook struct {
	ID     string   `json:"id"`
	URL    string   `json:"url"`
	Secret string   `json:"secret,omitempty"` // never shown by the API
	Events []string `json:"events"`
}

type consent struct{ redirect, challenge string }

const (
	clientID, clientSecret = "acme-client", "acme-secret"
	agent                  = "ann@example.com" // who consents
)

// NewServer starts a Server. Close it when done.
func NewServer() *Server {
	s := &Server{codes: make(map[string]consent), valid: make(map[string]string), hooks: make(map[string]Hook)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oauth/authorize", s.authorize)
	mux.HandleFunc("POST /oauth/token", s.token)
	mux.HandleFunc("POST /oauth/revoke", s.revoke)
	mux.HandleFunc("GET /v1/me", s.authorized(func(w http.ResponseWriter, r *http.Request) {
		whose := s.whose(r)
		answer(w, http.StatusOK, map[string]string{"id": "agent of " + whose, "email": whose})
	}))
	mux.HandleFunc("GET /v1/webhooks", s.authorized(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, s.Hooks())
	}))
	mux.HandleFunc("POST /v1/webhooks", s.authorized(s.put))
	mux.HandleFunc("PUT /v1/webhooks/{id}", s.authorized(s.put))
	mux.HandleFunc("DELETE /v1/webhooks/{id}", s.authorized(s.remove))
	s.web = httptest.NewServer(mux)
	s.URL = s.web.URL
	return s
}

// Close stops the Server.
func (s *Server) Close() { s.web.Close() }

// Config makes the connector talk to the Server instead of Acme.
func (s *Server) Config() acme.Config {
	return acme.Config{ClientID: clientID, ClientSecret: clientSecret, Endpoints: connector.Endpoints{
		Authorize: s.URL + "/oauth/authorize", Token: s.URL + "/oauth/token",
		Revoke: s.URL + "/oauth/revoke", API: s.URL + "/v1",
	}}
}

// Session is a connected agent as the engine hands it to the connector.
func (s *Server) Session(email string) *connector.Session {
	token := rand.Text()
	s.mu.Lock()
	s.valid[token] = email
	s.mu.Unlock()
	return &connector.Session{
		HTTP:      &http.Client{Transport: bearer{token}},
		Endpoints: map[string]string{"api": s.URL + "/v1"},
		Now:       time.Now,
	}
}

type bearer struct{ token string }

// RoundTrip adds the token.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

// Hooks are the webhooks that exist, without their secrets.
func (s *Server) Hooks() []Hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Hook, 0, len(s.hooks))
	for _, h := range s.hooks {
		h.Secret = ""
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Hook) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Tell sends news, "ticket.opened" or "ticket.solved", to every webhook that
// listens to them. It reports those that are not accepted.
func (s *Server) Tell(ctx context.Context, event string, ticket acme.Ticket) error {
	s.mu.Lock()
	s.last++
	body, err := json.Marshal(map[string]any{
		"id": "ev_" + strconv.Itoa(s.last), "type": event, "at": time.Now().UTC(), "ticket": ticket,
	})
	var hooks []Hook
	for _, h := range s.hooks {
		if slices.Contains(h.Events, event) {
			hooks = append(hooks, h)
		}
	}
	s.mu.Unlock()
	errs := []error{err}
	for _, h := range hooks {
		errs = append(errs, post(ctx, h, body))
	}
	return errors.Join(errs...)
}

// post signs by Acme's documentation and not with the library's own code: a
// stand-in that shares the mistakes of what it tests proves nothing.
func post(ctx context.Context, h Hook, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = Sign(h.Secret, time.Now(), body)
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode > 299 {
		return fmt.Errorf("acmetest: %s answered %s", h.ID, resp.Status)
	}
	return nil
}

// Sign returns the headers of a request with this body.
func Sign(secret string, at time.Time, body []byte) http.Header {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return http.Header{
		"Content-Type":   {"application/json"},
		"Acme-Signature": {fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))},
	}
}

func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != clientID || q.Get("code_challenge_method") != "S256" {
		http.Error(w, "unknown client or malformed request", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	s.mu.Lock()
	s.codes[code] = consent{redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge")}
	s.mu.Unlock()
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound) //nolint:gosec // a stand-in on loopback: any address may be registered
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	whose, ok := agent, false
	switch code, refresh := r.FormValue("code"), r.FormValue("refresh_token"); r.FormValue("grant_type") {
	case "authorization_code":
		c, known := s.codes[code]
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		ok = known && c.redirect == r.FormValue("redirect_uri") && c.challenge == base64.RawURLEncoding.EncodeToString(sum[:])
		delete(s.codes, code)
	case "refresh_token":
		whose, ok = s.valid[refresh]
		delete(s.valid, refresh)
	}
	if !ok || r.FormValue("client_id") != clientID || r.FormValue("client_secret") != clientSecret {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	access, refresh := rand.Text(), rand.Text()
	s.valid[access], s.valid[refresh] = whose, whose
	answer(w, http.StatusOK, map[string]any{
		"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600,
	})
}

func (s *Server) revoke(_ http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.valid)
}

// authorized lets requests through that carry an access token.
func (s *Server) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.whose(r) == "" {
			answer(w, http.StatusUnauthorized, map[string]string{"error": "unauthorized"})
			return
		}
		next(w, r)
	}
}

// whose is the agent of a request's access token.
func (s *Server) whose(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.valid[token]
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	var h Hook
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&h); err != nil || h.URL == "" || len(h.Secret) < 32 {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": "url and a secret of 32 characters are required"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.ID = r.PathValue("id")
	if _, known := s.hooks[h.ID]; h.ID != "" && !known {
		answer(w, http.StatusNotFound, map[string]string{"error": "no such webhook"})
		return
	}
	if h.ID == "" {
		s.last++
		h.ID = "wh_" + strconv.Itoa(s.last)
	}
	s.hooks[h.ID] = h
	h.Secret = ""
	answer(w, http.StatusOK, h)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.hooks[r.PathValue("id")]; !known {
		answer(w, http.StatusNotFound, map[string]string{"error": "no such webhook"})
		return
	}
	delete(s.hooks, r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // or the caller has gone
}
