// Package catest makes certificate authorities for tests: servers and clients
// with certificates that nobody else trusts. Start with [New].
package catest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// Authority issues certificates.
type Authority struct {
	Pool *x509.CertPool // trusts it

	t      testing.TB
	key    *ecdsa.PrivateKey
	self   *x509.Certificate
	serial atomic.Int64
}

// New makes an Authority.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, key: newKey(t), Pool: x509.NewCertPool()}
	template := a.template("test authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.self, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Pool.AddCert(a.self)
	return a
}

// Certificate is its own, DER.
func (a *Authority) Certificate() []byte { return a.self.Raw }

// Client issues a certificate for a client, and its key, in PEM.
func (a *Authority) Client(name string) (certificate, key string) {
	a.t.Helper()
	return a.ClientUntil(name, time.Now().Add(24*time.Hour))
}

// ClientUntil is Client with the end of the certificate.
func (a *Authority) ClientUntil(name string, end time.Time) (certificate, key string) {
	a.t.Helper()
	template := a.template(name)
	template.NotBefore, template.NotAfter = end.Add(-48*time.Hour), end
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

// Server issues a certificate for a server on loopback, under localhost and these names.
func (a *Authority) Server(names ...string) tls.Certificate {
	a.t.Helper()
	template := a.template("server")
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = append([]string{"localhost"}, names...)
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	certificate, key := a.issue(template)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// Start starts a server, with HTTP/2, that asks for a client certificate as
// clients says and takes those of this Authority.
func (a *Authority) Start(s *httptest.Server, clients tls.ClientAuthType) {
	a.t.Helper()
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{a.Server()}, ClientAuth: clients, ClientCAs: a.Pool, MinVersion: tls.VersionTLS12,
	}
	s.StartTLS()
}

func (a *Authority) issue(template *x509.Certificate) (certificate, key string) {
	a.t.Helper()
	own := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.self, own.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func (a *Authority) template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
