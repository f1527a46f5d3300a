package forward

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/internal/dialguard"
)

// OAuth2 says how to get an access token for a receiver: with the client's own
// credentials (RFC 6749, 4.4). Printing, logging or marshalling it does not show
// ClientSecret.
type OAuth2 struct {
	// TokenURL is asked for tokens, under the same rules as Settings.URL: what may
	// not be called is refused, redirects are not followed. It must be https, and
	// so must Settings.URL, unless AllowPrivateNetworks is set.
	TokenURL string

	// ClientID and ClientSecret are sent with HTTP Basic, or in the body where the
	// server refuses that. The secret is sealed in the store.
	ClientID     string
	ClientSecret string

	Scopes   []string // asked for; may be empty
	Audience string   // sent as "audience", which some servers want; may be empty
}

var (
	_ fmt.Formatter    = OAuth2{}
	_ fmt.Stringer     = OAuth2{}
	_ fmt.GoStringer   = OAuth2{}
	_ slog.LogValuer   = OAuth2{}
	_ json.Marshaler   = OAuth2{}
	_ json.Unmarshaler = (*OAuth2)(nil)
)

// Bounds of OAuth2.
const (
	maxClientID     = 1024 // bytes
	maxClientSecret = 4096
	maxScopes       = 50
	maxScope        = 256
	maxAudience     = 2048
)

// String leaves out what is secret.
func (o OAuth2) String() string {
	return fmt.Sprintf("forward.OAuth2{TokenURL: %s, ClientID: %q, ClientSecret: [redacted], Scopes: %q, Audience: %q}",
		safeURL(o.TokenURL), o.ClientID, o.Scopes, o.Audience)
}

// GoString leaves out what is secret.
func (o OAuth2) GoString() string { return o.String() }

// Format leaves out what is secret, whatever the verb of package fmt.
func (o OAuth2) Format(f fmt.State, _ rune) { fmt.Fprint(f, o.String()) }

// LogValue leaves out what is secret.
func (o OAuth2) LogValue() slog.Value {
	return slog.GroupValue(slog.String("token_url", safeURL(o.TokenURL)), slog.String("client_id", o.ClientID))
}

// MarshalJSON returns the form that the JSON API answers with: without ClientSecret.
func (o OAuth2) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		TokenURL string   `json:"token_url"`
		ClientID string   `json:"client_id"`
		Scopes   []string `json:"scopes,omitempty"`
		Audience string   `json:"audience,omitempty"`
	}{o.TokenURL, o.ClientID, o.Scopes, o.Audience})
}

// UnmarshalJSON reads token_url, client_id, client_secret, scopes and audience. A
// member that it does not know is an error. What is absent is zero afterwards.
func (o *OAuth2) UnmarshalJSON(b []byte) error {
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil // the convention of encoding/json
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(b, &members) != nil {
		return errors.New(`must be an object, such as {"token_url":"https://…","client_id":"…","client_secret":"…"}`)
	}
	var read OAuth2
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var to any
		kind := "a text"
		switch name {
		case "token_url":
			to = &read.TokenURL
		case "client_id":
			to = &read.ClientID
		case "client_secret":
			to = &read.ClientSecret
		case "audience":
			to = &read.Audience
		case "scopes":
			to, kind = &read.Scopes, "a list of texts"
		default:
			return fmt.Errorf("has the unknown member %.40q: there are token_url, client_id, client_secret, scopes and audience", name)
		}
		if json.Unmarshal(members[name], to) != nil { // its error could quote a secret
			return fmt.Errorf("is malformed: %s must be %s", name, kind)
		}
	}
	*o = read
	return nil
}

func (s Settings) checkOAuth2(p *Problems) {
	o := s.OAuth2
	if o == nil {
		return
	}
	if s.URL == "" {
		p.add("oauth2", "needs a url that the tokens are for")
	}
	if strings.EqualFold(s.HeaderKey, "Authorization") {
		p.add("header_key", `is "Authorization", which carries the token of oauth2: leave one of them out`)
	}
	if o.TokenURL == "" {
		p.add("oauth2.token_url", "is missing: the address that gives tokens, such as https://login.example.com/oauth/token")
	} else {
		checkAddress(p, "oauth2.token_url", o.TokenURL, "use client_id and client_secret instead")
	}
	for _, one := range []struct {
		field, value string
		limit        int
		needed       bool
	}{
		{"oauth2.client_id", o.ClientID, maxClientID, true},
		{"oauth2.client_secret", o.ClientSecret, maxClientSecret, true},
		{"oauth2.audience", o.Audience, maxAudience, false},
	} {
		switch {
		case one.value == "" && one.needed:
			p.add(one.field, "is missing: what the server of token_url knows this client by")
		case len(one.value) > one.limit:
			p.add(one.field, "has %d bytes: at most %d are possible", len(one.value), one.limit)
		case strings.ContainsFunc(one.value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			p.add(one.field, "contains a line break or another control character: remove it")
		}
	}
	if len(o.Scopes) > maxScopes {
		p.add("oauth2.scopes", "has %d entries: at most %d are possible", len(o.Scopes), maxScopes)
	}
	for i, scope := range o.Scopes {
		if !isScope(scope) {
			p.add(fmt.Sprintf("oauth2.scopes[%d]", i), "is no scope: 1 to %d characters of ASCII without space, quote and backslash", maxScope)
		}
	}
}

// checkReach reports what only the installation can say of OAuth2.
func (s Settings) checkReach(p *Problems, allowPrivate bool) {
	o := s.OAuth2
	if o == nil {
		return
	}
	u, err := url.Parse(o.TokenURL)
	if err != nil || u.Host == "" {
		return
	}
	if err := dialguard.CheckURL(u, allowPrivate); err != nil {
		p.add("oauth2.token_url", "%w", err)
	}
	if allowPrivate {
		return
	}
	if u.Scheme == "http" {
		p.add("oauth2.token_url", "is not encrypted, so others could read client_secret: use https")
	}
	if strings.HasPrefix(s.URL, "http:") {
		p.add("url", "is not encrypted, so others could read the tokens of oauth2: use https")
	}
}

// isScope is the syntax of a scope (RFC 6749, 3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= maxScope
}
