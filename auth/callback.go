package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"

	"github.com/interactorhq/interactor/connector"
)

// Values of ?error= at RedirectURL, beside those of the provider (RFC 6749,
// 4.1.2.1: access_denied and others).
const (
	errorProvider    = "temporarily_unavailable" // the provider could not be reached: try again
	errorRefused     = "provider_refused"        // it did not accept the code or the account
	errorInput       = "invalid_input"           // its answer is not for what was asked, such as another shop
	errorUnconfirmed = "not_confirmed"           // Config.Confirm said no
	errorInternal    = "internal"
)

// callback is where the provider sends the browser.
func (a *Authorizer) callback(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	raw := q["state"]
	if err != nil || len(raw) == 0 || raw[0] == "" {
		a.pages.fail(w, http.StatusBadRequest, strayPage())
		return
	}
	if len(raw) != 1 || len(raw[0]) != rawLength || len(q["code"]) > 1 || len(q["error"]) > 1 {
		a.pages.fail(w, http.StatusBadRequest, endedPage())
		return
	}
	// A browser that goes away does not leave half a connection.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 3*callTimeout)
	defer cancel()
	st, err := a.takeState(ctx, raw[0])
	if errors.Is(err, ErrState) {
		a.pages.fail(w, http.StatusBadRequest, endedPage())
		return
	}
	if err != nil {
		a.showTrouble(ctx, w, nil, "take state", err)
		return
	}
	if st.Browser != "" {
		name := a.browserCookie(raw[0])
		cookie := a.cookieValue(r, name)
		a.setCookie(w, name, "", a.public.Path+"/oauth/callback")
		if cookie == "" || subtle.ConstantTimeCompare([]byte(hashID("browser", cookie)), []byte(st.Browser)) != 1 {
			// No way back from here: whoever sees this page did not begin the consent.
			a.cfg.Logger.WarnContext(ctx, "auth: callback in another browser than the Continue page", "connector", st.Request.Connector)
			a.pages.fail(w, http.StatusBadRequest, failurePage{
				Title: "Please use one browser",
				Text:  "This connection was begun in another browser, or this one did not keep our cookie. For your safety it must end where it began: open the link again.",
			})
			return
		}
	}
	e, err := a.lookup(st.Request.Connector)
	if err != nil {
		a.showTrouble(ctx, w, nil, "callback", err)
		return
	}
	rec, err := a.complete(ctx, r, e, st, q)
	a.finishConnect(ctx, w, e, outcome{state: st, record: rec, err: err})
}

// denied is an error parameter of the callback.
type denied struct{ code, description string }

func (d *denied) Error() string { return d.code + ": " + d.description }

var errorCode = regexp.MustCompile(`\A[A-Za-z0-9_.-]{1,64}\z`)

// complete turns a callback into a Connection.
func (a *Authorizer) complete(ctx context.Context, r *http.Request, e *connector.Entry, st state, q url.Values) (Record, error) {
	var none Record
	if code := q.Get("error"); code != "" {
		if !errorCode.MatchString(code) {
			code = errorRefused
		}
		return none, &denied{code, shorten(q.Get("error_description"))}
	}
	if e.OAuth == nil {
		return none, fmt.Errorf("auth: %s has no consent page any more", e.Name)
	}
	app, err := a.appOf(ctx, Record{Connection: Connection{Environment: st.Request.Environment, Connector: e.Name}, App: st.App, ClientID: st.ClientID}, e)
	if err != nil {
		return none, err
	}
	if e.CallbackVerifier != nil {
		if err := e.CallbackVerifier.VerifyCallback(app.Values(), q); err != nil {
			return none, &mismatch{fmt.Sprintf("the callback is not proven: %v", err)}
		}
	}
	g := granted{
		request: st.Request, app: chosenApp{st.App, app}, asked: bare(st.Asked), needed: st.Needed,
		values: make(map[string]string), confirm: a.confirm(r),
	}
	if st.Ticket != "" {
		g.ticket = hashID(ticketField, st.Ticket)
	}
	for name, parameter := range e.OAuth.Callback {
		v := q.Get(parameter)
		if asked := st.Request.Input[name]; asked != "" && v != asked {
			return none, &mismatch{fmt.Sprintf("the callback's %s is not the one that was asked for", parameter)}
		}
		if v != "" {
			g.values[name] = v
		}
	}
	t, err := a.redeem(ctx, e, app, st, g.values, q.Get("code"))
	if err != nil {
		return none, err
	}
	g.token = *t
	rec, err := a.establish(ctx, e, g)
	if _, no := errors.AsType[*refusal](err); no {
		a.giveBack(ctx, e, app, rec, *t)
	}
	return rec, err
}

// redeem turns the code into a token.
func (a *Authorizer) redeem(ctx context.Context, e *connector.Entry, app connector.App, st state, kept map[string]string, code string) (*connector.Token, error) {
	values := make(map[string]string, len(st.Request.Input)+len(kept))
	maps.Copy(values, kept)
	maps.Copy(values, st.Request.Input)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if e.Granter != nil {
		return a.grant(ctx, e, app, values, code, nil)
	}
	if code == "" {
		return nil, &mismatch{"the callback carries no code"}
	}
	return a.tokens.exchange(ctx, e.OAuth, app, values, code, a.callbackURL(), st.Verifier)
}

