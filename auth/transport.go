package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/interactorhq/interactor/connector"
)

// transport adds a Connection's credential to requests to its connector's API,
// and to nothing else.
type transport struct {
	base    http.RoundTripper
	creds   credentials
	use     connector.Use
	bearer  bool              // what Use defaults to
	app     map[string]string // placeholders of the App
	origins map[string]bool   // of the Endpoints: scheme, host and port
	limit   int64             // of an answer, in bytes; 0: none
}

var _ http.RoundTripper = (*transport)(nil)

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.origins[origin(req.URL)] {
		if req.Response != nil { // a redirect: to a file store, say
			return t.base.RoundTrip(req)
		}
		closeBody(req)
		return nil, fmt.Errorf("%w: %s is none of the connector's Endpoints: the credential stays here", connector.ErrRefused, req.URL.Host)
	}
	ctx := req.Context()
	h, err := t.creds.credential(ctx)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	res, err := t.send(req, h)
	if err != nil || res.StatusCode != http.StatusUnauthorized || !replayable(req) {
		return t.bounded(res), err
	}
	h, renewed, err := t.creds.renew(ctx, h.token.Access)
	if err != nil {
		drain(res)
		return nil, err
	}
	if !renewed {
		return t.bounded(res), nil
	}
	again, err := replay(ctx, req)
	if err != nil {
		return t.bounded(res), nil //nolint:nilerr // the 401 says more than why the body is gone
	}
	drain(res)
	res, err = t.send(again, h)
	return t.bounded(res), err
}

// send authorises a copy of the request: a RoundTripper leaves the original alone.
func (t *transport) send(req *http.Request, h held) (*http.Response, error) {
	out := req.Clone(req.Context())
	if err := t.authorise(out, h); err != nil {
		closeBody(req)
		return nil, err
	}
	return t.base.RoundTrip(out)
}

func (t *transport) authorise(req *http.Request, h held) error {
	u := t.use
	own := map[string]string{"token": h.token.Access}
	known := []map[string]string{own, h.record.Values, h.fields, t.app}
	if len(u.Header) == 0 && u.User == "" && u.Pass == "" && u.Path == "" {
		if t.bearer {
			req.Header.Set("Authorization", "Bearer "+h.token.Access)
		}
		return nil
	}
	for name, tmpl := range u.Header {
		v, err := tmpl.Fill(known...)
		if err != nil {
			return err
		}
		req.Header.Set(name, v)
	}
	if u.User != "" || u.Pass != "" {
		user, err := u.User.Fill(known...)
		if err != nil {
			return err
		}
		pass, err := u.Pass.Fill(known...)
		if err != nil {
			return err
		}
		req.SetBasicAuth(user, pass)
	}
	if u.Path != "" && req.Response == nil { // the provider's redirects say where they lead
		prefix, err := fillURL("https://path.invalid"+u.Path, known...)
		if err != nil {
			return errors.New("auth: the connector's Use.Path lacks a value")
		}
		req.URL.RawPath = prefix.EscapedPath() + req.URL.EscapedPath()
		req.URL.Path = prefix.Path + req.URL.Path
	}
	return nil
}

func (t *transport) bounded(res *http.Response) *http.Response {
	if res != nil && t.limit > 0 {
		res.Body = &limited{ReadCloser: res.Body, left: t.limit}
	}
	return res
}

// limited fails a body that is longer than it may be.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var one [1]byte
		n, err := l.ReadCloser.Read(one[:])
		if n > 0 {
			return 0, fmt.Errorf("%w: the answer has more than %d MiB: ask for smaller pages", connector.ErrRefused, maxSessionAnswer>>20)
		}
		return 0, err
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	return n, err
}

func replayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

func replay(ctx context.Context, req *http.Request) (*http.Request, error) {
	again := req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	return again, nil
}

func drain(res *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10))
	res.Body.Close()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
