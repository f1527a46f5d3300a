package gmail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/interactorhq/interactor/connector"
)

const (
	scopePubSub   = "https://www.googleapis.com/auth/pubsub"
	defaultPubSub = "https://pubsub.googleapis.com/"
	googleToken   = "https://oauth2.googleapis.com/token"

	pullBatch   = 100             // messages of one pull
	pullTimeout = 2 * time.Minute // Pub/Sub answers when there is a message, or after a while without
	pullRest    = time.Second     // after an empty answer that came at once
	maxPull     = 8 << 20         // bytes of one answer
	maxKeyFile  = 64 << 10
)

// Stream reads the App's Pub/Sub subscription until ctx ends. A message is
// acknowledged when what it says is stored; one that is not comes again.
//
// Source: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull
func (c *Connector) Stream(ctx context.Context, sc connector.StreamContext, deliver func(context.Context, *connector.Inbound) error) error {
	p, err := c.puller(ctx, sc.App)
	if err != nil {
		return fmt.Errorf("gmail: pull: %w", err)
	}
	for ctx.Err() == nil {
		began := time.Now()
		messages, err := p.pull(ctx)
		if err != nil {
			return fmt.Errorf("gmail: pull %s: %w", p.subscription, err)
		}
		if len(messages) == 0 && time.Since(began) < pullRest { // Google holds the call; a proxy may not
			timer := time.NewTimer(pullRest)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		var done []string
		var failed error
		for _, m := range messages {
			body, err := json.Marshal(pushed{Message: m.Message, Subscription: p.subscription})
			if err == nil {
				err = deliver(ctx, &connector.Inbound{Method: http.MethodPost, Body: body, Watch: watchMailbox})
			}
			if err != nil {
				failed = errors.Join(failed, err)
				break // what comes after it most likely fails too
			}
			done = append(done, m.AckID)
		}
		if err := p.acknowledge(ctx, done); err != nil {
			failed = errors.Join(failed, fmt.Errorf("gmail: acknowledge %s: %w", p.subscription, err))
		}
		if failed != nil {
			return failed
		}
	}
	return ctx.Err()
}

// pushed is a message in the form that a push has, which Decode reads.
type pushed struct {
	Message      json.RawMessage `json:"message"`
	Subscription string          `json:"subscription"`
}

// received is one message as pull gives it.
type received struct {
	AckID   string          `json:"ackId"`
	Message json.RawMessage `json:"message"`
}

// puller calls Pub/Sub as a service account.
type puller struct {
	http         *http.Client
	base         string // of the subscription's calls
	subscription string
}

func (c *Connector) puller(ctx context.Context, app map[string]string) (*puller, error) {
	subscription, key := app[FieldSubscription], app[FieldServiceAccountKey]
	switch {
	case subscription == "":
		return nil, errors.New(`the App has no field "subscription": enter its Pub/Sub pull subscription, projects/…/subscriptions/…`)
	case strings.Count(subscription, "/") != 3 || !strings.HasPrefix(subscription, "projects/") || strings.ContainsAny(subscription, "?#:%\\ ") || strings.Contains(subscription, ".."):
		return nil, fmt.Errorf("the App's subscription %.200q is not of the form projects/…/subscriptions/…", plain(subscription))
	case key == "":
		return nil, errors.New(`the App has no field "service_account_key": enter the JSON key of a service account that is a subscriber of the subscription`)
	}
	conf, err := readKey(key)
	if err != nil {
		return nil, err
	}
	conf.TokenURL = googleToken // never that of the file: it decides where the signed assertion goes
	if c.cfg.Endpoints.Token != "" {
		conf.TokenURL = c.cfg.Endpoints.Token
	}
	plainClient := *c.cfg.HTTPClient
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &plainClient)
	client := conf.Client(ctx)
	client.Timeout = 0 // it is the one of a short call, and these are held
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &puller{http: client, base: strings.TrimSuffix(c.cfg.PubSub, "/") + "/v1/" + subscription, subscription: subscription}, nil
}

// readKey reads the JSON key file of a service account.
func readKey(text string) (*jwt.Config, error) {
	var key struct {
		Type         string `json:"type"`
		ClientEmail  string `json:"client_email"`
		PrivateKey   string `json:"private_key"`
		PrivateKeyID string `json:"private_key_id"`
	}
	if len(text) > maxKeyFile {
		return nil, errors.New("service_account_key is too long to be one")
	}
	// The parser's own words would quote from the key.
	if json.Unmarshal([]byte(text), &key) != nil || key.ClientEmail == "" || key.PrivateKey == "" {
		return nil, errors.New("service_account_key is no JSON key of a service account: enter the content of the file that Google made, with client_email and private_key")
	}
	if key.Type != "" && key.Type != "service_account" {
		return nil, fmt.Errorf("service_account_key is a key of type %.40q: it must be service_account", plain(key.Type))
	}
	return &jwt.Config{
		Email: key.ClientEmail, PrivateKey: []byte(key.PrivateKey), PrivateKeyID: key.PrivateKeyID, Scopes: []string{scopePubSub},
	}, nil
}

func (p *puller) pull(ctx context.Context) ([]received, error) {
	var out struct {
		Messages []received `json:"receivedMessages"`
	}
	err := p.call(ctx, "pull", map[string]any{"maxMessages": pullBatch}, &out)
	return out.Messages, err
}

// acknowledge tells Pub/Sub that messages are stored, also while the stream ends.
func (p *puller) acknowledge(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return p.call(ctx, "acknowledge", map[string]any{"ackIds": ids}, nil)
}

func (p *puller) call(ctx context.Context, method string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+":"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxPull+1))
	switch {
	case err != nil:
		return err
	case len(answer) > maxPull:
		return fmt.Errorf("the answer has more than %d MiB", maxPull>>20)
	}
	if err := connector.AnswerError(res.StatusCode, res.Header, answer, time.Now()); err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the answer is not the expected JSON: %w", err)
	}
	return nil
}