// giveBack revokes a grant that was refused by Config.Confirm, unless somebody
// else lives on it. It is a courtesy: a failure is only logged.
func (a *Authorizer) giveBack(ctx context.Context, e *connector.Entry, app connector.App, rec Record, t connector.Token) {
	if e.OAuth.Revoke == nil {
		return
	}
	shared, err := a.cfg.Store.SharesGrant(ctx, rec)
	if err == nil && !shared {
		err = a.tokens.revoke(ctx, e.OAuth, app, rec.Values, t.Access, t.Refresh)
	}
	if err != nil {
		a.cfg.Logger.WarnContext(ctx, "auth: a refused grant stays at the provider", "connector", e.Name, "error", err)
	}
}

// mismatch is a callback that is not the answer to what was asked.
type mismatch struct{ text string }

func (e *mismatch) Error() string { return "auth: " + e.text }

// outcome is how a consent ended.
type outcome struct {
	state  state
	record Record
	err    error
}

// finishConnect shows how it ended, or tells RedirectURL.
func (a *Authorizer) finishConnect(ctx context.Context, w http.ResponseWriter, e *connector.Entry, o outcome) {
	req := o.state.Request
	if o.err == nil {
		a.cfg.Logger.InfoContext(ctx, "auth: connected", "connector", e.Name, "connection", o.record.ID, "environment", req.Environment)
		if req.Redirect != "" {
			seeOther(w, req.returnURL(url.Values{"status": {"success"}, "connection": {o.record.ID}}))
			return
		}
		a.pages.render(w, http.StatusOK, "success", successPage{Connector: e.Label, Identity: o.record.Identity}, e.Label, "")
		return
	}
	a.cfg.Logger.WarnContext(ctx, "auth: not connected", "connector", e.Name, "environment", req.Environment, "error", o.err.Error())
	code, status, page := explain(e, o.err)
	if req.Redirect != "" {
		seeOther(w, req.returnURL(url.Values{"status": {"error"}, "error": {code}}))
		return
	}
	if page.again {
		page.Retry = a.retryURL(ctx, e, o.state)
	}
	a.pages.fail(w, status, page)
}

// retryURL leads back to where the consent began: to the Continue page, whose
// ticket is good until a Connection came of it, or to the provider with a fresh
// state. Empty when the time is over.
func (a *Authorizer) retryURL(ctx context.Context, e *connector.Entry, st state) string {
	if st.Ticket != "" {
		return a.public.Path + "/connect/" + st.Ticket
	}
	if !a.now().Before(st.Until) || e.OAuth == nil {
		return ""
	}
	app, err := a.appOf(ctx, Record{Connection: Connection{Environment: st.Request.Environment, Connector: e.Name}, App: st.App, ClientID: st.ClientID}, e)
	if err != nil {
		return ""
	}
	address, _, err := a.begin(ctx, e, chosenApp{st.App, app}, st.Request, state{Until: st.Until})
	if err != nil {
		a.cfg.Logger.WarnContext(ctx, "auth: no second try", "connector", e.Name, "error", err)
		return ""
	}
	return address
}

// explain says what an error means for the program that sent the browser and for
// the person in front of it.
func explain(e *connector.Entry, err error) (code string, status int, page failurePage) {
	var (
		no      *denied
		refused *refusal
		wrong   *mismatch
		answer  *AnswerError
	)
	switch {
	case errors.As(err, &no) && (no.code == "access_denied" || no.code == "consent_required" || no.code == "user_denied"):
		return no.code, http.StatusBadRequest, failurePage{
			Title: "Not connected", Text: "You did not give access to " + e.Label + ". Nothing was changed.", again: true}
	case errors.As(err, &no):
		return no.code, http.StatusBadGateway, failurePage{
			Title: "Not connected", Text: e.Label + " did not complete the connection.", Code: no.code, again: true}
	case errors.As(err, &refused):
		return errorUnconfirmed, http.StatusForbidden, failurePage{Title: "Not connected", Text: shorten(refused.Error())}
	case errors.As(err, &wrong):
		return errorInput, http.StatusBadRequest, failurePage{
			Title: "Not connected", Text: "What " + e.Label + " answered does not belong to this connection. Please open the link again.", Code: errorInput}
	case errors.Is(err, ErrState):
		return errorInput, http.StatusBadRequest, endedPage()
	}
	if _, later := transient(err); later || errors.Is(err, context.DeadlineExceeded) {
		return errorProvider, http.StatusBadGateway, failurePage{
			Title: e.Label + " does not answer", Text: "Nothing was changed. Please try again in a moment.", Code: errorProvider, again: true}
	}
	if errors.As(err, &answer) || errors.Is(err, connector.ErrRevoked) || errors.Is(err, connector.ErrScope) ||
		errors.Is(err, connector.ErrRefused) || errors.Is(err, connector.ErrGone) {
		p := failurePage{Title: "Not connected", Text: e.Label + " did not accept the connection.", Code: errorRefused, again: true}
		if answer != nil && errorCode.MatchString(answer.Code) {
			p.Code = answer.Code
		}
		return errorRefused, http.StatusBadGateway, p
	}
	return errorInternal, http.StatusServiceUnavailable, failurePage{
		Title: "That did not work", Text: "Something went wrong on our side. Please try again in a moment.", Code: errorInternal, again: true}
}

func bare(scopes []string) []string {
	list := make([]string, len(scopes))
	for i, s := range scopes {
		list[i] = bareScope(s)
	}
	return list
}

// seeOther redirects without a body: the address is not repeated in a page.
func seeOther(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}
