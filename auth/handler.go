package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
)

const (
	maxForm   = 256 << 10 // of what is entered on the Continue page, in bytes
	rawLength = 43        // of tickets, states and cookies: 32 bytes in base64
)

// Handler serves /connect/ and /oauth/ below the path of Config.PublicURL. It
// sees full paths: do not put it behind http.StripPrefix.
func (a *Authorizer) Handler() http.Handler { return http.HandlerFunc(a.serve) }

func (a *Authorizer) serve(w http.ResponseWriter, r *http.Request) {
	a.pages.protect(w.Header(), "")
	path, ok := strings.CutPrefix(r.URL.Path, a.public.Path)
	if ticket, found := strings.CutPrefix(path, "/connect/"); ok && found {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			a.showContinue(w, r, ticket)
		case http.MethodPost:
			a.postContinue(w, r, ticket)
		default:
			methodNotAllowed(w, "GET, HEAD, POST")
		}
		return
	}
	if ok && path == "/oauth/callback" {
		if r.Method != http.MethodGet {
			methodNotAllowed(w, "GET")
			return
		}
		a.callback(w, r)
		return
	}
	http.Error(w, "mounted at the wrong path: expected "+a.public.Path+"/connect/… or "+a.public.Path+"/oauth/callback; do not use http.StripPrefix", http.StatusNotFound)
}

func methodNotAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
}

// showContinue shows the Continue page of a ticket.
func (a *Authorizer) showContinue(w http.ResponseWriter, r *http.Request, raw string) {
	t, e, ok := a.openTicket(w, r, raw)
	if !ok {
		return
	}
	app, err := a.chooseApp(r.Context(), t.Request.Environment, e)
	if err != nil {
		a.showTrouble(r.Context(), w, e, "no App for the Continue page", err)
		return
	}
	a.renderContinue(w, r, raw, t, e, app, nil, nil, http.StatusOK)
}

func (a *Authorizer) renderContinue(w http.ResponseWriter, r *http.Request, raw string, t ticket, e *connector.Entry, app chosenApp, entered map[string]string, bad *InputError, status int) {
	cookie := a.cookieValue(r, a.connectCookie())
	if cookie == "" {
		cookie = id.Token(32)
	}
	p := continuePage{
		Connector: e.Label,
		Action:    a.public.Path + "/connect/" + raw,
		CSRF:      csrf(cookie, raw),
		Fields:    fieldViews(askedFields(e, t.Request), t.Request.Input, entered, bad),
		OAuth:     e.OAuth != nil,
	}
	if e.OAuth != nil {
		needed, err := a.cfg.Scopes(r.Context(), t.Request.Environment, e.Name)
		if err != nil {
			a.showTrouble(r.Context(), w, e, "scopes for the Continue page", err)
			return
		}
		p.describe(e, union(e.OAuth.Scopes, needed, app.app.Scopes, t.Request.Scopes))
	}
	a.setCookie(w, a.connectCookie(), cookie, a.public.Path+"/connect/"+raw)
	a.pages.render(w, status, "continue", p, e.Label, a.pages.formTargets(e, t.Request.Redirect))
}

// postContinue takes what was entered on the Continue page and goes on.
func (a *Authorizer) postContinue(w http.ResponseWriter, r *http.Request, raw string) {
	t, e, ok := a.openTicket(w, r, raw)
	if !ok {
		return
	}
	if t := r.Header.Get("Sec-Fetch-Site"); t != "" && t != "same-origin" && t != "none" {
		a.showForged(w, raw)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		a.pages.fail(w, http.StatusRequestEntityTooLarge, failurePage{Title: "That was too much", Text: "What was entered is too long."})
		return
	}
	cookie := a.cookieValue(r, a.connectCookie())
	if cookie == "" || subtle.ConstantTimeCompare([]byte(r.PostForm.Get("csrf")), []byte(csrf(cookie, raw))) != 1 {
		a.showForged(w, raw)
		return
	}
	// A browser that goes away does not leave half a connection.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 3*callTimeout)
	defer cancel()
	app, err := a.chooseApp(ctx, t.Request.Environment, e)
	if err != nil {
		a.showTrouble(r.Context(), w, e, "no App for the Continue page", err)
		return
	}
	entered := maps.Clone(t.Request.Input)
	if entered == nil {
		entered = make(map[string]string)
	}
	for _, f := range askedFields(e, t.Request) {
		if v := strings.TrimSpace(strings.ReplaceAll(r.PostForm.Get("field."+f.Name), "\r\n", "\n")); v != "" {
			entered[f.Name] = v
		}
	}
	values, err := checkInput(e.Name, e.Fields, entered)
	if bad, ok := errors.AsType[*InputError](err); ok {
		a.renderContinue(w, r, raw, t, e, app, entered, bad, http.StatusUnprocessableEntity)
		return
	}
	req := t.Request
	req.Input = values
	if req.checkSize() != nil {
		a.pages.fail(w, http.StatusRequestEntityTooLarge, failurePage{Title: "That was too much", Text: "What was entered is too long."})
		return
	}
	if e.OAuth == nil {
		rec, err := a.connectFields(ctx, e, req, hashID(ticketField, raw), a.confirm(r))
		a.finishConnect(ctx, w, e, outcome{state: state{Request: req, Ticket: raw, Until: t.Until}, record: rec, err: err})
		return
	}
	browser := id.Token(32)
	address, state, err := a.begin(ctx, e, app, req, state{Ticket: raw, Browser: hashID("browser", browser), Until: a.now().Add(stateLife)})
	if err != nil {
		a.showTrouble(r.Context(), w, e, "begin consent", err)
		return
	}
	a.setCookie(w, a.browserCookie(state), browser, a.public.Path+"/oauth/callback")
	seeOther(w, address)
}

