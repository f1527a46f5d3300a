// Package standin holds what the stand-ins of providers share: a client that
// reaches loopback alone, and a person's browser. The stand-ins themselves
// (connector/…/…test) are public; they import this package, nobody else does.
package standin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// LoopbackClient reaches loopback addresses alone, so that a stand-in never
// sends anything to the world.
func LoopbackClient() *http.Client {
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
				return nil, fmt.Errorf("%s is not a loopback address", address)
			}
			return conn, nil
		}},
	}
}

// IsLoopback reports whether a host name without port is this machine's own.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
