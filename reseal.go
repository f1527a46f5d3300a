package interactor

import (
	"context"
	"errors"
	"fmt"

	"github.com/interactorhq/interactor/seal"
)

const (
	resealPage  = 100 // values of a commit
	resealTries = 10  // passes over a kind while others change what is moved
	resealNamed = 100 // failures of a kind that are reported by name
)

// Resealed says what [Interactor.Reseal] has done.
type Resealed struct {
	Kinds []ResealedKind // every kind of [seal.Kinds], as far as it came
}

// ResealedKind counts the values of a kind.
type ResealedKind struct {
	Kind    seal.Kind
	Current int // were sealed under the key of today already, or are stored in plain
	Moved   int // are sealed under it now
	Failed  int // could not be opened, and are as they were

	Failures []ResealFailure // the first 100 of those
}

// ResealFailure is a value that could not be opened.
type ResealFailure struct {
	Record string // id of what it belongs to
	Err    error  // [seal.ErrNoKey] or [seal.ErrDamaged], in words
}

// Moved is how many values were sealed anew.
func (r Resealed) Moved() (n int) {
	for _, k := range r.Kinds {
		n += k.Moved
	}
	return n
}

// Failed is how many values could not be opened.
func (r Resealed) Failed() (n int) {
	for _, k := range r.Kinds {
		n += k.Failed
	}
	return n
}

// Reseal seals every value in the store under the key of today, so that former
// keys can be removed: tokens, Apps, settings, keys of watches, consents under way,
// and whatever is kept of events and is sealed. It may be called beside Run and
// everything else: what others change meanwhile wins, and is sealed under the key
// of today by them. What no key opens is left as it is and counted as failed.
//
// It goes on where it was ended when it is called again, as it moves only what is
// not under the key of today; a Keeper that cannot tell (see [seal.Current]) makes
// it begin anew. An error means that it did not come to the end: of ctx, of the
// store, or of a Keeper that does not answer. What was done until then is in the
// Resealed, and durable.
func (in *Interactor) Reseal(ctx context.Context) (Resealed, error) {
	var all Resealed
	if err := in.Forwarder.NewDataKey(ctx); err != nil {
		return all, fmt.Errorf("interactor: sealing anew: %w", err)
	}
	for _, kind := range seal.Kinds() {
		k, err := in.resealKind(ctx, kind)
		all.Kinds = append(all.Kinds, k)
		if err != nil {
			return all, fmt.Errorf("interactor: sealing anew came as far as kind %q: %w; call it again", kind, err)
		}
	}
	in.cfg.log().InfoContext(ctx, "all that is sealed was looked at", "moved", all.Moved(), "failed", all.Failed())
	return all, nil
}

func (in *Interactor) resealKind(ctx context.Context, kind seal.Kind) (ResealedKind, error) {
	total := ResealedKind{Kind: kind}
	for range resealTries {
		pass, changed, err := in.resealPass(ctx, kind)
		total.Moved += pass.Moved
		total.Current, total.Failed, total.Failures = pass.Current, pass.Failed, pass.Failures
		if err != nil {
			return total, err
		}
		if changed == 0 {
			total.Current -= total.Moved - pass.Moved // moved by a pass before
			for _, f := range total.Failures {
				in.cfg.log().ErrorContext(ctx, "a sealed value cannot be opened; it is left as it is", "kind", string(kind), "record", f.Record, "error", f.Err)
			}
			return total, nil
		}
	}
	return total, errors.New("others change what is to be sealed faster than that")
}

// resealPass looks at every value of a kind once. changed is how many were
// replaced by somebody else between reading and writing.
func (in *Interactor) resealPass(ctx context.Context, kind seal.Kind) (k ResealedKind, changed int, err error) {
	for after := ""; ; {
		values, next, err := in.cfg.Store.SealedAfter(ctx, kind, after, resealPage)
		if err != nil {
			return k, changed, err
		}
		var swaps []seal.Swap
		for _, v := range values {
			anew, err := in.reseal(ctx, v)
			switch {
			case errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrDamaged):
				if k.Failed++; k.Failed <= resealNamed {
					k.Failures = append(k.Failures, ResealFailure{v.Record, err})
				}
			case err != nil:
				return k, changed, err
			case anew == nil:
				k.Current++
			default:
				swaps = append(swaps, seal.Swap{Stored: v, Anew: anew})
			}
		}
		if len(swaps) > 0 {
			n, err := in.cfg.Store.SwapSealed(ctx, swaps)
			if err != nil {
				return k, changed, err
			}
			k.Moved += len(swaps) - n
			changed += n
		}
		if next == "" {
			return k, changed, nil
		}
		after = next
	}
}

// reseal asks the room that a value belongs to.
func (in *Interactor) reseal(ctx context.Context, v seal.Stored) ([]byte, error) {
	switch v.Kind {
	case seal.KindToken, seal.KindFields, seal.KindApp, seal.KindConsent:
		return in.Auth.Reseal(ctx, v)
	case seal.KindForwarding:
		return in.Deployments.Reseal(ctx, v)
	case seal.KindWatch:
		return in.Subscriptions.Reseal(ctx, v)
	default:
		return in.Forwarder.Reseal(ctx, v)
	}
}
