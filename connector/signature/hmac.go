package signature

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is what some providers sign with; it is not broken as a MAC
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// Hash is the hash function of an HMAC.
type Hash int

// What providers use.
const (
	SHA256 Hash = iota
	SHA1        // Intercom, Trello, Twilio
	SHA512
)

func (h Hash) constructor() (func() hash.Hash, int) {
	switch h {
	case SHA256:
		return sha256.New, sha256.Size
	case SHA1:
		return sha1.New, sha1.Size
	case SHA512:
		return sha512.New, sha512.Size
	}
	return nil, 0
}

// Encoding is how bytes are written in a header or a secret.
type Encoding int

// What providers use.
const (
	Hex    Encoding = iota // either case
	Base64                 // standard, padded
	Raw                    // the bytes themselves; for keys only
)

func (e Encoding) decode(s string) ([]byte, bool) {
	switch e {
	case Hex:
		b, err := hex.DecodeString(s)
		return b, err == nil
	case Base64:
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		return b, err == nil && !strings.ContainsAny(s, "\r\n")
	case Raw:
		return []byte(s), true
	}
	return nil, false
}

// Base returns what is signed. timestamp is the text as the request has it,
// empty without Timestamp.
type Base func(in *connector.Inbound, timestamp string) ([]byte, error)

// A Timestamp is where a request says when it was signed. Either Header or
// Element must be set.
type Timestamp struct {
	Header    string                          // a header of its own: "X-Slack-Request-Timestamp"
	Element   string                          // an element of the signature header: "t" in "t=1700000000,v1=…"
	Parse     func(string) (time.Time, error) // defaults to UnixSeconds
	Tolerance time.Duration                   // to the time of receipt, both ways. Defaults to 5 minutes; negative: not compared
}

// HMAC verifies a keyed hash of the request. The zero value of each field but
// Header means the common case: one hex HMAC-SHA256 of the raw body, keyed with
// the secret's own bytes.
//
//	GitHub, Meta     HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256="}
//	Shopify          HMAC{Header: "X-Shopify-Hmac-Sha256", Encoding: Base64}
//	Slack            HMAC{Header: "X-Slack-Signature", Prefix: "v0=", Base: V0,
//	                      Timestamp: &Timestamp{Header: "X-Slack-Request-Timestamp"}}
//	Stripe           HMAC{Header: "Stripe-Signature", Prefix: "v1=", Separator: ",", Base: TimestampDotBody,
//	                      Timestamp: &Timestamp{Element: "t"}}
//	PagerDuty        HMAC{Header: "X-PagerDuty-Signature", Prefix: "v1=", Separator: ","}
//	Airtable         HMAC{Header: "X-Airtable-Content-MAC", Prefix: "hmac-sha256=", Key: Base64Key}
type HMAC struct {
	Header    string
	Prefix    string     // before each signature, as text: "sha256=", "v1="; what lacks it is not one
	Separator string     // between the elements of the header; empty: it holds one signature
	Encoding  Encoding   // of the signature: Hex or Base64
	Hash      Hash       // defaults to SHA256
	Key       Key        // how the secret becomes the key
	Timestamp *Timestamp // nil: the scheme has none
	Base      Base       // defaults to Body; one of this package's, or your own
}

// Key says how a secret becomes the key of the HMAC.
type Key int

// What providers use.
const (
	RawKey    Key = iota // the secret's bytes
	Base64Key            // the secret is base64
	HexKey               // the secret is hex
)

func (k Key) bytes(secret string) ([]byte, bool) {
	var b []byte
	ok := false
	switch k {
	case RawKey:
		b, ok = []byte(secret), true
	case Base64Key:
		b, ok = Base64.decode(secret)
	case HexKey:
		b, ok = Hex.decode(secret)
	}
	return b, ok && len(b) > 0
}

var _ connector.Verifier = HMAC{}

// Verify implements connector.Verifier.
func (h HMAC) Verify(_ context.Context, in *connector.Inbound) error {
	candidates, err := secrets(in)
	if err != nil {
		return err
	}
	newHash, size := h.Hash.constructor()
	if newHash == nil || h.Encoding != Hex && h.Encoding != Base64 {
		return unproven("the connector names an unknown algorithm")
	}
	text, err := header(in, h.Header)
	if err != nil {
		return err
	}
	signatures, timestamp, err := h.read(in, text, size)
	if err != nil {
		return err
	}
	base := h.Base
	if base == nil {
		base = Body
	}
	signed, err := base(in, timestamp)
	if err != nil {
		return unproven("what is signed cannot be told: %w", err)
	}
	proven := false
	for _, secret := range candidates {
		key, ok := h.Key.bytes(secret)
		if !ok {
			return unproven("one of the secrets does not decode to a key")
		}
		mac := hmac.New(newHash, key)
		mac.Write(signed)
		sum := mac.Sum(nil)
		for _, s := range signatures {
			proven = hmac.Equal(sum, s) || proven // all of them: the time tells nothing
		}
	}
	if !proven {
		return unproven("no signature in %s matches", h.Header)
	}
	return nil
}

