package dialguard

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/proxytest"
)

// newReceiver is what stands behind the proxy.
func newReceiver(t testing.TB, secure bool) (server *httptest.Server, got chan *http.Request) {
	t.Helper()
	got = make(chan *http.Request, 16)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	server.EnableHTTP2 = true
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, got
}

func post(t testing.TB, tr *http.Transport, to string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err == nil {
		res.Body.Close()
	}
	return err
}

// The proxy is told the address that was judged, never the name; what the
// receiver sees is the name.
func TestProxyIsToldTheJudgedAddress(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name                  string
		secureProxy, secureTo bool
		proto                 string
	}{
		{"http through http", false, false, "HTTP/1.1"},
		{"https through http", false, true, "HTTP/2.0"},
		{"http through https", true, false, "HTTP/1.1"},
		{"https through https", true, true, "HTTP/2.0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			to, got := newReceiver(t, row.secureTo)
			p := proxytest.New(t, row.secureProxy)
			d := newNames(t, hostThen("a.example.com", []string{"93.184.216.34"}, []string{"127.0.0.1"}))
			port := map[bool]string{false: "80", true: "443"}[row.secureTo]
			p.Route["93.184.216.34:"+port] = to.Listener.Addr().String()
			pool := x509.NewCertPool()
			for _, s := range []*httptest.Server{to, p.Server} {
				if s.Certificate() != nil {
					pool.AddCert(s.Certificate())
				}
			}
			cfg := Config{Proxy: p.Address(url.UserPassword("us er", "p:ss")), RootCAs: pool, Resolver: d.resolver()}
			tr := New(cfg)
			defer tr.CloseIdleConnections()
			scheme := map[bool]string{false: "http", true: "https"}[row.secureTo]
			if err := post(t, tr, scheme+"://a.example.com/x?y=z"); err != nil {
				t.Fatal(err)
			}
			r := <-got
			if r.Host != "a.example.com" || r.RequestURI != "/x?y=z" || r.Proto != row.proto || r.Header.Get("Proxy-Authorization") != "" {
				t.Errorf("the receiver got %s %s %s %v", r.Proto, r.Host, r.RequestURI, r.Header)
			}
			if r.TLS != nil && r.TLS.ServerName != "a.example.com" {
				t.Errorf("SNI %q", r.TLS.ServerName)
			}
			if seen := p.Seen(); !slices.Equal(seen, []string{"CONNECT 93.184.216.34:" + port}) {
				t.Errorf("the proxy was asked for %v", seen)
			}
			if want := "Basic dXMgZXI6cDpzcw=="; p.Authorizations()[0] != want {
				t.Errorf("Proxy-Authorization %q, want %q", p.Authorizations()[0], want)
			}
			if n := d.lookups("a.example.com"); n != 1 {
				t.Errorf("the name was looked up %d times, want once", n)
			}
			// A new connection is a new look-up, and a new judgement.
			if err := post(t, New(cfg), scheme+"://a.example.com/"); !errors.Is(err, ErrRefused) {
				t.Errorf("after rebinding: %v", err)
			}
			if seen := p.Seen(); len(seen) != 1 {
				t.Errorf("the proxy was asked for %v", seen)
			}
		})
	}
}

// The proxy is on loopback, as an operator's is inside. That opens nothing but
// the proxy.
func TestProxyOpensNothing(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, url string
		answer    []string
		allow, ok bool
	}{
		{"public", "http://a.example:80", []string{"93.184.216.34"}, false, true},
		{"public, second address", "http://a.example:80", []string{"93.184.216.35", "93.184.216.34"}, false, true},
		{"private", "http://a.example:80", []string{"10.0.0.1"}, false, false},
		{"private, allowed", "http://a.example:80", []string{"10.0.0.1"}, true, true},
		{"public beside private", "http://a.example:80", []string{"93.184.216.34", "10.0.0.1"}, false, false},
		{"public beside private IPv6", "http://a.example:80", []string{"93.184.216.34", "fd12::1"}, false, false},
		{"metadata, private allowed", "http://a.example:80", []string{"169.254.169.254"}, true, false},
		{"metadata in NAT64, private allowed", "http://a.example:80", []string{"64:ff9b::a9fe:a9fe"}, true, false},
		{"alias of metadata", "http://a.example:80", []string{"meta.example."}, true, false},
		{"literal metadata", "http://169.254.169.254/latest", nil, true, false},
		{"literal loopback", "http://127.0.0.1:80", nil, false, false},
		{"the proxy itself", "proxy", nil, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			to, _ := newReceiver(t, false)
			p := proxytest.New(t, false)
			for _, at := range []string{"93.184.216.34:80", "10.0.0.1:80", "169.254.169.254:80", "127.0.0.1:80"} {
				p.Route[at] = to.Listener.Addr().String()
			}
			d := newNames(t, host("a.example", row.answer...), host("meta.example", "169.254.169.254"))
			tr := New(Config{AllowPrivate: row.allow, Proxy: p.Address(nil), Resolver: d.resolver()})
			defer tr.CloseIdleConnections()
			at := row.url
			if at == "proxy" {
				at = p.URL
			}
			err := post(t, tr, at)
			if (err == nil) != row.ok {
				t.Fatalf("error %v", err)
			}
			if !row.ok && (!errors.Is(err, ErrRefused) || len(p.Seen()) > 0) {
				t.Errorf("%v; the proxy was asked for %v", err, p.Seen())
			}
		})
	}
}

