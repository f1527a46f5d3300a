package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/interactorhq/interactor/connector"
)

const (
	// maxConflicts is how often a change is tried again on top of somebody else's.
	maxConflicts = 20

	tokenField  = "token"
	fieldsField = "fields"
)

// token is what is sealed of a grant.
type token struct {
	Access    string    `json:"access"`
	Refresh   string    `json:"refresh,omitempty"`
	Previous  string    `json:"previous,omitempty"` // refresh token before Refresh, for one retry
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// String hides what is in the token, so that a log line cannot show it.
func (token) String() string { return "token{…}" }

// GoString hides what is in the token, as String does.
func (token) GoString() string { return "auth.token{…}" }

func (a *Authorizer) sealToken(ctx context.Context, record string, t token) ([]byte, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("auth: encode token: %w", err)
	}
	return a.seal(ctx, record, tokenField, plain)
}

func (a *Authorizer) openToken(ctx context.Context, r Record) (token, error) {
	var t token
	if len(r.Token) == 0 {
		return t, nil
	}
	plain, err := a.open(ctx, r.ID, tokenField, r.Token)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(plain, &t); err != nil {
		return t, fmt.Errorf("auth: token of %s is not readable: %w", r.ID, err)
	}
	return t, nil
}

func (a *Authorizer) sealFields(ctx context.Context, record string, fields map[string]string) ([]byte, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("auth: encode fields: %w", err)
	}
	return a.seal(ctx, record, fieldsField, plain)
}

func (a *Authorizer) openFields(ctx context.Context, r Record) (map[string]string, error) {
	if len(r.Secrets) == 0 {
		return nil, nil
	}
	plain, err := a.open(ctx, r.ID, fieldsField, r.Secrets)
	if err != nil {
		return nil, err
	}
	var fields map[string]string
	if err := json.Unmarshal(plain, &fields); err != nil {
		return nil, fmt.Errorf("auth: fields of %s are not readable: %w", r.ID, err)
	}
	return fields, nil
}

// grantFingerprint tells equal grants without telling what they are. Tokens are
// random, so their hash cannot be searched for.
func grantFingerprint(t token) string {
	secret := or(t.Refresh, t.Access)
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("interactor grant\x00" + secret))
	return hex.EncodeToString(sum[:16])
}

// errUnchanged lets a change leave the record as it is.
var errUnchanged = errors.New("auth: unchanged")

// update changes a stored Connection on top of whatever others changed.
func (a *Authorizer) update(ctx context.Context, connection string, change func(*Record) error) (Record, error) {
	for try := 0; ; try++ {
		rec, err := a.Get(ctx, connection)
		if err != nil {
			return rec, err
		}
		before := rec
		if err := change(&rec); errors.Is(err, errUnchanged) {
			return before, nil
		} else if err != nil {
			return before, err
		}
		saved, err := a.save(ctx, before, rec, "")
		if errors.Is(err, ErrConflict) && try < maxConflicts {
			continue
		}
		return saved, err
	}
}

// save commits a Connection. What others must act on marks it dirty in the same
// commit; they are woken afterwards.
func (a *Authorizer) save(ctx context.Context, before, after Record, ticket string) (Record, error) {
	w := Write{Record: after, Ticket: ticket}
	w.Routes = before.Version == 0 || before.App != after.App || before.Erased != after.Erased || !sameIdentities(before.Identities, after.Identities)
	changed := w.Routes || concernsWatches(before, after)
	if changed {
		w.Dirty = a.now()
	}
	w.News = a.news(before, after)
	version, err := a.cfg.Store.SaveConnection(ctx, w)
	if err != nil {
		return before, fmt.Errorf("auth: save connection %s: %w", after.ID, err)
	}
	after.Version = version
	if changed {
		a.cfg.Changed(after.ID)
	}
	if len(w.News) > 0 {
		a.cfg.Told()
	}
	return after, nil
}

func sameIdentities(a, b []connector.Identity) bool {
	return slices.EqualFunc(a, b, func(x, y connector.Identity) bool {
		return x.ID == y.ID && x.Label == y.Label && slices.Equal(x.Keys, y.Keys) &&
			(len(x.Values) == 0 && len(y.Values) == 0 || reflect.DeepEqual(x.Values, y.Values))
	})
}
