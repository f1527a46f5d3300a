package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/connector"
)

// ServeHTTP accepts provider requests at {PublicURL}/webhooks/{connector} and
// {PublicURL}/webhooks/{connector}/{endpoint}. It answers after the events are
// durable: 2xx, 401 for what does not verify, 404 for an unknown address, 410
// for one that was removed, 413, or 503 when the store is away, so that the
// provider tries again. It works whether or not Run is running.
func (f *Forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, endpoint, ok := parsePath(f.prefix, r.URL.EscapedPath())
	if !ok {
		f.notFound(w, r)
		return
	}
	entry, ok := f.registry.Lookup(name)
	if !ok || entry.Verifier == nil || entry.Decoder == nil {
		v := refuseWith(w, answerNotFound, http.StatusNotFound, "no connector of that name receives webhooks here")
		f.meters.request(r.Context(), other, v, 0)
		return
	}
	if f.tracing == nil && f.meters == nil {
		f.serve(w, r, entry, endpoint)
		return
	}
	began := f.now()
	var span trace.Span
	if f.tracing != nil {
		r, span = f.tracing.receive(r, entry.Name, endpoint)
	}
	v := f.serve(w, r, entry, endpoint)
	f.meters.request(r.Context(), entry.Name, v, f.now().Sub(began))
	if span != nil {
		received(span, v)
	}
}

// serve answers a request to a connector that is there.
func (f *Forwarder) serve(w http.ResponseWriter, r *http.Request, entry *connector.Entry, endpoint string) conclusion {
	addr, err := f.address(r.Context(), entry.Name, endpoint)
	switch {
	case errors.Is(err, ErrNoAddress):
		return refuseWith(w, answerNotFound, http.StatusNotFound, "no such address")
	case errors.Is(err, ErrAddressGone):
		return refuseWith(w, answerGone, http.StatusGone, "this address was removed")
	case err != nil:
		return f.away(w, r, entry, endpoint, "finding the address", err)
	}
	switch {
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusOK)
		return conclusion{answerProbe, http.StatusOK}
	case r.Method == http.MethodPost:
	case r.Method == http.MethodGet && entry.Challenger != nil:
	default:
		return notAllowed(w, entry)
	}
	body, held, status := f.readBody(w, r)
	defer func() { f.inbound.Add(-held) }()
	switch status {
	case 0:
	case http.StatusServiceUnavailable:
		return f.away(w, r, entry, endpoint, "reading", errBusy)
	default:
		return refuseWith(w, answerUnreadable, status,
			"the request is larger than "+strconv.FormatInt(f.limits.MaxBody, 10)+" bytes, or incomplete")
	}
	return f.receive(w, r, entry, addr, f.build(r, addr, body))
}

// address looks an address up. What is found about accounts from here on is old
// news once one of them was erased.
func (f *Forwarder) address(ctx context.Context, connector, endpoint string) (Address, error) {
	turn := f.erasing.turn.Load()
	addr, err := f.directory.Address(ctx, connector, endpoint)
	addr.turn = turn
	return addr, err
}