func TestProxyInTrouble(t *testing.T) {
	t.Parallel()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	d := newNames(t, host("a.example", "93.184.216.34"))
	for _, row := range []struct {
		name   string
		status int
		tries  int
	}{
		{"wants credentials", 407, 1}, {"forbids", 403, 1}, {"cannot reach it", 502, 1}, {"redirects", 302, 1}, {"informs", 204, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, false)
			p.Status = row.status
			err := post(t, New(Config{Proxy: p.Address(url.UserPassword("user", "hunter2")), Resolver: d.resolver()}), "http://a.example/")
			failed, ok := errors.AsType[*ProxyError](err)
			if !ok || failed.Status != row.status || strings.Contains(err.Error(), "hunter2") || len(p.Seen()) != row.tries {
				t.Errorf("%v after %v", err, p.Seen())
			}
		})
	}
	t.Run("is not there", func(t *testing.T) {
		t.Parallel()
		u := &url.URL{Scheme: "http", Host: closed.Addr().String()}
		err := post(t, New(Config{Proxy: u, Resolver: d.resolver()}), "http://a.example/")
		if failed, ok := errors.AsType[*ProxyError](err); !ok || failed.Status != 0 {
			t.Errorf("error %v", err)
		}
	})
	t.Run("has a certificate of nobody", func(t *testing.T) {
		t.Parallel()
		p := proxytest.New(t, true)
		err := post(t, New(Config{Proxy: p.Address(nil), Resolver: d.resolver()}), "http://a.example/")
		if _, ok := errors.AsType[*ProxyError](err); !ok || len(p.Seen()) > 0 {
			t.Errorf("error %v", err)
		}
	})
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		p := proxytest.New(t, false)
		p.Status = proxytest.Hang
		tun := newTunnel(Config{Proxy: p.Address(nil), Resolver: d.resolver()}, &net.Dialer{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if c, err := tun.DialContext(ctx, "tcp", "a.example:80"); err == nil {
			c.Close()
			t.Error("no error")
		}
	})
	t.Run("answers garbage", func(t *testing.T) {
		t.Parallel()
		for _, answer := range []string{"SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nsomething", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)} {
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 4096)
				_, _ = c.Read(buf)
				_, _ = io.WriteString(c, answer)
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}()
			err = post(t, New(Config{Proxy: &url.URL{Scheme: "http", Host: l.Addr().String()}, Resolver: d.resolver()}), "http://a.example/")
			l.Close()
			if _, ok := errors.AsType[*ProxyError](err); !ok {
				t.Errorf("%.20q: %v", answer, err)
			}
		}
	})
}

func TestCheckProxy(t *testing.T) {
	t.Parallel()
	for raw, says := range map[string]string{
		"http://proxy.example:3128":            "",
		"https://user:hunter2@proxy.example/":  "",
		"http://10.0.0.1:3128":                 "", // the operator's choice
		"socks5://user:hunter2@proxy.example":  "is no http or https address",
		"proxy.example:3128":                   "is no http or https address",
		"http://user:hunter2@:3128":            "names no host",
		"http://user:hunter2@proxy.example/x":  "has more than",
		"http://user:hunter2@proxy.example/?x": "has more than",
		"http://proxy.example:0":               "has port 0",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		err = CheckProxy(u)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", raw, err, says)
		}
	}
}

// Proxies of the environment decide nothing.
func TestEnvironmentIsIgnored(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := proxytest.New(t, false)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, p.URL)
	}
	to, got := newReceiver(t, false)
	if err := post(t, New(Config{AllowPrivate: true}), to.URL); err != nil || len(got) != 1 || len(p.Seen()) > 0 {
		t.Errorf("%v; the proxy was asked for %v", err, p.Seen())
	}
}
