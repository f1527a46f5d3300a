package forward

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/dialguard"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// Settings say where events go and which ones: the Trigger Forwarding settings
// of a deployment. Only URL (or an in-process handler) and Triggers are needed.
//
// Its JSON form is the same in the JSON API and in config files. Printing, logging
// or marshalling Settings shows no secret: neither HeaderValue, ClientKey,
// OAuth2.ClientSecret nor Secrets.
type Settings struct {
	// URL that events are POSTed to, http or https. Empty means Config.OnEvent.
	// Private and loopback addresses are refused unless AllowPrivateNetworks is
	// set; redirects are not followed.
	URL string

	// HeaderKey and HeaderValue are one more header of every delivery, for
	// receivers that want a token of their own. Names that the protocol uses
	// (webhook-*, content-type, host, …) and line breaks are refused. The value
	// is sealed in the store.
	HeaderKey   string
	HeaderValue string

	// ClientCertificate and ClientKey are shown to the receiver if it asks for a
	// certificate (mutual TLS), and to no other one; URL must be https. Both are
	// PEM: the certificate of the client itself first, then those between it and
	// the authority. A new pair is used from the next try on. The key is sealed in
	// the store.
	ClientCertificate string
	ClientKey         string

	// OAuth2 sends an access token as "Authorization: Bearer …", for receivers
	// that want one. Tokens are kept in memory until shortly before their end; one
	// that the receiver answers 401 to is fetched anew for the next try.
	OAuth2 *OAuth2

	// Triggers to forward, and so to watch for at the providers. An empty list
	// forwards nothing, which New of this package and of interactor call a mistake;
	// trigger.List("*") is everything.
	Triggers []trigger.Filter

	// Secrets sign every delivery, each adding one signature: "whsec_…" (v1) or
	// "whsk_…" (v1a). A Forwarder on its own cannot seal, so there a URL needs a
	// secret from you; deployments make one where none is given.
	Secrets []string

	// Raw adds what the provider sent to the envelope, as data.raw.
	Raw bool

	// Retry is the wait before each further try, ±20 % jitter, each from 1 ms to 7
	// days. A Retry-After of the receiver is honoured, never undercut. Empty means
	// the ten tries of Standard Webhooks, the last one 75 h 35 m after the first.
	Retry []time.Duration

	// Timeout of one try. Defaults to 15 seconds.
	Timeout time.Duration

	// RateLimit is how many tries a second are made at most, replays included; as
	// many may be made at once. From 0.01 to 1,000,000; 0 is no limit. Waiting for
	// it costs no try. A change counts from the next try on.
	RateLimit float64

	// Concurrency is how many tries may be in flight at a time. Defaults to, and is
	// at most, Limits.PerLane. Below it the number adapts: it grows while tries
	// succeed and is halved when the receiver is overloaded.
	Concurrency int

	// Ordered delivers the events of one account one after another, as they were
	// stored: a later one waits until the earlier one is delivered or dead, however
	// long that takes. Other accounts are not held up. Events without account are
	// those of one. It counts for events that come from then on; replays and examples
	// are sent out of order.
	Ordered bool

	// PauseAfter is how long nothing but failures may come from URL before the
	// destination is paused, from one minute to a year: [DestinationPaused]. Its
	// events wait until it is resumed. Defaults to 120 hours; negative is never.
	PauseAfter time.Duration
}

// Bounds of Settings.
const (
	maxURL         = 2048 // bytes
	maxHeaderKey   = 128
	maxHeaderValue = 4096
	maxTriggers    = 1000
	maxSecrets     = 16
	maxRetries     = 50
	minWait        = time.Millisecond
	maxWait        = 7 * 24 * time.Hour
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = 5 * time.Minute
	defaultTimeout = 15 * time.Second
	minRate        = 0.01
	maxRate        = 1_000_000
	maxConcurrency = 10_000
	minPause       = time.Minute
	maxPause       = 365 * 24 * time.Hour
	defaultPause   = 120 * time.Hour
	never          = -1 // a PauseAfter
)

var (
	_ fmt.Formatter  = Settings{}
	_ fmt.Stringer   = Settings{}
	_ fmt.GoStringer = Settings{}
	_ slog.LogValuer = Settings{}
)

// IsZero reports whether nothing is set at all.
func (s Settings) IsZero() bool {
	return s.URL == "" && s.HeaderKey == "" && s.HeaderValue == "" && len(s.Triggers) == 0 &&
		len(s.Secrets) == 0 && !s.Raw && len(s.Retry) == 0 && s.Timeout == 0 &&
		s.RateLimit == 0 && s.Concurrency == 0 && !s.Ordered && s.PauseAfter == 0 &&
		s.ClientCertificate == "" && s.ClientKey == "" && s.OAuth2 == nil
}

