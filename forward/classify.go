package forward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/interactorhq/interactor/internal/dialguard"
)

// classify says in words why a request got no answer. The texts are shown to
// customers: they hold nothing about our own network.
func classify(ctx context.Context, err error, timeout time.Duration) string {
	var (
		dns         *net.DNSError
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		timed       net.Error
		proxy       *dialguard.ProxyError
	)
	switch {
	case errors.Is(err, dialguard.ErrRefused):
		return "private address: the URL leads to an address that is not public"
	case errors.As(err, &proxy) && proxy.Status >= http.StatusInternalServerError:
		return fmt.Sprintf("proxy: the receiver could not be reached (status %d)", proxy.Status)
	case errors.As(err, &proxy):
		return "proxy: this service could not use its own proxy"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Sprintf("timeout: no answer within %s", brief(timeout))
	case errors.As(err, &dns) && dns.IsNotFound:
		return "dns: no such host"
	case errors.As(err, &dns):
		return "dns: the host name could not be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused: nothing listens at that address"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable: no route to the receiver"
	case errors.As(err, &record):
		return "tls: the receiver does not speak TLS at that port"
	case errors.As(err, &authority):
		return "tls: the certificate is signed by nobody that is trusted"
	case errors.As(err, &hostname):
		return "tls: the certificate is for another name"
	case errors.As(err, &certificate):
		return "tls: the certificate is not valid"
	case errors.As(err, &alert):
		return "tls: " + alert.Error()
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "reset: the receiver closed the connection without an answer"
	case errors.As(err, &timed) && timed.Timeout():
		return "timeout: no connection in time"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "tls: the receiver does not speak TLS at that port"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil { // without the addresses
		err = op.Err
		if op.Op == "remote error" { // how crypto/tls tells of an alert, such as that it wants a client certificate
			return "tls: the receiver refused: " + strings.TrimPrefix(err.Error(), "tls: ")
		}
	}
	text := strings.ToValidUTF8(err.Error(), "")
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return "network: " + text
}
