package jiratest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	tokenPath = "/oauth/token"
	// A refresh token that nobody uses for 90 days is dead.
	refreshIdle = 90 * 24 * time.Hour
)

// token is the token endpoint. The documentation shows JSON; forms are taken too.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	in, ok := tokenRequest(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer(w, "token", func(w http.ResponseWriter) {
		c := s.clients[in["client_id"]]
		if c == nil || subtle.ConstantTimeCompare([]byte(c.secret), []byte(in["client_secret"])) != 1 {
			oauthError(w, http.StatusUnauthorized, "access_denied", "Unauthorized")
			return
		}
		switch in["grant_type"] {
		case "authorization_code":
			s.exchange(w, c, in)
		case "refresh_token":
			s.rotate(w, c, in["refresh_token"])
		default:
			oauthError(w, http.StatusForbidden, "unauthorized_client", "Grant type '"+in["grant_type"]+"' not allowed for the client.")
		}
	})
}

// tokenRequest reads the parameters, JSON or form.
func tokenRequest(w http.ResponseWriter, r *http.Request) (map[string]string, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	in := map[string]string{}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			oauthError(w, http.StatusBadRequest, "invalid_request", "The body is no JSON object of strings.")
			return nil, false
		}
		return in, true
	}
	if err := r.ParseForm(); err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", "The body is no form.")
		return nil, false
	}
	for name := range r.PostForm {
		in[name] = r.PostForm.Get(name)
	}
	return in, true
}

// exchange answers an authorization code with tokens. s.mu is held.
func (s *Server) exchange(w http.ResponseWriter, c *client, in map[string]string) {
	code := s.codes[in["code"]]
	delete(s.codes, in["code"]) // whatever comes of it: one try
	switch {
	case code == nil || code.request.client != c || s.now().After(code.expires) || s.grants[code.grant.key] != code.grant:
		oauthError(w, http.StatusForbidden, "invalid_grant", "Invalid authorization code")
	case code.request.redirect != in["redirect_uri"]:
		oauthError(w, http.StatusForbidden, "invalid_grant", "redirect_uri does not match the one of the authorization request")
	case !proves(code.request.challenge, in["code_verifier"]):
		oauthError(w, http.StatusForbidden, "invalid_grant", "Failed to verify code verifier")
	default:
		s.issue(w, code.grant, code.request.scopes)
	}
}

// rotate answers a refresh token with an access token and the next refresh
// token. The old one is dead from then on, but for SetReuseWindow. s.mu is held.
func (s *Server) rotate(w http.ResponseWriter, c *client, token string) {
	t := s.refresh[token]
	now := s.now()
	switch {
	case t == nil || t.grant.client != c || now.Sub(t.issued) > refreshIdle,
		!t.usedAt.IsZero() && !now.Before(t.usedAt.Add(s.reuse)):
		oauthError(w, http.StatusForbidden, "unauthorized_client", "refresh_token is invalid")
		return
	}
	if t.usedAt.IsZero() {
		t.usedAt = now
	}
	s.refreshes[t.grant.person.key]++
	s.issue(w, t.grant, t.scopes)
}

// issue answers with new tokens. s.mu is held.
func (s *Server) issue(w http.ResponseWriter, g *grant, scopes []string) {
	access := secret("eyJ.")
	s.access[access] = &accessToken{grant: g, scopes: scopes, expires: s.now().Add(s.lifetime)}
	answer := map[string]any{
		"access_token": access, "expires_in": int(s.lifetime / time.Second), "token_type": "Bearer",
		"scope": strings.Join(scopes, " "),
	}
	if slices.Contains(scopes, "offline_access") {
		refresh := secret("eyJr.")
		s.refresh[refresh] = &refreshToken{grant: g, scopes: scopes, issued: s.now()}
		answer["refresh_token"] = refresh
	}
	writeJSON(w, http.StatusOK, answer)
}

// end removes a grant with its tokens and webhooks. s.mu is held.
func (s *Server) end(g *grant) {
	for t, r := range s.refresh {
		if r.grant == g {
			delete(s.refresh, t)
		}
	}
	for t, a := range s.access {
		if a.grant == g {
			delete(s.access, t)
		}
	}
	for _, site := range g.sites {
		site.forget(g)
	}
	delete(s.grants, g.key)
	s.revoked[g.person.key] = true
}

// proves checks a PKCE verifier (RFC 7636, section 4.6). Atlassian's
// documentation does not mention PKCE for apps; a challenge that is sent is
// assumed to be checked.
func proves(challenge, verifier string) bool {
	if challenge == "" {
		return true
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}

func oauthError(w http.ResponseWriter, status int, code, text string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": text})
}
