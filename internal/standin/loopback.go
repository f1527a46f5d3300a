// Package standin holds what the stand-ins of providers share: a client that
// reaches loopback alone, and a person's browser. The stand-ins themselves
// (connector/…/…test) are public; they import this package, nobody else does.
package standin

import (
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"
)

// LoopbackClient reaches loopback addresses alone, so that a stand-in never
// sends anything to the world: what a name stands for is judged before it is dialled.
func LoopbackClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		if host, _, err := net.SplitHostPort(address); err != nil || !IsLoopback(host) {
			return fmt.Errorf("%s is not a loopback address", address)
		}
		return nil
	}}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext}}
}

// IsLoopback reports whether a host name without port is this machine's own.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
