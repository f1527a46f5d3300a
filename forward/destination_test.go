package forward_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/catest"
)

// destination is a receiver that keeps who called it.
type destination struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []call
	status func(n int, r *http.Request) int

	open atomic.Int32 // connections
}

type call struct {
	client        string // name in the client certificate; "": none was shown
	authorization string
	proto         string
	from          string
}

// newDestination starts one that asks for client certificates of ca as clients
// says; without ca it speaks plain HTTP.
func newDestination(t testing.TB, ca *catest.Authority, clients tls.ClientAuthType) *destination {
	t.Helper()
	d := &destination{}
	d.Server = httptest.NewUnstartedServer(d)
	d.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			d.open.Add(1)
		case http.StateClosed:
			d.open.Add(-1)
		default:
		}
	}
	d.Config.ErrorLog = log.New(io.Discard, "", 0)
	if ca == nil {
		d.Start()
	} else {
		ca.Start(d.Server, clients)
	}
	t.Cleanup(func() { d.CloseClientConnections(); d.Close() })
	return d
}

func (d *destination) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := call{authorization: r.Header.Get("Authorization"), proto: r.Proto, from: r.RemoteAddr}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		c.client = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	d.mu.Lock()
	d.calls = append(d.calls, c)
	n, status := len(d.calls), d.status
	d.mu.Unlock()
	if status != nil {
		w.WriteHeader(status(n, r))
	}
}

func (d *destination) seen() []call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

func (d *destination) clients() (names []string) {
	for _, c := range d.seen() {
		names = append(names, c.client)
	}
	return names
}

func (d *directory) set(environment string, s forward.Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settings[environment] = s
}

// try sends an example, as the test button does, and returns its first attempt.
func try(t testing.TB, f *forward.Forwarder, environment string) forward.Attempt {
	t.Helper()
	sent, err := f.SendExample(t.Context(), environment, noteAdded, "")
	if err != nil {
		t.Fatal(err)
	}
	var rec forward.Record
	until(t, "a try was recorded", func() bool {
		rec, err = f.Event(t.Context(), sent.ID)
		return err == nil && len(rec.Deliveries) == 1 && len(rec.Deliveries[0].Attempts) > 0
	})
	return rec.Deliveries[0].Attempts[0]
}

func at(url string) forward.Settings {
	s := settings("*")
	s.URL = url
	return s
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca, other := catest.New(t), catest.New(t)
	d := newDestination(t, ca, tls.RequireAndVerifyClientCert)
	certificate, key := ca.Client("acme")
	old, oldKey := ca.ClientUntil("acme", time.Now().Add(-time.Minute))
	foreign, foreignKey := other.Client("acme")
	for _, row := range []struct {
		name             string
		certificate, key string
		ok               bool
		says             string // in TLS 1.3 the refusal may be lost behind a reset
	}{
		{"its own", certificate, key, true, ""},
		{"none", "", "", false, ""},
		{"of another authority", foreign, foreignKey, false, ""},
		{"expired", old, oldKey, false, "; the client certificate expired at "},
		{"damaged", certificate, oldKey, false, "client certificate: is not the private key"},
		{"key alone", "", key, false, "client certificate: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := at(d.URL)
			s.ClientCertificate, s.ClientKey = row.certificate, row.key
			f := build(t, forward.Config{Directory: two(s, settings("*")), RootCAs: ca.Pool})
			start(t, f)
			a := try(t, f, "env_A")
			if (a.Error == "") != row.ok || !strings.Contains(a.Error, row.says) || strings.Contains(fmt.Sprint(a), "PRIVATE KEY") {
				t.Errorf("attempt: %d %q, want %q", a.StatusCode, a.Error, row.says)
			}
		})
	}
	t.Cleanup(func() {
		if got := d.clients(); !slices.Equal(got, []string{"acme"}) {
			t.Errorf("the receiver let in %v", got)
		}
	})
}

