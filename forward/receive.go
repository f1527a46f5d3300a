package forward

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

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
		http.Error(w, "no connector of that name receives webhooks here", http.StatusNotFound)
		return
	}
	addr, err := f.directory.Address(r.Context(), name, endpoint)
	switch {
	case errors.Is(err, ErrNoAddress):
		http.Error(w, "no such address", http.StatusNotFound)
		return
	case errors.Is(err, ErrAddressGone):
		http.Error(w, "this address was removed", http.StatusGone)
		return
	case err != nil:
		f.away(w, r, "finding the address", err)
		return
	}
	switch {
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusOK)
		return
	case r.Method == http.MethodPost:
	case r.Method == http.MethodGet && entry.Challenger != nil:
	default:
		notAllowed(w, entry)
		return
	}
	body, held, status := f.readBody(w, r)
	defer func() { f.inbound.Add(-held) }()
	switch status {
	case 0:
	case http.StatusServiceUnavailable:
		f.away(w, r, "reading", errBusy)
		return
	default:
		http.Error(w, "the request is larger than "+strconv.FormatInt(f.limits.MaxBody, 10)+" bytes, or incomplete", status)
		return
	}
	f.receive(w, r, entry, addr, f.build(r, addr, body))
}

// receive goes through the steps of a request whose address is known.
func (f *Forwarder) receive(w http.ResponseWriter, r *http.Request, entry *connector.Entry, addr Address, in *connector.Inbound) {
	ctx := r.Context()
	if entry.Challenger != nil {
		h, err := f.challenge(entry, in)
		switch {
		case err != nil:
			f.refuse(w, entry, addr, fmt.Errorf("handshake: %w", err))
			return
		case h != nil:
			f.shake(w, r, entry, addr, h)
			return
		case r.Method == http.MethodGet:
			notAllowed(w, entry)
			return
		}
	}
	if addr.KeyPending {
		f.away(w, r, "verifying", errors.New("the key of this address is on its way"))
		return
	}
	if panicked, err := f.verify(ctx, entry, in); panicked {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	} else if retry := (*connector.RetryError)(nil); errors.As(err, &retry) {
		f.away(w, r, "verifying", err) // its public keys could not be had
		return
	} else if err != nil {
		f.refuse(w, entry, addr, err)
		return
	}
	decoded, err := f.decode(entry, in)
	b := f.newIntake(entry, addr, in.ReceivedAt)
	if err == nil {
		err = b.notices(ctx, decoded.Notices, nil)
	}
	var wrong *undecodableError
	switch {
	case errors.As(err, &wrong):
		b, err = f.keepDead(ctx, entry, addr, in, wrong)
		if err != nil {
			f.away(w, r, "keeping a request", err)
			return
		}
		decoded = &connector.Decoded{}
	case err != nil:
		f.away(w, r, "finding out whom it concerns", err)
		return
	}
	if err := b.commit(ctx); err != nil {
		f.away(w, r, "storing", err)
		return
	}
	f.count.accepted.Add(1)
	answer := entry.Accepted
	if decoded.Reply != nil {
		answer = *decoded.Reply
	}
	reply(w, answer)
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
func (f *Forwarder) shake(w http.ResponseWriter, r *http.Request, entry *connector.Entry, addr Address, h *connector.Handshake) {
	if h.Secret != "" {
		err := f.directory.Learn(context.WithoutCancel(r.Context()), addr, h.Secret)
		switch {
		case errors.Is(err, ErrKeyKnown):
			f.refuse(w, entry, addr, err)
			return
		case errors.Is(err, ErrNoAddress):
			http.Error(w, "no such address", http.StatusNotFound)
			return
		case err != nil:
			f.away(w, r, "keeping a key", err)
			return
		}
	}
	f.count.handshakes.Add(1)
	reply(w, h.Reply)
}

// challenge, verify and decode call a connector, whose panics are contained.

func (f *Forwarder) challenge(entry *connector.Entry, in *connector.Inbound) (h *connector.Handshake, err error) {
	defer f.contain(entry.Name, "Challenge", func(p any) { h, err = nil, fmt.Errorf("panic: %v", p) })
	return entry.Challenger.Challenge(in)
}

func (f *Forwarder) verify(ctx context.Context, entry *connector.Entry, in *connector.Inbound) (panicked bool, err error) {
	defer f.contain(entry.Name, "Verify", func(p any) { panicked, err = true, fmt.Errorf("panic: %v", p) })
	return false, entry.Verifier.Verify(ctx, in)
}

func (f *Forwarder) decode(entry *connector.Entry, in *connector.Inbound) (d *connector.Decoded, err error) {
	defer f.contain(entry.Name, "Decode", func(p any) {
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

func (f *Forwarder) contain(connector, method string, then func(p any)) {
	if p := recover(); p != nil {
		f.log.Error("connector panicked", "connector", connector, "method", method, "panic", p, "stack", string(debug.Stack()))
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

func notAllowed(w http.ResponseWriter, entry *connector.Entry) {
	allow := "POST, HEAD"
	if entry.Challenger != nil {
		allow = "POST, HEAD, GET"
	}
	w.Header().Set("Allow", allow)
	http.Error(w, "providers POST here", http.StatusMethodNotAllowed)
}

func (f *Forwarder) refuse(w http.ResponseWriter, entry *connector.Entry, addr Address, err error) {
	f.count.refused.Add(1)
	f.log.Warn("request refused", "connector", entry.Name, "endpoint", addr.Endpoint, "error", err)
	http.Error(w, "not verified", http.StatusUnauthorized)
}

// away answers 503, so that the provider tries again.
func (f *Forwarder) away(w http.ResponseWriter, r *http.Request, doing string, err error) {
	f.count.unavailable.Add(1)
	if r.Context().Err() == nil {
		f.log.ErrorContext(r.Context(), "request not taken", "doing", doing, "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Retry-After", "5")
	http.Error(w, "not available; try again", http.StatusServiceUnavailable)
}

func reply(w http.ResponseWriter, answer connector.Reply) {
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
}

const readTimeout = 30 * time.Second
