package jiratest

import (
	"net/url"
	"slices"
	"time"

	"github.com/interactorhq/interactor/internal/standin"
)

// client is an OAuth 2.0 app of Atlassian's developer console.
type client struct {
	id, secret string
	callback   string   // empty: every loopback address
	scopes     []string // what the console permits; nil: every scope that exists
	owner      string   // folded address; set while the app is not distributed
}

// allows reports whether the app may be sent back to the address.
func (c *client) allows(redirect string) bool {
	if c.callback != "" {
		return c.callback == redirect
	}
	u, err := url.Parse(redirect)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && standin.IsLoopback(u.Hostname())
}

// grantKey names a grant: Atlassian keeps one for each person and app, and adds
// the sites of a later consent to it.
type grantKey struct{ client, person string }

// grant is what a person allowed an app.
type grant struct {
	key    grantKey
	client *client
	person *person
	scopes []string
	sites  []*Site
}

func (g *grant) covers(site *Site) bool { return slices.Contains(g.sites, site) }

// accessToken is one access token. It sees every site of its grant, also one
// that was added after it was issued.
type accessToken struct {
	grant   *grant
	scopes  []string
	expires time.Time
}

// refreshToken can be used once.
type refreshToken struct {
	grant  *grant
	scopes []string
	issued time.Time
	usedAt time.Time // zero: not yet
}

// authRequest is what a consent page is about.
type authRequest struct {
	client          *client
	redirect, state string
	scopes          []string
	challenge       string
}

// authCode is an answer to an authRequest, to be exchanged once.
type authCode struct {
	request *authRequest
	grant   *grant
	expires time.Time
}

func union[T comparable](a, b []T) []T {
	all := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}
