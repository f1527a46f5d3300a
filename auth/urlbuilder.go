package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// URLBuilder builds the address of a provider's consent page and nothing else:
// no store, no handler, no goroutine. Use it when you keep state and tokens
// yourself; [Authorizer] is the whole flow.
type URLBuilder struct {
	Connector   connector.Connector // required
	App         connector.App       // Defaults to the connector's own
	RedirectURL string              // where the provider sends the browser back. Required
	Input       map[string]string   // the connector's Fields, such as a site address, where its addresses need them
	LoginHint   string              // the provider's account name, if you know it
	HTTPClient  *http.Client        // for Exchange. Defaults to one with a 30 s timeout
}

// Consent is a built address and what belongs to it.
type Consent struct {
	URL      string // send the browser here
	State    string // must come back unchanged in the callback; keep it in the user's session
	Verifier string // PKCE: goes into the token request (oauth2.VerifierOption); empty where the provider refuses PKCE
}

// Build returns a consent address with a fresh State and PKCE verifier (S256,
// where the provider accepts it) and every parameter the provider needs, such as
// Google's access_type=offline. Scopes are those of the named triggers; without
// names, of all the connector's triggers. It is safe for concurrent use.
func (b URLBuilder) Build(triggers ...string) (Consent, error) {
	d, app, err := b.resolve()
	if err != nil {
		return Consent{}, err
	}
	var wanted []string
	for _, name := range triggers {
		i := slices.IndexFunc(d.Triggers, func(t trigger.Definition) bool { return t.Name == name })
		if i < 0 {
			return Consent{}, fmt.Errorf("auth: %s has no trigger %q", d.Name, name)
		}
		wanted = append(wanted, d.Triggers[i].Scopes...)
	}
	if len(triggers) == 0 {
		for _, t := range d.Triggers {
			wanted = append(wanted, t.Scopes...)
		}
	}
	c := newConsent(d.OAuth)
	c.URL, err = authorizeURL(d.OAuth, app, b.Input, union(d.OAuth.Scopes, wanted, app.Scopes), b.RedirectURL, b.LoginHint, c)
	return c, err
}

// Exchange turns the code of the callback into a token. Compare the callback's
// state with Consent.State before. An [*AnswerError] is what the provider said.
func (b URLBuilder) Exchange(ctx context.Context, code string, c Consent) (*connector.Token, error) {
	d, app, err := b.resolve()
	if err != nil {
		return nil, err
	}
	client := b.HTTPClient
	if client == nil {
		client = &http.Client{Timeout: callTimeout}
	}
	return newTokens(client, time.Now).exchange(ctx, d.OAuth, app, b.Input, code, b.RedirectURL, c.Verifier)
}

func (b URLBuilder) resolve() (connector.Description, connector.App, error) {
	if b.Connector == nil {
		return connector.Description{}, b.App, errors.New("auth: URLBuilder.Connector is missing")
	}
	d := b.Connector.Describe()
	if d.OAuth == nil {
		return d, b.App, fmt.Errorf("auth: %s has no consent page: it connects by fields", d.Name)
	}
	if u, err := url.Parse(b.RedirectURL); err != nil || u.Host == "" {
		return d, b.App, errors.New("auth: URLBuilder.RedirectURL is missing: the absolute address that the provider sends the browser back to")
	}
	app := b.App
	if zeroApp(app) {
		if s, ok := b.Connector.(connector.AppSource); ok {
			app, _ = s.DefaultApp()
		}
	}
	if app.ClientID == "" {
		return d, app, ErrNoApp
	}
	return d, app, nil
}

// newConsent makes a state and, where the provider takes it, a PKCE verifier.
func newConsent(o *connector.OAuth) Consent {
	c := Consent{State: id.Token(32)}
	if !o.NoPKCE {
		c.Verifier = id.Token(32) // 43 characters, as RFC 7636, 4.1 recommends
	}
	return c
}

// authorizeURL builds the address of the provider's consent page.
func authorizeURL(o *connector.OAuth, app connector.App, values map[string]string, scopes []string, redirect, hint string, c Consent) (string, error) {
	known := []map[string]string{
		{"redirect_uri": redirect, "state": c.State},
		values, app.Placeholders(),
	}
	u, err := fillURL(o.Authorize, known...)
	if err != nil {
		return "", err
	}
	params := map[string]string{
		"response_type": "code",
		"client_id":     app.ClientID,
		"redirect_uri":  redirect,
		"state":         c.State,
	}
	if hint != "" {
		params["login_hint"] = hint
	}
	for name, list := range byParameter(scopes) {
		params[name] = strings.Join(list, or(o.Separator, " "))
	}
	if c.Verifier != "" {
		sum := sha256.Sum256([]byte(c.Verifier))
		params["code_challenge"] = base64.RawURLEncoding.EncodeToString(sum[:])
		params["code_challenge_method"] = "S256"
	}
	if err := apply(params, o.Params, known); err != nil {
		return "", err
	}
	q := u.Query()
	for name, v := range params {
		q.Set(name, v)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // some providers take + literally
	return u.String(), nil
}

// parameterScope is the form "user_scope=im:history".
var parameterScope = regexp.MustCompile(`\A([a-z][a-z_]*)=(.+)\z`)

// byParameter sorts scopes by the query parameter they belong to.
func byParameter(scopes []string) map[string][]string {
	m := make(map[string][]string)
	for _, s := range scopes {
		name := "scope"
		if p := parameterScope.FindStringSubmatch(s); p != nil {
			name, s = p[1], p[2]
		}
		if !slices.Contains(m[name], s) {
			m[name] = append(m[name], s)
		}
	}
	return m
}

// bareScope is a scope without its query parameter.
func bareScope(s string) string {
	if p := parameterScope.FindStringSubmatch(s); p != nil {
		return p[2]
	}
	return s
}

// missingScopes returns which of those needed are not among those granted. A
// provider may answer with the long name of a scope (Microsoft's
// "https://graph.microsoft.com/Mail.Read"). nil granted: as asked (RFC 6749, 5.1).
func missingScopes(needed, granted []string) []string {
	if granted == nil {
		return nil
	}
	var missing []string
	for _, n := range needed {
		bare := bareScope(n)
		ok := slices.ContainsFunc(granted, func(g string) bool { return g == bare || strings.HasSuffix(g, "/"+bare) })
		if !ok && !slices.Contains(missing, n) {
			missing = append(missing, n)
		}
	}
	return missing
}

// union keeps the order and drops repetitions and empty ones.
func union(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		for _, s := range list {
			if s != "" && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

func zeroApp(a connector.App) bool {
	return a.ClientID == "" && a.ClientSecret == "" && len(a.Fields) == 0
}
