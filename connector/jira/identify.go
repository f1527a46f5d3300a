package jira

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

// Values of an Identity.
const (
	valueHost    = "host"    // of the site, such as acme.atlassian.net
	valueCloud   = "cloud"   // id of the site
	valueAccount = "account" // id of the person
)

// resource is one entry of what a grant reaches: a site for one product family.
type resource struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	URL    string   `json:"url"`
	Scopes []string `json:"scopes"`
}

// isJira leaves out what the grant reaches for other products alone.
func (r resource) isJira() bool {
	return slices.ContainsFunc(r.Scopes, func(s string) bool { return strings.Contains(s, "jira") })
}

// Identify returns one Identity for each Jira site of the grant: one grant can
// cover several, and splitting its rotating refresh token would end it.
//
// Source: https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/
func (c *Connector) Identify(ctx context.Context, s *connector.Session) ([]connector.Identity, error) {
	var all []resource
	if err := s.JSON(ctx, http.MethodGet, "oauth/token/accessible-resources", nil, &all); err != nil {
		return nil, fmt.Errorf("jira: %w", err)
	}
	var sites []resource
	for _, r := range all {
		if r.isJira() && siteHost(r.URL) != "" && !slices.ContainsFunc(sites, func(have resource) bool { return have.ID == r.ID }) {
			sites = append(sites, r)
		}
	}
	if len(sites) == 0 {
		return nil, fmt.Errorf("jira: %w: the account has no Jira site that it let the App see: choose one at the consent", connector.ErrRefused)
	}
	account, err := whose(ctx, s, sites)
	if err != nil {
		return nil, err
	}
	ids := make([]connector.Identity, 0, len(sites))
	for _, r := range sites {
		host := siteHost(r.URL)
		ids = append(ids, connector.Identity{
			ID: account + "@" + r.ID, Label: host,
			Keys:   []connector.Key{siteKey(host), cloudKey(r.ID)},
			Values: map[string]string{valueHost: host, valueCloud: r.ID, valueAccount: account},
		})
	}
	return ids, nil
}

// whose is the account id of the person, which is the same on every site. A site
// that is suspended does not answer, so the next one is asked.
func whose(ctx context.Context, s *connector.Session, sites []resource) (string, error) {
	var errs []error
	for _, r := range sites {
		svc, err := newService(s, r.ID)
		if err != nil {
			return "", err
		}
		me, _, err := svc.User.GetSelfWithContext(ctx)
		err = svc.failed(ctx, "myself", err)
		switch {
		case err == nil && me != nil && me.AccountID != "":
			return me.AccountID, nil
		case err == nil:
			err = errors.New("jira: myself: the answer has no accountId")
		case !errors.Is(err, connector.ErrGone) && !errors.Is(err, connector.ErrRefused):
			return "", err
		}
		errs = append(errs, fmt.Errorf("%s: %w", siteHost(r.URL), err))
	}
	return "", errors.Join(errs...)
}

// siteOf is the site of a Subscription.
func siteOf(sub *connector.Subscription) (host site, cloud string, err error) {
	h, cloud := sub.Identity.Values[valueHost], sub.Identity.Values[valueCloud]
	if h == "" || cloud == "" {
		return "", "", fmt.Errorf("jira: %w: the Connection does not know its site: connect it again", connector.ErrRefused)
	}
	return site(h), cloud, nil
}
