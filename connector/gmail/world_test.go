package gmail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

const (
	oursURL   = "http://127.0.0.1:8"
	googleURL = "http://127.0.0.1:9"
)

// network reaches handlers by host, in memory, so that a simulated clock goes on.
type network struct {
	mu       sync.Mutex
	handlers map[string]http.Handler
	calls    map[string]int // by "METHOD path"
}

func (n *network) serve(url string, h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers[strings.TrimPrefix(url, "http://")] = h
}

// called returns how often that was asked for: "METHOD path".
func (n *network) called(what string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls[what]
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	h := n.handlers[r.URL.Host]
	n.calls[r.Method+" "+r.URL.Path]++
	n.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if h == nil {
		return nil, fmt.Errorf("nobody serves %s", r.URL.Host)
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	in.Body, in.RequestURI, in.Host = io.NopCloser(bytes.NewReader(body)), r.URL.RequestURI(), r.URL.Host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// sim is an Interactor, Google and time, all in memory but the store.
type sim struct {
	*interactor.Interactor
	t      *testing.T
	google *gmailtest.Server
	net    *network
	db     *sqlite.Store
	key    string
	cfg    gmail.Config

	mu   sync.Mutex
	got  map[told]string // id of the event
	ids  int             // events with another id than before
	logs bytes.Buffer
}

// told is a happening as one account is told of it.
type told struct {
	account string
	happening
}

// simulate runs test in a bubble whose clock is simulated. ahead is how far
// Google's clock is ahead of ours.
func simulate(t *testing.T, ahead time.Duration, change func(*gmail.Config), test func(s *sim)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &sim{t: t, net: &network{handlers: map[string]http.Handler{}, calls: map[string]int{}}, got: map[told]string{}}
		s.google = gmailtest.NewInMemory(googleURL, s.net)
		s.google.SetClock(func() time.Time { return time.Now().Add(ahead) })
		defer s.google.Close()
		s.net.serve(googleURL, s.google.Handler())
		cfg := s.google.Config()
		if change != nil {
			change(&cfg)
		}
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		s.db, s.key, s.cfg = db, seal.NewKey(), cfg
		stop := s.start()
		if err := s.google.SetPush(oursURL + "/webhooks/gmail"); err != nil {
			t.Fatal(err)
		}
		test(s)
		stop()
		if err := db.Check(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// start makes an Interactor and runs it until stop is called.
func (s *sim) start() (stop func()) {
	s.t.Helper()
	in, err := interactor.New(interactor.Config{
		Store: s.db, SealingKeys: []string{s.key}, PublicURL: oursURL, AllowPrivateNetworks: true,
		Connectors: []interactor.Connector{gmail.New(s.cfg)},
		Forwarding: forward.Settings{Triggers: trigger.List("gmail.*", subscription.Gap, auth.HasExpired)},
		OnEvent:    s.take,
		HTTPClient: &http.Client{Transport: s.net, Timeout: 30 * time.Second},
		Logger:     slog.New(slog.NewTextHandler(&locked{w: &s.logs, mu: &s.mu}, &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Interactor = in
	s.net.serve(oursURL, in.Handler())
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
	}
}

type locked struct {
	w  io.Writer
	mu *sync.Mutex
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// take is what an event arrives at.
func (s *sim) take(_ context.Context, ev trigger.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := told{ev.Account, identify(ev)}
	if id, again := s.got[h]; !again {
		s.got[h] = ev.ID
	} else if id != ev.ID {
		s.ids++
	}
	return nil
}

// identify says which happening an event tells of, from its payload alone: the
// receiver sees no keys. Events of different accounts are different.
func identify(ev trigger.Event) happening {
	var p struct {
		ID       string `json:"id"`
		ThreadID string `json:"thread_id"`
		Label    struct {
			ID string `json:"id"`
		} `json:"label"`
		Email struct {
			ID string `json:"id"`
		} `json:"email"`
	}
	if err := json.Unmarshal(ev.Payload, &p); err != nil {
		return happening{ev.Trigger, "unreadable " + ev.ID}
	}
	key := p.ID
	switch ev.Trigger {
	case gmail.EmailLabeled:
		key = p.Email.ID + " " + p.Label.ID
	case gmail.ThreadStarted:
		key = p.ThreadID
	case subscription.Gap, auth.HasExpired:
		key = ev.ID
	}
	return happening{ev.Trigger, key}
}

// signIn connects a mailbox.
func (s *sim) signIn(account, mailbox string) auth.Connection {
	s.t.Helper()
	link, err := s.AuthURL(s.t.Context(), interactor.ConnectRequest{Connector: gmail.Name, Account: account})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.google.Consent(s.t.Context(), link, mailbox); err != nil {
		s.t.Fatal(err)
	}
	c, err := s.Auth.Find(s.t.Context(), auth.Query{Connector: gmail.Name, Account: account})
	if err != nil {
		s.t.Fatal(err)
	}
	s.pass(time.Minute)
	return c
}

// pass lets time go by.
func (s *sim) pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // time is fake
	synctest.Wait()
}

// has reports whether an account was told.
func (s *sim) has(account, trigger, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[told{account, happening{trigger, key}}] != ""
}

func (s *sim) count(trigger string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.got {
		if h.happening[0] == trigger {
			n++
		}
	}
	return n
}

// logged counts the lines that have all of the texts.
func (s *sim) logged(texts ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.logs.String()) {
		all := true
		for _, t := range texts {
			all = all && strings.Contains(line, t)
		}
		if all {
			n++
		}
	}
	return n
}
