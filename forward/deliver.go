package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/internal/dialguard"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

const (
	userAgent    = "interactor/1.0 (+https://github.com/interactorhq/interactor)"
	redacted     = "[redacted]"
	keepResponse = 16 << 10 // bytes of a response that are kept
	skipResponse = 64 << 10 // bytes that are read beyond, to use the connection again
	keepHeaders  = 64       // response headers that are kept
	keepHeader   = 1 << 10  // bytes of each

	// settingsRest is the wait of a lane whose settings cannot be read: no fault
	// of the receiver, so it uses up no try.
	settingsRest = 10 * time.Second
)

// deliver makes one try, passes its outcome on to be recorded, and returns what
// it says about the destination.
func (e *engine) deliver(l *lane, t Task) verdict {
	if t.Job != "" && e.stopped(t.Job) {
		e.giveBack(l, t)
		return verdict{}
	}
	settings, err := e.f.directory.Settings(e.work, t.Event.Environment)
	if err != nil && e.work.Err() == nil {
		e.f.waits(e.work, &t, err)
		e.postpone(l, t, settingsRest)
		return verdict{}
	}
	e.shape(l.gate, &settings)
	d, ok := e.f.try(e.work, settings, t)
	if !ok {
		e.interrupted(l, t)
		return verdict{}
	}
	d.lane = l
	if d.outcome.Status == Delivered {
		if l.gate.reported.Load() && l.gate.reported.CompareAndSwap(true, false) {
			d.tell(e.f.news(DestinationRecovered, t, d.outcome), settings)
		}
	} else if settings.URL != "" {
		kept := settings // only then is it kept
		d.pauseAfter, d.settings = kept.pauseAfter(), &kept
	}
	e.rec.add(d)
	return d.verdict
}

