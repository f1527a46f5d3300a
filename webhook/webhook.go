// Package webhook signs and verifies requests by the Standard Webhooks
// specification 1.0.0 (https://www.standardwebhooks.com), v1 (HMAC-SHA256) and
// v1a (Ed25519). A service that receives events needs this package and trigger,
// nothing else of the module; both import the standard library only.
//
// Start with [Verifier]. [Signer] is the other side.
package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Names of the headers, as the specification writes them.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Errors of Verify. All of them mean: answer 401 and do nothing. [ErrNoSecret]
// and [ErrSecret] are the receiver's own mistake; Verifier.Validate finds them
// before the first request does.
var (
	ErrNoSecret  = errors.New("webhook: no secret to verify with")
	ErrSecret    = errors.New("webhook: malformed secret")
	ErrHeader    = errors.New("webhook: missing or malformed webhook-id, webhook-timestamp or webhook-signature")
	ErrStale     = errors.New("webhook: timestamp outside the tolerance")
	ErrSignature = errors.New("webhook: no signature matches")
)

// Bounds of what a stranger sends and of what we send.
const (
	maxID         = 256  // bytes
	maxTimestamp  = 11   // digits: the year 5138
	maxSignature  = 4096 // bytes of the whole header; an entry has 47 (v1) or 92 (v1a)
	maxSignatures = 32   // entries
	maxSecrets    = 16   // the current one and what is being rotated out
)

// Versions of a signature.
const (
	v1  = "v1"
	v1a = "v1a"
)

// headers are the three values, checked for form.
type headers struct {
	id, timestamp string
	at            time.Time
	signatures    []string // "<version>,<base64>", at least one
}

func readHeaders(h http.Header) (headers, error) {
	var out headers
	id, err := single(h, HeaderID, maxID)
	if err != nil {
		return out, err
	}
	if !validID(id) {
		return out, fmt.Errorf("%w: %s contains a full stop or what is no visible ASCII", ErrHeader, HeaderID)
	}
	timestamp, err := single(h, HeaderTimestamp, maxTimestamp)
	if err != nil {
		return out, err
	}
	seconds, err := readTimestamp(timestamp)
	if err != nil {
		return out, err
	}
	list, err := single(h, HeaderSignature, maxSignature)
	if err != nil {
		return out, err
	}
	for entry := range strings.SplitSeq(list, " ") {
		if entry == "" {
			continue
		}
		if len(out.signatures) == maxSignatures {
			return out, fmt.Errorf("%w: %s has more than %d entries", ErrHeader, HeaderSignature, maxSignatures)
		}
		out.signatures = append(out.signatures, entry)
	}
	if len(out.signatures) == 0 {
		return out, fmt.Errorf("%w: %s is empty", ErrHeader, HeaderSignature)
	}
	out.id, out.timestamp, out.at = id, timestamp, time.Unix(seconds, 0)
	return out, nil
}

// single returns the one value of a header. A header that comes twice is
// refused: whoever reads this request next may take the other one.
func single(h http.Header, name string, limit int) (string, error) {
	values := h.Values(name)
	switch {
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("%w: %s is missing", ErrHeader, name)
	case len(values) > 1:
		return "", fmt.Errorf("%w: %s is there %d times", ErrHeader, name, len(values))
	case len(values[0]) > limit:
		return "", fmt.Errorf("%w: %s has more than %d bytes", ErrHeader, name, limit)
	}
	return values[0], nil
}

// readTimestamp takes decimal digits only: ParseInt alone would accept a sign.
func readTimestamp(s string) (int64, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("%w: %s is no whole number of seconds", ErrHeader, HeaderTimestamp)
		}
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s is no whole number of seconds", ErrHeader, HeaderTimestamp)
	}
	return seconds, nil
}

// validID refuses the full stop, as the specification does: with it, the border
// between id, timestamp and body could be moved without touching the signature.
func validID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '.' {
			return false
		}
	}
	return true
}
