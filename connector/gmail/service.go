package gmail

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	gmailapi "google.golang.org/api/gmail/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/interactorhq/interactor/connector"
)

// me is the mailbox that the token belongs to.
const me = "me"

// service is Google's client over the Session's, which adds the credential.
func service(ctx context.Context, s *connector.Session) (*gmailapi.Service, error) {
	base := s.Endpoints["api"]
	if !strings.HasSuffix(base, "/") {
		base += "/" // Google's client resolves paths against it
	}
	svc, err := gmailapi.NewService(ctx, option.WithHTTPClient(s.HTTP), option.WithEndpoint(base))
	if err != nil {
		return nil, fmt.Errorf("gmail: making the API client: %w", err)
	}
	return svc, nil
}

// clock is the Session's.
func clock(s *connector.Session) time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// apiError says what an error of Google's client means to the engine.
//
// Source: https://developers.google.com/workspace/gmail/api/guides/handle-errors
func apiError(call string, err error) error {
	var retry *connector.RetryError
	var g *googleapi.Error
	switch {
	case errors.As(err, &retry), isSentinel(err),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("gmail: %s: %w", call, err) // the Session has said it
	case !errors.As(err, &g):
		return fmt.Errorf("gmail: %s: %w", call, &connector.RetryError{Err: err}) // network
	}
	fail := func(is error) error { return fmt.Errorf("gmail: %s: %w: %s", call, is, message(g)) }
	again := func() error {
		return fmt.Errorf("gmail: %s: %w", call, &connector.RetryError{
			After: retryAfter(g.Header), Err: fmt.Errorf("status %d: %s", g.Code, message(g)),
		})
	}
	switch {
	case g.Code == http.StatusTooManyRequests, g.Code == http.StatusRequestTimeout, g.Code >= 500:
		return again()
	case g.Code == http.StatusUnauthorized:
		return fail(connector.ErrRevoked)
	case g.Code == http.StatusForbidden && hasReason(g, "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded",
		"dailyLimitExceeded", "concurrentLimitExceeded", "RATE_LIMIT_EXCEEDED"):
		return again()
	case g.Code == http.StatusForbidden && hasReason(g, "insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"):
		return fail(connector.ErrScope)
	case g.Code == http.StatusNotFound, g.Code == http.StatusGone:
		return fail(connector.ErrGone)
	}
	// 400, and 403 for what only a person can change: the API is not enabled, the
	// domain forbids it, the topic does not let Gmail publish.
	return fail(connector.ErrRefused)
}

func isSentinel(err error) bool {
	return slices.ContainsFunc(
		[]error{connector.ErrGone, connector.ErrRevoked, connector.ErrScope, connector.ErrRefused},
		func(s error) bool { return errors.Is(err, s) })
}

// message is Google's own words, which say what to do; bounded, they end up in
// front of people.
func message(g *googleapi.Error) string {
	text := g.Message
	if text == "" {
		text = http.StatusText(g.Code)
	}
	return fmt.Sprintf("%.500s", plain(text))
}

// hasReason looks at both places where Google puts reasons.
func hasReason(g *googleapi.Error, reasons ...string) bool {
	for _, e := range g.Errors {
		if slices.Contains(reasons, e.Reason) {
			return true
		}
	}
	for _, d := range g.Details {
		if m, ok := d.(map[string]any); ok {
			if r, _ := m["reason"].(string); slices.Contains(reasons, r) {
				return true
			}
		}
	}
	return false
}

// retryAfter reads the seconds of Retry-After; 0: it is not there.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, 24*time.Hour)
}
