// Package dialguard keeps requests to addresses that strangers choose out of
// private networks. The check is made when a connection is dialled, on the
// address that the resolver really gave, so a name that changes its mind between
// check and use (DNS rebinding) gains nothing. forward and connector sessions use
// it; start with [New].
package dialguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// ErrRefused is what a dial to a refused address fails with; errors.Is finds it
// through the errors of net and net/http.
var ErrRefused = errors.New("address refused")

// Config of a guarded transport. The zero value reaches public addresses alone.
type Config struct {
	// AllowPrivate permits private and loopback addresses, too.
	AllowPrivate bool

	// Proxy that the operator has set: every connection is a tunnel through it,
	// made with CONNECT. See [CheckProxy] for what it may be. Proxies of the
	// environment are never used.
	Proxy *url.URL

	// RootCAs that certificates of servers, and of an https proxy, are verified
	// with. Defaults to those of the system.
	RootCAs *x509.CertPool

	// Certificate that is shown to servers that ask for one.
	Certificate *tls.Certificate

	// MaxIdle is how many connections are kept for later. Defaults to 2048.
	MaxIdle int

	// Resolver of host names. Defaults to net.DefaultResolver.
	Resolver *net.Resolver
}

const (
	defaultMaxIdle = 2048
	dialTimeout    = 10 * time.Second
	tlsTimeout     = 10 * time.Second
)

// New returns an HTTP transport whose connections are guarded, tuned for many
// requests to each of many hosts. Each host name has connections of its own:
// net/http neither lets HTTP/2 reuse one for another name that its certificate
// has, nor follows Alt-Svc, so every new name is judged.
func New(cfg Config) *http.Transport {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: cfg.Resolver}
	dial := d.DialContext
	if cfg.Proxy == nil {
		d.ControlContext = Control(cfg.AllowPrivate)
	} else {
		dial = newTunnel(cfg, d).DialContext
	}
	return transport(cfg, dial)
}

func transport(cfg Config, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	if cfg.MaxIdle <= 0 {
		cfg.MaxIdle = defaultMaxIdle
	}
	t := &http.Transport{
		DialContext:            dial,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a compressed answer could be any size
		MaxIdleConns:           cfg.MaxIdle,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    tlsTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
	}
	if cfg.Certificate != nil {
		ShowCertificate(t, cfg.Certificate)
	}
	return t
}

// ShowCertificate makes a transport that has not been used yet show c to every
// server that asks for a certificate, also to one whose list of authorities does
// not name the issuer: its refusal says more than an empty answer would.
func ShowCertificate(t *http.Transport, c *tls.Certificate) {
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.Certificates = nil
	t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
}

// Control is for net.Dialer.ControlContext.
func Control(allowPrivate bool) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		if network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("%w: network %s", ErrRefused, network)
		}
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return CheckAddr(to.Addr(), allowPrivate)
	}
}

// CheckAddr reports whether an address may be dialled: global unicast only, or,
// with allowPrivate, anything but link-local and metadata addresses. IPv4 inside
// IPv6 (mapped, NAT64, 6to4, Teredo, ISATAP) is judged as what it leads to.
func CheckAddr(ip netip.Addr, allowPrivate bool) error {
	ip = ip.WithZone("").Unmap()
	if !ip.IsValid() {
		return fmt.Errorf("%w: no address", ErrRefused)
	}
	inner := embedded(ip)
	judged := append([]netip.Addr{ip}, inner...)
	if slices.ContainsFunc(judged, metadata) || endsInMetadata(ip) {
		return fmt.Errorf("%w: %s leads to a cloud metadata or link-local address", ErrRefused, ip)
	}
	if allowPrivate {
		return nil
	}
	if nat64.Contains(ip) { // how a host with IPv6 alone reaches IPv4
		judged = inner
	}
	for _, one := range judged {
		if err := guardian().SafeAddr(one); err != nil {
			return fmt.Errorf("%w: %s is on a %s network", ErrRefused, ip, kind(one))
		}
	}
	return nil
}

// CheckURL finds early, with a friendlier text, what a dial to the URL would be
// refused for: literal addresses and names that always mean this machine. Other
// names are judged when they are dialled.
func CheckURL(u *url.URL, allowPrivate bool) error {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		if refused := CheckAddr(ip, allowPrivate); refused == nil {
			return nil
		} else if CheckAddr(ip, true) != nil {
			return fmt.Errorf("%w: %s leads to a cloud metadata or link-local address, which is never called", ErrRefused, host)
		}
		return fmt.Errorf("%w: %s is on a %s address: set AllowPrivateNetworks for development and tests", ErrRefused, host, kind(ip.WithZone("").Unmap()))
	case host == "metadata.google.internal" || host == "metadata.goog":
		return fmt.Errorf("%w: %s is a cloud metadata service, which is never called", ErrRefused, host)
	case (host == "localhost" || strings.HasSuffix(host, ".localhost")) && !allowPrivate:
		return fmt.Errorf("%w: %s is on a loopback address: set AllowPrivateNetworks for development and tests", ErrRefused, host)
	}
	return nil
}

// guardian knows IANA's special-purpose registries. Its own default of ports 80
// and 443 is lifted: receivers listen anywhere.
func guardian() *ssrf.Guardian { return ssrf.New(ssrf.WithAnyPort()) }

func kind(ip netip.Addr) string {
	switch {
	case ip.IsLoopback() || ip.IsUnspecified():
		return "loopback"
	case ip.IsPrivate():
		return "private"
	case ip.IsLinkLocalUnicast():
		return "link-local"
	case ip.IsMulticast():
		return "multicast"
	}
	return "special-purpose"
}