func (a *Authorizer) openTicket(w http.ResponseWriter, r *http.Request, raw string) (ticket, *connector.Entry, bool) {
	if len(raw) != rawLength {
		a.pages.fail(w, http.StatusNotFound, endedPage())
		return ticket{}, nil, false
	}
	t, err := a.peekTicket(r.Context(), raw)
	if err == nil {
		var e *connector.Entry
		if e, err = a.lookup(t.Request.Connector); err == nil {
			return t, e, true
		}
	}
	if errors.Is(err, ErrState) {
		a.pages.fail(w, http.StatusNotFound, endedPage())
	} else {
		a.showTrouble(r.Context(), w, nil, "open ticket", err)
	}
	return t, nil, false
}

// showForged answers a press of Continue that did not come from our own page.
func (a *Authorizer) showForged(w http.ResponseWriter, raw string) {
	a.pages.fail(w, http.StatusForbidden, failurePage{
		Title: "Please press Continue once more",
		Text:  "This browser did not keep the cookie that protects the page, or the page was open for too long. Cookies must be allowed for this site.",
		Retry: a.public.Path + "/connect/" + raw,
	})
}

// showTrouble answers what neither the user nor the provider is to blame for.
func (a *Authorizer) showTrouble(ctx context.Context, w http.ResponseWriter, e *connector.Entry, what string, err error) {
	name := ""
	if e != nil {
		name = e.Name
	}
	a.cfg.Logger.ErrorContext(ctx, "auth: a consent failed on our side", "doing", what, "connector", name, "error", err)
	status := http.StatusServiceUnavailable
	text := "Something went wrong on our side. Nothing was changed. Please try again in a moment."
	if errors.Is(err, ErrNoApp) {
		status, text = http.StatusConflict, "This connection is not set up yet. Please tell the people who sent you here."
	}
	a.pages.fail(w, status, failurePage{Title: "That did not work", Text: text})
}

func (a *Authorizer) confirm(r *http.Request) func(Connection) error {
	if a.cfg.Confirm == nil {
		return nil
	}
	return func(c Connection) error { return a.cfg.Confirm(r, c) }
}

// Cookies. Each is limited to the one path that reads it.

func (a *Authorizer) cookiePrefix() string {
	if a.public.Scheme == "https" {
		return "__Secure-interactor-"
	}
	return "interactor-"
}

func (a *Authorizer) connectCookie() string { return a.cookiePrefix() + "connect" }

// browserCookie is named by its state, so that consents in several tabs do not
// get in each other's way.
func (a *Authorizer) browserCookie(state string) string {
	return a.cookiePrefix() + hashID("cookie", state)[:16]
}

func (a *Authorizer) setCookie(w http.ResponseWriter, name, value, path string) {
	age := int(stateLife.Seconds())
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever the public address is https
		Name: name, Value: value, Path: path, MaxAge: age,
		HttpOnly: true, Secure: a.public.Scheme == "https", SameSite: http.SameSiteLaxMode,
	})
}

func (a *Authorizer) cookieValue(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil || len(c.Value) != rawLength {
		return ""
	}
	return c.Value
}

// csrf proves that a form was made for the browser that holds the cookie.
func csrf(cookie, ticket string) string {
	mac := hmac.New(sha256.New, []byte(cookie))
	mac.Write([]byte("continue\x00" + ticket))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
