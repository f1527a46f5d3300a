package signature

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/interactorhq/interactor/connector"
)

// defaultLeeway between the clocks of signer and receiver.
const defaultLeeway = time.Minute

// JWT verifies a token of HS256 and nothing else (RFC 7519), keyed with the
// secret's own bytes: Jira's dynamic webhooks, monday. Such a token does not
// cover the body: who has seen one can send another body until it expires. Use
// an address of its own (connector.AtSubscription) where the provider lets you.
type JWT struct {
	Header   string                          // defaults to Authorization
	Scheme   string                          // before the token, its case is free: "Bearer"; empty: the token stands alone
	Audience func(*connector.Inbound) string // must be among aud; nil: not compared, empty: fails
	Issuer   string                          // must be iss; empty: not compared
	Leeway   time.Duration                   // defaults to 1 minute
	MaxAge   time.Duration                   // > 0: iat is required and at most this far back. exp is required in any case
}

var _ connector.Verifier = JWT{}

// Verify implements connector.Verifier.
func (j JWT) Verify(_ context.Context, in *connector.Inbound) error {
	candidates, err := secrets(in)
	if err != nil {
		return err
	}
	token, err := j.token(in)
	if err != nil {
		return err
	}
	if in.ReceivedAt.IsZero() {
		return unproven("the time of receipt is unknown")
	}
	leeway := j.Leeway
	if leeway <= 0 {
		leeway = defaultLeeway
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return in.ReceivedAt }),
	}
	if j.Issuer != "" {
		options = append(options, jwt.WithIssuer(j.Issuer))
	}
	if j.Audience != nil {
		aud := j.Audience(in)
		if aud == "" {
			return unproven("there is no audience to compare with")
		}
		options = append(options, jwt.WithAudience(aud))
	}
	parser := jwt.NewParser(options...)
	var last error
	for _, secret := range candidates {
		var claims jwt.RegisteredClaims
		parsed, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
			if _, critical := t.Header["crit"]; critical {
				return nil, errors.New("the token has critical extensions")
			}
			return []byte(secret), nil
		})
		if err == nil {
			return j.young(in, parsed.Claims, leeway)
		}
		last = err
	}
	return unproven("the token is refused: %w", last)
}

func (j JWT) token(in *connector.Inbound) (string, error) {
	name := j.Header
	if name == "" {
		name = "Authorization"
	}
	if j.Scheme != "" {
		return authorization(in, name, j.Scheme)
	}
	return header(in, name)
}

// young checks MaxAge.
func (j JWT) young(in *connector.Inbound, claims jwt.Claims, leeway time.Duration) error {
	if j.MaxAge <= 0 {
		return nil
	}
	iat, err := claims.GetIssuedAt()
	if err != nil || iat == nil {
		return unproven("the token does not say when it was issued")
	}
	if age := in.ReceivedAt.Sub(iat.Time); age > j.MaxAge+leeway {
		return unproven("the token is %s old: more than %s", age.Round(time.Second), j.MaxAge)
	}
	return nil
}
