package jiratest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"time"
)

const tokenLife = 3 * time.Minute // of a delivery's token; assumed

// Token is what the bearer token of a dynamic webhook's delivery claims. The
// zero value is what Jira would sign for the app that is registered from the
// start: HS256 with the app's client secret.
type Token struct {
	ClientID  string
	Site      *Site         // adds the claim context.cloudId
	Issuer    string        // claim iss. Defaults to the client id (assumed)
	Algorithm string        // header alg: HS256, HS512, or anything else, such as "none", which has no signature. Defaults to HS256
	Secret    string        // signs instead of the client secret
	Age       time.Duration // how long ago it was issued; below 0: in the future
	Omit      string        // a claim to leave out
}

// HookToken returns a token as Jira puts into the Authorization header of a
// delivery, for tests of verification.
func (s *Server) HookToken(t Token) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[orElse(t.ClientID, defaultClient)]
	if c == nil {
		c = &client{id: t.ClientID}
	}
	return s.hookToken(c, t)
}

// hookToken signs a token. s.mu is held.
func (s *Server) hookToken(c *client, t Token) string {
	at := s.now().Add(-t.Age)
	claims := map[string]any{"iss": orElse(t.Issuer, c.id), "iat": at.Unix(), "exp": at.Add(tokenLife).Unix()}
	if t.Site != nil {
		claims["context"] = map[string]string{"cloudId": t.Site.cloud}
	}
	delete(claims, t.Omit)
	return sign(orElse(t.Algorithm, "HS256"), orElse(t.Secret, c.secret), claims)
}

// sign makes a JWT (RFC 7515). An unknown algorithm gets no signature: only
// tests of refusals ask for one.
func sign(algorithm, secret string, claims map[string]any) string {
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64(mustJSON(map[string]string{"alg": algorithm, "typ": "JWT"})) + "." + b64(mustJSON(claims))
	hashes := map[string]func() hash.Hash{"HS256": sha256.New, "HS512": sha512.New}
	h := hashes[algorithm]
	if h == nil {
		return text + "."
	}
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + b64(mac.Sum(nil))
}
