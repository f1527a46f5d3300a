package dialguard

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// ProxyError means that the operator's proxy could not be reached or did not
// make a tunnel. Its text is for the operator: it names the proxy's address.
type ProxyError struct {
	Status int   // what it answered to CONNECT; 0 when there was no answer
	Err    error // why there was none
}

var _ error = (*ProxyError)(nil)

func (e *ProxyError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("the proxy answered %d to CONNECT", e.Status)
	}
	return "the proxy: " + e.Err.Error()
}

// Unwrap returns why there was no answer.
func (e *ProxyError) Unwrap() error { return e.Err }

// CheckProxy reports why u cannot be a [Config].Proxy. The error shows neither
// user name nor password.
func CheckProxy(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is no http or https address: write it like http://proxy.example.com:3128")
	case u.Hostname() == "":
		return errors.New("names no host: write it like http://proxy.example.com:3128")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return errors.New("has more than a host and a port: write it like http://proxy.example.com:3128")
	case u.Port() == "0":
		return errors.New("has port 0: name the port that the proxy listens at")
	}
	return nil
}

const (
	tunnelTimeout = 15 * time.Second // from the look-up of the name to the proxy's answer
	tunnelAnswer  = 64 << 10         // bytes of that answer
	tunnelTries   = 4                // addresses of one name
)

// tunnel dials through a proxy. The guard could judge only the proxy's address
// there, so the name is resolved and judged here and the proxy is told the
// address, never the name: it cannot look up another one. For the same reason
// plain http goes through a tunnel, too: a request line with a name (RFC 9112,
// 3.2.2) would leave the look-up to the proxy.
type tunnel struct {
	address      string // of the proxy, host:port: the one that is dialled unjudged
	header       http.Header
	tls          *tls.Config // to the proxy; nil: not encrypted
	dialer       *net.Dialer
	resolver     *net.Resolver
	allowPrivate bool
}

func newTunnel(cfg Config, d *net.Dialer) *tunnel {
	t := &tunnel{dialer: d, resolver: cfg.Resolver, allowPrivate: cfg.AllowPrivate, header: make(http.Header)}
	if t.resolver == nil {
		t.resolver = net.DefaultResolver
	}
	port := cfg.Proxy.Port()
	if cfg.Proxy.Scheme == "https" {
		t.tls = &tls.Config{RootCAs: cfg.RootCAs, ServerName: cfg.Proxy.Hostname(), MinVersion: tls.VersionTLS12}
		if port == "" {
			port = "443"
		}
	} else if port == "" {
		port = "80"
	}
	t.address = net.JoinHostPort(cfg.Proxy.Hostname(), port)
	t.header.Set("User-Agent", "interactor")
	if u := cfg.Proxy.User; u != nil {
		password, _ := u.Password()
		t.header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	return t
}

// DialContext returns a connection to a host through the proxy.
func (t *tunnel) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	targets, err := t.targets(ctx, address)
	if err != nil {
		return nil, err
	}
	for i, to := range targets {
		var c net.Conn
		c, err = t.open(ctx, to, len(targets)-i)
		if err == nil {
			return c, nil
		}
		// The proxy cannot reach this address, perhaps another one.
		if failed, ok := errors.AsType[*ProxyError](err); !ok || failed.Status < 500 || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// targets resolves a host. All of its addresses must be allowed: who mixes them
// wants to see which one is taken.
func (t *tunnel) targets(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: port: %w", ErrRefused, err)
	}
	ips, err := t.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("%w: %s has no address", ErrRefused, host)
	}
	targets := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		if err := CheckAddr(ip, t.allowPrivate); err != nil {
			return nil, err
		}
		targets = append(targets, netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(port)))
	}
	return targets[:min(len(targets), tunnelTries)], nil
}

// open makes one tunnel, in its share of the time that is left.
func (t *tunnel) open(ctx context.Context, to netip.AddrPort, shares int) (_ net.Conn, err error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(shares))
		defer cancel()
	}
	c, err := t.dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, &ProxyError{Err: err}
	}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	if t.tls != nil {
		secure := tls.Client(c, t.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, &ProxyError{Err: err}
		}
		c = secure
	}
	// The end of ctx ends reading and writing.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	status, err := t.connect(c, to.String())
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, &ProxyError{Err: err}
	}
	if status != http.StatusOK {
		return nil, &ProxyError{Status: status}
	}
	return c, nil
}

// connect asks for a tunnel (RFC 9110, 9.3.6).
func (t *tunnel) connect(c net.Conn, to string) (status int, err error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: to}, Host: to, Header: t.header}
	if err := req.Write(c); err != nil {
		return 0, err
	}
	answer := bufio.NewReader(io.LimitReader(c, tunnelAnswer))
	res, err := http.ReadResponse(answer, req) //nolint:bodyclose // what would be its body is the tunnel
	if err != nil {
		return 0, err
	}
	// A tunnel has no body before it (RFC 9110, 9.3.6), whatever the headers say.
	if res.StatusCode == http.StatusOK && answer.Buffered() > 0 {
		return 0, errors.New("it sent something before the tunnel was used")
	}
	return res.StatusCode, nil
}
