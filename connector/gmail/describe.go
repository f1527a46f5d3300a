package gmail

import "github.com/interactorhq/interactor/connector"

// scopeReadonly suffices for watch, history and messages. It is restricted: an
// App for the public needs Google's verification.
const scopeReadonly = "https://www.googleapis.com/auth/gmail.readonly"

// watchMailbox is the name of the only Watch.
const watchMailbox = "mailbox"

// Kinds of history records; they serve as the Watch's topics.
const (
	messageAdded   = "messageAdded"
	messageDeleted = "messageDeleted"
	labelAdded     = "labelAdded"
)

// Describe returns what Gmail is.
//
// Sources: https://developers.google.com/identity/protocols/oauth2/web-server and
// https://developers.google.com/workspace/gmail/api/guides/push
func (c *Connector) Describe() connector.Description {
	d := connector.Description{
		Name:      Name,
		Label:     "Gmail",
		Docs:      "https://developers.google.com/workspace/gmail/api/guides/push",
		Endpoints: map[string]connector.Template{"api": "https://gmail.googleapis.com/"},
		OAuth: &connector.OAuth{
			Authorize: "https://accounts.google.com/o/oauth2/v2/auth",
			Params: map[string]connector.Template{
				// Google gives a refresh token for offline access only, and again
				// only when the person is asked again.
				"access_type":            "offline",
				"prompt":                 "consent",
				"include_granted_scopes": "true",
			},
			Scopes: []string{scopeReadonly},
			Token:  connector.Request{URL: "https://oauth2.googleapis.com/token"},
			// Either token ends the whole grant.
			Revoke: &connector.Request{URL: "https://oauth2.googleapis.com/revoke", Auth: connector.NoAuth},
		},
		Triggers: triggers(),
	}
	watch := connector.Watch{Name: watchMailbox, Resource: "{identity}", Intake: connector.FromPoll, Poll: c.cfg.PollInterval}
	if c.cfg.Mode != Poll {
		watch.Intake, watch.Per, watch.Poll = connector.AtApp, connector.PerIdentity, safetyPoll
		d.AppFields = []connector.Field{{
			Name: FieldTopic, Label: "Pub/Sub topic", Pattern: `projects/[^/\s]+/topics/[^/\s]+`,
			Help: "projects/…/topics/…, in the project of the OAuth client; gmail-api-push@system.gserviceaccount.com must be a publisher",
		}}
	}
	switch c.cfg.Mode { //nolint:exhaustive // polling needs nothing more
	case Push:
		d.AppFields = append(d.AppFields, connector.Field{
			Name: FieldPushServiceAccount, Label: "Service account of the push subscription", Pattern: `[^@\s]+@[^@\s]+`,
			Help: "the one chosen under Enable authentication",
		}, connector.Field{
			Name: FieldPushAudience, Label: "Audience of the push subscription", Optional: true,
			Help: "leave empty if it is empty there: then it is the address of the webhook",
		})
	case Pull:
		watch.Intake = connector.FromAppStream
		d.AppFields = append(d.AppFields, connector.Field{
			Name: FieldSubscription, Label: "Pub/Sub pull subscription", Pattern: `projects/[^/\s]+/subscriptions/[^/\s]+`,
			Help: "projects/…/subscriptions/…, of the topic above",
		}, connector.Field{
			Name: FieldServiceAccountKey, Label: "Key of a service account", Secret: true, Pattern: `(?s)\s*\{.*\}\s*`,
			Help: "the JSON key file of a service account with the role Pub/Sub Subscriber on that subscription",
		})
	}
	d.Watches = []connector.Watch{watch}
	return d.WithEndpoints(c.cfg.Endpoints)
}
