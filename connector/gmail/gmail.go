// Package gmail connects Gmail mailboxes: mail that is sent, received, labelled,
// starred or deleted, drafts, attachments and threads.
//
// It is handed to interactor.Config.Connectors; start with [New]. A receiver in
// another service that only wants the payload type imports package gmailevent,
// which has no dependencies; [Email] is an alias of it. Package gmailtest is a
// stand-in for Google.
//
// # Push, pull and poll
//
// With a Topic, Gmail tells a Pub/Sub topic about changes, and its push
// subscription calls the webhook (push), or the engine reads from its pull
// subscription (pull: no public address is needed); a notification says nothing
// but "something changed", the rest is fetched. Without one the mailboxes are
// polled: no Google Cloud set-up beyond the OAuth client is needed.
//
// # To confirm against the real service
//
// Taken from Google's documentation and not tried against it: that labelIds in
// history are those of the moment of the record, and that text parts may come
// in their own character set. Mail that is imported with the label SENT fires
// EmailSent, however old it is: Email.Date tells.
package gmail

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail/gmailevent"
)

// Name of the connector.
const Name = "gmail"

// Names of the triggers.
const (
	EmailSent          = gmailevent.EmailSent
	EmailReceived      = gmailevent.EmailReceived
	EmailLabeled       = gmailevent.EmailLabeled
	EmailStarred       = gmailevent.EmailStarred
	EmailTrashed       = gmailevent.EmailTrashed
	EmailDeleted       = gmailevent.EmailDeleted
	DraftCreated       = gmailevent.DraftCreated
	AttachmentReceived = gmailevent.AttachmentReceived
	ThreadStarted      = gmailevent.ThreadStarted
)

// What the triggers carry.
type (
	// Email is the payload of EmailSent, EmailReceived, EmailStarred, EmailTrashed,
	// AttachmentReceived and ThreadStarted.
	Email = gmailevent.Email
	// LabeledEmail is the payload of EmailLabeled.
	LabeledEmail = gmailevent.LabeledEmail
	// Label is a label of a mailbox.
	Label = gmailevent.Label
	// Draft is the payload of DraftCreated.
	Draft = gmailevent.Draft
	// DeletedEmail is the payload of EmailDeleted.
	DeletedEmail = gmailevent.DeletedEmail
	// Address is a mail address of an Email.
	Address = gmailevent.Address
	// Attachment is a file of an Email.
	Attachment = gmailevent.Attachment
)

// Fields of an App, beside its client id and secret, in push mode. FieldTopic is
// one in pull mode, too.
const (
	FieldTopic              = "topic"
	FieldPushAudience       = "push_audience"
	FieldPushServiceAccount = "push_service_account"
)

// Fields of an App in pull mode, beside FieldTopic.
const (
	FieldSubscription      = "subscription"
	FieldServiceAccountKey = "service_account_key"
)

// Mode says how news of a mailbox reach us.
type Mode string

const (
	// Auto is Pull where Config has a Subscription, Push where it has only a Topic,
	// else Poll.
	Auto Mode = ""
	// Push makes Google call the webhook through Cloud Pub/Sub. Every App, an
	// Environment's own too, needs a topic and a push subscription.
	Push Mode = "push"
	// Pull fetches what Google publishes from a pull subscription, so no public
	// address is needed. Every App needs a topic, a subscription and a key.
	Pull Mode = "pull"
	// Poll asks for news of each mailbox every PollInterval.
	Poll Mode = "poll"
)

