// Package proxytest provides a proxy for tests that makes tunnels (CONNECT) and
// nothing else. Start with [New].
package proxytest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// Hang as Proxy.Status means that no answer comes.
const Hang = -1

// Proxy listens on loopback until the test ends.
type Proxy struct {
	*httptest.Server

	// Route says where an address really is, both host:port, for tests with public
	// addresses. What it does not name is dialled as it is if Open is set, and
	// answered with 502 if not. Set these before the first request.
	Route map[string]string
	Open  bool

	// Status is answered instead of making a tunnel, or [Hang].
	Status int

	t      testing.TB
	mu     sync.Mutex
	seen   []string
	auth   []string
	closed chan struct{}
}

// New starts a Proxy; secure: it is spoken to in TLS, with the certificate of httptest.
func New(t testing.TB, secure bool) *Proxy {
	t.Helper()
	p := &Proxy{t: t, Route: make(map[string]string), closed: make(chan struct{})}
	p.Server = httptest.NewUnstartedServer(p)
	if secure {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(func() { close(p.closed); p.CloseClientConnections(); p.Close() })
	return p
}

// Address is the Proxy's own, with the credentials that its user is to send.
func (p *Proxy) Address(user *url.Userinfo) *url.URL {
	u, err := url.Parse(p.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	u.User = user
	return u
}

// Seen returns the request lines so far, such as "CONNECT 192.0.2.1:443".
func (p *Proxy) Seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Authorizations returns the Proxy-Authorization of each request so far.
func (p *Proxy) Authorizations() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.auth)
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.RequestURI)
	p.auth = append(p.auth, r.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	to, known := p.Route[r.Host]
	if !known {
		to, known = r.Host, p.Open
	}
	switch {
	case p.Status == Hang:
		<-p.closed
		return
	case p.Status != 0:
		w.WriteHeader(p.Status)
		return
	case r.Method != http.MethodConnect || r.Host != r.RequestURI:
		http.Error(w, "tunnels only", http.StatusMethodNotAllowed)
		return
	case !known:
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	target, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer target.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.t.Error(err)
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(target, buffered)
		target.Close()
	}()
	_, _ = io.Copy(client, target)
	client.Close()
	<-done
}
