package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
)

// Bounds of a request, in bytes. Tickets and states are sealed in one piece, and
// the address of the provider must still fit into a browser.
const (
	maxAccount  = 512
	maxHint     = 512
	maxRedirect = 4 << 10
	maxScopes   = 8 << 10  // all of them together
	maxRequest  = 48 << 10 // as JSON
)

// request is a checked ConnectRequest, as tickets and states carry it.
type request struct {
	Environment string            `json:"environment"`
	Connector   string            `json:"connector"`
	Account     string            `json:"account"`
	Redirect    string            `json:"redirect,omitempty"`
	SkipInput   bool              `json:"skip_input,omitempty"`
	Input       map[string]string `json:"input,omitempty"`
	Scopes      []string          `json:"scopes,omitempty"`
	LoginHint   string            `json:"login_hint,omitempty"`
}

// ticket is what leads to the Continue page.
type ticket struct {
	Request request   `json:"request"`
	Until   time.Time `json:"until"`
}

// state is what a provider sends back.
type state struct {
	Request  request  `json:"request"`
	App      string   `json:"app,omitempty"`
	ClientID string   `json:"client_id"`
	Asked    []string `json:"asked,omitempty"`  // scopes
	Needed   []string `json:"needed,omitempty"` // of those, what the trigger list needs
	Verifier string   `json:"verifier,omitempty"`
	Ticket   string   `json:"ticket,omitempty"`  // raw; the Continue page that it began at
	Browser  string   `json:"browser,omitempty"` // hash of the cookie it is bound to

	Until time.Time `json:"until"`
}

// Names of what is sealed, and parts of the bind.
const (
	ticketField = "ticket"
	stateField  = "state"
)

// hashID is how the store knows what stands in a URL.
func hashID(kind, raw string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + raw))
	return hex.EncodeToString(sum[:])
}

// URL returns the address to send the end user's browser to, once, within 30
// minutes. With the default App it leads to the Continue page, with an App of
// the environment's own straight to the provider; also then to the Continue page
// when the connector needs fields that req.Input lacks. A connector without
// OAuth asks there for its fields and connects.
//
// Errors: [*RequestError], [ErrUnknownConnector], [ErrEnvironment], [ErrRedirect],
// [ErrNoApp] and, with SkipInput, [*InputError].
func (a *Authorizer) URL(ctx context.Context, req ConnectRequest) (address string, expires time.Time, err error) {
	r, e, err := a.check(req)
	if err != nil {
		return "", time.Time{}, err
	}
	app, err := a.chooseApp(ctx, r.Environment, e)
	if err != nil {
		return "", time.Time{}, err
	}
	values, inputErr := checkInput(e.Name, e.Fields, r.Input)
	var bad *InputError
	if errors.As(inputErr, &bad) && (len(bad.Invalid) > 0 || r.SkipInput) {
		return "", time.Time{}, inputErr
	}
	until := a.now().Add(stateLife)
	if e.OAuth != nil && app.id != "" && inputErr == nil {
		r.Input = values
		address, _, err = a.begin(ctx, e, app, r, state{Until: until})
		return address, until, err
	}
	raw := id.Token(32)
	// It outlives its own end by the life of a state: who pressed Continue in time
	// has as long at the provider as anybody else.
	err = a.put(ctx, ticketField, raw, until.Add(stateLife), ticket{Request: r, Until: until})
	return a.public.String() + "/connect/" + raw, until, err
}

// check turns a ConnectRequest into a request.
func (a *Authorizer) check(req ConnectRequest) (request, *connector.Entry, error) {
	if req.Connector == "" {
		return request{}, nil, &RequestError{"connector", "is missing: name one of the catalogue"}
	}
	e, err := a.lookup(req.Connector)
	if err != nil {
		return request{}, nil, err
	}
	switch {
	case req.Account == "":
		return request{}, nil, &RequestError{"account", "is missing: give the user's id on your server"}
	case len(req.Account) > maxAccount:
		return request{}, nil, &RequestError{"account", fmt.Sprintf("has %d bytes: at most %d are possible", len(req.Account), maxAccount)}
	case strings.ContainsFunc(req.Account, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		return request{}, nil, &RequestError{"account", "holds control characters or is not UTF-8"}
	}
	env, err := a.environment(req.Environment)
	if err != nil {
		return request{}, nil, err
	}
	if err := a.checkRedirect(req.RedirectURL); err != nil {
		return request{}, nil, err
	}
	r := request{
		Environment: env, Connector: e.Name, Account: req.Account, Redirect: req.RedirectURL, SkipInput: req.SkipInput,
		Input: maps.Clone(req.Input), Scopes: union(req.Scopes), LoginHint: req.LoginHint,
	}
	return r, e, r.checkSize()
}

func (r *request) checkSize() error {
	scopes := 0
	for _, s := range r.Scopes {
		scopes += len(s)
	}
	for _, part := range []struct {
		field     string
		size, max int
	}{
		{"redirectUrl", len(r.Redirect), maxRedirect},
		{"loginHint", len(r.LoginHint), maxHint},
		{"scope", scopes, maxScopes},
	} {
		if part.size > part.max {
			return &RequestError{part.field, fmt.Sprintf("has %d bytes: at most %d are possible", part.size, part.max)}
		}
	}
	whole, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("auth: encode request: %w", err)
	}
	if len(whole) > maxRequest {
		return &RequestError{"input", fmt.Sprintf("is too large: with all else the request has %d bytes, at most %d are possible", len(whole), maxRequest)}
	}
	return nil
}