// receive goes through the steps of a request whose address is known.
func (f *Forwarder) receive(w http.ResponseWriter, r *http.Request, entry *connector.Entry, addr Address, in *connector.Inbound) conclusion {
	ctx := r.Context()
	if entry.Challenger != nil {
		h, err := f.challenge(ctx, entry, in)
		switch {
		case err != nil:
			return f.refuse(ctx, w, entry, addr, fmt.Errorf("handshake: %w", err))
		case h != nil:
			return f.shake(w, r, entry, addr, h)
		case r.Method == http.MethodGet:
			return notAllowed(w, entry)
		}
	}
	if addr.KeyPending {
		return f.away(w, r, entry, addr.Endpoint, "verifying", errors.New("the key of this address is on its way"))
	}
	if panicked, err := f.verify(ctx, entry, in); panicked {
		return refuseWith(w, answerFailed, http.StatusInternalServerError, "internal error")
	} else if retry := (*connector.RetryError)(nil); errors.As(err, &retry) {
		return f.away(w, r, entry, addr.Endpoint, "verifying", err) // its public keys could not be had
	} else if err != nil {
		return f.refuse(ctx, w, entry, addr, err)
	}
	decoded, err := f.decode(ctx, entry, in)
	b := f.newIntake(entry, addr, in.ReceivedAt)
	if err == nil {
		err = b.notices(ctx, decoded.Notices, nil)
	}
	told := answerAccepted
	var wrong *undecodableError
	switch {
	case errors.As(err, &wrong):
		told = answerUndecodable
		b, err = f.keepDead(ctx, entry, addr, in, wrong)
		if err != nil {
			return f.away(w, r, entry, addr.Endpoint, "keeping a request", err)
		}
		decoded = &connector.Decoded{}
	case err != nil:
		return f.away(w, r, entry, addr.Endpoint, "finding out whom it concerns", err)
	}
	if err := b.commit(ctx); err != nil {
		return f.away(w, r, entry, addr.Endpoint, "storing", err)
	}
	f.count.accepted.Add(1)
	answer := entry.Accepted
	if decoded.Reply != nil {
		answer = *decoded.Reply
	}
	return conclusion{told, reply(w, answer)}
}

// build makes the Inbound. Its URL is built from the configuration: Host and
// forwarded headers are whatever the sender wants them to be.
func (f *Forwarder) build(r *http.Request, addr Address, body []byte) *connector.Inbound {
	u := f.origin + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		u += "?" + r.URL.RawQuery
	}
	secrets := addr.Secrets
	for i, s := range secrets {
		if s == "" { // an empty key verifies anything
			secrets = without(secrets, i)
			break
		}
	}
	return &connector.Inbound{
		Method: r.Method, URL: u, Header: r.Header, Body: body, ReceivedAt: f.now().UTC(),
		Watch: addr.Watch, Subscription: addr.Subscription, Secrets: secrets, App: addr.AppFields, Values: addr.Values,
	}
}

