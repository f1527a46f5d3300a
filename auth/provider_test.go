package auth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// provider is a stand-in for a product with OAuth and an API, strict where it
// matters: codes and refresh tokens are good for one use, PKCE is checked.
type provider struct {
	*httptest.Server
	now func() time.Time

	mu        sync.Mutex
	n         int
	codes     map[string]grantOf // by code
	refresh   map[string]string  // refresh token to user
	access    map[string]string  // access token to user
	calls     map[string]int     // by path
	revoked   []string
	seen      []string // Authorization headers at the API
	life      int      // seconds; 0: says nothing
	rotate    bool
	noRefresh bool
	scope     string
	before    func(w http.ResponseWriter, r *http.Request) bool // answers instead
}

type grantOf struct{ user, challenge, redirect, client string }

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{
		codes: map[string]grantOf{}, refresh: map[string]string{}, access: map[string]string{}, calls: map[string]int{},
		life: 3600, rotate: true, now: time.Now,
	}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.calls[r.URL.Path]++
	before := p.before
	p.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/token":
		p.token(w, r)
	case "/revoke":
		p.revoked = append(p.revoked, r.Form.Get("token"))
		for tok, user := range p.refresh { // as Google: all of that user
			if user == p.refresh[r.Form.Get("token")] {
				delete(p.refresh, tok)
			}
		}
	case "/api/redirect":
		http.Redirect(w, r, r.Form.Get("to"), http.StatusFound)
	default:
		p.seen = append(p.seen, r.Header.Get("Authorization"))
		user := p.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		if user == "" {
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"user": user, "path": r.URL.Path, "body": r.Form.Get("x")})
	}
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	fail := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
	}
	var user string
	switch r.Form.Get("grant_type") {
	case "authorization_code":
		g, ok := p.codes[r.Form.Get("code")]
		delete(p.codes, r.Form.Get("code"))
		sum := sha256.Sum256([]byte(r.Form.Get("code_verifier")))
		if !ok || g.redirect != r.Form.Get("redirect_uri") || g.client != r.Form.Get("client_id") ||
			g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			fail("invalid_grant")
			return
		}
		user = g.user
	case "refresh_token":
		user = p.refresh[r.Form.Get("refresh_token")]
		if user == "" {
			fail("invalid_grant")
			return
		}
		if p.rotate {
			delete(p.refresh, r.Form.Get("refresh_token"))
		}
	default:
		fail("unsupported_grant_type")
		return
	}
	if r.Form.Get("client_secret") != "secret of "+r.Form.Get("client_id") {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client"})
		return
	}
	_ = json.NewEncoder(w).Encode(p.issue(user, r.Form.Get("grant_type") == "authorization_code"))
}

// issue makes tokens for a user.
func (p *provider) issue(user string, first bool) map[string]any {
	p.n++
	answer := map[string]any{"access_token": fmt.Sprintf("access-%d-%s", p.n, user), "token_type": "Bearer"}
	clear(p.access)
	p.access[answer["access_token"].(string)] = user
	if !p.noRefresh && (p.rotate || first) {
		answer["refresh_token"] = fmt.Sprintf("refresh-%d-%s", p.n, user)
		p.refresh[answer["refresh_token"].(string)] = user
	}
	if p.life > 0 {
		answer["expires_in"] = p.life
	}
	if p.scope != "" {
		answer["scope"] = p.scope
	}
	return answer
}

// consent is what a person does at the provider: the address of the callback.
func (p *provider) consent(t *testing.T, address, user string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, p.URL+"/authorize?") {
		t.Fatalf("%q is not the provider's consent page: %v", address, err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" {
		t.Fatalf("consent without PKCE: %v", q)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	code := fmt.Sprintf("code-%d", p.n)
	p.codes[code] = grantOf{user, q.Get("code_challenge"), q.Get("redirect_uri"), q.Get("client_id")}
	return q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
}

func (p *provider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[path]
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// product is the connector of a provider.
type product struct {
	d   connector.Description
	app connector.App
}

var (
	_ connector.AppSource  = (*product)(nil)
	_ connector.Identifier = (*product)(nil)
)

func (c *product) Describe() connector.Description { return c.d }

func (c *product) DefaultApp() (connector.App, bool) { return c.app, c.app.ClientID != "" }

func (c *product) Identify(ctx context.Context, s *connector.Session) ([]connector.Identity, error) {
	var me struct{ User string }
	if err := s.JSON(ctx, http.MethodGet, "me", nil, &me); err != nil {
		return nil, err
	}
	return []connector.Identity{{ID: "id-" + me.User, Label: me.User + "@example.com", Keys: []connector.Key{connector.NewKey("mailbox", me.User)}}}, nil
}

func (p *provider) product() *product {
	return &product{
		app: connector.App{ClientID: "default", ClientSecret: "secret of default"},
		d: connector.Description{
			Name: "acme", Label: "Acme",
			Endpoints: map[string]connector.Template{"api": connector.Template(p.URL + "/api")},
			OAuth: &connector.OAuth{
				Authorize: connector.Template(p.URL + "/authorize"), Params: map[string]connector.Template{"access_type": "offline"},
				Scopes: []string{"profile"},
				Token:  connector.Request{URL: connector.Template(p.URL + "/token")},
				Revoke: &connector.Request{URL: connector.Template(p.URL + "/revoke")},
			},
			Watches: []connector.Watch{{Name: "poll", Poll: time.Minute}},
			Triggers: []trigger.Definition{{
				Name: "acme.note.added", Label: "A Note is Added", Scopes: []string{"notes.read"}, Watch: "poll", Payload: note{}, Example: note{"hello"},
			}},
			AppFields: []connector.Field{{Name: "signing_secret", Label: "Signing secret", Secret: true, Optional: true}},
		},
	}
}

type note struct {
	Text string `json:"text"`
}

// Expand makes the product's watch complete; these tests do not poll.
func (c *product) Expand(context.Context, *connector.Session, *connector.Subscription, *connector.Notice) (*connector.Expansion, error) {
	return &connector.Expansion{}, nil
}

// keyed is a connector without OAuth: fields alone.
type keyed struct{ d connector.Description }

func (c keyed) Describe() connector.Description { return c.d }

func (c keyed) Expand(context.Context, *connector.Session, *connector.Subscription, *connector.Notice) (*connector.Expansion, error) {
	return &connector.Expansion{}, nil
}

func (p *provider) keyed() keyed {
	return keyed{connector.Description{
		Name: "keyed", Label: "Keyed",
		Endpoints: map[string]connector.Template{"api": connector.Template(p.URL + "/api")},
		Use:       connector.Use{Header: map[string]connector.Template{"Authorization": "Bearer {api_key}"}},
		Fields: []connector.Field{
			{Name: "api_key", Label: "API key", Secret: true},
			{Name: "region", Label: "Region", Options: []string{"eu", "us"}, Default: "eu"},
			{Name: "team", Label: "Team", Pattern: "[a-z]+", Optional: true},
		},
		Watches: []connector.Watch{{Name: "poll", Poll: time.Minute}},
		Triggers: []trigger.Definition{{
			Name: "keyed.note.added", Label: "A Note is Added", Watch: "poll", Payload: note{}, Example: note{"hello"},
		}},
	}}
}
