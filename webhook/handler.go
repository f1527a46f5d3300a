package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // what net/http itself falls back to
	"net/http"
	"runtime/debug"

	"github.com/interactorhq/interactor/trigger"
)

// Handler verifies each request, decodes it and calls handle, with the very
// function that interactor.Config.OnEvent takes. It answers 204 when handle
// returns nil, 401 to what does not verify, 413 above MaxBody, 400 to what is no
// event, and 500 when handle fails or panics, so that the sender tries again.
//
// Headers are checked before the body is read. The event's id is the signed
// webhook-id, also where the body has none. What handle returns, or panics with,
// is written to where net/http reports panics, the ErrorLog of the http.Server,
// and not told to the sender.
func (v Verifier) Handler(handle func(ctx context.Context, ev trigger.Event) error) http.Handler {
	limit := v.MaxBody
	if limit <= 0 {
		limit = defaultMaxBody
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := v.begin(r.Header)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			http.Error(w, fmt.Sprintf("webhook: body has more than %d bytes", limit), http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			http.Error(w, "webhook: body could not be read to its end", http.StatusBadRequest)
			return
		}
		if err := c.match(body); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		ev, err := readEvent(c.id, body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := call(r, handle, ev); err != nil {
			report(r, "webhook: event %s (%s): %v", ev.ID, ev.Trigger, err)
			http.Error(w, "webhook: the event could not be handled", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func readEvent(id string, body []byte) (trigger.Event, error) {
	var ev trigger.Event
	if err := json.Unmarshal(body, &ev); err != nil {
		return ev, fmt.Errorf("webhook: body is no event: %w", err)
	}
	switch {
	case ev.Trigger == "":
		return ev, errors.New("webhook: body is no event: it is null")
	case ev.ID == "":
		ev.ID = id
	case ev.ID != id:
		return ev, fmt.Errorf("webhook: body is of event %.80q, %s says %.80q", ev.ID, HeaderID, id)
	}
	return ev, nil
}

// call turns a panic into an error. http.ErrAbortHandler keeps its meaning.
func call(r *http.Request, handle func(context.Context, trigger.Event) error, ev trigger.Event) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return handle(r.Context(), ev)
}

func report(r *http.Request, format string, args ...any) {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ErrorLog != nil {
		server.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}
