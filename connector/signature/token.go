package signature

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

// Token verifies a shared token that is sent along as it is. It proves who
// sent the request, not what is in it: use it where a provider offers nothing
// better (Google channels, Telegram, older GitLab).
type Token struct {
	Header string // "X-Goog-Channel-Token"
	Prefix string // before the token, as text
}

var _ connector.Verifier = Token{}

// Verify implements connector.Verifier.
func (t Token) Verify(_ context.Context, in *connector.Inbound) error {
	candidates, err := secrets(in)
	if err != nil {
		return err
	}
	text, err := header(in, t.Header)
	if err != nil {
		return err
	}
	token, ok := strings.CutPrefix(text, t.Prefix)
	if !ok || !oneOf(candidates, token) {
		return unproven("the token in %s does not match", t.Header)
	}
	return nil
}

// oneOf compares with all candidates, so that the time tells nothing.
func oneOf(candidates []string, token string) bool {
	found := false
	for _, c := range candidates {
		found = equal(c, token) || found
	}
	return found
}

// Bearer verifies a shared token in Authorization: Bearer (RFC 6750).
type Bearer struct{}

var _ connector.Verifier = Bearer{}

// Verify implements connector.Verifier.
func (Bearer) Verify(_ context.Context, in *connector.Inbound) error {
	candidates, err := secrets(in)
	if err != nil {
		return err
	}
	token, err := authorization(in, "Authorization", "Bearer")
	if err != nil {
		return err
	}
	if !oneOf(candidates, token) {
		return unproven("the bearer token does not match")
	}
	return nil
}

// authorization returns the credentials of a scheme, whose case is free (RFC 9110, 11.1).
func authorization(in *connector.Inbound, name, scheme string) (string, error) {
	text, err := header(in, name)
	if err != nil {
		return "", err
	}
	have, credentials, ok := strings.Cut(text, " ")
	credentials = strings.TrimLeft(credentials, " ")
	if !ok || !strings.EqualFold(have, scheme) || credentials == "" {
		return "", unproven("header %s is not of the scheme %s", name, scheme)
	}
	return credentials, nil
}

// BasicAuth verifies a user name and a password in Authorization: Basic (RFC
// 7617). The secrets are the password.
type BasicAuth struct {
	Username string // compared as it is; empty: the request's must be empty too
}

var _ connector.Verifier = BasicAuth{}

// Verify implements connector.Verifier.
func (b BasicAuth) Verify(_ context.Context, in *connector.Inbound) error {
	candidates, err := secrets(in)
	if err != nil {
		return err
	}
	credentials, err := authorization(in, "Authorization", "Basic")
	if err != nil {
		return err
	}
	plain, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		return unproven("header Authorization is malformed")
	}
	user, password, ok := strings.Cut(string(plain), ":")
	known := equal(user, b.Username)
	if right := oneOf(candidates, password); !ok || !known || !right {
		return unproven("user name and password do not match")
	}
	return nil
}
