// Package dialguard keeps requests to addresses that strangers choose out of
// private networks. The check is made when a connection is dialled, on the
// address that the resolver really gave, so a name that changes its mind between
// check and use (DNS rebinding) gains nothing. forward and connector sessions use
// it; start with [Transport].
package dialguard

import (
	"context"
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

// Transport returns an HTTP transport whose connections are guarded, tuned for
// many requests to each of many hosts. It follows no proxy of the environment,
// because then only the proxy's address would be checked.
func Transport(allowPrivate bool) *http.Transport {
	return transport(&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}, allowPrivate)
}

func transport(d *net.Dialer, allowPrivate bool) *http.Transport {
	d.ControlContext = Control(allowPrivate)
	return &http.Transport{
		DialContext:            d.DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a compressed answer could be any size
		MaxIdleConns:           2048,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
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
	if slices.ContainsFunc(append(embedded(ip), ip), metadata) {
		return fmt.Errorf("%w: %s leads to a cloud metadata or link-local address", ErrRefused, ip)
	}
	if allowPrivate {
		return nil
	}
	judged := ip
	if nat64.Contains(ip) { // how a host with IPv6 alone reaches IPv4
		judged = embedded(ip)[0]
	}
	if err := guardian().SafeAddr(judged); err != nil {
		return fmt.Errorf("%w: %s is on a %s network", ErrRefused, ip, kind(judged))
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
