package gmailtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	tokenPath  = "/token"
	revokePath = "/revoke"
)

// token is the token endpoint (RFC 6749, sections 4.1.3 and 6).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	form, ok := readForm(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faulty(w, "token") {
		return
	}
	if form.Get("grant_type") == grantAssertion {
		s.assert(w, form)
		return
	}
	id, pass, basic := r.BasicAuth()
	if !basic {
		id, pass = form.Get("client_id"), form.Get("client_secret")
	}
	c := s.clients[id]
	if c == nil || subtle.ConstantTimeCompare([]byte(c.secret), []byte(pass)) != 1 {
		oauthError(w, http.StatusUnauthorized, "invalid_client", "The provided client secret is invalid.")
		return
	}
	switch form.Get("grant_type") {
	case "authorization_code":
		s.exchange(w, c, form)
	case "refresh_token":
		s.renew(w, c, form)
	default:
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+form.Get("grant_type"))
	}
}

// exchange answers an authorization code with tokens. s.mu is held.
func (s *Server) exchange(w http.ResponseWriter, c *client, form url.Values) {
	code := s.codes[form.Get("code")]
	delete(s.codes, form.Get("code")) // whatever comes of it: one try
	switch {
	case code == nil || code.request.client != c || s.now().After(code.expires):
		oauthError(w, http.StatusBadRequest, "invalid_grant", "Malformed auth code.")
		return
	case code.request.redirect != form.Get("redirect_uri"):
		oauthError(w, http.StatusBadRequest, "redirect_uri_mismatch", "Bad Request")
		return
	case !proves(code.request.challenge, form.Get("code_verifier")):
		oauthError(w, http.StatusBadRequest, "invalid_grant", "Invalid code verifier.")
		return
	}
	key := grantKey{c.id, code.mailbox.key}
	g, again := s.grants[key]
	if !again {
		g = &grant{key: key, client: c, mailbox: code.mailbox}
		s.grants[key] = g
	}
	scopes := code.scopes
	if code.request.incremental {
		scopes = union(g.scopes, scopes)
	}
	g.scopes = union(g.scopes, code.scopes)
	delete(s.revoked, code.mailbox.key)
	answer := s.grantAccess(g, scopes)
	// Without prompt=consent only the very first consent gives a refresh token.
	if code.request.offline && (code.request.consent || !again) {
		t := secret("1//0")
		s.refresh[t] = g
		g.refreshed = append(g.refreshed, t)
		answer["refresh_token"] = t
	}
	if slices.Contains(scopes, "openid") {
		answer["id_token"] = s.identityToken(g, code.request.nonce)
	}
	writeJSON(w, http.StatusOK, answer)
}

// renew answers a refresh token with an access token. The refresh token stays
// the same and is not repeated. s.mu is held.
func (s *Server) renew(w http.ResponseWriter, c *client, form url.Values) {
	g := s.refresh[form.Get("refresh_token")]
	if g == nil || g.client != c {
		oauthError(w, http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
		return
	}
	s.refreshes[g.mailbox.key]++
	writeJSON(w, http.StatusOK, s.grantAccess(g, g.scopes))
}

func (s *Server) grantAccess(g *grant, scopes []string) map[string]any {
	t := secret("ya29.a0")
	s.access[t] = &accessToken{grant: g, scopes: scopes, expires: s.now().Add(s.lifetime)}
	return map[string]any{
		"access_token": t, "expires_in": int(s.lifetime / time.Second),
		"scope": strings.Join(scopes, " "), "token_type": "Bearer",
	}
}

// revoke ends the whole grant that the token, of either kind, belongs to.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	form, ok := readForm(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faulty(w, "revoke") {
		return
	}
	t := form.Get("token")
	if t == "" {
		t = r.URL.Query().Get("token")
	}
	g := s.refresh[t]
	if a := s.access[t]; g == nil && a != nil && s.now().Before(a.expires) {
		g = a.grant
	}
	if g == nil {
		oauthError(w, http.StatusBadRequest, "invalid_token", "Token expired or revoked")
		return
	}
	s.end(g)
	writeJSON(w, http.StatusOK, map[string]any{})
}

// end removes a grant with its tokens. s.mu is held.
func (s *Server) end(g *grant) {
	for _, t := range g.refreshed {
		delete(s.refresh, t)
	}
	for t, a := range s.access {
		if a.grant == g {
			delete(s.access, t)
		}
	}
	delete(s.grants, g.key)
	s.revoked[g.mailbox.key] = true
}

// proves checks a PKCE verifier (RFC 7636, section 4.6).
func proves(challenge, verifier string) bool {
	if challenge == "" {
		return true
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", "The body is no form.")
		return nil, false
	}
	return r.PostForm, true
}

func oauthError(w http.ResponseWriter, status int, code, text string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": text})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(mustJSON(v)) // the client has gone: nobody to tell
}
