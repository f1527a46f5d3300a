package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// maxSessionAnswer bounds an answer read through a Session, in bytes.
const maxSessionAnswer = 64 << 20

// Session returns a Connection as a connector may see it: an authorised client,
// no token. It works for a closing Connection, too, so that its watches can be
// removed. A grant that the provider refuses is a [*ReconnectError].
func (a *Authorizer) Session(ctx context.Context, connection string) (*connector.Session, error) {
	_, s, err := a.session(ctx, &stored{a: a, id: connection}, maxSessionAnswer)
	return s, err
}

// Client returns an HTTP client that is authorised as the connection: it adds the
// token, refreshes it when needed (one refresh at a time across all processes) and
// keeps the new one before using it. It sends the token only to hosts of the
// connector's API, and no request to any other host but for redirects, which go
// there without the token. A 401 is answered by one refresh and one more try if
// the request can be sent again (see http.Request.GetBody). ctx is for this
// look-up only; each request brings its own.
func (a *Authorizer) Client(ctx context.Context, connection string) (*http.Client, error) {
	_, s, err := a.session(ctx, &stored{a: a, id: connection, usable: true}, 0)
	if err != nil {
		return nil, err
	}
	return s.HTTP, nil
}

// Token returns a fresh token, for protocols other than HTTP. Do not keep it.
func (a *Authorizer) Token(ctx context.Context, connection string) (*connector.Token, error) {
	h, err := (&stored{a: a, id: connection}).credential(ctx)
	if err != nil {
		return nil, err
	}
	return &connector.Token{Access: h.token.Access, ExpiresAt: h.token.ExpiresAt, Scopes: h.record.Scopes, Values: h.record.Values}, nil
}

// Secrets returns the secret Fields of a Connection, for what verifies the
// requests at its addresses.
func (a *Authorizer) Secrets(ctx context.Context, connection string) (map[string]string, error) {
	r, err := a.Get(ctx, connection)
	if err != nil {
		return nil, err
	}
	return a.openFields(ctx, r)
}

func (a *Authorizer) session(ctx context.Context, c *stored, limit int64) (Record, *connector.Session, error) {
	r, err := a.Get(ctx, c.id)
	if err != nil {
		return r, nil, err
	}
	if err := c.check(r); err != nil {
		return r, nil, err
	}
	e, err := a.lookup(r.Connector)
	if err != nil {
		return r, nil, err
	}
	app, err := a.appOf(ctx, r, e)
	if err != nil {
		return r, nil, err
	}
	fields, err := a.openFields(ctx, r)
	if err != nil {
		return r, nil, err
	}
	s, err := a.makeSession(e, r, app, fields, c, limit)
	return r, s, err
}

func reconnect(r Record, err error) error {
	if err == nil && r.Reason != "" {
		err = fmt.Errorf("%s", r.Reason)
	}
	return &ReconnectError{Connection: r.Connection, Err: err}
}

func (a *Authorizer) makeSession(e *connector.Entry, r Record, app connector.App, fields map[string]string, c credentials, limit int64) (*connector.Session, error) {
	t := &transport{
		base:    a.cfg.HTTPClient.Transport,
		creds:   c,
		use:     e.Use,
		bearer:  e.OAuth != nil || e.Granter != nil,
		app:     app.Placeholders(),
		origins: make(map[string]bool, len(e.Endpoints)),
		limit:   limit,
	}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	s := &connector.Session{
		HTTP:       &http.Client{Transport: t, Timeout: a.cfg.HTTPClient.Timeout},
		Endpoints:  make(map[string]string, len(e.Endpoints)),
		Identities: slices.Clone(r.Identities),
		Values:     maps.Clone(r.Values),
		App:        openApp(e, app),
		Now:        a.cfg.Now,
	}
	for name, tmpl := range e.Endpoints {
		u, err := fillURL(tmpl, r.Values, fields, t.app)
		if err != nil {
			return nil, fmt.Errorf("auth: %s of %s: %w", name, e.Name, err)
		}
		s.Endpoints[name] = u.String()
		t.origins[origin(u)] = true
	}
	return s, nil
}

// openApp is what a Session shows of an App: no secrets.
func openApp(e *connector.Entry, app connector.App) map[string]string {
	open := make(map[string]string)
	for name, v := range app.Fields {
		if slices.ContainsFunc(e.AppFields, func(f connector.Field) bool { return f.Name == name && !f.Secret }) {
			open[name] = v
		}
	}
	if app.ClientID != "" {
		open["client_id"] = app.ClientID
	}
	return open
}