// read returns the signatures in the header and the fresh timestamp.
func (h HMAC) read(in *connector.Inbound, text string, size int) ([][]byte, string, error) {
	elements := []string{text}
	if h.Separator != "" {
		elements = strings.Split(text, h.Separator)
	}
	var signatures [][]byte
	timestamp := ""
	for _, e := range elements {
		if h.Separator != "" {
			e = strings.TrimSpace(e)
		}
		if h.Timestamp != nil && h.Timestamp.Element != "" {
			if v, ok := strings.CutPrefix(e, h.Timestamp.Element+"="); ok {
				if timestamp != "" {
					return nil, "", unproven("header %s has two timestamps", h.Header)
				}
				timestamp = v
				continue
			}
		}
		e, ok := strings.CutPrefix(e, h.Prefix)
		if !ok {
			continue // a version or algorithm that this is not about
		}
		s, ok := h.Encoding.decode(e)
		if !ok || len(s) != size {
			return nil, "", unproven("header %s is malformed", h.Header)
		}
		if len(signatures) == maxSignatures {
			return nil, "", unproven("header %s has more than %d signatures", h.Header, maxSignatures)
		}
		signatures = append(signatures, s)
	}
	if len(signatures) == 0 {
		return nil, "", unproven("header %s has no signature of the form %s…", h.Header, h.Prefix)
	}
	timestamp, err := h.timestamp(in, timestamp)
	return signatures, timestamp, err
}

func (h HMAC) timestamp(in *connector.Inbound, element string) (string, error) {
	t := h.Timestamp
	if t == nil {
		return "", nil
	}
	text := element
	if t.Header != "" {
		var err error
		if text, err = header(in, t.Header); err != nil {
			return "", err
		}
	}
	if text == "" {
		return "", unproven("header %s has no timestamp", h.Header)
	}
	parse := t.Parse
	if parse == nil {
		parse = UnixSeconds
	}
	at, err := parse(text)
	if err != nil {
		return "", unproven("the timestamp is malformed")
	}
	return text, fresh(in, at, t.Tolerance)
}

// UnixSeconds reads a timestamp of seconds since 1970.
func UnixSeconds(s string) (time.Time, error) {
	n, err := unix(s, 11)
	return time.Unix(n, 0), err
}

// UnixMillis reads a timestamp of milliseconds since 1970 (HubSpot).
func UnixMillis(s string) (time.Time, error) {
	n, err := unix(s, 14)
	return time.UnixMilli(n), err
}

// RFC3339 reads a timestamp such as 2026-11-23T15:04:05Z (Zendesk).
func RFC3339(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }

// unix reads digits only, so that one time has one spelling.
func unix(s string, digits int) (int64, error) {
	if len(s) > digits || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, 64)
}

// Body is the raw body alone.
func Body(in *connector.Inbound, _ string) ([]byte, error) { return in.Body, nil }

// TimestampBody is {timestamp}{body} (Zendesk).
func TimestampBody(in *connector.Inbound, timestamp string) ([]byte, error) {
	return join(timestamp, string(in.Body)), nil
}

// TimestampDotBody is {timestamp}.{body} (Stripe, Calendly).
func TimestampDotBody(in *connector.Inbound, timestamp string) ([]byte, error) {
	return join(timestamp, ".", string(in.Body)), nil
}

// V0 is v0:{timestamp}:{body} (Slack, Zoom).
func V0(in *connector.Inbound, timestamp string) ([]byte, error) {
	return join("v0:", timestamp, ":", string(in.Body)), nil
}

// BodyURL is {body}{url} (Trello).
func BodyURL(in *connector.Inbound, _ string) ([]byte, error) {
	return join(string(in.Body), in.URL), nil
}

// MethodURLBodyTimestamp is {method}{url}{body}{timestamp} (HubSpot v3).
func MethodURLBodyTimestamp(in *connector.Inbound, timestamp string) ([]byte, error) {
	return join(in.Method, in.URL, string(in.Body), timestamp), nil
}

// URLForm is {url} and, sorted by name, each form parameter's name and value
// (Twilio).
func URLForm(in *connector.Inbound, _ string) ([]byte, error) {
	form, err := url.ParseQuery(string(in.Body))
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(in.URL)
	for _, name := range names {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			b.WriteString(name)
			b.WriteString(v)
		}
	}
	return []byte(b.String()), nil
}

func join(parts ...string) []byte { return []byte(strings.Join(parts, "")) }
