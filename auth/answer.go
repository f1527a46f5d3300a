package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// AnswerError is what a token endpoint says when it gives no token.
type AnswerError struct {
	Status      int
	Code        string // "invalid_grant"; may be empty
	Description string // the provider's text, shortened; may be empty
	Dead        bool   // the grant is refused for good: the user must consent anew
	Transient   bool   // the same request may succeed later

	codes []string
	after time.Duration
}

var _ error = (*AnswerError)(nil)

func (e *AnswerError) Error() string {
	msg := "the provider answered " + strconv.Itoa(e.Status)
	if e.Code != "" {
		msg += " " + e.Code
	}
	if e.Description != "" {
		msg += ": " + e.Description
	}
	return msg
}

// maxLifetime bounds what a provider can say about a token's life.
const maxLifetime = 10 * 365 * 24 * time.Hour

// parseAnswer reads what a token endpoint answered. An answer without an access
// token or with a non-empty error is a failure whatever its status.
func parseAnswer(o *connector.OAuth, status int, header http.Header, body []byte, now time.Time) (*connector.Token, error) {
	doc, ok := parseDocument(header, body)
	if !ok {
		return nil, failure(o, status, header, nil, now)
	}
	a := o.Answer
	access := text(find(doc, or(a.Access, "access_token")))
	if codes := errorCodes(doc); len(codes) > 0 || access == "" || status >= 400 {
		return nil, failure(o, status, header, doc, now)
	}
	t := &connector.Token{
		Access:  access,
		Refresh: text(find(doc, or(a.Refresh, "refresh_token"))),
		Scopes:  scopeList(find(doc, or(a.Scope, "scope"))),
		Values:  make(map[string]string),
	}
	for name, path := range a.Keep {
		if v := text(find(doc, path)); v != "" {
			t.Values[name] = v
		}
	}
	t.ExpiresAt = expiry(a, doc, now)
	return t, nil
}

func expiry(a connector.Answer, doc map[string]any, now time.Time) time.Time {
	if a.ExpiresAt != "" {
		if at, err := time.Parse(time.RFC3339, text(find(doc, a.ExpiresAt))); err == nil {
			return at
		}
	}
	life := a.Lifetime
	if s, err := strconv.ParseFloat(text(find(doc, or(a.ExpiresIn, "expires_in"))), 64); err == nil && s > 0 && !math.IsInf(s, 0) {
		life = maxLifetime
		if s < maxLifetime.Seconds() {
			life = time.Duration(s * float64(time.Second))
		}
	}
	if life <= 0 {
		return time.Time{} // until refused with 401
	}
	return now.Add(life)
}

// parseDocument reads JSON, or a form as some old endpoints answer.
func parseDocument(header http.Header, body []byte) (map[string]any, bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err == nil && doc != nil {
		return doc, true
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" && kind != "text/plain" {
		return nil, false
	}
	form, err := url.ParseQuery(strings.TrimSpace(string(body)))
	if err != nil || len(form) == 0 {
		return nil, false
	}
	doc = make(map[string]any, len(form))
	for name := range form {
		doc[name] = form.Get(name)
	}
	return doc, true
}

// find follows a path such as "authed_user.access_token"; alternatives are
// separated by "|". Behind id_token come the claims of the JWT: its signature is
// not checked because it came from the token endpoint itself (OpenID Connect
// Core 3.1.3.7, 6).
func find(doc map[string]any, paths string) any {
	for path := range strings.SplitSeq(paths, "|") {
		var at any = doc
		for step := range strings.SplitSeq(path, ".") {
			switch v := at.(type) {
			case map[string]any:
				at = v[step]
				if jwt, ok := at.(string); ok && step == "id_token" && path != step {
					at = claims(jwt)
				}
			case []any:
				i, err := strconv.Atoi(step)
				if err != nil || i < 0 || i >= len(v) {
					at = nil
				} else {
					at = v[i]
				}
			default:
				at = nil
			}
		}
		if at != nil && at != "" {
			return at
		}
	}
	return nil
}

func claims(jwt string) any {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var doc map[string]any
	if dec.Decode(&doc) != nil {
		return nil
	}
	return doc
}

// text is a value as it is kept: objects and lists as JSON.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// scopeList reads "a b", "a,b" or a list.
func scopeList(v any) []string {
	var scopes []string
	add := func(s string) {
		for _, one := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' }) {
			if !slices.Contains(scopes, one) {
				scopes = append(scopes, one)
			}
		}
	}
	switch v := v.(type) {
	case string:
		add(v)
	case []any:
		for _, s := range v {
			add(text(s))
		}
	}
	return scopes
}

// errorCodes returns what an answer calls its error, in each of the dialects; an
// answer that has any is a failure.
func errorCodes(doc map[string]any) []string {
	switch e := doc["error"].(type) {
	case string:
		if e != "" {
			return []string{e}
		}
	case bool:
		if e {
			return []string{"error"}
		}
	case json.Number:
		if e.String() != "0" {
			return []string{e.String()}
		}
	case map[string]any:
		codes := []string{}
		for _, name := range []string{"type", "code", "status", "message"} {
			if s := text(e[name]); s != "" {
				codes = append(codes, s)
			}
		}
		if len(codes) == 0 && len(e) > 0 {
			codes = append(codes, "error")
		}
		return codes
	case []any:
		if len(e) > 0 {
			return []string{"error"}
		}
	}
	if ok, said := doc["ok"].(bool); said && !ok {
		return []string{"error"}
	}
	return nil
}

// failure says what an answer without a token means.
func failure(o *connector.OAuth, status int, header http.Header, doc map[string]any, now time.Time) *AnswerError {
	e := &AnswerError{Status: status}
	if doc != nil {
		e.codes = errorCodes(doc)
		for _, name := range []string{"code", "status", "errorCode", "error_code"} { // HubSpot and others, without "error"
			if s := text(doc[name]); s != "" {
				e.codes = append(e.codes, s)
			}
		}
		e.Description = shorten(text(find(doc, "error_description|message|error.message")))
	}
	if len(e.codes) > 0 {
		e.Code = shorten(e.codes[0])
	}
	for _, code := range e.codes {
		e.Dead = e.Dead || code == "invalid_grant" || code == "unauthorized_client" || slices.Contains(o.Dead, code)
	}
	if retry, ok := errors.AsType[*connector.RetryError](connector.AnswerError(status, header, nil, now)); ok {
		e.after = retry.After
		e.Transient = !e.Dead
	}
	switch e.Code {
	case "temporarily_unavailable", "server_error", "slow_down", "ratelimited", "internal_error":
		e.Transient = true
	}
	if e.Code == "" && status < 400 {
		e.Description = "there is no access token in the answer"
	}
	return e
}

// shorten makes a provider's text fit for a log line and a page.
func shorten(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// deadGrant reports whether err says that the grant is refused for good.
func deadGrant(err error) bool {
	e, ok := errors.AsType[*AnswerError](err)
	return ok && e.Dead || errors.Is(err, connector.ErrRevoked)
}

// transient reports whether the same call may succeed later, and when.
func transient(err error) (time.Duration, bool) {
	if e, ok := errors.AsType[*AnswerError](err); ok {
		return e.after, e.Transient
	}
	if retry, ok := errors.AsType[*connector.RetryError](err); ok {
		return retry.After, true
	}
	return 0, false
}
