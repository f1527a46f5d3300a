package forward

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of a client certificate, bytes of PEM.
const (
	maxCertificate = 64 << 10
	maxKey         = 16 << 10
)

// CertificateExpires returns the last moment at which ClientCertificate is valid,
// zero when there is none or it is malformed. Validate does not look at it, so
// that a program with an expired certificate starts and its events wait; package
// deployment refuses to set one.
func (s Settings) CertificateExpires() time.Time {
	if s.ClientCertificate == "" {
		return time.Time{}
	}
	leaf, err := firstCertificate(s.ClientCertificate)
	if err != nil {
		return time.Time{}
	}
	return leaf.NotAfter
}

func (s Settings) checkCertificate(p *Problems) {
	switch {
	case s.ClientCertificate == "" && s.ClientKey == "":
		return
	case s.ClientCertificate == "":
		p.add("client_certificate", "is missing: client_key needs the certificate that it belongs to")
		return
	case s.ClientKey == "":
		p.add("client_key", "is missing: client_certificate needs its private key, in PEM")
	case len(s.ClientKey) > maxKey:
		p.add("client_key", "has %d bytes: at most %d are possible", len(s.ClientKey), maxKey)
	}
	if len(s.ClientCertificate) > maxCertificate {
		p.add("client_certificate", "has %d bytes: at most %d are possible", len(s.ClientCertificate), maxCertificate)
		return
	}
	if !strings.HasPrefix(s.URL, "https:") {
		p.add("client_certificate", "needs an https url: a receiver asks for it in the TLS handshake")
	}
	if _, err := firstCertificate(s.ClientCertificate); err != nil {
		p.add("client_certificate", "%w", err)
		return
	}
	if s.ClientKey == "" || len(s.ClientKey) > maxKey {
		return
	}
	if _, err := s.identity(); err != nil {
		p.add("client_key", "%w", err)
	}
}

// identity parses certificate and key. Its errors show neither.
func (s Settings) identity() (*tls.Certificate, error) {
	c, err := tls.X509KeyPair([]byte(s.ClientCertificate), []byte(s.ClientKey))
	if err != nil {
		return nil, fmt.Errorf("is not the private key of client_certificate, in PEM and without a passphrase: %w", err)
	}
	return &c, nil
}

// firstCertificate parses all that is in a PEM text and returns the first one,
// the client's own.
func firstCertificate(text string) (*x509.Certificate, error) {
	const want = "write -----BEGIN CERTIFICATE----- and so on, the client's own first, then those between it and the authority"
	if strings.Contains(text, "PRIVATE KEY") { // what is in here is shown again
		return nil, errors.New("holds a private key: put that into client_key, where it is kept secret")
	}
	var first *x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("holds something that is no certificate: " + want)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a malformed certificate: %w", err)
		}
		if first == nil {
			first = c
		}
	}
	if first == nil {
		return nil, errors.New("holds no certificate in PEM: " + want)
	}
	return first, nil
}

// expired tells in words that a certificate is over, which a receiver's own
// refusal seldom does.
func (s Settings) expired(now time.Time) string {
	if until := s.CertificateExpires(); !until.IsZero() && now.After(until) {
		return "; the client certificate expired at " + until.UTC().Format(time.RFC3339)
	}
	return ""
}
