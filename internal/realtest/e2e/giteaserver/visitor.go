package giteaserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
)

// Visitor is a person's browser without a screen: it keeps cookies, follows redirects and fills in
// Gitea's login and consent forms over plain HTTP. For pages that need looking at, see package browser.
// It is not for use by several goroutines at once.
type Visitor struct {
	server *Server
	client *http.Client
}

// NewVisitor returns a browser without any cookies.
func (s *Server) NewVisitor(t testing.TB) *Visitor {
	t.Helper()
	jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	if err != nil {
		t.Fatalf("giteaserver: %v", err)
	}
	return &Visitor{server: s, client: &http.Client{Jar: jar}}
}

// Open goes to an address, anywhere, and returns the page where its redirects end.
func (v *Visitor) Open(ctx context.Context, address string) (*Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return v.do(req)
}

// Consent opens authURL, which has to lead to Gitea, logs in as user where Gitea asks for it, grants
// the application what it asks for, and returns the page on which that ends: the answer of the
// application's callback, or wherever the callback redirects to.
func (v *Visitor) Consent(ctx context.Context, authURL string, user *User) (*Page, error) {
	return v.decide(ctx, authURL, user, true)
}

// Deny does the same as [Visitor.Consent] but refuses. A user whose grant Gitea still has is not
// asked again, so it cannot be refused: that is an error.
func (v *Visitor) Deny(ctx context.Context, authURL string, user *User) (*Page, error) {
	return v.decide(ctx, authURL, user, false)
}

func (v *Visitor) decide(ctx context.Context, authURL string, user *User, grant bool) (*Page, error) {
	page, err := v.Open(ctx, authURL)
	if err != nil {
		return nil, err
	}
	return v.decideOn(ctx, page, user, grant)
}

// ConsentFrom is [Visitor.Consent] from a page of Gitea's that is open already.
func (v *Visitor) ConsentFrom(ctx context.Context, page *Page, user *User) (*Page, error) {
	return v.decideOn(ctx, page, user, true)
}

// DenyFrom is [Visitor.Deny] from a page of Gitea's that is open already.
func (v *Visitor) DenyFrom(ctx context.Context, page *Page, user *User) (*Page, error) {
	return v.decideOn(ctx, page, user, false)
}

// Press presses the button of a page's only form, anywhere, as the form stands, and returns the page
// where its redirects end.
func (v *Visitor) Press(ctx context.Context, page *Page) (*Page, error) {
	if len(page.forms) != 1 {
		return nil, page.stuck(fmt.Sprintf("the page has %d forms, not one", len(page.forms)))
	}
	return v.submit(ctx, page, page.forms[0])
}

func (v *Visitor) decideOn(ctx context.Context, page *Page, user *User, grant bool) (*Page, error) {
	asked := false
	var err error
	for range 10 {
		if err != nil {
			return nil, err
		}
		if !v.atGitea(page) {
			if !asked && !grant {
				return nil, page.stuck("Gitea did not ask for consent, so it could not be denied")
			}
			return page, nil
		}
		if login, ok := page.formWith("user_name"); ok {
			if page.Status != http.StatusOK || login.values.Get("user_name") != "" {
				return nil, page.stuck("Gitea refused the login")
			}
			login.values.Set("user_name", user.Name)
			login.values.Set("password", user.Password)
			page, err = v.submit(ctx, page, login)
			continue
		}
		consent, ok := page.formTo("/login/oauth/grant")
		if !ok {
			return nil, page.stuck("Gitea shows neither its login nor its consent page")
		}
		asked = true
		consent.values.Set("granted", fmt.Sprint(grant))
		page, err = v.submit(ctx, page, consent)
	}
	return nil, errTooManyPages
}

// grantAddress is where Gitea's page of granted applications posts to take one back.
var grantAddress = regexp.MustCompile(`data-url="(/user/settings/applications/oauth2/\d+/revoke/\d+)"`)

// RevokeGrants takes back, in Gitea's settings, everything that user ever granted to applications:
// from then on their access and refresh tokens are refused. The visitor has to be logged in as that
// user, as it is after [Visitor.Consent].
func (v *Visitor) RevokeGrants(ctx context.Context) error {
	page, err := v.Open(ctx, v.server.URL+"/user/settings/applications")
	if err != nil {
		return err
	}
	grants := grantAddress.FindAllStringSubmatch(page.Body, -1)
	if page.Status != http.StatusOK || len(grants) == 0 {
		return page.stuck("no granted application found")
	}
	for _, grant := range grants {
		action, err := page.URL.Parse(grant[1])
		if err != nil {
			return err
		}
		if answer, err := v.submit(ctx, page, form{action: action, method: http.MethodPost}); err != nil {
			return err
		} else if answer.Status != http.StatusOK {
			return answer.stuck("the grant was not taken back")
		}
	}
	return nil
}

func (v *Visitor) atGitea(p *Page) bool {
	return p.URL.Scheme+"://"+p.URL.Host == v.server.URL
}

// submit sends a form as a browser does that shows page.
func (v *Visitor) submit(ctx context.Context, page *Page, f form) (*Page, error) {
	if f.method != http.MethodPost {
		return nil, fmt.Errorf("the form to %s is not a POST form", f.action)
	}
	req, err := http.NewRequestWithContext(ctx, f.method, f.action.String(), strings.NewReader(f.values.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", (&url.URL{Scheme: page.URL.Scheme, Host: page.URL.Host}).String())
	return v.do(req)
}

func (v *Visitor) do(req *http.Request) (*Page, error) {
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("the page at %s: %w", resp.Request.URL.Redacted(), err)
	}
	return newPage(resp, body)
}
