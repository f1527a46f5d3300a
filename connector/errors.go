package connector

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Errors that the engine acts on. Anything else is retried with backoff.
var (
	ErrGone     = errors.New("connector: the provider no longer has it") // watch: create again; record: skip
	ErrRevoked  = errors.New("connector: authorisation is gone")         // Connection: revoked, ask to reconnect
	ErrScope    = errors.New("connector: authorisation lacks a scope")   // Connection: needs consent
	ErrRefused  = errors.New("connector: the provider refuses this")     // shown to a person, not retried
	ErrUnproven = errors.New("connector: request not proven")            // Verify: 401
)

// RetryError asks for another try after a given time.
type RetryError struct {
	After time.Duration // 0: the engine's backoff
	Err   error
}

var _ error = (*RetryError)(nil)

func (e *RetryError) Error() string {
	if e.After <= 0 {
		return fmt.Sprintf("try again later: %v", e.Err)
	}
	return fmt.Sprintf("try again after %s: %v", e.After, e.Err)
}

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// ParamError says why the value of a Param cannot work at the provider. It is
// [ErrRefused].
type ParamError struct {
	Param   string
	Value   string
	Problem string // for a person: what is wrong and what to do, such as "there is no label of that name in this mailbox: create it, or name another one"
	Later   bool   // what it names may come to be: it is looked for again every hour
}

var _ error = (*ParamError)(nil)

func (e *ParamError) Error() string {
	return fmt.Sprintf("param %q is %s: %s", e.Param, quote(e.Value), e.Problem)
}

// Is reports that it is ErrRefused.
func (e *ParamError) Is(target error) bool { return target == ErrRefused }

// quote keeps what a person entered short.
func quote(s string) string {
	const limit = 200
	if len(s) > limit {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:limit], ""))
	}
	return fmt.Sprintf("%q", s)
}

// StatusError is an API answer that is no success. errors.Is finds the
// sentinel that its status means. Make one with [NewStatusError].
type StatusError struct {
	Status int
	Body   string // at most 2 KiB of it
	is     error
}

var _ error = (*StatusError)(nil)

// maxStatusBody bounds what an error keeps of an answer, in bytes.
const maxStatusBody = 2 << 10

// NewStatusError returns the error that an API answer of this status means:
// 401 is ErrRevoked, 403 ErrScope, 404 and 410 ErrGone, every other one up to
// 499 ErrRefused. For 5xx it wraps no sentinel, so that it is retried.
func NewStatusError(status int, body []byte) *StatusError {
	e := &StatusError{Status: status, Body: excerpt(body)}
	switch {
	case status == http.StatusUnauthorized:
		e.is = ErrRevoked
	case status == http.StatusForbidden:
		e.is = ErrScope
	case status == http.StatusNotFound, status == http.StatusGone:
		e.is = ErrGone
	case status < 500:
		e.is = ErrRefused
	}
	return e
}

func (e *StatusError) Error() string {
	msg := "status " + strconv.Itoa(e.Status)
	if e.is != nil {
		msg = e.is.Error() + ": " + msg
	}
	if e.Body != "" {
		msg += ": " + e.Body
	}
	return msg
}

// Unwrap returns the sentinel that the status means; nil if it means none.
func (e *StatusError) Unwrap() error { return e.is }

// AnswerError is what an API answer means for the engine: nil for 2xx, a
// *RetryError for 408, 425, 429, 5xx and for a 403 that names a time to come
// back, else a *StatusError. Connectors that use a provider's own client
// library call it with what that reports. now is for a Retry-After that is a date.
func AnswerError(status int, header http.Header, body []byte, now time.Time) error {
	if status >= 200 && status < 300 {
		return nil
	}
	err := NewStatusError(status, body)
	after, named := retryAfter(header, now)
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly,
		status == http.StatusTooManyRequests, status >= 500,
		status == http.StatusForbidden && named: // how GitHub and others say "too fast"
		err.is = nil
		return &RetryError{After: after, Err: err}
	}
	return err
}

// maxRetryAfter bounds what a provider can make a Connection wait.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads Retry-After (RFC 9110, 10.2.3): seconds or a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	var after time.Duration
	if seconds, err := strconv.ParseUint(v, 10, 32); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		after = max(at.Sub(now), 0)
	} else {
		return 0, false
	}
	return min(after, maxRetryAfter), true
}

// excerpt makes the beginning of an answer fit for a log line.
func excerpt(body []byte) string {
	if len(body) > maxStatusBody {
		body = body[:maxStatusBody]
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(body), "�"))
}
