package jiratest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/interactorhq/interactor/internal/standin"
)

// person is one Atlassian account. It is the same on every site.
type person struct {
	key, email, name string
	id               string // account id
	zone             *time.Location
}

func fold(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// person returns the account of an address, made when it is new. s.mu is held.
func (s *Server) person(email string) *person {
	key := fold(email)
	p := s.people[key]
	if p == nil {
		local, _, _ := strings.Cut(strings.TrimSpace(email), "@")
		sum := sha256.Sum256([]byte("account " + key))
		p = &person{key: key, email: strings.TrimSpace(email), name: title(local), id: hex.EncodeToString(sum[:12]), zone: time.UTC}
		s.people[key] = p
	}
	return p
}

func title(s string) string {
	if s == "" {
		return "Somebody"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// AccountID is the Atlassian account id of a person, who is made when new.
func (s *Server) AccountID(email string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.person(email).id
}

// SetTimeZone sets the time zone of a person's profile, such as
// "America/Los_Angeles". Jira reads dates in JQL in it and answers REST calls
// with times in it. Defaults to UTC.
func (s *Server) SetTimeZone(email, zone string) error {
	l, err := time.LoadLocation(zone)
	if err != nil {
		return fmt.Errorf("jiratest: time zone of %s: %w", email, err)
	}
	s.set(func() { s.person(email).zone = l })
	return nil
}

// user is how Jira shows a person. base is the site's or the gateway's address.
// Jira leaves mail addresses out of webhooks.
func (p *person) user(base string) map[string]any {
	if p == nil {
		return nil
	}
	return map[string]any{
		"self":      base + "/rest/api/2/user?accountId=" + p.id,
		"accountId": p.id, "accountType": "atlassian", "displayName": p.name, "active": true,
		"timeZone": p.zone.String(), "avatarUrls": avatars("https://avatar-management.example.com/" + p.id),
	}
}

func avatars(address string) map[string]any {
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	urls := map[string]any{}
	for _, size := range []string{"16", "24", "32", "48"} {
		urls[size+"x"+size] = address + sep + "size=" + size
	}
	return urls
}

// Consent plays the person's browser: it opens an address from AuthURL, presses
// Continue where such a page is shown, signs in (the account is made when it is
// new), chooses the sites, or all when none is named, agrees, and follows the
// redirects to the end. The error says what the last page said if that is an
// error page, or a redirectUrl called with status=error. Pages outside loopback
// are not opened.
func (s *Server) Consent(ctx context.Context, authURL, email string, sites ...*Site) error {
	end, err := s.browse(ctx, authURL, "allow", email, sites)
	if err == nil {
		err = end.Failure()
	}
	if err != nil {
		return fmt.Errorf("jiratest: %w", err)
	}
	return nil
}

// Deny plays a person who presses Cancel on Atlassian's page. Its error says
// that the browser did not get through; that the last page reports the refusal
// is none.
func (s *Server) Deny(ctx context.Context, authURL, email string) error {
	if _, err := s.browse(ctx, authURL, "deny", email, nil); err != nil {
		return fmt.Errorf("jiratest: %w", err)
	}
	return nil
}

func (s *Server) browse(ctx context.Context, authURL, decision, email string, sites []*Site) (*standin.View, error) {
	b := standin.Browser{Provider: s.URL, Fill: func(values url.Values) {
		values.Set("email", email)
		values.Set("decision", decision)
		if len(sites) > 0 {
			values.Del("site")
			for _, site := range sites {
				values.Add("site", site.cloud)
			}
		}
	}}
	if s.http == nil {
		b.Transport = s.Transport()
	}
	return b.Browse(ctx, authURL)
}