// checkRedirect allows addresses at one of the RedirectOrigins: same scheme,
// host and port. What browsers and servers might read differently is refused.
func (a *Authorizer) checkRedirect(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil, strings.ContainsAny(address, "\\\t\r\n "), !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://"):
		return fmt.Errorf("%w: it is no absolute http or https address", ErrRedirect)
	case u.User != nil:
		return fmt.Errorf("%w: it holds a user name", ErrRedirect)
	case u.Fragment != "" || strings.Contains(address, "#"):
		return fmt.Errorf("%w: it holds a fragment, which the answer would get lost behind", ErrRedirect)
	case u.Hostname() == "" || !a.origins[origin(u)]:
		return fmt.Errorf("%w: add the origin %s://%s to RedirectOrigins", ErrRedirect, u.Scheme, u.Host)
	}
	return nil
}

// begin makes a state and returns the provider's address with it.
func (a *Authorizer) begin(ctx context.Context, e *connector.Entry, app chosenApp, r request, s state) (address, raw string, err error) {
	needed, err := a.cfg.Scopes(ctx, r.Environment, e.Name)
	if err != nil {
		return "", "", fmt.Errorf("auth: scopes of %s for %s: %w", e.Name, r.Environment, err)
	}
	c := newConsent(e.OAuth)
	s.Request, s.App, s.ClientID = r, app.id, app.app.ClientID
	s.Asked, s.Needed, s.Verifier = union(e.OAuth.Scopes, needed, app.app.Scopes, r.Scopes), needed, c.Verifier
	address, err = authorizeURL(e.OAuth, app.app, r.Input, s.Asked, a.callbackURL(), r.LoginHint, c)
	if err != nil {
		return "", "", err
	}
	return address, c.State, a.put(ctx, stateField, c.State, s.Until, s)
}

// put stores a ticket or state under the hash of raw.
func (a *Authorizer) put(ctx context.Context, kind, raw string, until time.Time, content any) error {
	plain, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("auth: encode %s: %w", kind, err)
	}
	hash := hashID(kind, raw)
	sealed, err := a.seal(ctx, hash, kind, plain)
	if err != nil {
		return err
	}
	if err := a.cfg.Store.PutState(ctx, State{ID: hash, Sealed: sealed, Until: until}); err != nil {
		return fmt.Errorf("auth: store %s: %w", kind, err)
	}
	return nil
}

// peekTicket returns a ticket that still leads to the Continue page.
func (a *Authorizer) peekTicket(ctx context.Context, raw string) (ticket, error) {
	var t ticket
	s, err := a.cfg.Store.PeekState(ctx, hashID(ticketField, raw), a.now())
	if err != nil {
		return t, fmt.Errorf("auth: ticket: %w", err)
	}
	if err := a.openState(ctx, ticketField, s, &t); err != nil {
		return t, err
	}
	if !a.now().Before(t.Until) {
		return t, fmt.Errorf("auth: ticket: %w", ErrState)
	}
	return t, nil
}

// takeState returns what a state stands for, once.
func (a *Authorizer) takeState(ctx context.Context, raw string) (state, error) {
	var st state
	s, err := a.cfg.Store.TakeState(ctx, hashID(stateField, raw), a.now())
	if err != nil {
		return st, fmt.Errorf("auth: state: %w", err)
	}
	return st, a.openState(ctx, stateField, s, &st)
}

func (a *Authorizer) openState(ctx context.Context, kind string, s State, to any) error {
	plain, err := a.open(ctx, s.ID, kind, s.Sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, to); err != nil {
		return fmt.Errorf("auth: %s is not readable: %w", kind, err)
	}
	return nil
}

// returnURL is RedirectURL with the outcome in its query.
func (r *request) returnURL(outcome url.Values) string {
	u, err := url.Parse(r.Redirect)
	if err != nil {
		return r.Redirect
	}
	outcome.Set("connector", r.Connector)
	outcome.Set("account", r.Account)
	// What stood there stays as it was written, but for somebody else's outcome.
	var kept []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if name, err := url.QueryUnescape(name); part == "" || err == nil && slices.Contains(outcomeNames(), name) {
			continue
		}
		kept = append(kept, part)
	}
	u.RawQuery = strings.Join(append(kept, outcome.Encode()), "&")
	return u.String()
}

// outcomeNames are the parameters that tell RedirectURL how it ended.
func outcomeNames() []string {
	return []string{"status", "error", "connector", "account", "connection"}
}