// Config of the connector. The zero value has no default App: every
// Environment then needs its own.
type Config struct {
	// ClientID and ClientSecret of the default App, an OAuth client of type "Web
	// application" in the Google Cloud console with the Gmail API enabled.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`

	// Topic is the Pub/Sub topic of the default App, "projects/p/topics/t", in
	// the project of the OAuth client. gmail-api-push@system.gserviceaccount.com
	// must be allowed to publish to it. Empty: poll.
	Topic string `json:"topic,omitempty"`

	// PushServiceAccount is the address of the service account that signs the
	// pushes of the default App, as chosen in the push subscription. Required in
	// push mode: without it anyone with a Google account could sign them.
	PushServiceAccount string `json:"push_service_account,omitempty"`

	// PushAudience is the audience set in the push subscription. Defaults to the
	// address of the webhook, as Google's does.
	PushAudience string `json:"push_audience,omitempty"`

	// Subscription is the Pub/Sub pull subscription of the Topic, of the default App:
	// "projects/p/subscriptions/s". Pull mode.
	Subscription string `json:"subscription,omitempty"`

	// ServiceAccountKey is the JSON key file of a service account that may read
	// from the Subscription (role Pub/Sub Subscriber). Pull mode.
	ServiceAccountKey string `json:"service_account_key,omitempty"`

	// Mode defaults to pull with a Subscription, push with a Topic alone, else poll.
	// Set Push or Pull where only the Environments' own Apps have topics.
	Mode Mode `json:"mode,omitempty"`

	// PollInterval is the pace of poll mode. Defaults to one minute.
	PollInterval time.Duration `json:"-"`

	// MetadataOnly leaves the content out of what is passed on: text, html, snippet
	// and the data of parts, in payload and raw alike. Headers, labels and the list
	// of attachments stay. It does not change the consent that is asked for.
	MetadataOnly bool `json:"metadata_only,omitempty"`

	// Endpoints replace Google's addresses, for tests.
	Endpoints connector.Endpoints `json:"endpoints,omitzero"`

	// PubSub replaces Pub/Sub's address, for tests. Defaults to
	// https://pubsub.googleapis.com/.
	PubSub string `json:"pubsub,omitempty"`

	// HTTPClient fetches Google's public keys, which verify pushes, and pulls.
	// Defaults to one with a timeout of 10 seconds; pulls have their own.
	HTTPClient *http.Client `json:"-"`
}

const (
	defaultPoll = time.Minute
	// safetyPoll finds what was lost on the way: Gmail drops notifications that
	// come faster than one a second and promises none of the others.
	safetyPoll = 6 * time.Hour
)

// Connector is Gmail. It is safe for concurrent use.
type Connector struct {
	cfg  Config
	keys publicKeys
}

var (
	_ connector.AppSource    = (*Connector)(nil)
	_ connector.ParamChecker = (*Connector)(nil)
	_ connector.Verifier     = (*Connector)(nil)
	_ connector.Decoder      = (*Connector)(nil)
	_ connector.Identifier   = (*Connector)(nil)
	_ connector.Subscriber   = (*Connector)(nil)
	_ connector.Expander     = (*Connector)(nil)
	_ connector.Streamer     = (*Connector)(nil)
)

// New returns the connector. It does no I/O.
func New(cfg Config) *Connector {
	if cfg.Mode == Auto {
		cfg.Mode = Poll
		switch {
		case cfg.Subscription != "":
			cfg.Mode = Pull
		case cfg.Topic != "":
			cfg.Mode = Push
		}
	}
	if cfg.PollInterval <= 0 {
		cfg.PollInterval = defaultPoll
	}
	if cfg.PubSub == "" {
		cfg.PubSub = defaultPubSub
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: 10 * time.Second}
	}
	return &Connector{cfg: cfg, keys: publicKeys{client: cfg.HTTPClient}}
}

// DefaultApp is the App of the Config.
func (c *Connector) DefaultApp() (connector.App, bool) {
	app := connector.App{ClientID: c.cfg.ClientID, ClientSecret: c.cfg.ClientSecret}
	var fields map[string]string
	switch c.cfg.Mode { //nolint:exhaustive // polling needs nothing more
	case Push:
		fields = map[string]string{
			FieldTopic: c.cfg.Topic, FieldPushAudience: c.cfg.PushAudience, FieldPushServiceAccount: c.cfg.PushServiceAccount,
		}
	case Pull:
		fields = map[string]string{
			FieldTopic: c.cfg.Topic, FieldSubscription: c.cfg.Subscription, FieldServiceAccountKey: c.cfg.ServiceAccountKey,
		}
	}
	maps.DeleteFunc(fields, func(_, v string) bool { return v == "" })
	app.Fields = fields
	return app, c.cfg.ClientID != ""
}

// usable reports a Mode that does not exist. New has no error to say it with.
func (c *Connector) usable() error {
	if c.cfg.Mode != Push && c.cfg.Mode != Pull && c.cfg.Mode != Poll {
		return fmt.Errorf("gmail: Config.Mode is %q: use %q, %q or %q: %w", c.cfg.Mode, Push, Pull, Poll, connector.ErrRefused)
	}
	return nil
}

// errNoTopic says what an App lacks.
var errNoTopic = errors.New(`the App has no field "topic": enter its Pub/Sub topic, projects/…/topics/…`)

// mailboxKey routes notifications to the Connections of a mailbox. Google folds
// the case of addresses.
func mailboxKey(address string) connector.Key { return connector.NewKey("mailbox", fold(address)) }

func fold(address string) string { return strings.ToLower(strings.TrimSpace(address)) }
