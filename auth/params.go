package auth

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/interactorhq/interactor/trigger"
)

// ParamsError says what is wrong with the params of a Connection, all at once.
type ParamsError struct {
	Connection string
	Err        error // one line for each mistake
}

var _ error = (*ParamsError)(nil)

func (e *ParamsError) Error() string {
	return fmt.Sprintf("auth: params of %s: %v", e.Connection, e.Err)
}

// Unwrap returns what is wrong.
func (e *ParamsError) Unwrap() error { return e.Err }

// SetParams makes params all that a Connection has in place of those in the
// trigger list, and returns the Connection. They count for what arrives from now
// on; watches at the provider follow. None takes those of the trigger list again;
// a Trigger with empty params is watched without any. They stay when the user
// connects again. What only the provider knows, such as whether a query parses, it
// is asked before a watch is made: see subscription.Subscription.Rejected.
//
// Errors: [*ParamsError] with everything that is wrong, [ErrNotFound],
// [ErrUnknownConnector]; nothing has changed then.
func (a *Authorizer) SetParams(ctx context.Context, connection string, params trigger.Overrides) (Connection, error) {
	r, err := a.update(ctx, connection, func(r *Record) error {
		if r.Params.Equal(params) {
			return errUnchanged
		}
		e, err := a.lookup(r.Connector)
		if err != nil {
			return err
		}
		if err := e.CheckOverrides(params); err != nil {
			return &ParamsError{Connection: r.ID, Err: err}
		}
		r.Params = params.Clone()
		return nil
	})
	return r.Connection, err
}

// concernsWatches reports whether what changed between two states of a Connection
// may change which watches it needs, or what can be done about them.
func concernsWatches(before, after Record) bool {
	return before.Status != after.Status || before.Closing != after.Closing || before.NeedsConsent && !after.NeedsConsent ||
		!slices.Equal(before.Scopes, after.Scopes) || !maps.Equal(before.Values, after.Values) || !before.Params.Equal(after.Params)
}
