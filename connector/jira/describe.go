package jira

import (
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// Classic scopes. Registering webhooks takes scopeWork and scopeWebhook.
const (
	scopeOffline = "offline_access" // is not in the console's list of permissions, but without it there is no refresh token
	scopeUser    = "read:jira-user"
	scopeWork    = "read:jira-work"
	scopeWebhook = "manage:jira-webhook"
)

// refreshIdle is how long Atlassian keeps a refresh token that nobody uses.
const refreshIdle = 90 * 24 * time.Hour

// Watches. Those of issues can be narrowed by JQL, where each query is a webhook
// of its own; sprints, versions and projects belong to no issue.
const (
	watchDynamicIssues = "dynamic-issues"
	watchDynamicSite   = "dynamic-site"
	watchAdminIssues   = "admin-issues"
	watchAdminSite     = "admin-site"
	watchPoll          = "poll"
)

const (
	perQuery    = "{identity} {jql}|{identity}"
	perIdentity = "{identity}"
)

// Describe returns what Jira is.
//
// Sources: https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/ and
// https://developer.atlassian.com/cloud/jira/platform/webhooks/
func (c *Connector) Describe() connector.Description {
	d := connector.Description{
		Name:      Name,
		Label:     "Jira",
		Docs:      "https://developer.atlassian.com/cloud/jira/platform/webhooks/",
		Endpoints: map[string]connector.Template{"api": "https://api.atlassian.com/"},
		OAuth: &connector.OAuth{
			Authorize: "https://auth.atlassian.com/authorize",
			Params:    map[string]connector.Template{"audience": "api.atlassian.com", "prompt": "consent"},
			Scopes:    []string{scopeOffline, scopeUser},
			NoPKCE:    c.cfg.NoPKCE,
			// Refreshing gives a new refresh token each time and ends the old one. A dead
			// one is answered with 403 and unauthorized_client or invalid_grant, which
			// every connector takes for the end of the grant. There is no call that revokes.
			Token: connector.Request{URL: "https://auth.atlassian.com/oauth/token", Encoding: connector.JSON},
			Idle:  refreshIdle,
		},
		Triggers: c.definitions(),
	}
	d.Watches = c.watches(d.Triggers)
	return d.WithEndpoints(c.cfg.Endpoints)
}

// watches are those that a trigger is noticed through.
func (c *Connector) watches(triggers []trigger.Definition) []connector.Watch {
	safety := c.cfg.SafetyInterval
	all := []connector.Watch{
		// One address for an App is all that Jira promises to accept.
		{Name: watchDynamicIssues, Resource: perQuery, Intake: connector.AtApp, Secret: connector.AppSecret("client_secret"), Poll: safety},
		{Name: watchDynamicSite, Resource: perIdentity, Intake: connector.AtApp, Secret: connector.AppSecret("client_secret"), Poll: safety},
		{Name: watchAdminIssues, Resource: perQuery, Intake: connector.AtSubscription, Secret: connector.SecretOurs, Poll: safety},
		{Name: watchAdminSite, Resource: perIdentity, Intake: connector.AtSubscription, Secret: connector.SecretOurs, Poll: safety},
		{Name: watchPoll, Resource: perQuery, Intake: connector.FromPoll, Poll: c.cfg.PollInterval},
	}
	var used []connector.Watch
	for _, w := range all {
		for _, d := range triggers {
			if d.Watch == w.Name {
				used = append(used, w)
				break
			}
		}
	}
	return used
}
