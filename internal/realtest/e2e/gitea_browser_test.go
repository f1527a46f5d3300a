package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector/gitea"
	"github.com/interactorhq/interactor/internal/realtest/e2e/browser"
	"github.com/interactorhq/interactor/internal/realtest/e2e/giteaserver"
	"github.com/interactorhq/interactor/webhook"
)

// testBrowser: what a person sees in Chromium on the way to a connection, with examples/server as a
// process: the Continue page with the default App, straight to Gitea with an own one.
func testBrowser(t *testing.T, server *giteaserver.Server) {
	user, b := server.CreateUser(t, "erin"), browser.New(t)
	connectors := object{}
	s := newService(t, connectors, object{
		"url": "http://127.0.0.1:9/nobody", "triggers": []string{gitea.IssueOpened}, "secrets": []string{webhook.NewSecret()},
	})
	app := server.Bob.CreateOAuthApp(t, s.base+"/oauth/callback")
	connectors[gitea.Name] = giteaConfig(server, app)
	s.start(t)

	if !t.Run("with the default App to the Continue page", func(t *testing.T) {
		continuePage(t, b, s)
		if address, _ := b.Follow(t, "form button[type=submit]"); !strings.HasPrefix(address, server.URL+"/user/login") {
			t.Fatalf("Continue led to %s, want Gitea's login", address)
		}
		b.Type(t, "#user_name", user.Name)
		b.Type(t, "#password", user.Password)
		if address, status := b.Follow(t, "form button.primary"); status != http.StatusOK || !strings.HasPrefix(address, server.URL+"/login/oauth/authorize") {
			t.Fatalf("the login led to %s with status %d, want Gitea's consent page", address, status)
		}
		b.Screenshot(t, "gitea-consent-default-app")
		connected(t, b, s, user, "connected")
		wantHook(t, user, s.base, "issues")
	}) {
		t.FailNow()
	}
	t.Run("with own client credentials straight to Gitea", func(t *testing.T) {
		own := server.Bob.CreateOAuthApp(t, s.base+"/oauth/callback")
		s.useOwnApp(t, own)
		link := s.authURL(t, gitea.Name, "user-5")
		address, err := url.Parse(link)
		if err != nil || !strings.HasPrefix(link, server.URL+"/login/oauth/authorize?") || address.Query().Get("client_id") != own.ClientID {
			t.Fatalf("the auth URL is %s (%v), want Gitea's authorize page with client_id %s", link, err, own.ClientID)
		}
		wantAuthorize(t, address, s.base)
		if status := b.Open(t, link); status != http.StatusOK || b.Address(t) != link {
			t.Fatalf("%s answered %d and led to %s, want Gitea's consent page at once", link, status, b.Address(t))
		}
		b.Screenshot(t, "gitea-consent-own-app")
		before := s.connection(t, "user-5")
		connected(t, b, s, user, "connected-again")
		if after := s.connection(t, "user-5"); after.ID != before.ID {
			t.Errorf("the same person again got the connection %s, want %s", after.ID, before.ID)
		}
		s.want(t, http.StatusNoContent, http.MethodDelete, "/apps/gitea", nil, nil)
		if link := s.authURL(t, gitea.Name, "user-5"); !strings.HasPrefix(link, s.base+"/connect/") {
			t.Errorf("without the own App the auth URL is %s, want the Continue page", link)
		}
	})
	s.stop(t)
	wantSound(t, s)
}

// continuePage opens the Continue page, looks at it in two colour schemes and on a small telephone.
func continuePage(t *testing.T, b *browser.Browser, s *service) {
	t.Helper()
	for _, look := range []struct {
		name          string
		width, height int64
		dark          bool
	}{
		{"continue-dark-360", 360, 740, true},
		{"continue-light-360", 360, 740, false},
		{"continue-dark", 1280, 800, true},
		{"continue-light", 1280, 800, false},
	} {
		b.Resize(t, look.width, look.height)
		b.Dark(t, look.dark)
		if status := b.Open(t, s.authURL(t, gitea.Name, "user-5")); status != http.StatusOK {
			t.Fatalf("the Continue page answered %d", status)
		}
		if title, button := b.Text(t, "h1"), b.Text(t, "form button"); title != "Connect Gitea" || button != "Continue to Gitea" {
			t.Errorf("%s says %q and %q", look.name, title, button)
		}
		if !b.True(t, fmt.Sprintf("document.documentElement.scrollWidth <= %d", look.width)) {
			t.Errorf("%s is wider than the window", look.name)
		}
		b.Screenshot(t, look.name)
	}
	if problems := b.Problems(); len(problems) != 0 {
		t.Errorf("the Continue page has the problems %q", problems)
	}
}

// connected presses "Authorize" on Gitea's consent page and looks at where that ends.
func connected(t *testing.T, b *browser.Browser, s *service, user *giteaserver.User, picture string) {
	t.Helper()
	address, status := b.Follow(t, "#authorize-app")
	if title := b.Text(t, "h1"); status != http.StatusOK || !strings.HasPrefix(address, s.base+"/oauth/callback?") || title != "Gitea is connected" {
		t.Fatalf("the consent ended at %s with status %d and %q", address, status, title)
	}
	b.Screenshot(t, picture)
	if conn := s.connection(t, "user-5"); conn.Status != "active" || conn.Identity != user.Name {
		t.Errorf("the connection is %+v, want an active one of %s", conn, user.Name)
	}
}
