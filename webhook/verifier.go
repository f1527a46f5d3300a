package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Defaults of a Verifier.
const (
	defaultTolerance = 5 * time.Minute
	defaultMaxBody   = 4 << 20
)

// Verifier checks that a request was sent by who holds the secret. It is a
// plain value, safe for concurrent use. Only Secrets is required.
type Verifier struct {
	// Secrets to accept: "whsec_…" (v1) or the public key "whpk_…" (v1a).
	// Several while one is being rotated, at most 16. None, or one that is
	// malformed, is an error, never a pass.
	Secrets []string `json:"-"`

	// Tolerance between the timestamp and now, in both directions. It is for
	// clocks that differ and requests on their way, not for retries: each try is
	// signed with a fresh timestamp, also days after the event. Keep both clocks
	// synchronised (NTP). A negative one accepts nothing. Defaults to 5 minutes,
	// which is what the libraries of Standard Webhooks use.
	Tolerance time.Duration

	// MaxBody that Handler reads, in bytes. Defaults to 4 MiB.
	MaxBody int64

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time `json:"-"`
}

var (
	_ fmt.Formatter  = Verifier{}
	_ fmt.Stringer   = Verifier{}
	_ fmt.GoStringer = Verifier{}
	_ slog.LogValuer = Verifier{}
)

// Validate reports whether Verify can work: [ErrNoSecret], or [ErrSecret] with
// the position of the first malformed secret, never its content. Call it when
// the program starts.
func (v Verifier) Validate() error {
	_, err := parseAll(v.Secrets, parseVerifying)
	return err
}

// Verify reports whether body, exactly as received, was signed by one of the
// secrets. It compares in constant time and never reads the clock of the sender
// beyond Tolerance. Signatures of versions that it does not know are ignored.
// Retries of one event carry the same webhook-id: keep it for four days to
// recognise duplicates.
func (v Verifier) Verify(h http.Header, body []byte) error {
	c, err := v.begin(h)
	if err != nil {
		return err
	}
	return c.match(body)
}

// check is a Verify of which everything but the body has been looked at.
type check struct {
	headers
	keys []key
}

func (v Verifier) begin(h http.Header) (check, error) {
	keys, err := parseAll(v.Secrets, parseVerifying)
	if err != nil {
		return check{}, err
	}
	in, err := readHeaders(h)
	if err != nil {
		return check{}, err
	}
	tolerance, now := v.Tolerance, time.Now
	if tolerance == 0 {
		tolerance = defaultTolerance
	}
	if v.Now != nil {
		now = v.Now
	}
	// Whole seconds, as the timestamp is: what was signed in this second is not
	// from the future.
	at := now().Truncate(time.Second)
	if in.at.Before(at.Add(-tolerance)) || in.at.After(at.Add(tolerance)) {
		return check{}, fmt.Errorf("%w: it is %s, here it is %s", ErrStale,
			in.at.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	return check{in, keys}, nil
}

func (c check) match(body []byte) error {
	prefix := signedPrefix(c.id, c.timestamp)
	var macs [][]byte // base64, one for each symmetric key
	var whole []byte  // prefix and body in one piece, which Ed25519 needs
	for _, entry := range c.signatures {
		version, signature, _ := strings.Cut(entry, ",")
		switch version {
		case v1:
			if macs == nil {
				macs = c.macs(prefix, body)
			}
			for _, want := range macs {
				if hmac.Equal(want, []byte(signature)) {
					return nil
				}
			}
		case v1a:
			sig, err := base64.StdEncoding.Strict().DecodeString(signature)
			if err != nil || len(sig) != ed25519.SignatureSize {
				continue
			}
			if whole == nil {
				whole = append(append(make([]byte, 0, len(prefix)+len(body)), prefix...), body...)
			}
			for _, k := range c.keys {
				if k.public != nil && ed25519.Verify(k.public, whole, sig) {
					return nil
				}
			}
		}
	}
	return ErrSignature
}

func (c check) macs(prefix, body []byte) [][]byte {
	macs := make([][]byte, 0, len(c.keys))
	for _, k := range c.keys {
		if k.hmac != nil {
			macs = append(macs, base64.StdEncoding.AppendEncode(nil, mac(k.hmac, prefix, body)))
		}
	}
	return macs
}

// String hides the secrets.
func (v Verifier) String() string {
	return fmt.Sprintf("webhook.Verifier(%d secrets)", len(v.Secrets))
}

// GoString hides the secrets.
func (v Verifier) GoString() string { return v.String() }

// Format hides the secrets from every verb of package fmt.
func (v Verifier) Format(f fmt.State, _ rune) { fmt.Fprint(f, v.String()) }

// LogValue hides the secrets.
func (v Verifier) LogValue() slog.Value { return slog.StringValue(v.String()) }
