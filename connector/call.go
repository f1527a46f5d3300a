package connector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what JSON reads of one API answer, in bytes.
const maxAnswer = 8 << 20

// JSON makes one API call: path is absolute or relative to Endpoints["api"],
// in (if not nil) is sent as JSON, the answer is read into out (if not nil). An
// answer without a body leaves out as it is when its status is 204 or 205, else
// it is an error; an answer of more than 8 MiB is one too.
//
// A path may come from a payload, such as a cursor that is a URL: an address
// that is not at the scheme and host of one of Endpoints is refused with
// ErrRefused before anything is sent, and so are paths with ".." in them.
//
// Errors: *RetryError (408, 425, 429, 5xx, 403 with Retry-After, network), else
// *StatusError with ErrRevoked (401), ErrScope (403), ErrGone (404, 410) or
// ErrRefused (every other status that is no success).
func (s *Session) JSON(ctx context.Context, method, path string, in, out any) error {
	target, err := s.resolve(path)
	if err != nil {
		return fmt.Errorf("connector: %s: %w", method, err)
	}
	what := method + " " + target.Scheme + "://" + target.Host + target.EscapedPath() // without the query: it may hold a cursor or more
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("connector: %s: encode the request: %w", what, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return fmt.Errorf("connector: %w: %w", ErrRefused, err)
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", what, callError(ctx, err))
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%s: %w", what, callError(ctx, err))
	}
	if err := AnswerError(res.StatusCode, res.Header, answer, s.now()); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(answer) > maxAnswer {
		return fmt.Errorf("%s: %w: the answer has more than %d MiB: ask for smaller pages", what, ErrRefused, maxAnswer>>20)
	}
	if out == nil || len(answer) == 0 && (res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusResetContent) {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: the answer is not the expected JSON: %w", what, err)
	}
	return nil
}

// callError turns what the client reports into what the engine acts on. A
// refresh that failed for good comes through as the sentinel it wraps.
func callError(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL, into which a credential may have gone
	}
	for _, known := range []error{ErrRevoked, ErrScope, ErrGone, ErrRefused} {
		if errors.Is(err, known) {
			return err
		}
	}
	if _, ok := errors.AsType[*RetryError](err); ok || ctx.Err() != nil {
		return err
	}
	return &RetryError{Err: err}
}

// resolve makes path an absolute address at one of the Endpoints.
func (s *Session) resolve(path string) (*url.URL, error) {
	full := path
	if !strings.Contains(path, "://") {
		base, ok := s.Endpoints["api"]
		if !ok {
			return nil, fmt.Errorf(`%w: path %q is relative and there is no Endpoints["api"]`, ErrRefused, path)
		}
		full = strings.TrimRight(base, "/") + "/" + strings.TrimLeft(path, "/")
	}
	u, err := url.Parse(full)
	if err != nil {
		return nil, fmt.Errorf("%w: malformed address", ErrRefused)
	}
	if u.User != nil || u.Opaque != "" {
		return nil, fmt.Errorf("%w: an address with user info", ErrRefused)
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(u.Path, `\`, "/"), "/") {
		if segment == ".." {
			return nil, fmt.Errorf("%w: a path with .. in it", ErrRefused)
		}
	}
	for _, e := range s.Endpoints {
		base, err := url.Parse(e)
		if err == nil && base.Host != "" && strings.EqualFold(base.Scheme, u.Scheme) && strings.EqualFold(base.Host, u.Host) {
			return u, nil
		}
	}
	return nil, fmt.Errorf("%w: %s://%s is none of the connector's Endpoints", ErrRefused, u.Scheme, u.Host)
}

func (s *Session) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
