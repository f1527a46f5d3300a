package seal

import "context"

// Kind says what a sealed value is. A store keeps each kind in one place.
type Kind string

// The kinds of sealed values. Their names stand in reports and logs.
const (
	KindToken      Kind = "token"      // the grant of a Connection
	KindFields     Kind = "fields"     // secret Fields of a Connection
	KindConsent    Kind = "consent"    // a consent under way
	KindApp        Kind = "app"        // the secrets of an Environment's own App
	KindWatch      Kind = "watch"      // the key that verifies the requests of a Subscription
	KindForwarding Kind = "forwarding" // header value, signing secrets, client key and secret
	KindRequest    Kind = "request"    // a request that could not be decoded
	KindPayload    Kind = "payload"    // what an event says
	KindRaw        Kind = "raw"        // an event as its provider sent it
	KindThin       Kind = "thin"       // a notice that has to be expanded
	KindResponse   Kind = "response"   // what a receiver answered
)

// Kinds returns all kinds: the small and precious ones first.
func Kinds() []Kind {
	return []Kind{
		KindToken, KindFields, KindApp, KindForwarding, KindWatch, KindConsent,
		KindRequest, KindThin, KindPayload, KindRaw, KindResponse,
	}
}

// Stored is a sealed value as a store keeps it. Of payloads, raw content, notices
// and responses also those are among them that are stored in plain.
type Stored struct {
	Kind   Kind
	Record string // id of the record that it is bound to
	Place  string // where it is; the store alone knows what that means
	Sealed []byte
}

// Swap puts Anew in the place of a Stored, if that is still what is there.
type Swap struct {
	Stored
	Anew []byte
}

// Store is what a store does so that values can be sealed anew.
type Store interface {
	// SealedAfter returns values of a kind in the order of their places, beginning
	// behind the place after ("": the first one): at most limit, and no more than
	// some megabytes. next is where to go on; "" is the end.
	SealedAfter(ctx context.Context, kind Kind, after string, limit int) (values []Stored, next string, err error)

	// SwapSealed makes the swaps in one commit and returns when it is durable. One
	// whose place holds another value by now, or none, is left out; changed is how
	// many were. Where a record has a version, a swap counts as a change of it, so
	// that nobody writes the former value back.
	SwapSealed(ctx context.Context, swaps []Swap) (changed int, err error)
}

// Current reports whether k knows that it would seal a value under the same key
// again. A [Keyring], a [Ring], a [Chain] and an [Envelope] know; of another
// Keeper, one that has a method Current does.
func Current(k Keeper, sealed []byte) bool {
	c, ok := k.(interface{ Current(sealed []byte) bool })
	return ok && c.Current(sealed)
}

// Anew opens a value and seals it under the key of today. It returns nil when that
// is the one that it is sealed under.
func Anew(ctx context.Context, k Keeper, sealed, bind []byte) ([]byte, error) {
	if Current(k, sealed) {
		return nil, nil
	}
	plaintext, err := k.Open(ctx, sealed, bind)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	return k.Seal(ctx, plaintext, bind)
}
