package forward

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"

	"github.com/interactorhq/interactor/internal/dialguard"
)

const (
	// maxIdentities bounds the transports of client certificates: with more
	// destinations of that kind than this, some shake hands anew at each try.
	maxIdentities = 256

	// identityIdle are the connections that each of them keeps for later.
	identityIdle = 32
)

// errNoIdentity: a RoundTripper of the caller's own takes no certificate.
var errNoIdentity = errors.New("Config.Transport is no *http.Transport, so it cannot show a client certificate")

// routes are the transports to destinations. Those without a client certificate
// share one. Each certificate has a transport, and so connections, of its own:
// a connection on which it was shown carries nobody else's requests.
type routes struct {
	shared  http.RoundTripper
	guarded bool                                            // shared is not the caller's own
	show    func(*tls.Certificate) (*http.Transport, error) // makes one that shows a certificate

	mu         sync.Mutex
	identities *bounded[[sha256.Size]byte, *http.Transport]
}

func newRoutes(cfg Config) *routes {
	r := &routes{identities: newBounded[[sha256.Size]byte, *http.Transport](maxIdentities)}
	if cfg.Transport != nil {
		r.shared = cfg.Transport
		r.show = func(c *tls.Certificate) (*http.Transport, error) {
			own, ok := cfg.Transport.(*http.Transport)
			if !ok {
				return nil, errNoIdentity
			}
			t := own.Clone()
			dialguard.ShowCertificate(t, c)
			return t, nil
		}
		return r
	}
	guard := dialguard.Config{AllowPrivate: cfg.AllowPrivateNetworks, Proxy: cfg.Proxy, RootCAs: cfg.RootCAs}
	r.shared, r.guarded = dialguard.New(guard), true
	r.show = func(c *tls.Certificate) (*http.Transport, error) {
		own := guard
		own.Certificate, own.MaxIdle = c, identityIdle
		return dialguard.New(own), nil
	}
	return r
}

// to returns the transport to a destination. Settings are read at each try, so
// another certificate or key is another transport from the next one on.
func (r *routes) to(s Settings) (http.RoundTripper, error) {
	if s.ClientCertificate == "" && s.ClientKey == "" {
		return r.shared, nil
	}
	key := digest(s.ClientCertificate, s.ClientKey)
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.identities.get(key); ok {
		return t, nil
	}
	certificate, err := s.identity()
	if err != nil {
		return nil, err
	}
	t, err := r.show(certificate)
	if err != nil {
		return nil, err
	}
	if gone, some := r.identities.put(key, t); some {
		gone.CloseIdleConnections() // those in use are closed once they are idle
	}
	return t, nil
}

// closeIdle ends the connections that wait for another request, but for those of
// a transport that is the caller's own.
func (r *routes) closeIdle() {
	if r.guarded {
		if t, ok := r.shared.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.identities.values {
		of[[sha256.Size]byte, *http.Transport](at).value.CloseIdleConnections()
	}
}

// digest names a list of texts, without keeping them.
func digest(texts ...string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, text := range texts {
		one := sha256.Sum256([]byte(text)) // so that the borders between texts count
		h.Write(one[:])
	}
	return [sha256.Size]byte(h.Sum(sum[:0]))
}
