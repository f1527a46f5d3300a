package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// maxTokenAnswer bounds what is read of a token endpoint's answer, in bytes.
const maxTokenAnswer = 1 << 20

// tokens makes the calls to token and revocation endpoints that a connector
// describes as data.
type tokens struct {
	client *http.Client // does not follow redirects
	now    func() time.Time
}

func newTokens(client *http.Client, now func() time.Time) tokens {
	c := *client
	// A token endpoint does not redirect, and credentials do not follow.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar = nil
	return tokens{client: &c, now: now}
}

// exchange turns a code into a token.
func (t tokens) exchange(ctx context.Context, o *connector.OAuth, app connector.App, values map[string]string, code, redirect, verifier string) (*connector.Token, error) {
	std := map[string]string{"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
	if verifier != "" {
		std["code_verifier"] = verifier
	}
	call := map[string]string{"code": code, "redirect_uri": redirect, "code_verifier": verifier}
	return t.token(ctx, o, o.Token, app, std, call, values)
}

// refresh turns a refresh token into a token.
func (t tokens) refresh(ctx context.Context, o *connector.OAuth, app connector.App, values map[string]string, access, refresh string) (*connector.Token, error) {
	std := map[string]string{"grant_type": "refresh_token", "refresh_token": refresh}
	call := map[string]string{"token": access, "refresh_token": refresh}
	if o.Refresh != nil {
		return t.token(ctx, o, *o.Refresh, app, std, call, values)
	}
	r := o.Token
	r.Params = maps.Clone(r.Params)
	maps.DeleteFunc(r.Params, func(_ string, v connector.Template) bool { return ofConsent(v) })
	return t.token(ctx, o, r, app, std, call, values)
}

// ofConsent reports whether a parameter makes sense in a code exchange only.
func ofConsent(v connector.Template) bool {
	for _, name := range v.Names() {
		if name == "code" || name == "redirect_uri" || name == "code_verifier" {
			return true
		}
	}
	return false
}

// revoke ends a grant. What is gone already is no error.
func (t tokens) revoke(ctx context.Context, o *connector.OAuth, app connector.App, values map[string]string, access, refresh string) error {
	std := map[string]string{"token": or(refresh, access)}
	call := map[string]string{"token": access, "refresh_token": refresh}
	status, header, body, err := t.call(ctx, *o.Revoke, app, std, call, values)
	if err != nil {
		return err
	}
	switch status {
	case http.StatusNotFound, http.StatusGone, http.StatusUnauthorized:
		return nil
	}
	if doc, ok := parseDocument(header, body); ok && status != http.StatusOK {
		switch e := failure(o, status, header, doc, t.now()); {
		case e.Dead, e.Code == "invalid_token":
			return nil
		}
	}
	return connector.AnswerError(status, header, body, t.now())
}

func (t tokens) token(ctx context.Context, o *connector.OAuth, r connector.Request, app connector.App, std, call, values map[string]string) (*connector.Token, error) {
	status, header, body, err := t.call(ctx, r, app, std, call, values)
	if err != nil {
		return nil, err
	}
	return parseAnswer(o, status, header, body, t.now())
}

// call sends a Request. Its error is a *connector.RetryError when the network,
// not the description, is to blame; it never holds a parameter.
func (t tokens) call(ctx context.Context, r connector.Request, app connector.App, std, call, values map[string]string) (int, http.Header, []byte, error) {
	req, err := newRequest(ctx, r, app, std, call, values)
	if err != nil {
		return 0, nil, nil, err
	}
	res, err := t.client.Do(req)
	if err != nil {
		return 0, nil, nil, networkError(req, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenAnswer+1))
	if err != nil {
		return 0, nil, nil, networkError(req, err)
	}
	if len(body) > maxTokenAnswer {
		return 0, nil, nil, fmt.Errorf("auth: %s answered with more than %d bytes", req.URL.Host, maxTokenAnswer)
	}
	return res.StatusCode, res.Header, body, nil
}

func networkError(req *http.Request, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // its text holds the URL, and that may hold a secret
	}
	return &connector.RetryError{Err: fmt.Errorf("auth: %s cannot be reached: %w", req.URL.Host, err)}
}

// newRequest builds the call: std are the standard parameters, call what
// templates know beside the Connection's values and the App's.
func newRequest(ctx context.Context, r connector.Request, app connector.App, std, call, values map[string]string) (*http.Request, error) {
	known := []map[string]string{call, values, app.Placeholders()}
	u, err := fillURL(r.URL, known...)
	if err != nil {
		return nil, err
	}
	params := maps.Clone(std)
	if r.Auth == connector.InBody || r.Auth == connector.Basic && app.ClientSecret == "" {
		params["client_id"] = app.ClientID
		if app.ClientSecret != "" {
			params["client_secret"] = app.ClientSecret
		}
	}
	if err := apply(params, r.Params, known); err != nil {
		return nil, err
	}
	req, err := encode(ctx, r, u, params)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "interactor")
	for name, t := range r.Header {
		v, err := t.Fill(known...)
		if err != nil {
			return nil, err
		}
		req.Header.Set(name, v)
	}
	switch {
	case r.Auth == connector.Basic && app.ClientSecret != "": // RFC 6749, 2.3.1: both are form-encoded first
		req.SetBasicAuth(url.QueryEscape(app.ClientID), url.QueryEscape(app.ClientSecret))
	case r.Auth == connector.Bearer:
		req.Header.Set("Authorization", "Bearer "+call["token"])
	}
	return req, nil
}

// apply adds params to the standard ones; an empty template removes one.
func apply(to map[string]string, params map[string]connector.Template, known []map[string]string) error {
	for name, t := range params {
		if t == "" {
			delete(to, name)
			continue
		}
		v, err := t.Fill(known...)
		if err != nil {
			return err
		}
		to[name] = v
	}
	return nil
}

func encode(ctx context.Context, r connector.Request, u *url.URL, params map[string]string) (*http.Request, error) {
	var body []byte
	kind := ""
	switch r.Encoding {
	case connector.Query:
		q := u.Query()
		for name, v := range params {
			q.Set(name, v)
		}
		u.RawQuery = q.Encode()
	case connector.JSON:
		kind = "application/json"
		b, err := json.Marshal(params)
		if err != nil {
			return nil, err
		}
		body = b
	default:
		kind = "application/x-www-form-urlencoded"
		form := make(url.Values, len(params))
		for name, v := range params {
			form.Set(name, v)
		}
		body = []byte(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(or(r.Method, http.MethodPost)), u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("auth: the connector's Request is malformed")
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req, nil
}
