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

// ErrorClass is one stable word for why a try failed: for programs, beside
// [Attempt].Error, which is for people. Programs should expect further ones.
type ErrorClass string

// Classes of failed tries. One that was answered 2xx, or whose handler returned
// nil, has none.
const (
	ClassTimeout        ErrorClass = "timeout"         // no connection or no answer in time
	ClassDNS            ErrorClass = "dns"             // the host name could not be resolved
	ClassRefused        ErrorClass = "refused"         // nothing listens at that address
	ClassUnreachable    ErrorClass = "unreachable"     // no route to the receiver
	ClassTLS            ErrorClass = "tls"             // the handshake failed, or the certificate is not valid
	ClassReset          ErrorClass = "reset"           // the receiver closed the connection without an answer
	ClassNetwork        ErrorClass = "network"         // another failure below HTTP, or an answer that is not HTTP
	ClassPrivateAddress ErrorClass = "private_address" // the URL leads to an address that may not be called
	ClassProxy          ErrorClass = "proxy"           // the operator's proxy could not reach the receiver, or could not be used
	ClassCertificate    ErrorClass = "certificate"     // the client certificate of the settings cannot be used
	ClassToken          ErrorClass = "token"           // no OAuth2 access token could be had
	ClassStatus         ErrorClass = "status"          // answered, but neither 2xx, 3xx nor 410
	ClassRedirect       ErrorClass = "redirect"        // answered 3xx, which is not followed
	ClassGone           ErrorClass = "gone"            // answered 410: the destination is paused
	ClassHandler        ErrorClass = "handler"         // OnEvent returned an error
	ClassPanic          ErrorClass = "panic"           // OnEvent panicked
	ClassEnvelope       ErrorClass = "envelope"        // the event cannot be written as JSON
	ClassSigning        ErrorClass = "signing"         // the signing secrets cannot sign
	ClassSealed         ErrorClass = "sealed"          // the payload in the store cannot be opened
	ClassURL            ErrorClass = "url"             // there is no usable URL in the settings
)

// ErrorClasses returns all of them, in the order of the documentation.
func ErrorClasses() []ErrorClass {
	return []ErrorClass{
		ClassTimeout, ClassDNS, ClassRefused, ClassUnreachable, ClassTLS, ClassReset, ClassNetwork,
		ClassPrivateAddress, ClassProxy, ClassCertificate, ClassToken, ClassStatus, ClassRedirect, ClassGone, ClassHandler, ClassPanic,
		ClassEnvelope, ClassSigning, ClassSealed, ClassURL,
	}
}

// classify says in one word and in words why a request got no answer. The texts
// are shown to customers: they hold nothing about our own network.
func classify(ctx context.Context, err error, timeout time.Duration) (class ErrorClass, text string) {
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
		return ClassPrivateAddress, "private address: the URL leads to an address that is not public"
	case errors.As(err, &proxy) && proxy.Status >= http.StatusInternalServerError:
		return ClassProxy, fmt.Sprintf("proxy: the receiver could not be reached (status %d)", proxy.Status)
	case errors.As(err, &proxy):
		return ClassProxy, "proxy: this service could not use its own proxy"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ClassTimeout, fmt.Sprintf("timeout: no answer within %s", brief(timeout))
	case errors.As(err, &dns) && dns.IsNotFound:
		return ClassDNS, "dns: no such host"
	case errors.As(err, &dns):
		return ClassDNS, "dns: the host name could not be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return ClassRefused, "refused: nothing listens at that address"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ClassUnreachable, "unreachable: no route to the receiver"
	case errors.As(err, &record):
		return ClassTLS, "tls: the receiver does not speak TLS at that port"
	case errors.As(err, &authority):
		return ClassTLS, "tls: the certificate is signed by nobody that is trusted"
	case errors.As(err, &hostname):
		return ClassTLS, "tls: the certificate is for another name"
	case errors.As(err, &certificate):
		return ClassTLS, "tls: the certificate is not valid"
	case errors.As(err, &alert):
		return ClassTLS, "tls: " + alert.Error()
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ClassReset, "reset: the receiver closed the connection without an answer"
	case errors.As(err, &timed) && timed.Timeout():
		return ClassTimeout, "timeout: no connection in time"
	case errors.Is(err, http.ErrSchemeMismatch):
		return ClassTLS, "tls: the receiver does not speak TLS at that port"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil { // without the addresses
		err = op.Err
		if op.Op == "remote error" { // how crypto/tls tells of an alert, such as that it wants a client certificate
			return ClassTLS, "tls: the receiver refused: " + strings.TrimPrefix(err.Error(), "tls: ")
		}
	}
	text = strings.ToValidUTF8(err.Error(), "")
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return ClassNetwork, "network: " + text
}
