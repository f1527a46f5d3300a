// Package gmailtest is a stand-in for Google: OAuth, the Gmail API and Pub/Sub
// push, in memory, on loopback. Tests and demonstrations of connector gmail run
// against it, offline.
//
//	google := gmailtest.NewServer()
//	defer google.Close()
//	g := gmail.New(google.Config())          // the connector, talking to the stand-in
//	google.SetPush(publicURL + "/webhooks/gmail")
//	google.Consent(ctx, authURL, "alice@example.com")
//	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "Lunch?"})
//
// It behaves as Google's documentation says, errors included, and misbehaves on
// demand: see the methods of [Server]. It asks nobody for a password and must
// not be reachable by others; it listens on, and pushes to, loopback only.
package gmailtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
)

const (
	defaultClient  = "gmailtest.apps.googleusercontent.com"
	defaultSecret  = "GOCSPX-gmailtest"
	defaultProject = "gmailtest"
	topicName      = "gmail" // every project has one topic, with one push subscription
)

// Server is a stand-in for Google. Close it when done. Its methods may be
// called by several goroutines at once.
type Server struct {
	URL string // where it listens, without a path

	http   *http.Server    // nil in memory
	served chan struct{}   // closed when http has returned
	ctx    context.Context //nolint:containedctx // ends with Close; it bounds the pushes, which no caller waits for
	stop   context.CancelFunc
	pushes sync.WaitGroup
	slots  chan struct{} // bounds concurrent pushes
	pusher *http.Client
	reach  http.RoundTripper      // how others are reached; nil: over loopback
	key    func() *rsa.PrivateKey // made when first used: it takes a tenth of a second

	mu         sync.Mutex
	now        func() time.Time
	sequence   uint64
	clients    map[string]*client
	projects   map[string]*project
	requests   map[string]*authRequest // shown on a consent page, by id
	codes      map[string]*authCode
	grants     map[grantKey]*grant
	refresh    map[string]*grant
	access     map[string]*accessToken
	mailboxes  map[string]*mailbox // by folded address
	refreshes  map[string]int      // per mailbox
	revoked    map[string]bool     // per mailbox
	delivered  int                 // pushes acknowledged
	published  int                 // notifications published, dropped ones not counted
	lifetime   time.Duration
	pageSize   int
	idAsString bool
	unwrapped  bool
	interval   time.Duration
	drop, dup  int
	faults     []*Fault
}

// NewServer starts a Server. Like httptest.NewServer it panics when it cannot listen.
func NewServer() *Server {
	ctx, stop := context.WithCancel(context.Background())
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("gmailtest: listening on loopback: %v", err))
	}
	s := newServer(ctx, stop, "http://"+l.Addr().String(), nil)
	s.http = &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l)
	}()
	return s
}

// NewInMemory is NewServer without a socket, as tests with a simulated clock need
// it: [Server.Handler] is to be served at url, a loopback address that nobody
// has to listen at, and whatever the server itself calls is called through network.
func NewInMemory(url string, network http.RoundTripper) *Server {
	ctx, stop := context.WithCancel(context.Background())
	return newServer(ctx, stop, url, network)
}

func newServer(ctx context.Context, stop context.CancelFunc, url string, network http.RoundTripper) *Server {
	s := &Server{
		URL:    url,
		served: make(chan struct{}), ctx: ctx, stop: stop,
		slots: make(chan struct{}, 16),
		reach: network,
		key:   sync.OnceValue(newKey),
		now:   time.Now,
		// Google's ids are large; a large start shows a number that went through a float64.
		sequence:  uint64(time.Now().UnixMilli()) << 20, // like Gmail's ids, and never those of an earlier Server
		clients:   map[string]*client{},
		projects:  map[string]*project{},
		requests:  map[string]*authRequest{},
		codes:     map[string]*authCode{},
		grants:    map[grantKey]*grant{},
		refresh:   map[string]*grant{},
		access:    map[string]*accessToken{},
		mailboxes: map[string]*mailbox{},
		refreshes: map[string]int{},
		revoked:   map[string]bool{},
		lifetime:  3599 * time.Second,
	}
	s.pusher = s.client()
	s.addClient(defaultClient, defaultSecret, defaultProject, nil)
	return s
}

// client reaches loopback addresses, or what stands in for them.
func (s *Server) client() *http.Client {
	if s.reach == nil {
		return loopbackClient()
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: s.reach}
}

// Close stops the server and its pushes.
func (s *Server) Close() {
	s.mu.Lock()
	s.stop() // under the lock, so that publish sees it before it adds to pushes
	s.mu.Unlock()
	s.pushes.Wait()
	if s.http != nil {
		_ = s.http.Close()
		<-s.served
	}
	s.pusher.CloseIdleConnections()
}

// Config makes the connector talk to the server instead of Google, by push.
// Call SetPush with the address of its webhook. For polling set Mode.
func (s *Server) Config() gmail.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[defaultProject]
	return gmail.Config{
		ClientID: defaultClient, ClientSecret: defaultSecret,
		Topic: p.topic(), PushAudience: p.audience, PushServiceAccount: p.account,
		Endpoints: connector.Endpoints{
			Authorize: s.URL + authorizePath, Token: s.URL + tokenPath,
			Revoke: s.URL + revokePath, API: s.URL + "/",
		},
		HTTPClient: &http.Client{Transport: s.Transport(), Timeout: 10 * time.Second},
	}
}

// AddClient registers another OAuth client, in a Google project of its own with
// its own topic, push subscription and service account, and returns it as an
// App of connector gmail. Without redirectURIs every loopback address is taken.
func (s *Server) AddClient(id, secret string, redirectURIs ...string) connector.App {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.addClient(id, secret, "project-"+id, redirectURIs)
	return connector.App{ClientID: id, ClientSecret: secret, Fields: map[string]string{
		gmail.FieldTopic: p.topic(), gmail.FieldPushAudience: p.audience, gmail.FieldPushServiceAccount: p.account,
	}}
}

func (s *Server) addClient(id, secret, name string, redirects []string) *project {
	p := &project{
		name: name, audience: s.URL + "/audience/" + name,
		account: "pusher@" + name + ".iam.gserviceaccount.com", last: map[string]time.Time{},
	}
	s.projects[name] = p
	s.clients[id] = &client{id: id, secret: secret, redirects: redirects, project: p}
	return p
}

// Handler is what the server serves at its URL.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+authorizePath, s.showConsent)
	mux.HandleFunc("POST "+authorizePath, s.decide)
	mux.HandleFunc("POST "+tokenPath, s.token)
	mux.HandleFunc("POST "+revokePath, s.revoke)
	mux.HandleFunc("GET "+certsPath, s.certs)
	mux.HandleFunc(pullAction, s.pullAPI)
	s.apiRoutes(mux)
	return mux
}

// next returns an id that was never given before, ascending. s.mu is held.
func (s *Server) next() uint64 {
	s.sequence += 7
	return s.sequence
}

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("gmailtest: making a key: %v", err)) // never fails since Go 1.24
	}
	return key
}

// secret returns a random text that nobody can guess.
func secret(prefix string) string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// loopbackClient reaches loopback addresses alone, so that a stand-in never
// sends anything to the world.
func loopbackClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if a, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
				_ = conn.Close()
				return nil, fmt.Errorf("gmailtest: %s is not a loopback address", address)
			}
			return conn, nil
		}},
	}
}
