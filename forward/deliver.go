package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/internal/dialguard"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

const (
	userAgent = "interactor/1.0 (+https://github.com/interactorhq/interactor)"

	// settingsRest is the wait of a lane whose settings cannot be read: no fault
	// of the receiver, so it uses up no try.
	settingsRest = 10 * time.Second
)

// deliver makes one try, passes its outcome on to be recorded, and returns what
// it says about the destination.
func (e *engine) deliver(l *lane, t Task) verdict {
	turn := e.f.erasing.turn.Load()
	if e.f.erasing.stops(&t) {
		e.interrupted(l, t)
		return verdict{}
	}
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
	ev, err := e.f.opened(e.work, t.Event)
	if err != nil && !hopeless(err) && e.work.Err() == nil {
		e.f.log.Error("the Keeper cannot be asked for the key of a payload; deliveries wait", "environment", t.Event.Environment, "error", err)
		e.postpone(l, t, settingsRest)
		return verdict{}
	}
	d, ok := e.f.try(e.work, settings, t, ev, err)
	if !ok {
		e.interrupted(l, t)
		return verdict{}
	}
	if e.f.erasing.stops(&t) { // nothing is recorded, nothing told
		e.interrupted(l, t)
		return d.verdict
	}
	d.lane, d.turn = l, turn
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

// try makes one try to deliver ev, which is t's event in plain, or what opening
// it failed with. ok is false when it was cut short because Run ends.
func (f *Forwarder) try(ctx context.Context, settings Settings, t Task, ev trigger.Event, sealed error) (d done, ok bool) {
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
	case sealed != nil:
		r = failed(ClassSealed, "sealed: "+sealed.Error())
		r.fatal = errors.Is(sealed, seal.ErrDamaged)
	case settings.URL != "":
		r = f.post(ctx, settings, ev, &o.Attempt)
		o.Attempt.Response = f.storedResponse(ctx, o.Attempt.Response, t.ID)
	case f.cfg.OnEvent != nil:
		r = f.call(ctx, settings, ev)
	default:
		r = failed(ClassURL, "no destination: the forwarding settings have no URL")
	}
	now := f.now()
	o.Attempt.Took = now.Sub(o.Attempt.At)
	if r.failure != "" && work.Err() != nil {
		return d, false
	}
	o.Attempt.Error, o.Attempt.Class = r.failure, r.class
	f.judge(&d, settings, r, now)
	d.verdict = verdict{kind: r.says(settings.URL != "", o.Attempt.StatusCode), began: o.Attempt.At, took: o.Attempt.Took, rest: o.Rest}
	f.meters.attempt(ctx, o)
	return d, true
}

// result of a try.
type result struct {
	failure string        // in words; empty: delivered
	class   ErrorClass    // in one word
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

func failed(class ErrorClass, failure string) result { return result{class: class, failure: failure} }

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
func (f *Forwarder) post(ctx context.Context, settings Settings, ev trigger.Event, a *Attempt) (r result) {
	a.URL = settings.URL
	body, err := ev.AppendJSON(make([]byte, 0, 512+len(ev.Payload)+len(ev.Raw)))
	if err != nil {
		r = failed(ClassEnvelope, "envelope: "+err.Error())
		r.fatal = errors.Is(err, trigger.ErrPayload)
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, settings.timeout())
	defer cancel()
	watch := stopwatch{now: f.now}
	req, err := http.NewRequestWithContext(watch.attach(ctx), http.MethodPost, settings.URL, bytes.NewReader(body))
	if err != nil {
		return failed(ClassURL, "url: it is malformed")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	signer := webhook.Signer{Secrets: settings.Secrets}
	if err := signer.Sign(req.Header, ev.ID, a.At, body); err != nil {
		return failed(ClassSigning, "signing: "+err.Error())
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
	hidden := f.hiding.of(ev.Environment, settings)
	route, err := f.routes.to(settings)
	if err != nil {
		return failed(ClassCertificate, "client certificate: "+err.Error())
	}
	var access *grant
	var token string
	if settings.OAuth2 != nil {
		if access, token, err = f.tokens.get(ctx, settings.OAuth2, settings.timeout()); err != nil {
			return failed(ClassToken, hidden.redact(err.Error(), len(err.Error())))
		}
		req.Header.Set("Authorization", "Bearer "+token)
		a.RequestHeader.Set("Authorization", redacted)
		hidden = hidden.with(token)
	}
	// The transport alone: a client would follow redirects and keep cookies.
	res, err := route.RoundTrip(req)
	a.Timing = watch.timing(f.now())
	if err != nil {
		if failed, ok := errors.AsType[*dialguard.ProxyError](err); ok {
			f.log.WarnContext(ctx, "a delivery failed at the proxy", "environment", ev.Environment, "error", failed)
		}
		class, text := classify(ctx, err, settings.timeout())
		text += settings.expired(f.now())
		return failed(class, hidden.redact(text, len(text))) // it may quote what came instead of HTTP
	}
	if access != nil {
		access.answered(token, res.StatusCode, f.now())
	}
	defer res.Body.Close()
	a.StatusCode = res.StatusCode
	a.ResponseHeader = hidden.excerptHeader(res.Header)
	a.Response = hidden.excerptBody(res.Body)
	return outcomeOf(res, f.now())
}

// outcomeOf reads the meaning of a response, after Standard Webhooks.
func outcomeOf(res *http.Response, now time.Time) (r result) {
	code := res.StatusCode
	if code >= 200 && code <= 299 {
		return result{}
	}
	r = failed(ClassStatus, fmt.Sprintf("status %d", code))
	r.after = parseRetryAfter(res.Header.Get("Retry-After"), now)
	switch {
	case code == http.StatusGone:
		r.gone, r.class = true, ClassGone
		r.failure = "status 410: the receiver is gone"
	case code >= 300 && code <= 399:
		r.class = ClassRedirect
		r.failure += ": redirects are not followed"
	}
	return r
}
