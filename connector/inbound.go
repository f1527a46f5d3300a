package connector

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Inbound is one HTTP request from a provider (or one message of a stream). It
// is a plain value: golden files hold it.
type Inbound struct {
	Method       string
	URL          string // as the provider called it: configured public origin + path + raw query, never Host or X-Forwarded-*
	Header       http.Header
	Body         []byte // unread bytes; verify these, not a re-encoding
	ReceivedAt   time.Time
	Watch        string            // name of the Watch at a Subscription's address; empty at an App's
	Subscription string            // id, at a Subscription's address
	Secrets      []string          // candidates chosen by the address, newest first (rotation); no empty ones
	App          map[string]string // fields of the App, for what else must be compared: audience, client_id
	Values       map[string]string // the Connection's values, less secrets, at a Subscription's address; nil at an App's
}

// Reply is what a provider gets as answer.
type Reply struct {
	Status int // defaults to 200
	Header http.Header
	Body   []byte
}

// Handshake answers an unsigned handshake.
type Handshake struct {
	Reply Reply
	// Secret is a key that the provider told in this request. The engine stores
	// it durably before it answers, and only if none is known yet at that
	// address; otherwise the request is refused with 401.
	Secret string
}

// Decoded is what a verified request holds.
type Decoded struct {
	Notices []Notice // empty: a ping or heartbeat, counted as a sign of life
	Reply   *Reply   // answer to a signed handshake; nil: Description.Accepted
}

// A Notice is one part of a request: whom it concerns and what it says. A
// batch that mixes accounts or subscriptions is several Notices.
type Notice struct {
	// To says whom it concerns: every Connection of the App that has one of
	// these Keys on an Identity or a Subscription. Empty: the Subscription
	// whose address was called, or that is being expanded. No such Connection:
	// counted, answered 2xx.
	To []Key

	Occurrences []Occurrence    // what happened, when the request says it all
	Thin        json.RawMessage // non-nil: what Expand needs to find out the rest
	Watch       string          // limits Thin to Subscriptions of this Watch
	Merge       string          // waiting Thin notices of one Subscription with an equal, non-empty Merge are one; the last counts

	Signal Signal // something about the Connection or the watch itself
	Reason string // for the person who reads about the Signal
}

// Signal is what a provider says about the link, not about the user's data.
type Signal string

// What providers say.
const (
	SignalNone     Signal = ""
	SignalRevoked  Signal = "revoked"  // app removed, token withdrawn: Connection revoked
	SignalRestored Signal = "restored" // undoes it (suspension lifted)
	SignalIdentity Signal = "identity" // who it is changed or became known: run Identify again
	SignalRenew    Signal = "renew"    // renew the watch now
	SignalGone     Signal = "gone"     // the watch is gone: create it again, then back-fill
	SignalMissed   Signal = "missed"   // something was not reported: back-fill with Expand(nil)
	SignalGap      Signal = "gap"      // something is lost for good (cursor too old): report it
)

// A Key routes what comes in. Opaque to the engine; unique within connector
// and App. Where one value is ambiguous, put several into one Key.
type Key string

// NewKey joins parts so that different parts never give the same Key. Fold the
// case of what the provider folds (mailbox, host) before; ids are case-sensitive.
func NewKey(kind string, parts ...string) Key {
	k := strconv.AppendQuote(nil, kind)
	for _, p := range parts {
		k = strconv.AppendQuote(k, p)
	}
	return Key(k)
}
