package jiratest_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.atlassian.AddClient("strict", "secret", "http://127.0.0.1/registered")
	a.atlassian.AddClient("narrow", "secret", "")
	a.atlassian.SetScopes("narrow", "read:jira-work")
	for _, tt := range []struct {
		name string
		edit map[string]string
		want string
	}{
		{"no audience", map[string]string{"audience": ""}, "audience"},
		{"another audience", map[string]string{"audience": "api.example.com"}, "audience"},
		{"unknown app", map[string]string{"client_id": "nobody"}, "client_id"},
		{"callback in the world", map[string]string{"redirect_uri": "https://evil.example.com/"}, "redirect_uri"},
		{"callback that is not registered", map[string]string{"client_id": "strict"}, "redirect_uri"},
		{"other response type", map[string]string{"response_type": "token"}, "response_type"},
		{"no prompt", map[string]string{"prompt": ""}, "prompt"},
		{"no scope", map[string]string{"scope": ""}, "scope"},
		{"a scope that does not exist", map[string]string{"scope": "read:everything"}, "read:everything"},
		{"a scope that the app may not ask for", map[string]string{"client_id": "narrow"}, "write:jira-work"},
		{"plain PKCE", map[string]string{"code_challenge_method": "plain"}, "S256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := a.atlassian.Consent(t.Context(), a.authURL(tt.edit), alice)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	if err := a.atlassian.Consent(t.Context(), a.authURL(nil), "no address"); err == nil {
		t.Error("signed in without an address")
	}
	if err := a.atlassian.Deny(t.Context(), a.authURL(nil), alice); err != nil {
		t.Error(err)
	}
	if q := <-a.callbacks; q.Get("error") != "access_denied" || q.Get("state") != "xyz" || q.Has("code") {
		t.Errorf("callback got %v", q)
	}
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	code := a.code(alice, nil)
	for _, tt := range []struct {
		name   string
		edit   map[string]string
		status int
		want   string
	}{
		{"wrong secret", map[string]string{"client_secret": "guess"}, 401, "access_denied"},
		{"no secret", map[string]string{"client_secret": ""}, 401, "access_denied"},
		{"unknown app", map[string]string{"client_id": "nobody"}, 401, "access_denied"},
		{"unknown grant type", map[string]string{"grant_type": "password"}, 403, "unauthorized_client"},
		{"unknown code", map[string]string{"code": "guess"}, 403, "invalid_grant"},
	} {
		if got := a.exchange(code, tt.edit); got.Status != tt.status || got.Error != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	got := a.exchange(code, nil)
	if got.Status != 200 || got.Access == "" || got.Refresh == "" || got.ExpiresIn != 3600 || got.Scope != scopes || got.Type != "Bearer" {
		t.Fatalf("%+v", got)
	}
	if again := a.exchange(code, nil); again.Status != 403 || again.Error != "invalid_grant" {
		t.Errorf("the code works twice: %+v", again)
	}
	for name, edit := range map[string]map[string]string{
		"wrong verifier": {"code_verifier": verifier + "x"}, "no verifier": {"code_verifier": ""}, "other callback": {"redirect_uri": a.redirect + "x"},
	} {
		if got := a.exchange(a.code(alice, nil), edit); got.Status != 403 || got.Error != "invalid_grant" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	form := a.token(false, map[string]string{"grant_type": "authorization_code", "code": a.code(alice, nil), "redirect_uri": a.redirect, "code_verifier": verifier}, nil)
	if form.Access == "" {
		t.Errorf("a form: %+v", form)
	}
	if got := a.exchange(a.code(alice, map[string]string{"scope": "read:jira-work"}), nil); got.Refresh != "" || got.Access == "" {
		t.Errorf("without offline_access: %+v", got)
	}
}

func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	a.atlassian.SetClock(func() time.Time { return now })
	first := a.exchange(a.code(alice, nil), nil)
	second := a.refresh(first.Refresh)
	if second.Status != 200 || second.Refresh == "" || second.Refresh == first.Refresh || second.Access == first.Access {
		t.Fatalf("%+v", second)
	}
	if reused := a.refresh(first.Refresh); reused.Status != 403 || reused.Error != "unauthorized_client" {
		t.Errorf("used twice: %+v", reused)
	}
	third := a.refresh(second.Refresh)
	if third.Status != 200 || a.atlassian.Status(alice).Refreshes != 2 {
		t.Errorf("%+v, %+v", third, a.atlassian.Status(alice))
	}
	a.atlassian.SetReuseWindow(time.Minute)
	if reused := a.refresh(second.Refresh); reused.Status != 200 {
		t.Errorf("within the window: %+v", reused)
	}
	a.atlassian.SetClock(func() time.Time { return now.Add(time.Minute) })
	if reused := a.refresh(second.Refresh); reused.Status != 403 {
		t.Errorf("after the window: %+v", reused)
	}
	a.atlassian.SetClock(func() time.Time { return now.AddDate(0, 0, 91) })
	if idle := a.refresh(third.Refresh); idle.Status != 403 {
		t.Errorf("after 91 days: %+v", idle)
	}
}

func TestAccessTokensExpire(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	a.atlassian.SetClock(func() time.Time { return now })
	got := a.exchange(a.code(alice, nil), nil)
	a.get(got.Access, "api/3/myself", &struct{}{})
	a.atlassian.SetClock(func() time.Time { return now.Add(time.Hour) })
	if status, body := a.do(got.Access, "GET", "api/3/myself", nil); status != 401 {
		t.Errorf("%d %s", status, body)
	}
	fresh := a.refresh(got.Refresh)
	a.get(fresh.Access, "api/3/myself", &struct{}{})
	a.atlassian.ExpireTokens()
	if status, _ := a.do(fresh.Access, "GET", "api/3/myself", nil); status != 401 {
		t.Errorf("status %d", status)
	}
	a.atlassian.SetClientSecret(a.atlassian.App().ClientID, "another")
	if got := a.refresh(fresh.Refresh); got.Status != 401 {
		t.Errorf("with the former secret: %+v", got)
	}
}

func TestRevokeAccess(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	got := a.exchange(a.code(alice, nil), nil)
	if _, wrong := a.register(got.Access, "project = ENG", "jira:issue_created"); wrong != nil {
		t.Fatal(wrong)
	}
	a.atlassian.RevokeAccess(alice)
	if !a.atlassian.Status(alice).Revoked || len(a.acme.Hooks()) != 0 {
		t.Errorf("%+v, webhooks %v", a.atlassian.Status(alice), a.acme.Hooks())
	}
	if status, _ := a.do(got.Access, "GET", "api/3/myself", nil); status != 401 {
		t.Errorf("status %d", status)
	}
	if dead := a.refresh(got.Refresh); dead.Status != 403 || dead.Error != "unauthorized_client" {
		t.Errorf("%+v", dead)
	}
	a.signIn(alice)
	if a.atlassian.Status(alice).Revoked {
		t.Error("still revoked after a new consent")
	}
}

// One grant has several sites; a later consent adds to them, and tokens of
// before see the new site.
func TestSitesOfAGrant(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	other := a.atlassian.AddSite("other")
	wiki := a.atlassian.AddConfluence("acme")
	names := func(token string) []string {
		var sites []struct {
			ID, Name, URL string
			Scopes        []string
		}
		a.get(token, "/oauth/token/accessible-resources", &sites)
		all := []string{}
		for _, s := range sites {
			all = append(all, s.Name+" "+s.URL+" "+strings.Join(s.Scopes, ","))
		}
		return all
	}
	const jiraScopes = "read:jira-work,write:jira-work,read:jira-user,manage:jira-webhook"
	token := a.signIn(alice, a.acme)
	if got := names(token); !slices.Equal(got, []string{"acme https://acme.atlassian.net " + jiraScopes}) {
		t.Errorf("sites %q", got)
	}
	path := "/ex/jira/" + other.CloudID() + "/rest/api/3/myself"
	if status, _ := a.do(token, "GET", path, nil); status != 401 {
		t.Errorf("a site that was not chosen: status %d", status)
	}
	a.signIn(alice, other, wiki)
	if got := names(token); len(got) != 3 || !strings.HasSuffix(got[2], "confluence-content.all") {
		t.Errorf("sites %q", got)
	}
	a.get(token, path, &struct{}{})
	if status, _ := a.do(token, "GET", "/ex/jira/"+wiki.CloudID()+"/rest/api/3/myself", nil); status != 404 {
		t.Errorf("Jira on a site without: status %d", status)
	}
	if status, _ := a.do(token, "GET", "/ex/jira/00000000-0000-5000-8000-000000000000/rest/api/3/myself", nil); status != 404 {
		t.Errorf("an unknown site: status %d", status)
	}
}

func TestScopesAreChecked(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, tt := range []struct {
		scopes, method, path string
		status               int
	}{
		{"read:jira-work", "GET", "api/3/project", 200},
		{"read:jira-work", "GET", "api/3/myself", 401},
		{"read:jira-work", "GET", "api/3/webhook", 401},
		{"manage:jira-webhook", "GET", "api/3/webhook", 401},
		{"manage:jira-webhook read:jira-work", "GET", "api/3/webhook", 200},
		{"read:webhook:jira read:jql:jira", "GET", "api/3/webhook", 200},
		{"read:webhook:jira", "GET", "api/3/webhook", 401},
		{"read:jira-work", "POST", "api/3/issue", 401},
		{"read:jira-work", "GET", "/me", 403},
		{"read:me", "GET", "/me", 200},
	} {
		token := a.exchange(a.code(alice, map[string]string{"scope": tt.scopes}), nil).Access
		if status, body := a.do(token, tt.method, tt.path, nil); status != tt.status {
			t.Errorf("%s %s with %s: %d %s", tt.method, tt.path, tt.scopes, status, body)
		}
	}
}

func TestMe(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.signIn(alice)
	var me struct {
		ID    string `json:"account_id"`
		Email string `json:"email"`
	}
	a.get(token, "/me", &me)
	var myself struct {
		ID    string `json:"accountId"`
		Email string `json:"emailAddress"`
	}
	a.get(token, "api/3/myself", &myself)
	if id := a.atlassian.AccountID(alice); me.ID != id || myself.ID != id || me.Email != alice || myself.Email != alice {
		t.Errorf("%+v, %+v, want %s", me, myself, id)
	}
}

// A lost answer has rotated the token all the same.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	got := a.exchange(a.code(alice, nil), nil)
	a.atlassian.Fail(jiratest.Fault{Call: "token", Lost: true})
	resp, err := postForm(t, a.atlassian.Endpoints().Token, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}, "client_id": {a.atlassian.App().ClientID}, "client_secret": {a.atlassian.App().ClientSecret},
	})
	if err == nil {
		t.Fatalf("answered %d", resp)
	}
	if lost := a.refresh(got.Refresh); lost.Status != 403 {
		t.Errorf("%+v", lost)
	}
}
