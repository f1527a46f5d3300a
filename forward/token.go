package forward

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/interactorhq/interactor/internal/dialguard"
)

const (
	maxGrants    = 4096             // tokens held in memory; beyond that some are fetched more often
	tokenAnswer  = 64 << 10         // bytes of a token server's answer
	maxToken     = 16 << 10         // bytes of a token
	tokenTimeout = 10 * time.Second // of one request to a token server
	tokenMargin  = 30 * time.Second // before its end a token is fetched anew; a fifth of a short life
	tokenLife    = time.Hour        // of one that does not say
	maxTokenLife = 24 * time.Hour

	// tokenRest is how long a failure to get a token holds for other tries, so
	// that a backlog does not storm the token server.
	tokenRest = time.Second

	// tokenTrust is how long a token is kept that is refused although it replaced
	// a refused one: fetching more of them would not help.
	tokenTrust = time.Minute
)

// tokenError says in words why there is no token, without secrets.
type tokenError struct{ text string }

func (e *tokenError) Error() string { return "oauth2: " + e.text }

// tokens are the access tokens for receivers, in memory alone. Who has the same
// credentials at the same server shares one.
type tokens struct {
	client *http.Client
	now    func() time.Time

	mu     sync.Mutex
	grants *bounded[[sha256.Size]byte, *grant]
}

// grant is the token of one set of credentials.
type grant struct {
	config clientcredentials.Config // remembers how the server wants the secret
	busy   chan struct{}            // held by the one try that fetches

	mu       sync.Mutex
	token    string // empty: none
	until    time.Time
	fetched  time.Time
	dropped  bool // the last one was refused
	doubtful bool // this one replaced a refused one and was not accepted yet
	failure  *tokenError
	failedAt time.Time
}

// newTokens fetches through transport, the one of destinations: guarded, and
// without anybody's client certificate.
func newTokens(transport http.RoundTripper, now func() time.Time) *tokens {
	return &tokens{
		client: &http.Client{
			Transport: boundedBody{transport},
			Timeout:   tokenTimeout,
			// A redirect would take the secret elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		now:    now,
		grants: newBounded[[sha256.Size]byte, *grant](maxGrants),
	}
}

// get returns a token that is valid for a while. Of many tries that need one at
// the same time one fetches it; the others wait, as long as their own ctx.
func (t *tokens) get(ctx context.Context, o *OAuth2, timeout time.Duration) (*grant, string, error) {
	g := t.grant(o)
	if token, err := g.held(t.now()); token != "" || err != nil {
		return g, token, err
	}
	select {
	case g.busy <- struct{}{}:
		defer func() { <-g.busy }()
	case <-ctx.Done():
		return g, "", &tokenError{fmt.Sprintf("timeout: no token within %s", brief(timeout))}
	}
	if token, err := g.held(t.now()); token != "" || err != nil {
		return g, token, err // somebody else was faster
	}
	got, err := g.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err == nil {
		err = checkToken(got)
	}
	now := t.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		failure := &tokenError{describeToken(ctx, err, timeout)}
		if ctx.Err() == nil { // it says something about the server, not about this try
			g.failure, g.failedAt = failure, now
		}
		return g, "", failure
	}
	life := tokenLife
	if !got.Expiry.IsZero() {
		life = min(time.Until(got.Expiry), maxTokenLife)
	}
	g.token, g.fetched, g.until = got.AccessToken, now, now.Add(life-min(tokenMargin, life/5))
	g.doubtful, g.dropped, g.failure = g.dropped, false, nil
	return g, g.token, nil
}

func (t *tokens) grant(o *OAuth2) *grant {
	key := digest(append([]string{o.TokenURL, o.ClientID, o.ClientSecret, o.Audience}, o.Scopes...)...)
	t.mu.Lock()
	defer t.mu.Unlock()
	if g, ok := t.grants.get(key); ok {
		return g
	}
	g := &grant{busy: make(chan struct{}, 1), config: clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, TokenURL: o.TokenURL, Scopes: slices.Clone(o.Scopes),
	}}
	if o.Audience != "" {
		g.config.EndpointParams = url.Values{"audience": {o.Audience}}
	}
	t.grants.put(key, g)
	return g
}

// held returns the token that is there, or the failure of a moment ago.
func (g *grant) held(now time.Time) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.token != "" && now.Before(g.until):
		return g.token, nil
	case g.failure != nil && now.Sub(g.failedAt) < tokenRest && !now.Before(g.failedAt):
		return "", g.failure
	}
	return "", nil
}

// answered takes note of what a receiver thought of a token: at 401 it is
// dropped, and the next try fetches another one.
func (g *grant) answered(token string, status int, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.token != token: // it is another one by now
	case status != http.StatusUnauthorized:
		g.doubtful = false
	case g.doubtful && now.Sub(g.fetched) < tokenTrust:
	default:
		g.token, g.dropped = "", true
	}
}

func checkToken(t *oauth2.Token) error {
	if kind := t.TokenType; kind != "" && !strings.EqualFold(kind, "Bearer") {
		return &tokenError{"the server of token_url gives tokens of another type than Bearer"}
	}
	if len(t.AccessToken) > maxToken || strings.ContainsFunc(t.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return &tokenError{"the server of token_url answered with a malformed token"}
	}
	return nil
}

// describeToken says in words why there is no token. What the server writes is
// not shown: it could repeat the secret.
func describeToken(ctx context.Context, err error, timeout time.Duration) string {
	if own, ok := errors.AsType[*tokenError](err); ok {
		return own.text
	}
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		text := fmt.Sprintf("the server of token_url answered %d", answer.Response.StatusCode)
		// RFC 6749, 5.2
		if slices.Contains([]string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}, answer.ErrorCode) {
			text += ": " + answer.ErrorCode
		}
		return text
	}
	if errors.Is(err, dialguard.ErrRefused) {
		return "private address: token_url leads to an address that is not public"
	}
	if failed, ok := errors.AsType[*url.Error](err); ok { // whose text has the whole URL
		_, text := classify(ctx, failed.Err, timeout)
		return "token_url: " + text
	}
	return "the server of token_url answered with what is no token"
}

// boundedBody limits the answers of a transport.
type boundedBody struct{ http.RoundTripper }

// RoundTrip makes reading beyond the limit an error.
func (b boundedBody) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(req)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, tokenAnswer)
	}
	return res, err
}
