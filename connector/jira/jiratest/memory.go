package jiratest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Transport reaches the server without a socket. Other addresses it refuses or,
// where NewInMemory made the server, hands to that one's RoundTripper.
func (s *Server) Transport() http.RoundTripper { return memory{s} }

type memory struct{ s *Server }

// RoundTrip implements http.RoundTripper.
func (m memory) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if !strings.HasPrefix(r.URL.String(), m.s.URL+"/") {
		if m.s.http == nil {
			return m.s.sender.Transport.RoundTrip(r)
		}
		return nil, fmt.Errorf("jiratest: no stand-in for %s", r.URL.Redacted())
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // what a handler panics with is this very value
			resp, err = nil, io.ErrUnexpectedEOF
		} else if p != nil {
			panic(p)
		}
	}()
	in := r.Clone(r.Context())
	in.RequestURI, in.Host, in.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "127.0.0.1:2"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	m.s.ServeHTTP(w, in)
	resp = w.Result()
	resp.Request = r
	return resp, nil
}
