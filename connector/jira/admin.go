package jira

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

const (
	adminPath   = "rest/webhooks/1.0/webhook"
	adminFilter = "issue-related-events-section"

	// Admin webhooks do not end, but an administrator may remove them: they are
	// looked at when half of this has passed.
	adminCheck = 48 * time.Hour
)

// adminHook is a webhook of a site's settings as Jira's API writes it.
type adminHook struct {
	Self        text              `json:"self,omitempty"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	URL         string            `json:"url"`
	Events      []string          `json:"events"`
	Filters     map[string]string `json:"filters"`
	ExcludeBody bool              `json:"excludeBody"`
	Enabled     *bool             `json:"enabled,omitempty"`
	Secret      string            `json:"secret,omitempty"`
}

// id is the last part of the webhook's address.
func (h adminHook) id() string {
	s := strings.TrimRight(string(h.Self), "/")
	id := s[strings.LastIndexByte(s, '/')+1:]
	if _, err := strconv.ParseUint(id, 10, 63); err != nil {
		return ""
	}
	return id
}

// subscribeAdmin makes a webhook in the site's settings, or changes the one that
// is there. Not every body that it sends names its site, so the address does.
//
// Source: https://developer.atlassian.com/cloud/jira/platform/webhooks/; that it
// can be called with a grant of OAuth is reported by others.
func subscribeAdmin(ctx context.Context, svc *service, host site, sub *connector.Subscription, w wish) (*connector.Held, error) {
	on := true
	hook := adminHook{
		Name: "Interactor " + sub.ID, Description: "Made by an integration; it is removed when the account is disconnected.",
		URL: siteAddress(w.address, host), Events: w.topics, Enabled: &on, Secret: sub.Secret, Filters: map[string]string{},
	}
	if w.jql != everyIssue && sub.Watch == watchAdminIssues {
		hook.Filters[adminFilter] = w.jql
	}
	held := func(id string) *connector.Held {
		return &connector.Held{ID: id, ExpiresAt: svc.now().Add(adminCheck).UTC(), Cursor: sub.Held.Cursor, Values: sub.Held.Values}
	}
	if id := sub.Held.ID; id != "" && id != heldNothing {
		err := svc.call(ctx, http.MethodPut, adminPath+"/"+url.PathEscape(id), hook, nil)
		switch {
		case err == nil:
			return held(id), nil
		case !errors.Is(err, connector.ErrGone):
			return nil, noAdmin(err)
		}
	}
	var made adminHook
	err := svc.call(ctx, http.MethodPost, adminPath, hook, &made)
	switch {
	case errors.Is(err, connector.ErrGone):
		return nil, fmt.Errorf("jira: %w: the site does not answer: is it suspended, or no Jira site any more", connector.ErrRefused)
	case err != nil:
		return nil, noAdmin(err)
	case made.id() == "":
		return nil, fmt.Errorf("jira: POST %s: the answer does not say which webhook it made", adminPath)
	}
	return held(made.id()), nil
}

const errNoAdmin = `the account may not change the webhooks of the site: it needs the permission "Administer Jira", ` +
	`or take the source "admin" out of the connector's Sources`

// siteAddress is the address with the site in it.
func siteAddress(address string, host site) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	q.Set(querySite, string(host))
	u.RawQuery = q.Encode()
	return u.String()
}

// renewAdmin looks whether the webhook is still there and on.
func renewAdmin(ctx context.Context, svc *service, sub *connector.Subscription) (*connector.Held, error) {
	all, err := listAdmin(ctx, svc)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(h connector.Held) bool { return h.ID == sub.Held.ID }) {
		return nil, fmt.Errorf("jira: webhook %s: %w", sub.Held.ID, connector.ErrGone)
	}
	held := sub.Held
	held.ExpiresAt = svc.now().Add(adminCheck).UTC()
	return &held, nil
}

// listAdmin lists the webhooks of a site, without what was added to their addresses.
func listAdmin(ctx context.Context, svc *service) (held []connector.Held, err error) {
	var all []adminHook
	if err := svc.call(ctx, http.MethodGet, adminPath, nil, &all); err != nil {
		return nil, noAdmin(err)
	}
	for _, h := range all {
		if id := h.id(); id != "" {
			address, _, _ := strings.Cut(h.URL, "?")
			held = append(held, connector.Held{ID: id, Address: address})
		}
	}
	return held, nil
}

func deleteAdmin(ctx context.Context, svc *service, id string) error {
	err := svc.call(ctx, http.MethodDelete, adminPath+"/"+url.PathEscape(id), nil, nil)
	if errors.Is(err, connector.ErrGone) {
		return nil
	}
	return noAdmin(err)
}
