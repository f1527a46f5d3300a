package forward

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// Permanent marks an error of OnEvent: do not try again. The delivery is dead
// until it is replayed. A nil err stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// RetryAfter marks an error of OnEvent: try again, but not before d has passed.
// A nil err stays nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{d, err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

type retryAfterError struct {
	after time.Duration
	err   error
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// call gives an event to OnEvent.
func (f *Forwarder) call(ctx context.Context, settings Settings, ev trigger.Event) (r result) {
	ctx, cancel := context.WithTimeout(ctx, settings.timeout())
	defer cancel()
	err := f.callHandler(ctx, ev)
	if err == nil {
		return result{}
	}
	var permanent *permanentError
	r.class = ClassHandler
	if _, ok := errors.AsType[*panicError](err); ok {
		r.class = ClassPanic
	}
	r.failure = excerpt("handler: " + err.Error())
	r.timeout = errors.Is(ctx.Err(), context.DeadlineExceeded)
	r.fatal = errors.As(err, &permanent) || errors.Is(err, trigger.ErrPayload)
	if later, ok := errors.AsType[*retryAfterError](err); ok {
		r.after = later.after
	}
	return r
}

func (f *Forwarder) callHandler(ctx context.Context, ev trigger.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			f.log.ErrorContext(ctx, "OnEvent panicked", "event", ev, "panic", p, "stack", string(debug.Stack()))
			err = &panicError{p}
		}
	}()
	return f.cfg.OnEvent(ctx, ev)
}

// panicError is what OnEvent panicked with.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// excerpt keeps the text of a stranger's error short.
func excerpt(s string) string {
	const most = 1000
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
