package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// Signer signs what you send. Interactor uses it for every delivery; tests and
// simulators use it to play the sender. It is a plain value, safe for concurrent
// use.
type Signer struct {
	// Secrets that sign: "whsec_…" (v1) or the private key "whsk_…" (v1a). With
	// several, the header carries one signature each, which is how they rotate.
	// At most 16.
	Secrets []string `json:"-"`
}

var (
	_ fmt.Formatter  = Signer{}
	_ fmt.Stringer   = Signer{}
	_ fmt.GoStringer = Signer{}
	_ slog.LogValuer = Signer{}
)

// Validate reports whether Sign can work: [ErrNoSecret], or [ErrSecret] with the
// position of the first malformed secret, never its content.
func (s Signer) Validate() error {
	_, err := parseAll(s.Secrets, parseSigning)
	return err
}

// Sign sets the three headers for body, which must be sent as it is. at is the
// time of this try, in whole seconds: fresh for each, since receivers refuse what
// is some minutes old. id must be the same on every try, visible
// ASCII without a full stop, at most 256 bytes. On an error h is as it was.
func (s Signer) Sign(h http.Header, id string, at time.Time, body []byte) error {
	keys, err := parseAll(s.Secrets, parseSigning)
	if err != nil {
		return err
	}
	if !validID(id) {
		return fmt.Errorf("webhook: id %.40q cannot be signed: it must be visible ASCII without a full stop, 1 to %d bytes", id, maxID)
	}
	if at.Unix() < 0 {
		return errors.New("webhook: a time before 1970 cannot be signed")
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	if len(timestamp) > maxTimestamp {
		return fmt.Errorf("webhook: the time %d cannot be signed: it has more than %d digits", at.Unix(), maxTimestamp)
	}
	prefix := signedPrefix(id, timestamp)
	var list []byte
	var whole []byte // prefix and body in one piece, which Ed25519 needs
	for i, k := range keys {
		if i > 0 {
			list = append(list, ' ')
		}
		if k.private == nil {
			list = append(list, v1+","...)
			list = base64.StdEncoding.AppendEncode(list, mac(k.hmac, prefix, body))
			continue
		}
		if whole == nil {
			whole = append(append(make([]byte, 0, len(prefix)+len(body)), prefix...), body...)
		}
		list = append(list, v1a+","...)
		list = base64.StdEncoding.AppendEncode(list, ed25519.Sign(k.private, whole))
	}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, timestamp)
	h.Set(HeaderSignature, string(list))
	return nil
}

// String hides the secrets.
func (s Signer) String() string { return fmt.Sprintf("webhook.Signer(%d secrets)", len(s.Secrets)) }

// GoString hides the secrets.
func (s Signer) GoString() string { return s.String() }

// Format hides the secrets from every verb of package fmt.
func (s Signer) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue hides the secrets.
func (s Signer) LogValue() slog.Value { return slog.StringValue(s.String()) }

// signedPrefix is what stands before the body in the signed content.
func signedPrefix(id, timestamp string) []byte {
	b := make([]byte, 0, len(id)+len(timestamp)+2)
	b = append(append(b, id...), '.')
	return append(append(b, timestamp...), '.')
}

func mac(secret, prefix, body []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write(prefix)
	m.Write(body)
	return m.Sum(nil)
}