// shape gives a gate what the settings say, where that is new.
func (e *engine) shape(g *gate, s *Settings) {
	want := shape{s.RateLimit, s.Concurrency}
	if have := g.shape.Load(); have != nil && *have == want {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g.apply(want, e.f.limits.PerLane, e.f.now())
	g.pool.enter(g)
	e.start(g.pool)
}

// waits says that a delivery could not be tried.
func (f *Forwarder) waits(ctx context.Context, t *Task, err error) {
	f.log.ErrorContext(inTrace(ctx, t.Trace), "forwarding settings could not be read; deliveries wait", "environment", t.Event.Environment, "error", err)
}

// try makes one try. ok is false when it was cut short because Run ends.
func (f *Forwarder) try(ctx context.Context, settings Settings, t Task) (d done, ok bool) {
	if ctx.Err() != nil {
		return d, false
	}
	d.outcome = Outcome{Task: t, Attempt: Attempt{At: f.now()}}
	o := &d.outcome
	work := ctx
	if f.tracing != nil {
		kind := trace.SpanKindClient
		if settings.URL == "" {
			kind = trace.SpanKindConsumer // of OnEvent
		}
		var span trace.Span
		ctx, span = f.tracing.attempt(ctx, &t, kind)
		defer func() { attempted(span, &d.outcome, !ok) }()
	}
	var r result
	switch {
	case settings.URL != "":
		r = f.post(ctx, settings, t, &o.Attempt)
	case f.cfg.OnEvent != nil:
		r = f.call(ctx, settings, t)
	default:
		r.failure = "no destination: the forwarding settings have no URL"
	}
	now := f.now()
	o.Attempt.Took = now.Sub(o.Attempt.At)
	if r.failure != "" && work.Err() != nil {
		return d, false
	}
	o.Attempt.Error = r.failure
	f.judge(&d, settings, r, now)
	d.verdict = verdict{kind: r.says(settings.URL != "", o.Attempt.StatusCode), began: o.Attempt.At, took: o.Attempt.Took, rest: o.Rest}
	f.meters.attempt(ctx, o)
	return d, true
}

// result of a try.
type result struct {
	failure string        // in words; empty: delivered
	fatal   bool          // another try cannot help
	gone    bool          // the receiver wants no more
	after   time.Duration // the receiver wants no other try before
	timeout bool          // a handler has not returned in time
}

// says is what a result means for the destination as a whole. Standard Webhooks
// names 429, 502 and 504 as signs of overload; 503 says so itself (RFC 9110,
// 15.6.4), and 408 that the request did not get through (15.5.9).
func (r result) says(http bool, status int) verdictKind {
	switch {
	case r.failure == "":
		return succeeded
	case r.timeout:
		return overwhelmed
	case !http && !r.fatal:
		return erred
	case r.fatal, r.gone:
		return answered
	case status == 0:
		return overwhelmed
	}
	switch status {
	case 408, 429, 502, 503, 504:
		return overwhelmed
	}
	if status >= 500 {
		return erred
	}
	return answered
}

// judge decides what follows from a try.
func (f *Forwarder) judge(d *done, settings Settings, r result, now time.Time) {
	o := &d.outcome
	wait, last := settings.wait(o.Task.Tries, r.after, f.limits.MaxRetryAfter)
	switch {
	case r.failure == "":
		o.Status = Delivered
	case r.gone:
		o.Status, o.Due = Pending, now
		o.Pause = "the receiver answered 410 Gone"
		d.tell(f.news(DestinationPaused, o.Task, *o), settings)
	case r.fatal:
		o.Status, o.Reason = Dead, r.failure
		d.tell(f.news(DeliveryExhausted, o.Task, *o), settings)
	case last:
		o.Status = Dead
		o.Reason = fmt.Sprintf("all %d tries failed, the last one: %s", o.Task.Tries+1, r.failure)
		d.tell(f.news(DeliveryExhausted, o.Task, *o), settings)
	default:
		o.Status, o.Due = Pending, now.Add(wait)
	}
	if code := o.Attempt.StatusCode; r.after > 0 && (code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable) {
		// It means all that go there. Spread as the task's own wait is.
		o.Rest = now.Add(jitter(min(r.after, f.limits.MaxRetryAfter), 1, 1.1))
	}
}

// post sends an event to settings.URL.
func (f *Forwarder) post(ctx context.Context, settings Settings, t Task, a *Attempt) (r result) {
	a.URL = settings.URL
	body, err := t.Event.AppendJSON(make([]byte, 0, 512+len(t.Event.Payload)+len(t.Event.Raw)))
	if err != nil {
		return result{failure: "envelope: " + err.Error(), fatal: errors.Is(err, trigger.ErrPayload)}
	}
	ctx, cancel := context.WithTimeout(ctx, settings.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, settings.URL, bytes.NewReader(body))
	if err != nil {
		return result{failure: "url: it is malformed"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	signer := webhook.Signer{Secrets: settings.Secrets}
	if err := signer.Sign(req.Header, t.Event.ID, a.At, body); err != nil {
		return result{failure: "signing: " + err.Error()}
	}
	if f.tracing != nil {
		f.tracing.request(ctx, req)
	}
	a.RequestHeader = make(http.Header, len(req.Header)+1)
	maps.Copy(a.RequestHeader, req.Header)
	if settings.HeaderKey != "" {
		req.Header.Set(settings.HeaderKey, settings.HeaderValue)
		a.RequestHeader.Set(settings.HeaderKey, redacted)
	}
	route, err := f.routes.to(settings)
	if err != nil {
		return result{failure: "client certificate: " + err.Error()}
	}
	var access *grant
	var token string
	if settings.OAuth2 != nil {
		if access, token, err = f.tokens.get(ctx, settings.OAuth2, settings.timeout()); err != nil {
			return result{failure: err.Error()}
		}
		req.Header.Set("Authorization", "Bearer "+token)
		a.RequestHeader.Set("Authorization", redacted)
	}
	// The transport alone: a client would follow redirects and keep cookies.
	res, err := route.RoundTrip(req)
	if err != nil {
		if failed, ok := errors.AsType[*dialguard.ProxyError](err); ok {
			f.log.WarnContext(ctx, "a delivery failed at the proxy", "environment", t.Event.Environment, "error", failed)
		}
		return result{failure: classify(ctx, err, settings.timeout()) + settings.expired(f.now())}
	}
	if access != nil {
		access.answered(token, res.StatusCode, f.now())
	}
	defer res.Body.Close()
	a.StatusCode = res.StatusCode
	a.ResponseHeader = excerptHeader(res.Header)
	a.Response, _ = io.ReadAll(io.LimitReader(res.Body, keepResponse)) // a status is an answer, whatever follows it
	_, _ = io.CopyN(io.Discard, res.Body, skipResponse)                // so that the connection can be used again
	return outcomeOf(res, f.now())
}

// outcomeOf reads the meaning of a response, after Standard Webhooks.
func outcomeOf(res *http.Response, now time.Time) (r result) {
	code := res.StatusCode
	if code >= 200 && code <= 299 {
		return result{}
	}
	r.failure = fmt.Sprintf("status %d", code)
	r.after = parseRetryAfter(res.Header.Get("Retry-After"), now)
	switch {
	case code == http.StatusGone:
		r.gone = true
		r.failure = "status 410: the receiver is gone"
	case code >= 300 && code <= 399:
		r.failure += ": redirects are not followed"
	}
	return r
}

// excerptHeader keeps response headers within bounds and without cookies.
func excerptHeader(h http.Header) http.Header {
	kept := make(http.Header, min(len(h), keepHeaders))
	for name, values := range h {
		if len(kept) == keepHeaders {
			break
		}
		if name == "Set-Cookie" || name == "Set-Cookie2" {
			kept[name] = []string{redacted}
			continue
		}
		if len(values) > 4 {
			values = values[:4]
		}
		cut := values
		for i, v := range values {
			if len(v) > keepHeader {
				if &cut[0] == &values[0] {
					cut = append([]string(nil), values...)
				}
				cut[i] = strings.ToValidUTF8(v[:keepHeader], "") + "…"
			}
		}
		kept[name] = cut
	}
	return kept
}
