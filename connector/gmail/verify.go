package gmail

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/api/idtoken"
	"google.golang.org/api/option"

	"github.com/interactorhq/interactor/connector"
)

const (
	pushIssuer  = "https://accounts.google.com"
	maxToken    = 8 << 10
	maxKeys     = 1 << 20
	keysRefetch = time.Minute
)

// Verify checks the OpenID Connect token that Pub/Sub puts into a push:
// signature, expiry, issuer, audience, and that it is the service account of
// the App that is verified to have it. Audience and issuer alone prove nothing:
// anybody can have Google sign a token for an audience of their choice.
//
// An error that is not connector.ErrUnproven says that Google's public keys
// cannot be had; Pub/Sub tries again.
//
// Source: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
func (c *Connector) Verify(ctx context.Context, in *connector.Inbound) error {
	err := c.verify(ctx, in)
	var network *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &network):
		return fmt.Errorf("gmail: push token: fetching Google's public keys: %w", err)
	}
	return fmt.Errorf("gmail: push token: %w: %w", connector.ErrUnproven, err)
}

func (c *Connector) verify(ctx context.Context, in *connector.Inbound) error {
	want := claims{account: in.App[FieldPushServiceAccount], audience: in.App[FieldPushAudience]}
	if want.audience == "" {
		want.audience = in.URL
	}
	switch {
	case want.account == "":
		return errors.New(`the App has no field "push_service_account": enter the service account of the push subscription`)
	case want.audience == "": // the library would take an empty one for "any"
		return errors.New(`the App has no field "push_audience": enter the audience of the push subscription`)
	}
	token, err := bearer(in.Header)
	if err != nil {
		return err
	}
	if err := rs256(token); err != nil {
		return err
	}
	// Before the signature, so that rubbish makes nobody fetch keys.
	unproven, err := idtoken.ParsePayload(token)
	if err != nil {
		return err
	}
	if err := want.check(unproven); err != nil {
		return err
	}
	proven, err := c.keys.validate(ctx, token, want.audience, in.ReceivedAt)
	if err != nil {
		return err
	}
	return want.check(proven)
}

func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", fmt.Errorf("there are %d Authorization headers, not 1: enable authentication in the push subscription", len(values))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return "", errors.New("the Authorization header is no bearer token")
	case len(token) > maxToken:
		return "", fmt.Errorf("the token is longer than %d bytes", maxToken)
	}
	return token, nil
}

// rs256 refuses every other algorithm. Pub/Sub uses none, and the library's path
// for ES256 indexes into the signature before it has looked at its length.
func rs256(token string) error {
	head, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return errors.New("the token's header is not base64url")
	}
	var h struct {
		Alg string `json:"alg"`
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return errors.New("the token's header is no JSON")
	}
	if h.Alg != "RS256" {
		return fmt.Errorf("it is signed with %.20q, not RS256", h.Alg)
	}
	return nil
}

// claims are what a token must say.
type claims struct{ account, audience string }

func (want claims) check(p *idtoken.Payload) error {
	email, _ := p.Claims["email"].(string)
	verified, _ := p.Claims["email_verified"].(bool)
	switch {
	case p.Issuer != pushIssuer:
		return fmt.Errorf("iss is %.100q, not %q", p.Issuer, pushIssuer)
	case p.Audience != want.audience:
		return fmt.Errorf("aud is %.300q, not %q", p.Audience, want.audience)
	case email != want.account:
		return fmt.Errorf("email is %.300q, not %q", email, want.account)
	case !verified:
		return errors.New("email_verified is not true")
	case p.Expires <= 0:
		return errors.New("exp is missing")
	}
	return nil
}

// publicKeys checks signatures with Google's public keys. The library keeps
// them for as long as Google's Cache-Control says; a key that is not among them
// makes publicKeys ask again, once a minute at most.
type publicKeys struct {
	client *http.Client

	mu        sync.Mutex
	validator *idtoken.Validator
	made      time.Time
}

func (k *publicKeys) validate(ctx context.Context, token, audience string, now time.Time) (*idtoken.Payload, error) {
	v, err := k.get(ctx, nil, now)
	if err != nil {
		return nil, err
	}
	p, err := v.Validate(ctx, token, audience)
	if err == nil {
		return p, nil
	}
	fresh, ferr := k.get(ctx, v, now)
	if ferr != nil || fresh == v {
		return nil, err
	}
	return fresh.Validate(ctx, token, audience)
}

// get returns the Validator; another one than stale, if there may be one by now.
func (k *publicKeys) get(ctx context.Context, stale *idtoken.Validator, now time.Time) (*idtoken.Validator, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.validator != nil && (k.validator != stale || now.Sub(k.made) < keysRefetch) {
		return k.validator, nil
	}
	client := *k.client
	client.Transport = keyTransport{k.client.Transport}
	v, err := idtoken.NewValidator(ctx, option.WithHTTPClient(&client)) // no I/O
	if err != nil {
		return nil, fmt.Errorf("checking its signature: %w", err)
	}
	k.validator, k.made = v, now
	return v, nil
}

// keyTransport makes an error of an answer that holds no keys, so that it can
// be told from a token that is not proven, and bounds what is read.
type keyTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t keyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxKeys), resp.Body}
	return resp, nil
}
