package signature

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// Bounds of what a stranger can make us look at.
const (
	maxHeader     = 8 << 10 // bytes of the header that proves
	maxSignatures = 16      // in one header
	maxSecrets    = 16
)

// defaultTolerance between a request's timestamp and its receipt.
const defaultTolerance = 5 * time.Minute

// unproven says why a request is not proven.
func unproven(format string, args ...any) error {
	return fmt.Errorf("%w: %w", connector.ErrUnproven, fmt.Errorf(format, args...))
}

// secrets returns the candidates, or fails if there is none or an empty one.
func secrets(in *connector.Inbound) ([]string, error) {
	if len(in.Secrets) == 0 {
		return nil, unproven("there is no secret to verify with")
	}
	if len(in.Secrets) > maxSecrets {
		return nil, unproven("there are %d secrets: at most %d are tried", len(in.Secrets), maxSecrets)
	}
	if slices.Contains(in.Secrets, "") {
		return nil, unproven("one of the secrets is empty")
	}
	return in.Secrets, nil
}

// header returns the only value of a header.
func header(in *connector.Inbound, name string) (string, error) {
	if name == "" {
		return "", unproven("no header is named to look for the proof")
	}
	values := in.Header[http.CanonicalHeaderKey(name)]
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", unproven("header %s is missing", name)
	case len(values) > 1:
		return "", unproven("header %s comes %d times", name, len(values))
	case len(values[0]) > maxHeader:
		return "", unproven("header %s has more than %d bytes", name, maxHeader)
	}
	return values[0], nil
}

// fresh compares a request's own time with when it was received. A tolerance of
// 0 is the default, a negative one means that time is not looked at.
func fresh(in *connector.Inbound, at time.Time, tolerance time.Duration) error {
	if tolerance < 0 {
		return nil
	}
	if tolerance == 0 {
		tolerance = defaultTolerance
	}
	if in.ReceivedAt.IsZero() {
		return unproven("the time of receipt is unknown")
	}
	if off := in.ReceivedAt.Sub(at).Abs(); off > tolerance {
		return unproven("the timestamp is %s away from the time of receipt: more than %s", off.Round(time.Second), tolerance)
	}
	return nil
}

// equal compares in constant time, also where the lengths differ.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
