package deployment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// content is what a StoredForwarding holds, opened.
type content struct {
	owner    string
	revision int64
	managed  bool
	settings forward.Settings // less Secrets
	secrets  []signing        // newest first
	given    bool             // the caller named the secrets; else they were made here

	unchecked bool // edit can make nothing worse: no need to check
}

// signing is a signing secret. One that RotateSecret replaced has an end.
type signing struct {
	Secret string    `json:"secret"`
	Until  time.Time `json:"until,omitzero"`
}

// public and secret are the stored forms. They are this room's own, apart from
// the JSON of forward.Settings: that one refuses members it does not know, and a
// database must stay readable for the version before.
type public struct {
	URL         string          `json:"url,omitempty"`
	HeaderKey   string          `json:"header_key,omitempty"`
	Certificate string          `json:"client_certificate,omitempty"`
	OAuth2      *oauth2         `json:"oauth2,omitempty"`
	Triggers    []filter        `json:"triggers,omitempty"`
	Raw         bool            `json:"raw,omitempty"`
	Retry       []time.Duration `json:"retry,omitempty"`   // nanoseconds
	Timeout     time.Duration   `json:"timeout,omitempty"` // nanoseconds

	RateLimit   float64       `json:"rate_limit,omitempty"`
	Concurrency int           `json:"concurrency,omitempty"`
	Ordered     bool          `json:"ordered,omitempty"`
	PauseAfter  time.Duration `json:"pause_after,omitempty"` // nanoseconds; negative: never
}

type filter struct {
	Trigger string            `json:"trigger"`
	Params  map[string]string `json:"params,omitempty"`
}

// oauth2 is forward.OAuth2 less its secret.
type oauth2 struct {
	TokenURL string   `json:"token_url"`
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes,omitempty"`
	Audience string   `json:"audience,omitempty"`
}

type secret struct {
	HeaderValue  string    `json:"header_value,omitempty"`
	ClientKey    string    `json:"client_key,omitempty"`
	ClientSecret string    `json:"client_secret,omitempty"` // of oauth2
	Secrets      []signing `json:"secrets,omitempty"`
	Given        bool      `json:"given,omitempty"`
}

func (c *content) public() public {
	p := public{
		URL: c.settings.URL, HeaderKey: c.settings.HeaderKey, Raw: c.settings.Raw,
		Retry: c.settings.Retry, Timeout: c.settings.Timeout, Certificate: c.settings.ClientCertificate,
		RateLimit: c.settings.RateLimit, Concurrency: c.settings.Concurrency,
		Ordered: c.settings.Ordered, PauseAfter: c.settings.PauseAfter,
	}
	if o := c.settings.OAuth2; o != nil {
		p.OAuth2 = &oauth2{TokenURL: o.TokenURL, ClientID: o.ClientID, Scopes: o.Scopes, Audience: o.Audience}
	}
	for _, f := range c.settings.Triggers {
		p.Triggers = append(p.Triggers, filter(f))
	}
	return p
}

func (c *content) secret() secret {
	s := secret{HeaderValue: c.settings.HeaderValue, ClientKey: c.settings.ClientKey, Secrets: c.secrets, Given: c.given}
	if o := c.settings.OAuth2; o != nil {
		s.ClientSecret = o.ClientSecret
	}
	return s
}

// equal reports whether writing b in the place of c would change nothing.
func (c *content) equal(b *content) bool {
	return c.managed == b.managed && c.sameSettings(b)
}

// sameSettings is equal but for who owns them.
func (c *content) sameSettings(b *content) bool {
	one, err1 := json.Marshal([]any{c.public(), c.secret()})
	two, err2 := json.Marshal([]any{b.public(), b.secret()})
	return err1 == nil && err2 == nil && bytes.Equal(one, two)
}

// sameWatches reports whether b asks for the same occurrences as c does.
func (c *content) sameWatches(b *content) bool {
	return slices.EqualFunc(c.settings.Triggers, b.settings.Triggers, equalFilters)
}

func equalFilters(a, b trigger.Filter) bool {
	return a.Trigger == b.Trigger && maps.Equal(a.Params, b.Params)
}

// replace takes over f. Empty Secrets keep the ones there are; a secret that is
// on its way out keeps its end.
func (c *content) replace(f forward.Settings) {
	former := c.secrets
	c.settings = copySettings(f)
	c.settings.Secrets = nil
	c.given = len(f.Secrets) > 0
	if len(f.Secrets) == 0 && !f.IsZero() {
		return
	}
	c.secrets = nil
	for _, text := range f.Secrets {
		s := signing{Secret: text}
		if i := slices.IndexFunc(former, func(o signing) bool { return o.Secret == text }); i >= 0 {
			s = former[i]
		}
		c.secrets = append(c.secrets, s)
	}
}

// current returns the settings with the secrets that are valid at a time.
func (c *content) current(now time.Time) forward.Settings {
	f := copySettings(c.settings)
	for _, s := range c.secrets {
		if s.Until.IsZero() || now.Before(s.Until) {
			f.Secrets = append(f.Secrets, s.Secret)
		}
	}
	return f
}

