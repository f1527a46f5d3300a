package forward_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/catest"
	"github.com/interactorhq/interactor/internal/proxytest"
)

// Deliveries and the tokens for them go through the operator's proxy, with the
// client certificate to the receiver alone.
func TestProxy(t *testing.T) {
	t.Parallel()
	ca := catest.New(t)
	d, tokens, p := newDestination(t, ca, tls.RequireAndVerifyClientCert), newTokenServer(t), proxytest.New(t, false)
	p.Open, d.status = true, tokens.wants
	s := at(d.URL)
	s.OAuth2 = tokens.settings()
	s.ClientCertificate, s.ClientKey = ca.Client("acme")
	var log strings.Builder
	f := build(t, forward.Config{Directory: two(s, settings("*")), RootCAs: ca.Pool, Proxy: p.Address(url.UserPassword("user", "hunter2")), Logger: textLog(&log)})
	stop := start(t, f)
	for range 2 {
		if a := try(t, f, "env_A"); a.StatusCode != http.StatusNoContent {
			t.Errorf("attempt: %d %q", a.StatusCode, a.Error)
		}
	}
	if seen, want := p.Seen(), []string{"CONNECT " + tokens.Listener.Addr().String(), "CONNECT " + d.Listener.Addr().String()}; !slices.Equal(seen, want) {
		t.Errorf("the proxy was asked for %v, want %v", seen, want)
	}
	if got := d.clients(); !slices.Equal(got, []string{"acme", "acme"}) {
		t.Errorf("certificates shown: %q", got)
	}
	if err := stop(); err != nil || strings.Contains(log.String(), "hunter2") {
		t.Errorf("%v; log:\n%s", err, log.String())
	}
}

// Through a proxy, too, nothing but what may be called is called; and what goes
// wrong at the proxy says nothing about it to customers.
func TestProxyIsNoWayAround(t *testing.T) {
	t.Parallel()
	tokens, d := newTokenServer(t), newDestination(t, nil, 0)
	closed := proxytest.New(t, false)
	closed.Close()
	authorised := at("https://receiver.invalid/")
	authorised.OAuth2 = tokens.settings()
	for _, row := range []struct {
		name   string
		s      forward.Settings
		allow  bool
		status int
		says   string
	}{
		{"loopback", at(d.URL), false, 0, "private address: the URL"},
		{"loopback by name", at(strings.Replace(d.URL, "127.0.0.1", "localhost", 1)), false, 0, "private address: the URL"},
		{"metadata", at("http://[64:ff9b::a9fe:a9fe]/"), true, 0, "private address: the URL"},
		{"token address", authorised, false, 0, "oauth2: private address: "},
		{"refuses", at(d.URL), true, 403, "proxy: this service could not use its own proxy"},
		{"wants credentials", at(d.URL), true, 407, "proxy: this service could not use its own proxy"},
		{"cannot reach it", at(d.URL), true, 502, "proxy: the receiver could not be reached (status 502)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, false)
			p.Open, p.Status = true, row.status
			f, err := forward.New(forward.Config{
				Store: newMemory(), Registry: registry(t), Logger: quiet(), Directory: two(row.s, settings("*")),
				Proxy: p.Address(url.UserPassword("user", "hunter2")), AllowPrivateNetworks: row.allow,
			})
			if err != nil {
				t.Fatal(err)
			}
			start(t, f)
			a := try(t, f, "env_A")
			if !strings.HasPrefix(a.Error, row.says) || strings.Contains(fmt.Sprint(a), "hunter2") || strings.Contains(a.Error, "127.0.0.1") {
				t.Errorf("attempt: %q, want %q", a.Error, row.says)
			}
			if row.status == 0 && len(p.Seen()) > 0 {
				t.Errorf("the proxy was asked for %v", p.Seen())
			}
		})
	}
	t.Run("is not there", func(t *testing.T) {
		t.Parallel()
		f := build(t, forward.Config{Directory: two(at(d.URL), settings("*")), Proxy: closed.Address(nil)})
		start(t, f)
		if a := try(t, f, "env_A"); a.Error != "proxy: this service could not use its own proxy" {
			t.Errorf("attempt: %q", a.Error)
		}
	})
	t.Cleanup(func() {
		if len(d.seen()) > 0 || tokens.fetches() > 0 {
			t.Errorf("the receiver got %d requests, the token server %d", len(d.seen()), tokens.fetches())
		}
	})
}