// Wants reports whether an occurrence of the named Trigger with these attributes
// is to be forwarded, for a Connection without params of its own.
func (s Settings) Wants(name string, attributes map[string][]string) bool {
	return trigger.Overrides(nil).Match(s.Triggers, name, attributes)
}

// String leaves out what is secret. The URL is shown without its query, in which
// receivers like to put a token.
func (s Settings) String() string {
	var b strings.Builder
	b.WriteString("forward.Settings{URL: ")
	b.WriteString(safeURL(s.URL))
	if s.HeaderKey != "" {
		fmt.Fprintf(&b, ", HeaderKey: %q, HeaderValue: [redacted]", s.HeaderKey)
	}
	if s.ClientCertificate != "" || s.ClientKey != "" {
		fmt.Fprintf(&b, ", ClientCertificate: [%d bytes], ClientKey: [redacted]", len(s.ClientCertificate))
	}
	if s.OAuth2 != nil {
		b.WriteString(", OAuth2: " + s.OAuth2.String())
	}
	fmt.Fprintf(&b, ", Triggers: %d, Secrets: [%d redacted], Raw: %v", len(s.Triggers), len(s.Secrets), s.Raw)
	if len(s.Retry) > 0 {
		fmt.Fprintf(&b, ", Retry: %v", s.Retry)
	}
	if s.Timeout != 0 {
		fmt.Fprintf(&b, ", Timeout: %v", s.Timeout)
	}
	if s.RateLimit != 0 {
		fmt.Fprintf(&b, ", RateLimit: %v", s.RateLimit)
	}
	if s.Concurrency != 0 {
		fmt.Fprintf(&b, ", Concurrency: %v", s.Concurrency)
	}
	if s.Ordered {
		b.WriteString(", Ordered: true")
	}
	if s.PauseAfter != 0 {
		fmt.Fprintf(&b, ", PauseAfter: %v", s.PauseAfter)
	}
	return b.String() + "}"
}

// GoString leaves out what is secret.
func (s Settings) GoString() string { return s.String() }

// Format leaves out what is secret, whatever the verb of package fmt.
func (s Settings) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue leaves out what is secret.
func (s Settings) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("url", safeURL(s.URL)), slog.String("header_key", s.HeaderKey),
		slog.Int("triggers", len(s.Triggers)), slog.Int("secrets", len(s.Secrets)),
		slog.Bool("client_certificate", s.ClientCertificate != ""),
	}
	if s.OAuth2 != nil {
		attrs = append(attrs, slog.Attr{Key: "oauth2", Value: s.OAuth2.LogValue()})
	}
	return slog.GroupValue(attrs...)
}

// Validate reports, all at once, what is wrong with the form of s: each line
// begins with the name of the member, as JSON has it. It says nothing about
// whether the triggers exist and the address may be called: that is [Settings.Check].
func (s Settings) Validate() error {
	var p Problems
	s.checkURL(&p)
	s.checkHeader(&p)
	s.checkCertificate(&p)
	s.checkOAuth2(&p)
	if len(s.Triggers) > maxTriggers {
		p.add("triggers", "has %d entries: at most %d are possible", len(s.Triggers), maxTriggers)
	}
	for i, f := range s.Triggers {
		if err := f.Validate(); err != nil {
			p.add(fmt.Sprintf("triggers[%d]", i), "%w", err)
		}
	}
	if len(s.Secrets) > maxSecrets {
		p.add("secrets", "has %d entries: at most %d are possible", len(s.Secrets), maxSecrets)
	}
	for i, secret := range s.Secrets {
		if err := webhook.ValidateSecret(secret); err != nil {
			p.add(fmt.Sprintf("secrets[%d]", i), "cannot sign: %w: make one with \"whsec_$(openssl rand -base64 32)\"", err)
		}
	}
	waits := s.Retry
	if len(waits) > maxRetries {
		p.add("retry", "has %d waits: at most %d are possible", len(waits), maxRetries)
		waits = nil // one problem is enough
	}
	for i, wait := range waits {
		if wait < minWait || wait > maxWait {
			p.add(fmt.Sprintf("retry[%d]", i), "is %s: it must lie between %s and %s", wait, minWait, brief(maxWait))
		}
	}
	if s.Timeout != 0 && (s.Timeout < minTimeout || s.Timeout > maxTimeout) {
		p.add("timeout", "is %s: it must lie between %s and %s", s.Timeout, minTimeout, brief(maxTimeout))
	}
	s.checkPace(&p)
	return p.err()
}

