// Package id makes the identifiers of records and the random texts that open
// something: tokens and API keys. Every room that creates records imports it.
//
// An id is a prefix, an underscore and a ULID (26 characters Crockford base32:
// 48 bits of milliseconds, 80 random ones), so ids sort by time and contain no
// full stop, which the webhook-id header forbids. Start with [New].
package id

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Ids of the records that exist in every installation.
const (
	DefaultOrganization = "org_default"
	DefaultDeployment   = "dep_default"
	DefaultEnvironment  = "env_default"
)

// source is the one piece of state of the package: what keeps ids of the same
// millisecond in the order in which they were made. It is safe to share between
// tests, since nothing but that order depends on it.
var source generator //nolint:gochecknoglobals // see above

// New returns a fresh id with the prefix ("evt"), ordered by now. It is safe for
// concurrent use. Within the process an id is greater than the one before it,
// unless now went back by more than a second.
//
// Ids of one millisecond are a random step of up to 2^56 apart: who knows one
// cannot guess its neighbour.
func New(prefix string, now time.Time) string {
	id := source.next(now)
	b := make([]byte, len(prefix)+1+ulid.EncodedSize)
	copy(b, prefix)
	b[len(prefix)] = '_'
	if err := id.MarshalTextTo(b[len(prefix)+1:]); err != nil {
		panic("id: " + err.Error()) // only for a buffer of the wrong size
	}
	return string(b)
}

// Valid reports whether s is an id with that prefix, as New writes it, or the
// fixed one of a default record ("env_default").
func Valid(prefix, s string) bool {
	switch s {
	case DefaultOrganization, DefaultDeployment, DefaultEnvironment:
		return s == prefix+"_default"
	}
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || prefix == "" || len(rest) != 1+ulid.EncodedSize || rest[0] != '_' {
		return false
	}
	parsed, err := ulid.ParseStrict(rest[1:])
	return err == nil && parsed.String() == rest[1:] // one spelling only: it parses lower case too
}

// Prefix returns what stands before the underscore of a valid id, else "".
func Prefix(s string) string {
	i := strings.LastIndexByte(s, '_')
	if i < 1 || !Valid(s[:i], s) {
		return ""
	}
	return s[:i]
}

// Time returns when a valid id was made, in milliseconds.
func Time(s string) (at time.Time, ok bool) {
	_, text, ok := strings.Cut(s, "_")
	if !ok {
		return time.Time{}, false
	}
	parsed, err := ulid.ParseStrict(text)
	if err != nil {
		return time.Time{}, false
	}
	return parsed.Timestamp(), true
}

const (
	// maxStep lies between two ids of one millisecond, of which there is then room
	// for some 2^25. A whole number of bytes, because ulid draws until a value
	// fits and would draw hundreds of times for one bit more.
	maxStep = 1<<56 - 1

	// backstep is how many milliseconds a clock may go back without ids going back.
	backstep = 1000
)

type generator struct {
	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
	last    uint64 // milliseconds
}

func (g *generator) next(now time.Time) ulid.ULID {
	ms := uint64(max(0, now.UnixMilli()))
	ms = min(ms, ulid.MaxTime())
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.entropy == nil {
		g.entropy = ulid.Monotonic(rand.Reader, maxStep)
	}
	// Goroutines read the clock before they come here, so the later one may be
	// first; clocks are also corrected backwards a little.
	if ms < g.last && g.last-ms <= backstep {
		ms = g.last
	}
	id, err := ulid.New(ms, g.entropy)
	if err != nil { // the 80 bits of this millisecond are used up: borrow from the next
		ms++
		id = ulid.MustNew(ms, g.entropy)
	}
	g.last = ms
	return id
}
