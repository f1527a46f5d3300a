package gmailtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"time"
)

const (
	certsPath = "/oauth2/v3/certs"
	certsHost = "www.googleapis.com"
	issuer    = "https://accounts.google.com"
	keyID     = "gmailtest-1"
)

// certs publishes the public key (RFC 7517).
func (s *Server) certs(w http.ResponseWriter, _ *http.Request) {
	b64 := base64.RawURLEncoding.EncodeToString
	s.mu.Lock()
	failed := s.faulty(w, "certs")
	s.mu.Unlock()
	if failed {
		return
	}
	key := s.key()
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Cache-Control", "public, max-age=20000, must-revalidate, no-transform")
	_, _ = w.Write(mustJSON(map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": keyID,
		"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
	}}}))
}

// Transport answers requests for Google's public keys with the server's, and
// refuses every other: what Config gives the connector for its checks.
func (s *Server) Transport() http.RoundTripper { return certsTransport{s} }

type certsTransport struct{ s *Server }

// RoundTrip implements http.RoundTripper.
func (t certsTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != certsHost || r.URL.Path != certsPath {
		return nil, fmt.Errorf("gmailtest: no stand-in for %s", r.URL.Redacted())
	}
	u, err := url.Parse(t.s.URL + certsPath)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL, r.Host = u, ""
	return t.s.pusher.Transport.RoundTrip(r)
}

// Token is what a push token claims. The zero value is what Google would sign
// for the default client.
type Token struct {
	Audience   string
	Email      string
	Issuer     string
	KeyID      string
	Algorithm  string // header alg; "none" leaves the signature out. Defaults to RS256
	Unverified bool   // email_verified is false
	Expired    bool
	Forged     bool   // signed with another key
	Omit       string // a claim to leave out
}

// PushToken returns a signed token as Pub/Sub puts into a push, for tests of verification.
func (s *Server) PushToken(t Token) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushToken(s.projects[defaultProject], t)
}

func (s *Server) pushToken(p *project, t Token) string {
	at := s.now()
	if t.Expired {
		at = at.Add(-2 * time.Hour)
	}
	claims := map[string]any{
		"iss": orElse(t.Issuer, issuer), "aud": orElse(t.Audience, p.audience),
		"email": orElse(t.Email, p.account), "email_verified": !t.Unverified,
		"azp": "113774264463038321964", "sub": "113774264463038321964",
		"iat": at.Unix(), "exp": at.Add(time.Hour).Unix(),
	}
	delete(claims, t.Omit)
	key := s.key()
	if t.Forged {
		key = newKey()
	}
	return sign(key, orElse(t.Algorithm, "RS256"), orElse(t.KeyID, keyID), claims)
}

// identityToken is the id_token of a consent that has scope openid.
func (s *Server) identityToken(g *grant, nonce string) string {
	now := s.now()
	claims := map[string]any{
		"iss": issuer, "aud": g.client.id, "azp": g.client.id, "sub": g.mailbox.subject,
		"email": g.mailbox.address, "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return sign(s.key(), "RS256", keyID, claims)
}

// sign makes a JWT (RFC 7515). An algorithm other than RS256 gets an RS256
// signature all the same, or none: only tests of refusals ask for one.
func sign(key *rsa.PrivateKey, alg, kid string, claims map[string]any) string {
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprintf("gmailtest: encoding a token: %v", err)) // maps of plain values encode
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"alg": alg, "kid": kid, "typ": "JWT"}) + "." + part(claims)
	if alg == "none" {
		return text + "."
	}
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(fmt.Sprintf("gmailtest: signing a token: %v", err))
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func orElse(v, def string) string {
	if v == "" {
		return def
	}
	return v
}