func (s Settings) checkPace(p *Problems) {
	if s.RateLimit != 0 && !(s.RateLimit >= minRate && s.RateLimit <= maxRate) { // nor NaN
		p.add("rate_limit", "is %v: it must lie between %v and %d a second, or be 0 for no limit", s.RateLimit, minRate, maxRate)
	}
	if s.Concurrency < 0 || s.Concurrency > maxConcurrency {
		p.add("concurrency", "is %d: it must lie between 1 and %d, or be 0 for what the installation allows", s.Concurrency, maxConcurrency)
	}
	if s.PauseAfter > 0 && (s.PauseAfter < minPause || s.PauseAfter > maxPause) {
		p.add("pause_after", "is %s: it must lie between %s and %s, or be \"never\"", s.PauseAfter, brief(minPause), brief(maxPause))
	}
}

// Check reports, all at once, what [Settings.Validate] does and what only the
// installation knows: triggers and params that the catalogue does not have or
// cannot deliver, and a URL that may not be called. news are names of other rooms' news that a
// trigger list may hold; those of this room are known.
func (s Settings) Check(catalogue *connector.Registry, allowPrivate bool, news ...string) error {
	var p Problems
	news = append([]string{DeliveryExhausted, DestinationPaused, DestinationRecovered}, news...)
	p.join(s.Validate())
	if u, err := url.Parse(s.URL); err == nil && u.Host != "" {
		if err := dialguard.CheckURL(u, allowPrivate); err != nil {
			p.add("url", "%w", err)
		}
	}
	s.checkReach(&p, allowPrivate)
	for i, f := range s.Triggers {
		if f.Validate() != nil {
			continue
		}
		var wrong *connector.TriggerError
		if err := catalogue.Check(s.Triggers[i:i+1], news...); errors.As(err, &wrong) {
			p.add(fmt.Sprintf("triggers[%d]", i), "is refused: %w", wrong.Err)
		}
	}
	return p.err()
}

func (s Settings) checkURL(p *Problems) {
	if s.URL == "" {
		return
	}
	checkAddress(p, "url", s.URL, "use header_key and header_value instead")
}

// checkAddress reports what is wrong with an address that a customer can set.
func checkAddress(p *Problems, field, address, insteadOfUser string) {
	u, err := url.Parse(address)
	switch {
	case len(address) > maxURL:
		p.add(field, "has %d bytes: at most %d are possible", len(address), maxURL)
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		p.add(field, "is no absolute http or https address, such as https://app.example.com/events")
	case u.User != nil:
		p.add(field, "contains a user name or password: %s", insteadOfUser)
	case u.Fragment != "" || strings.Contains(address, "#"):
		p.add(field, "contains a fragment (#…), which is never sent: remove it")
	case u.Port() == "0":
		p.add(field, "has port 0: name the port that the server listens at")
	}
}

func (s Settings) checkHeader(p *Problems) {
	switch {
	case s.HeaderKey == "" && s.HeaderValue != "":
		p.add("header_key", "is missing: header_value needs a name to be sent under")
	case s.HeaderKey == "":
	case len(s.HeaderKey) > maxHeaderKey:
		p.add("header_key", "has %d bytes: at most %d are possible", len(s.HeaderKey), maxHeaderKey)
	case !isToken(s.HeaderKey):
		p.add("header_key", "%q is no header name: use letters, digits and -", s.HeaderKey)
	case reservedHeader(s.HeaderKey):
		p.add("header_key", "%q belongs to the protocol: choose another name, such as X-Forwarding-Token", s.HeaderKey)
	}
	if len(s.HeaderValue) > maxHeaderValue {
		p.add("header_value", "has %d bytes: at most %d are possible", len(s.HeaderValue), maxHeaderValue)
	}
	for i := range len(s.HeaderValue) {
		if c := s.HeaderValue[i]; (c < ' ' && c != '\t') || c == 0x7f {
			p.add("header_value", "contains a line break or another control character: remove it")
			break
		}
	}
	if strings.TrimSpace(s.HeaderValue) != s.HeaderValue {
		p.add("header_value", "begins or ends with a space, which is not sent: remove it")
	}
}

// reservedHeader holds the names that deliveries use themselves or that belong
// to the connection (RFC 9110, 7.6.1).
func reservedHeader(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "webhook-") || strings.HasPrefix(name, "proxy-") {
		return true
	}
	return slices.Contains([]string{
		"content-type", "content-length", "content-encoding", "host", "connection",
		"keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect",
		"user-agent", "traceparent", "tracestate",
	}, name)
}

// isToken is the syntax of a header name (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}

// safeURL is a URL for logs.
func safeURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "[malformed]"
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	u.User = nil
	return u.String()
}

func (s Settings) timeout() time.Duration {
	if s.Timeout <= 0 {
		return defaultTimeout
	}
	return s.Timeout
}
