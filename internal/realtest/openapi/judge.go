package openapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Judge is an http.RoundTripper that reports to its test every request and
// answer that the document forbids. Set the fields before its first use.
type Judge struct {
	// Probing is for tests of a server: a request that the document forbids is no
	// fault of the test as long as the server refuses it with a status of 400 or
	// more. Otherwise, as in tests of a client, every forbidden request is one.
	Probing bool
	// Times are layouts of the format "date-time" that are accepted beside RFC 3339.
	Times []string

	t         testing.TB
	document  *Document
	next      http.RoundTripper
	operation func(*http.Request) (path string, ok bool)

	mu   sync.Mutex
	seen map[string]int
}

var _ http.RoundTripper = (*Judge)(nil)

// Judge sends requests on to next and judges those for which operation finds a
// path in the document; others pass unseen. A path that the document does not
// have is a fault.
func (d *Document) Judge(t testing.TB, next http.RoundTripper, operation func(*http.Request) (path string, ok bool)) *Judge {
	return &Judge{t: t, document: d, next: next, operation: operation, seen: map[string]int{}}
}

// RoundTrip implements http.RoundTripper. What is forbidden is reported; the
// answer is handed on all the same.
func (j *Judge) RoundTrip(r *http.Request) (*http.Response, error) {
	path, ok := j.operation(r)
	if !ok {
		return j.next.RoundTrip(r)
	}
	sent, err := drain(&r.Body)
	if err != nil {
		return nil, err
	}
	resp, err := j.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answered, err := drain(&resp.Body)
	if err != nil {
		return nil, err
	}
	for _, wrong := range j.judge(r, path, sent, resp, answered) {
		j.t.Errorf("openapi: %s: %s %s, answered %d: %v\nsent: %s\nanswered: %s",
			j.document.name, r.Method, path, resp.StatusCode, wrong, sent, answered)
	}
	return resp, nil
}

// judge returns what the document forbids.
func (j *Judge) judge(r *http.Request, path string, sent []byte, resp *http.Response, answered []byte) (wrong []error) {
	ctx := r.Context()
	in := r.Clone(ctx)
	in.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
	in.Body = io.NopCloser(bytes.NewReader(sent))
	route, params, err := j.document.router.FindRoute(in)
	if err != nil {
		return []error{fmt.Errorf("the document has no such operation: %w", err)}
	}
	j.count(route, resp.StatusCode)
	options := j.options(resp.StatusCode, len(answered))
	request := &openapi3filter.RequestValidationInput{Request: in, PathParams: params, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(ctx, request); err != nil && (!j.Probing || resp.StatusCode < 400) {
		wrong = append(wrong, fmt.Errorf("the request: %w", err))
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: resp.StatusCode, Header: resp.Header, Options: options,
	}
	response.SetBodyBytes(answered)
	if err := openapi3filter.ValidateResponse(ctx, response); err != nil {
		wrong = append(wrong, fmt.Errorf("the answer: %w", err))
	}
	return wrong
}

func (j *Judge) options(status, size int) *openapi3filter.Options {
	return &openapi3filter.Options{
		MultiError:         true,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		// Documents list the errors of an operation, not those of every gateway before it.
		IncludeResponseStatus: status < 400,
		// A type for an answer that has no body says nothing.
		ExcludeResponseBody:               status == http.StatusNoContent && size == 0,
		RejectWhenRequestBodyNotSpecified: true,
		SkipSettingDefaults:               true,
		SchemaValidationOptions: []openapi3.SchemaValidationOption{
			openapi3.WithStringFormatValidator("date-time", openapi3.NewCallbackValidator(j.isTime)),
			openapi3.WithStringFormatValidator("uri", openapi3.NewCallbackValidator(isURI)),
			openapi3.EnableFormatValidation(),
			openapi3.DisableSchemaErrorDetails(), // whole schemas hide what is wrong
		},
	}
}

func (j *Judge) isTime(text string) error {
	for _, layout := range append([]string{time.RFC3339Nano}, j.Times...) {
		if _, err := time.Parse(layout, text); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%q is no time", text)
}

func isURI(text string) error {
	u, err := url.Parse(text)
	if err == nil && !u.IsAbs() {
		err = fmt.Errorf("%q is no absolute address", text)
	}
	return err
}

func (j *Judge) count(route *routers.Route, status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen[fmt.Sprint(route.Operation.OperationID, " ", status)]++
}

// Seen lists what was judged, each as "operationId status", sorted.
func (j *Judge) Seen() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := make([]string, 0, len(j.seen))
	for s := range j.seen {
		seen = append(seen, s)
	}
	slices.Sort(seen)
	return seen
}

// Require fails the test unless every one of these was judged, each written as
// Seen does: a test that judged nothing proves nothing.
func (j *Judge) Require(operations ...string) {
	j.t.Helper()
	seen := j.Seen()
	for _, o := range operations {
		if !slices.Contains(seen, o) {
			j.t.Errorf("openapi: %q was never judged; seen: %q", o, seen)
		}
	}
}

// drain reads a body and puts back what was read.
func drain(body *io.ReadCloser) ([]byte, error) {
	if *body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(*body)
	if err != nil {
		return nil, err
	}
	if err := (*body).Close(); err != nil {
		return nil, err
	}
	*body = io.NopCloser(bytes.NewReader(b))
	return b, nil
}