// A certificate is shown for the destination that it was set for, and for no
// other one, even at the same server while its connection is open.
func TestClientCertificateIsForOneDestination(t *testing.T) {
	t.Parallel()
	ca := catest.New(t)
	shared := newDestination(t, ca, tls.VerifyClientCertIfGiven)
	a, b := at(shared.URL+"/a"), at(shared.URL+"/b")
	a.ClientCertificate, a.ClientKey = ca.Client("acme")
	dir := two(a, b)
	f := build(t, forward.Config{Directory: dir, RootCAs: ca.Pool})
	start(t, f)
	for _, environment := range []string{"env_A", "env_B", "env_A", "env_B"} {
		if got := try(t, f, environment); got.Error != "" {
			t.Fatal(got.Error)
		}
	}
	// B gets a certificate of its own, A another one: from the next try on.
	b.ClientCertificate, b.ClientKey = ca.Client("bolt")
	dir.set("env_B", b)
	a.ClientCertificate, a.ClientKey = ca.Client("acme, renewed")
	dir.set("env_A", a)
	for _, environment := range []string{"env_B", "env_A"} {
		if got := try(t, f, environment); got.Error != "" {
			t.Fatal(got.Error)
		}
	}
	a.ClientCertificate, a.ClientKey = "", ""
	dir.set("env_A", a)
	if got := try(t, f, "env_A"); got.Error != "" {
		t.Fatal(got.Error)
	}
	if got, want := shared.clients(), []string{"acme", "", "acme", "", "bolt", "acme, renewed", ""}; !slices.Equal(got, want) {
		t.Errorf("certificates shown: %q, want %q", got, want)
	}
	calls := shared.seen()
	if calls[0].from != calls[2].from || calls[1].from != calls[3].from || calls[1].from != calls[6].from || calls[0].proto != "HTTP/2.0" {
		t.Errorf("connections were not used again: %v", calls)
	}
}

func TestClientCertificateAndOwnTransport(t *testing.T) {
	t.Parallel()
	ca := catest.New(t)
	d := newDestination(t, ca, tls.RequireAndVerifyClientCert)
	s := at(d.URL)
	s.ClientCertificate, s.ClientKey = ca.Client("acme")
	own := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(own.CloseIdleConnections)
	f := build(t, forward.Config{Directory: two(s, settings("*")), Transport: own})
	start(t, f)
	if a := try(t, f, "env_A"); a.Error != "" || own.TLSClientConfig.GetClientCertificate != nil {
		t.Errorf("%q; the caller's transport was changed: %v", a.Error, own.TLSClientConfig.GetClientCertificate != nil)
	}
	f = build(t, forward.Config{Directory: two(s, settings("*")), Transport: &receiver{}})
	start(t, f)
	if a := try(t, f, "env_A"); !strings.Contains(a.Error, "Config.Transport is no *http.Transport") {
		t.Errorf("a RoundTripper that shows no certificate: %q", a.Error)
	}
}

// What a customer can set is guarded, whichever way it is used.
func TestNothingGoesAroundTheGuard(t *testing.T) {
	t.Parallel()
	ca := catest.New(t)
	d := newDestination(t, ca, tls.RequestClientCert)
	tokens := newTokenServer(t)
	plain := at(d.URL)
	named := at(strings.Replace(d.URL, "127.0.0.1", "localhost", 1))
	certified := at(d.URL)
	certified.ClientCertificate, certified.ClientKey = ca.Client("acme")
	authorised := at("https://receiver.invalid/")
	authorised.OAuth2 = tokens.settings()
	for _, row := range []struct {
		name string
		s    forward.Settings
		says string
	}{
		{"URL", plain, "private address: the URL"},
		{"name", named, "private address: the URL"},
		{"with a client certificate", certified, "private address: the URL"},
		{"token address", authorised, "oauth2: private address: token_url"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f, err := forward.New(forward.Config{
				Store: newMemory(), Registry: registry(t), Logger: quiet(), RootCAs: ca.Pool, Directory: two(row.s, settings("*")),
			})
			if err != nil {
				t.Fatal(err)
			}
			start(t, f)
			if a := try(t, f, "env_A"); !strings.HasPrefix(a.Error, row.says) || strings.Contains(a.Error, "127.0.0.1") {
				t.Errorf("attempt: %q, want %q", a.Error, row.says)
			}
		})
	}
	t.Cleanup(func() {
		if len(d.seen()) > 0 || tokens.fetches() > 0 {
			t.Errorf("the receiver got %d requests, the token server %d", len(d.seen()), tokens.fetches())
		}
	})
}

// Connections do not outlive Run.
func TestRunLeavesNoConnections(t *testing.T) {
	t.Parallel()
	ca := catest.New(t)
	d := newDestination(t, ca, tls.VerifyClientCertIfGiven)
	a, b := at(d.URL), at(d.URL)
	a.ClientCertificate, a.ClientKey = ca.Client("acme")
	f := build(t, forward.Config{Directory: two(a, b), RootCAs: ca.Pool})
	stop := start(t, f)
	for _, environment := range []string{"env_A", "env_B"} {
		if got := try(t, f, environment); got.Error != "" {
			t.Fatal(got.Error)
		}
	}
	if n := d.open.Load(); n != 2 {
		t.Errorf("%d connections are open, want 2", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	until(t, "all connections are closed", func() bool { return d.open.Load() == 0 })
}