// held is what a request is authorised with.
type held struct {
	record Record
	token  token
	fields map[string]string
}

// credentials are where a transport gets them from.
type credentials interface {
	credential(ctx context.Context) (held, error)
	// renew replaces a token that the provider refused; false: it cannot.
	renew(ctx context.Context, refused string) (held, bool, error)
}

// fresh is a grant that is not stored yet: the first Identify works with it.
type fresh struct{ held }

var _ credentials = (*fresh)(nil)

func (f *fresh) credential(context.Context) (held, error) { return f.held, nil }

func (f *fresh) renew(context.Context, string) (held, bool, error) { return held{}, false, nil }

// stored is the grant of a stored Connection. The record is read for each
// request, so that a refresh or a disconnect by another process counts at once;
// what is sealed is opened again only when it changed.
type stored struct {
	a      *Authorizer
	id     string
	usable bool // not for a closing one, whose Session is for removing what is left at the provider

	mu     sync.Mutex
	last   held
	opened bool
}

var _ credentials = (*stored)(nil)

// check refuses a Connection that calls cannot be made with.
func (s *stored) check(r Record) error {
	if !r.live() || s.usable && r.Closing {
		return reconnect(r, nil)
	}
	return nil
}

func (s *stored) credential(ctx context.Context) (held, error) {
	h, err := s.read(ctx)
	if err != nil {
		return h, err
	}
	now := s.a.now()
	r := &h.record
	expired := !h.token.ExpiresAt.IsZero() && !now.Before(h.token.ExpiresAt)
	due := !r.RefreshAt.IsZero() && !now.Before(r.RefreshAt)
	switch {
	case !expired && !due:
		return h, nil
	case expired && r.RefreshTries > 0 && !due: // the provider is asked again when it is time
		return held{}, &connector.RetryError{After: r.RefreshAt.Sub(now), Err: fmt.Errorf("auth: token of %s cannot be refreshed yet: %s", r.ID, r.Reason)}
	}
	renewed, err := s.a.refresh(ctx, s.id, h.token.Access)
	if retry := (*connector.RetryError)(nil); !expired && errors.As(err, &retry) {
		return h, nil // it is still good for a while
	}
	return renewed, err
}

func (s *stored) renew(ctx context.Context, refused string) (held, bool, error) {
	h, err := s.read(ctx)
	if err != nil {
		return h, false, err
	}
	if h.token.Access != refused {
		return h, true, nil // somebody else was faster
	}
	e, err := s.a.lookup(h.record.Connector)
	if err != nil {
		return h, false, err
	}
	if h.token.Refresh == "" && e.Granter == nil {
		return h, false, nil
	}
	h, err = s.a.refresh(ctx, s.id, refused)
	return h, err == nil, err
}

func (s *stored) read(ctx context.Context) (held, error) {
	r, err := s.a.Get(ctx, s.id)
	if err != nil {
		return held{}, err
	}
	if err := s.check(r); err != nil {
		return held{}, err
	}
	s.mu.Lock()
	last, opened := s.last, s.opened
	s.mu.Unlock()
	if opened && bytes.Equal(last.record.Token, r.Token) && bytes.Equal(last.record.Secrets, r.Secrets) {
		last.record = r
		return last, nil
	}
	h, err := s.a.openHeld(ctx, r)
	if err != nil {
		return held{}, err
	}
	s.mu.Lock()
	s.last, s.opened = h, true
	s.mu.Unlock()
	return h, nil
}

// openHeld opens what is sealed in a record.
func (a *Authorizer) openHeld(ctx context.Context, r Record) (held, error) {
	t, err := a.openToken(ctx, r)
	if err != nil {
		return held{}, err
	}
	f, err := a.openFields(ctx, r)
	return held{record: r, token: t, fields: f}, err
}

// refreshTime is when a grant is refreshed ahead of its expiry; zero: never.
// Without a refresh token it is when the Connection expires.
func refreshTime(e *connector.Entry, t token, now time.Time, jitter func(time.Duration) time.Duration) time.Time {
	can := t.Refresh != "" || e.Granter != nil
	if !can {
		return t.ExpiresAt
	}
	var at time.Time
	if !t.ExpiresAt.IsZero() {
		lead := min(time.Minute, t.ExpiresAt.Sub(now)/10)
		at = t.ExpiresAt.Add(-lead - jitter(lead))
	}
	if e.OAuth != nil && e.OAuth.Idle > 0 {
		half := e.OAuth.Idle / 2
		if idle := now.Add(half - jitter(half/20)); at.IsZero() || idle.Before(at) {
			at = idle
		}
	}
	return at
}