// without copies a list of secrets, less the empty ones; the first is at i.
func without(secrets []string, i int) []string {
	kept := append([]string(nil), secrets[:i]...)
	for _, s := range secrets[i:] {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// shake answers an unsigned handshake. A key that it tells is durable first.
func (f *Forwarder) shake(w http.ResponseWriter, r *http.Request, entry *connector.Entry, addr Address, h *connector.Handshake) conclusion {
	if h.Secret != "" {
		err := f.directory.Learn(context.WithoutCancel(r.Context()), addr, h.Secret)
		switch {
		case errors.Is(err, ErrKeyKnown):
			return f.refuse(r.Context(), w, entry, addr, err)
		case errors.Is(err, ErrNoAddress):
			return refuseWith(w, answerNotFound, http.StatusNotFound, "no such address")
		case err != nil:
			return f.away(w, r, entry, addr.Endpoint, "keeping a key", err)
		}
	}
	f.count.handshakes.Add(1)
	return conclusion{answerHandshake, reply(w, h.Reply)}
}

// challenge, verify and decode call a connector, whose panics are contained.

func (f *Forwarder) challenge(ctx context.Context, entry *connector.Entry, in *connector.Inbound) (h *connector.Handshake, err error) {
	defer f.contain(ctx, entry.Name, "Challenge", func(p any) { h, err = nil, fmt.Errorf("panic: %v", p) })
	return entry.Challenger.Challenge(in)
}

func (f *Forwarder) verify(ctx context.Context, entry *connector.Entry, in *connector.Inbound) (panicked bool, err error) {
	defer f.contain(ctx, entry.Name, "Verify", func(p any) { panicked, err = true, fmt.Errorf("panic: %v", p) })
	return false, entry.Verifier.Verify(ctx, in)
}

func (f *Forwarder) decode(ctx context.Context, entry *connector.Entry, in *connector.Inbound) (d *connector.Decoded, err error) {
	defer f.contain(ctx, entry.Name, "Decode", func(p any) {
		d, err = nil, &undecodableError{fmt.Errorf("the connector panicked: %v", p)}
	})
	d, err = entry.Decoder.Decode(in)
	if err != nil {
		return nil, &undecodableError{err}
	}
	if d == nil {
		d = &connector.Decoded{}
	}
	return d, nil
}

func (f *Forwarder) contain(ctx context.Context, connector, method string, then func(p any)) {
	if p := recover(); p != nil {
		// What a stranger sends may be what makes it panic.
		f.seldom(ctx, &f.panics, connector, slog.LevelError, "connector panicked", "connector", connector, "method", method, "panic", p, "stack", string(debug.Stack()))
		then(p)
	}
}

// undecodableError means that a verified request cannot be understood.
type undecodableError struct{ err error }

func (e *undecodableError) Error() string { return e.err.Error() }
func (e *undecodableError) Unwrap() error { return e.err }

// errBusy means that all memory for requests is taken.
var errBusy = errors.New("too many requests are open")

func (f *Forwarder) notFound(w http.ResponseWriter, r *http.Request) {
	text := "expected " + f.prefix + "/webhooks/{connector} or " + f.prefix + "/webhooks/{connector}/{endpoint}"
	if _, _, ok := parsePath("", r.URL.EscapedPath()); ok || !hasPrefix(r.URL.EscapedPath(), f.prefix+"/webhooks") {
		text = "mounted at the wrong path: " + text + "; do not use http.StripPrefix"
	}
	http.Error(w, text, http.StatusNotFound)
}

func hasPrefix(path, prefix string) bool {
	return len(path) >= len(prefix) && path[:len(prefix)] == prefix
}

func notAllowed(w http.ResponseWriter, entry *connector.Entry) conclusion {
	allow := "POST, HEAD"
	if entry.Challenger != nil {
		allow = "POST, HEAD, GET"
	}
	w.Header().Set("Allow", allow)
	return refuseWith(w, answerNotAllowed, http.StatusMethodNotAllowed, "providers POST here")
}

func refuseWith(w http.ResponseWriter, a answer, status int, text string) conclusion {
	http.Error(w, text, status)
	return conclusion{a, status}
}

func (f *Forwarder) refuse(ctx context.Context, w http.ResponseWriter, entry *connector.Entry, addr Address, err error) conclusion {
	f.count.refused.Add(1)
	// A stranger decides how many there are.
	f.seldom(ctx, &f.refusals, entry.Name, slog.LevelWarn, "request refused", "connector", entry.Name, "endpoint", addr.Endpoint, "error", err)
	return refuseWith(w, answerRefused, http.StatusUnauthorized, "not verified")
}

// away answers 503, so that the provider tries again.
func (f *Forwarder) away(w http.ResponseWriter, r *http.Request, entry *connector.Entry, endpoint, doing string, err error) conclusion {
	f.count.unavailable.Add(1)
	again := "5"
	full := errors.Is(err, ErrStoreFull) // told once, by measured, and not by each request
	if full {
		again = "60"
	}
	if r.Context().Err() == nil && !full {
		f.seldom(r.Context(), &f.failures, doing, slog.LevelError, "request not taken", "doing", doing, "connector", entry.Name, "endpoint", endpoint, "error", err)
	}
	w.Header().Set("Retry-After", again)
	return refuseWith(w, answerUnavailable, http.StatusServiceUnavailable, "not available; try again")
}

// reply answers as the connector wants it, and returns the status.
func reply(w http.ResponseWriter, answer connector.Reply) int {
	for name, values := range answer.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	status := answer.Status
	if status == 0 {
		status = http.StatusOK
	}
	if len(answer.Body) == 0 && w.Header().Get("Content-Type") == "" {
		w.Header()["Content-Type"] = nil // nothing to sniff
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer.Body) // the sender may be gone; its events are stored
	return status
}

const readTimeout = 30 * time.Second
