package jira

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	jiraapi "github.com/andygrunwald/go-jira"

	"github.com/interactorhq/interactor/connector"
)

// maxAnswer bounds what is read of one answer of Jira's API, in bytes.
const maxAnswer = 32 << 20

// service is go-jira's client of one site over the Session's, which adds the
// credential. It is for one goroutine.
type service struct {
	*jiraapi.Client
	last *recorder
	now  func() time.Time
}

// newService returns the client of the site with that cloud id. A grant does not
// work at the site's own address, only at Atlassian's gateway.
func newService(s *connector.Session, cloud string) (*service, error) {
	if cloud == "" || strings.ContainsAny(cloud, "/?#%.") {
		return nil, fmt.Errorf("jira: %w: the Connection has no cloud id: connect it again", connector.ErrRefused)
	}
	base := strings.TrimRight(s.Endpoints["api"], "/") + "/ex/jira/" + url.PathEscape(cloud) + "/"
	last := &recorder{http: s.HTTP}
	c, err := jiraapi.NewClient(last, base)
	if err != nil {
		return nil, fmt.Errorf("jira: making the API client: %w", err)
	}
	return &service{c, last, func() time.Time { return clock(s) }}, nil
}

// clock is the Session's.
func clock(s *connector.Session) time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// recorder is the HTTP client of go-jira. It bounds answers, which go-jira does
// not, and keeps the last one: go-jira's types lack members that are told here,
// and its errors the status.
type recorder struct {
	http   *http.Client
	status int // 0: there was no answer
	header http.Header
	body   []byte
}

var errTooLong = fmt.Errorf("%w: the answer has more than %d MiB", connector.ErrRefused, maxAnswer>>20)

// Do makes a call.
func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	r.status, r.header, r.body = 0, nil, nil
	req.Header.Set("Accept", "application/json")
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, errTooLong
	}
	r.status, r.header, r.body = resp.StatusCode, resp.Header, body
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// call makes one call of Jira's API. in, unless nil, is sent as JSON; the answer
// is read into out, unless that is nil.
func (s *service) call(ctx context.Context, method, path string, in, out any) error {
	req, err := s.NewRequestWithContext(ctx, method, path, in)
	if err != nil {
		return fmt.Errorf("jira: %s %s: %w", method, path, err)
	}
	path, _, _ = strings.Cut(path, "?")
	_, err = s.Do(req, nil)
	if err = s.failed(ctx, method+" "+path, err); err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(s.last.body, out); err != nil {
		return fmt.Errorf("jira: %s %s: the answer is not the expected JSON: %w", method, path, err)
	}
	return nil
}

// failed says what the outcome of the last call means to the engine. That
// go-jira could not decode an answer is no failure: it is decoded here.
func (s *service) failed(ctx context.Context, what string, err error) error {
	if s.last.status == 0 {
		if err == nil {
			err = errors.New("there was no answer")
		}
		return fmt.Errorf("jira: %s: %w", what, networkError(ctx, err))
	}
	if err := connector.AnswerError(s.last.status, s.last.header, s.last.body, s.now()); err != nil {
		return fmt.Errorf("jira: %s: %w", what, explain(err))
	}
	return nil
}

// tooLong reports whether a call failed because its answer is longer than is
// read: a smaller page may do.
func (s *service) tooLong(err error) bool {
	return s.last.status == 0 && errors.Is(err, connector.ErrRefused)
}

// networkError is what a call without an answer means. The Session's own errors
// come through; everything else may pass.
func networkError(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL: it may hold a query
	}
	if _, known := errors.AsType[*connector.RetryError](err); known || ctx.Err() != nil || isSentinel(err) {
		return err
	}
	return &connector.RetryError{Err: err}
}

func isSentinel(err error) bool {
	return slices.ContainsFunc(
		[]error{connector.ErrGone, connector.ErrRevoked, connector.ErrScope, connector.ErrRefused},
		func(s error) bool { return errors.Is(err, s) })
}

// explain tells a missing scope from a dead token: Atlassian's gateway answers
// 401 to both, with "Unauthorized; scope does not match" to the first.
func explain(err error) error {
	status, ok := errors.AsType[*connector.StatusError](err)
	if ok && errors.Is(err, connector.ErrRevoked) && strings.Contains(status.Body, "scope does not match") {
		return fmt.Errorf("%w: what was consented to does not suffice: %s", connector.ErrScope, excerpt(status.Body))
	}
	return err
}

// excerpt makes a text of Jira's fit for a line in front of people.
func excerpt(s string) string { return fmt.Sprintf("%.500s", strings.Join(strings.Fields(s), " ")) }
