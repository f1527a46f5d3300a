// Package jiratest is a stand-in for Atlassian: OAuth 2.0 (3LO), the Jira Cloud
// REST API and webhook deliveries, in memory, on loopback. Tests and
// demonstrations of connector jira run against it, offline.
//
//	atlassian := jiratest.NewServer()
//	defer atlassian.Close()
//	acme := atlassian.AddSite("acme")            // https://acme.atlassian.net
//	acme.AddProject("ENG", "Engineering")
//	atlassian.Consent(ctx, authURL, "alice@example.com")
//	key := acme.CreateIssue("alice@example.com", jiratest.Issue{Project: "ENG", Summary: "It is broken"})
//	acme.Transition("alice@example.com", key, "Done")
//
// [Server.Config] is what jira.New takes; [Server.App] and [Server.Endpoints] are
// the same for other clients.
//
// It behaves as Atlassian's documentation says, errors included, and misbehaves
// on demand: see the methods of [Server]. Where the documentation is silent and
// nobody reported what really happens, the comment says "assumed". Ids repeat
// across sites, as they do at Atlassian: every site counts from the same number.
//
// It asks nobody for a password and must not be reachable by others; it listens
// on, and delivers to, loopback only.
package jiratest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/internal/standin"
)

const (
	defaultClient = "jiratest-client"
	defaultSecret = "ATOAjiratest-secret"
)

// Server is a stand-in for Atlassian. Close it when done. Its methods, and those
// of its Sites, may be called by several goroutines at once.
type Server struct {
	URL string // where it answers, without a path

	http    *http.Server  // nil: in memory
	served  chan struct{} // closed when http has returned
	handler http.Handler
	ctx     context.Context //nolint:containedctx // ends with Close; it bounds the deliveries, which no caller waits for
	stop    context.CancelFunc
	sends   sync.WaitGroup
	slots   chan struct{} // bounds concurrent deliveries
	sender  *http.Client

	mu        sync.Mutex
	now       func() time.Time
	clients   map[string]*client
	people    map[string]*person      // by folded address
	requests  map[string]*authRequest // shown on a consent page, by id
	codes     map[string]*authCode
	grants    map[grantKey]*grant
	refresh   map[string]*refreshToken
	access    map[string]*accessToken
	sites     []*Site
	refreshes map[string]int  // per person
	revoked   map[string]bool // per person
	lifetime  time.Duration   // of access tokens
	reuse     time.Duration   // how long a used refresh token still answers
	pageSize  int
	lag       time.Duration // of the search index
	faults    []*Fault

	outbox outbox
}

// NewServer starts a Server. Like httptest.NewServer it panics when it cannot listen.
func NewServer() *Server {
	s := newServer()
	l, err := (&net.ListenConfig{}).Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("jiratest: listening on loopback: %v", err))
	}
	s.URL = "http://" + l.Addr().String()
	s.sender = standin.LoopbackClient()
	s.http = &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l)
	}()
	return s
}

// NewInMemory returns a Server without a socket, for testing/synctest, where
// time stands still while a goroutine waits for a socket. [Server.Transport]
// reaches it, at whatever URL says. The rest of the world is behind the
// RoundTripper: webhooks and callbacks go there, whatever their host.
func NewInMemory(world http.RoundTripper) *Server {
	s := newServer()
	s.URL = "http://127.0.0.1:1"
	s.sender = &http.Client{Transport: world, Timeout: deliveryTimeout}
	close(s.served)
	return s
}

func newServer() *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		served: make(chan struct{}), ctx: ctx, stop: stop,
		slots:     make(chan struct{}, 20), // Jira's own number
		now:       time.Now,
		clients:   map[string]*client{},
		people:    map[string]*person{},
		requests:  map[string]*authRequest{},
		codes:     map[string]*authCode{},
		grants:    map[grantKey]*grant{},
		refresh:   map[string]*refreshToken{},
		access:    map[string]*accessToken{},
		refreshes: map[string]int{},
		revoked:   map[string]bool{},
		lifetime:  time.Hour,
		outbox:    outbox{backoff: firstBackoff},
	}
	s.clients[defaultClient] = &client{id: defaultClient, secret: defaultSecret}
	s.handler = s.routes()
	return s
}

// Close stops the server and its deliveries.
func (s *Server) Close() {
	s.mu.Lock()
	s.stop() // under the lock, so that send sees it before it adds to sends
	s.mu.Unlock()
	s.sends.Wait()
	if s.http != nil {
		_ = s.http.Close()
	}
	<-s.served
	s.sender.CloseIdleConnections()
}

// App is the app that is registered from the start: the credentials for a
// connector's Config. Every loopback address is an allowed callback of it.
func (s *Server) App() connector.App {
	return connector.App{ClientID: defaultClient, ClientSecret: defaultSecret}
}

// Config makes connector jira talk to the server instead of Atlassian, with the
// app that is registered from the start.
func (s *Server) Config() jira.Config {
	return jira.Config{ClientID: defaultClient, ClientSecret: defaultSecret, Endpoints: s.Endpoints()}
}

// Endpoints make a connector talk to the server instead of Atlassian.
func (s *Server) Endpoints() connector.Endpoints {
	return connector.Endpoints{Authorize: s.URL + authorizePath, Token: s.URL + tokenPath, API: s.URL + "/"}
}

// AddClient registers another OAuth 2.0 app. Atlassian allows one callback
// address for an app; an empty one stands for every loopback address.
func (s *Server) AddClient(id, secret, callback string) connector.App {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[id] = &client{id: id, secret: secret, callback: callback}
	return connector.App{ClientID: id, ClientSecret: secret}
}

// ServeHTTP implements http.Handler: what listens on URL.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+authorizePath, s.showConsent)
	mux.HandleFunc("POST "+authorizePath, s.decide)
	mux.HandleFunc("POST "+tokenPath, s.token)
	s.apiRoutes(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A person's browser reads this; Atlassian's own headers are not needed.
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// secret returns a random text that nobody can guess.
func secret(prefix string) string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}