func (s *Service) encode(ctx context.Context, c content) (StoredForwarding, error) {
	stored := StoredForwarding{Owner: c.owner, Managed: c.managed, Revision: c.revision}
	now := s.now()
	c.secrets = slices.DeleteFunc(slices.Clone(c.secrets), func(s signing) bool {
		return !s.Until.IsZero() && !now.Before(s.Until)
	})
	if c.settings.IsZero() && len(c.secrets) == 0 && (!c.managed || isEnvironment(c.owner)) {
		return stored, nil // Public nil: removed. Where it is there, it keeps Managed
	}
	if c.settings.URL != "" && len(c.secrets) == 0 {
		c.secrets = []signing{{Secret: webhook.NewSecret()}}
	}
	var err error
	if stored.Public, err = json.Marshal(c.public()); err != nil {
		return stored, fmt.Errorf("deployment: encoding the settings of %s: %w", c.owner, err)
	}
	plain, err := json.Marshal(c.secret())
	if err != nil {
		return stored, fmt.Errorf("deployment: encoding the secrets of %s: %w", c.owner, err)
	}
	if stored.Sealed, err = s.cfg.Keeper.Seal(ctx, plain, bind(c.owner)); err != nil {
		return stored, fmt.Errorf("deployment: sealing the secrets of %s: %w", c.owner, err)
	}
	return stored, nil
}

func (s *Service) decode(ctx context.Context, stored StoredForwarding) (content, error) {
	c := content{owner: stored.Owner, revision: stored.Revision, managed: stored.Managed}
	if len(stored.Public) == 0 {
		return c, nil
	}
	var p public
	if err := json.Unmarshal(stored.Public, &p); err != nil {
		return c, fmt.Errorf("deployment: the stored settings of %s are damaged: %w", c.owner, err)
	}
	plain, err := s.cfg.Keeper.Open(ctx, stored.Sealed, bind(c.owner))
	if err != nil {
		return c, fmt.Errorf("deployment: opening the secrets of %s: %w", c.owner, err)
	}
	var sec secret
	if err := json.Unmarshal(plain, &sec); err != nil {
		// Without the cause: it could quote what was sealed.
		return c, errors.New("deployment: the sealed secrets of " + c.owner + " are damaged: restore a backup or set the forwarding settings again")
	}
	c.settings = forward.Settings{
		URL: p.URL, HeaderKey: p.HeaderKey, HeaderValue: sec.HeaderValue, Raw: p.Raw,
		Retry: p.Retry, Timeout: p.Timeout, ClientCertificate: p.Certificate, ClientKey: sec.ClientKey,
		RateLimit: p.RateLimit, Concurrency: p.Concurrency, Ordered: p.Ordered, PauseAfter: p.PauseAfter,
	}
	if o := p.OAuth2; o != nil {
		c.settings.OAuth2 = &forward.OAuth2{TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: sec.ClientSecret, Scopes: o.Scopes, Audience: o.Audience}
	}
	for _, f := range p.Triggers {
		c.settings.Triggers = append(c.settings.Triggers, trigger.Filter(f))
	}
	c.secrets, c.given = sec.Secrets, sec.Given
	return c, nil
}

func bind(owner string) []byte { return []byte(owner + "/forwarding") }

// Reseal returns the stored secrets of forwarding settings sealed under the key of
// today, or nil when they are that already. It stores nothing. Errors: those of
// the Keeper.
func (s *Service) Reseal(ctx context.Context, v seal.Stored) ([]byte, error) {
	anew, err := seal.Anew(ctx, s.cfg.Keeper, v.Sealed, bind(v.Record))
	if err != nil {
		return nil, fmt.Errorf("deployment: sealing the secrets of %s anew: %w", v.Record, err)
	}
	return anew, nil
}

// checkExpiry refuses a client certificate that is over already. One that is in
// force and ends some day stands in the way of no other change.
func checkExpiry(f forward.Settings, now time.Time) error {
	until := f.CertificateExpires()
	if until.IsZero() || now.Before(until) {
		return nil
	}
	return &InvalidError{forward.Problems{{
		Field: "client_certificate", Err: fmt.Errorf("expired at %s: give a new one, with its key", until.UTC().Format(time.RFC3339)),
	}}}
}

// check reports all that is wrong. What more finds includes what Validate does,
// unless somebody wrote it otherwise.
func check(f forward.Settings, more func(forward.Settings) error) error {
	err := more(f)
	if err == nil {
		err = f.Validate()
	}
	if err != nil {
		return &InvalidError{err}
	}
	return nil
}

// copySettings shares nothing with f, so that neither a caller nor the cache can
// change the other's.
func copySettings(f forward.Settings) forward.Settings {
	f.Secrets = slices.Clone(f.Secrets)
	f.Retry = slices.Clone(f.Retry)
	if f.OAuth2 != nil {
		o := *f.OAuth2
		o.Scopes = slices.Clone(o.Scopes)
		f.OAuth2 = &o
	}
	f.Triggers = slices.Clone(f.Triggers)
	for i := range f.Triggers {
		f.Triggers[i].Params = maps.Clone(f.Triggers[i].Params)
	}
	return f
}
