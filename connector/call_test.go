package connector_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// answers is a network that answers every request the same way.
type answers struct {
	status int
	header http.Header
	body   io.Reader
	err    error
	seen   *http.Request
	sent   string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.seen = r
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		a.sent = string(b)
	}
	if a.err != nil {
		return nil, a.err
	}
	body := a.body
	if body == nil {
		body = strings.NewReader("")
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(body), Request: r}, nil
}

func session(a *answers) *connector.Session {
	return &connector.Session{
		HTTP:      &http.Client{Transport: a, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Endpoints: map[string]string{"api": "https://api.example.com/v1/", "upload": "https://up.example.com"},
		Now:       func() time.Time { return time.Unix(1_700_000_000, 0) },
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	a := &answers{status: 201, body: strings.NewReader(`{"id":7}`)}
	var out struct{ ID int }
	if err := session(a).JSON(t.Context(), http.MethodPost, "/things?x=1", map[string]string{"a": "b"}, &out); err != nil {
		t.Fatal(err)
	}
	if out.ID != 7 || a.sent != `{"a":"b"}` || a.seen.URL.String() != "https://api.example.com/v1/things?x=1" ||
		a.seen.Header.Get("Content-Type") != "application/json" || a.seen.Header.Get("Accept") != "application/json" {
		t.Errorf("id %d, sent %s to %s with %v", out.ID, a.sent, a.seen.URL, a.seen.Header)
	}
}

func TestJSONAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, path, want string }{
		{"relative", "things", "https://api.example.com/v1/things"},
		{"absolute", "https://api.example.com/v2/next?cursor=1", "https://api.example.com/v2/next?cursor=1"},
		{"another endpoint", "https://UP.example.com/x", "https://UP.example.com/x"},
		{"another host", "https://evil.example/v1", ""},
		{"another port", "https://api.example.com:444/v1", ""},
		{"another scheme", "http://api.example.com/v1", ""},
		{"the host as user", "https://api.example.com@evil.example/", ""},
		{"user info", "https://me:pw@api.example.com/", ""},
		{"a longer host", "https://api.example.com.evil.example/", ""},
		{"dots", "things/../../admin", ""},
		{"escaped dots", "things/%2e%2e/admin", ""},
		{"backslash dots", `things\..\admin`, ""},
		{"scheme-relative", "//evil.example/x", "https://api.example.com/v1/evil.example/x"},
		{"a file", "file:///etc/passwd", ""},
		{"control characters", "a\nb", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := &answers{status: 204}
			err := session(a).JSON(t.Context(), http.MethodGet, c.path, nil, nil)
			if c.want == "" {
				if !errors.Is(err, connector.ErrRefused) || a.seen != nil {
					t.Fatalf("want ErrRefused and nothing sent; got %v, %v", err, a.seen)
				}
				return
			}
			if err != nil || a.seen.URL.String() != c.want {
				t.Errorf("got %v, %v", err, a.seen)
			}
		})
	}
}

func TestJSONErrors(t *testing.T) {
	t.Parallel()
	sentinels := []error{connector.ErrGone, connector.ErrRevoked, connector.ErrScope, connector.ErrRefused}
	for _, c := range []struct {
		name   string
		answer answers
		is     error         // nil: none of the sentinels
		retry  bool          // a RetryError
		after  time.Duration // of it
		status int           // of the StatusError; 0: none
	}{
		{"401", answers{status: 401}, connector.ErrRevoked, false, 0, 401},
		{"403", answers{status: 403}, connector.ErrScope, false, 0, 403},
		{"403 too fast", answers{status: 403, header: http.Header{"Retry-After": {"60"}}}, nil, true, time.Minute, 403},
		{"404", answers{status: 404}, connector.ErrGone, false, 0, 404},
		{"410", answers{status: 410}, connector.ErrGone, false, 0, 410},
		{"422", answers{status: 422, body: strings.NewReader("bad url")}, connector.ErrRefused, false, 0, 422},
		{"302", answers{status: 302, header: http.Header{"Location": {"https://evil.example"}}}, connector.ErrRefused, false, 0, 302},
		{"408", answers{status: 408}, nil, true, 0, 408},
		{"429", answers{status: 429, header: http.Header{"Retry-After": {"7"}}}, nil, true, 7 * time.Second, 429},
		{"429 until a date", answers{status: 429, header: http.Header{"Retry-After": {"Tue, 14 Nov 2023 22:14:20 GMT"}}}, nil, true, time.Minute, 429},
		{"429 for years", answers{status: 429, header: http.Header{"Retry-After": {"4000000000"}}}, nil, true, 24 * time.Hour, 429},
		{"429 nonsense", answers{status: 429, header: http.Header{"Retry-After": {"-1"}}}, nil, true, 0, 429},
		{"503", answers{status: 503}, nil, true, 0, 503},
		{"network", answers{err: io.ErrUnexpectedEOF}, nil, true, 0, 0},
		{"cut answer", answers{status: 200, body: io.MultiReader(strings.NewReader("{"), cut{})}, nil, true, 0, 0},
		{"refresh failed", answers{err: fmt.Errorf("refresh: %w", connector.ErrRevoked)}, connector.ErrRevoked, false, 0, 0},
		{"refresh asks to wait", answers{err: &connector.RetryError{After: time.Second, Err: io.EOF}}, nil, true, time.Second, 0},
		{"no JSON", answers{status: 200, body: strings.NewReader("<html>")}, nil, false, 0, 0},
		{"empty", answers{status: 200}, nil, false, 0, 0},
		{"too long", answers{status: 200, body: io.LimitReader(zeros{}, 9<<20)}, connector.ErrRefused, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out any
			err := session(&c.answer).JSON(t.Context(), http.MethodGet, "x?secret=1", nil, &out)
			if err == nil || strings.Contains(err.Error(), "secret=1") {
				t.Fatalf("want an error without the query, got %v", err)
			}
			for _, s := range sentinels {
				if errors.Is(err, s) != errors.Is(c.is, s) {
					t.Errorf("errors.Is %v: %v", s, err)
				}
			}
			var retry *connector.RetryError
			if errors.As(err, &retry) != c.retry || c.retry && retry.After != c.after {
				t.Errorf("RetryError: %+v in %v", retry, err)
			}
			var status *connector.StatusError
			if errors.As(err, &status) != (c.status != 0) || c.status != 0 && status.Status != c.status {
				t.Errorf("StatusError: %+v in %v", status, err)
			}
		})
	}
}

func TestJSONCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := session(&answers{err: context.Canceled}).JSON(ctx, http.MethodGet, "x", nil, nil)
	var retry *connector.RetryError
	if !errors.Is(err, context.Canceled) || errors.As(err, &retry) {
		t.Errorf("got %v", err)
	}
}

func TestJSONNoContent(t *testing.T) {
	t.Parallel()
	out := json.RawMessage("untouched")
	if err := session(&answers{status: 204}).JSON(t.Context(), http.MethodGet, "x", nil, &out); err != nil || string(out) != "untouched" {
		t.Errorf("got %v, %s", err, out)
	}
}

func TestStatusErrorIsShort(t *testing.T) {
	t.Parallel()
	err := connector.NewStatusError(500, []byte(strings.Repeat("é", 5000)+"\xff"))
	if len(err.Body) > 2<<10+3 || !strings.HasPrefix(err.Error(), "status 500: éé") {
		t.Errorf("%d bytes: %.40s", len(err.Body), err.Error())
	}
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
