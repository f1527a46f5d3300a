package gmailtest

import (
	"net"
	"net/url"
	"slices"
	"time"
)

// client is an OAuth client.
type client struct {
	id, secret string
	redirects  []string // empty: every loopback address
	project    *project
}

// allows reports whether the client may be sent back to the address. Google
// compares registered addresses character by character.
func (c *client) allows(redirect string) bool {
	if len(c.redirects) > 0 {
		return slices.Contains(c.redirects, redirect)
	}
	u, err := url.Parse(redirect)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && loopbackHost(u.Hostname())
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// project is a Google Cloud project with one topic and one push subscription.
type project struct {
	name     string
	endpoint string // of the push subscription; empty: there is no subscription
	audience string
	account  string               // service account that signs the pushes
	queue    *queue               // its pull subscription; nil: there is none
	last     map[string]time.Time // when a mailbox was last published, for the limit per second
}

func (p *project) topic() string        { return "projects/" + p.name + "/topics/" + topicName }
func (p *project) subscription() string { return "projects/" + p.name + "/subscriptions/" + topicName }

// grantKey names what a person agreed to for a client; a revocation ends all of it.
type grantKey struct{ client, mailbox string }

// grant is a person's consent.
type grant struct {
	key       grantKey
	client    *client
	mailbox   *mailbox
	scopes    []string
	refreshed []string // its refresh tokens
}

// accessToken is one access token.
type accessToken struct {
	grant   *grant
	scopes  []string
	expires time.Time
	used    bool // for a call
}

// authRequest is what a consent page is about.
type authRequest struct {
	client           *client
	redirect, state  string
	scopes           []string
	challenge        string
	offline, consent bool
	incremental      bool // include_granted_scopes
	nonce            string
}

// authCode is an answer to an authRequest, to be exchanged once.
type authCode struct {
	request *authRequest
	mailbox *mailbox
	scopes  []string
	expires time.Time
}
