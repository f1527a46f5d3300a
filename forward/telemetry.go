package forward

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scopeName is the instrumentation scope of what this package tells.
const scopeName = "github.com/interactorhq/interactor/forward"

// Attributes of spans and measurements. Those without "interactor." are of
// OpenTelemetry's semantic conventions.
const (
	keyConnector   = attribute.Key("interactor.connector")
	keyTrigger     = attribute.Key("interactor.trigger")
	keyEnvironment = attribute.Key("interactor.environment")
	keyDelivery    = attribute.Key("interactor.delivery")
	keyAnswer      = attribute.Key("interactor.answer")
	keyOutcome     = attribute.Key("interactor.outcome")
	keyQueue       = attribute.Key("interactor.queue")
	keyState       = attribute.Key("interactor.state")
	keyErrorType   = attribute.Key("error.type")
	keyMethod      = attribute.Key("http.request.method")
	keyStatus      = attribute.Key("http.response.status_code")
	keyResend      = attribute.Key("http.request.resend_count")
	keyRoute       = attribute.Key("http.route")
	keyServer      = attribute.Key("server.address")
	keyPort        = attribute.Key("server.port")
	keySystem      = attribute.Key("messaging.system")
	keyOperation   = attribute.Key("messaging.operation.name")
	keyType        = attribute.Key("messaging.operation.type")
	keyMessage     = attribute.Key("messaging.message.id")
	keyBatch       = attribute.Key("messaging.batch.message_count")
)

// tracing makes the spans of a Forwarder; nil makes none. A trace goes from the
// provider's request over its commit to every try of a delivery, whenever and in
// whichever process that is made: Task.Trace carries it.
type tracing struct{ tracer trace.Tracer }

func newTracing(p trace.TracerProvider) *tracing {
	if p == nil {
		return nil
	}
	return &tracing{p.Tracer(scopeName)}
}

// receive begins the span of a provider's request. What the provider says about
// a trace of its own becomes a link: a stranger decides neither which trace ours
// belongs to nor whether it is sampled. A span that is in the context already is
// of this process and becomes the parent.
func (t *tracing) receive(r *http.Request, connector, endpoint string) (*http.Request, trace.Span) {
	ctx := r.Context()
	kind, route := trace.SpanKindServer, "/webhooks/{connector}"
	if trace.SpanContextFromContext(ctx).IsValid() {
		kind = trace.SpanKindInternal // the caller's own span is the server's
	}
	if endpoint != "" {
		route = "/webhooks/{connector}/{endpoint}"
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(
		keyConnector.String(connector), keyMethod.String(method(r.Method)), keyRoute.String(route),
	)}
	if theirs := inTrace(ctx, r.Header.Get("traceparent")); theirs != ctx {
		options = append(options, trace.WithLinks(trace.LinkFromContext(theirs)))
	}
	ctx, span := t.tracer.Start(ctx, "webhook receive "+connector, options...) //nolint:spancheck // received ends it
	return r.WithContext(ctx), span                                            //nolint:spancheck // see above
}

// method keeps what a stranger made up out of attributes.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return other
}

// received ends the span of a request.
func received(span trace.Span, v conclusion) {
	span.SetAttributes(keyAnswer.String(v.answer.String()), keyStatus.Int(v.status))
	switch {
	case v.status >= http.StatusInternalServerError:
		span.SetAttributes(keyErrorType.String(v.answer.String()))
		span.SetStatus(codes.Error, v.answer.String())
	case v.status >= http.StatusBadRequest: // the sender's fault is no error of a server's
		span.SetAttributes(keyErrorType.String(v.answer.String()))
	}
	span.End()
}

// commit begins the span of a batch that is made durable, and writes it into the
// batch's tasks: what is done about them later belongs to it.
func (t *tracing) commit(ctx context.Context, b *Batch) (context.Context, trace.Span) {
	ctx, span := t.tracer.Start(ctx, "webhook commit", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		keySystem.String("interactor"), keyOperation.String("commit"), keyType.String("create"), keyBatch.Int(len(b.Events)),
	))
	text := formatTrace(ctx)
	for i := range b.Tasks {
		// A follow-up that a connector asks for may have one of its own, and so on
		// for ever: each begins a trace.
		if b.Tasks[i].Merge != mergeNext {
			b.Tasks[i].Trace = text
		}
	}
	return ctx, span
}

// committed ends the span of a batch.
func committed(span trace.Span, err error) {
	if err != nil {
		span.SetAttributes(keyErrorType.String("store"))
		span.SetStatus(codes.Error, "not committed")
	}
	span.End()
}

// attempt begins the span of one try of a delivery, in the trace of the request
// that brought the event.
func (t *tracing) attempt(ctx context.Context, task *Task, kind trace.SpanKind) (context.Context, trace.Span) {
	ctx, span := t.tracer.Start(inTrace(ctx, task.Trace), "webhook deliver "+task.Event.Connector, trace.WithSpanKind(kind), trace.WithAttributes(
		keySystem.String("interactor"), keyOperation.String("deliver"), keyType.String("send"),
		keyConnector.String(task.Event.Connector), keyTrigger.String(task.Event.Trigger),
		keyEnvironment.String(task.Event.Environment), keyMessage.String(task.Event.ID), keyDelivery.String(task.ID),
	))
	if task.Tries > 0 {
		span.SetAttributes(keyResend.Int(task.Tries))
	}
	return ctx, span
}

// request writes the trace into a request that is about to be sent.
func (t *tracing) request(ctx context.Context, req *http.Request) {
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(req.Header))
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	// The address without path and query, which may hold secrets.
	span.SetAttributes(keyMethod.String(req.Method), keyServer.String(req.URL.Hostname()))
	if port, err := strconv.Atoi(req.URL.Port()); err == nil {
		span.SetAttributes(keyPort.Int(port))
	}
}

// attempted ends the span of a try.
func attempted(span trace.Span, o *Outcome, interrupted bool) {
	if interrupted {
		span.SetAttributes(keyOutcome.String("interrupted"))
		span.End()
		return
	}
	span.SetAttributes(keyOutcome.String(outcomeName(o)))
	if o.Attempt.StatusCode != 0 {
		span.SetAttributes(keyStatus.Int(o.Attempt.StatusCode))
	}
	if o.Status != Delivered {
		kind := errorType(&o.Attempt)
		span.SetAttributes(keyErrorType.String(kind))
		span.SetStatus(codes.Error, kind)
	}
	span.End()
}

// ask begins the span of asking a provider about a Subscription.
func (t *tracing) ask(ctx context.Context, task *Task) (context.Context, trace.Span) {
	return t.tracer.Start(inTrace(ctx, task.Trace), "webhook "+string(task.Kind), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes( //nolint:spancheck // asked ends it
		keySystem.String("interactor"), keyOperation.String(string(task.Kind)), keyType.String("process"),
	))
}

// asked ends the span of asking a provider.
func asked(span trace.Span, err error) {
	if err != nil {
		span.SetAttributes(keyErrorType.String("provider"))
		span.SetStatus(codes.Error, "the provider could not be asked")
	}
	span.End()
}

// traceText is a Task's Trace as a carrier of W3C Trace Context.
type traceText string

var _ propagation.TextMapCarrier = (*traceText)(nil)

// Get is for package propagation.
func (t *traceText) Get(key string) string {
	if key == "traceparent" {
		return string(*t)
	}
	return ""
}

// Set is for package propagation.
func (t *traceText) Set(key, value string) {
	if key == "traceparent" {
		*t = traceText(value)
	}
}

// Keys is for package propagation.
func (*traceText) Keys() []string { return []string{"traceparent"} }

// formatTrace returns the traceparent of the span in ctx, or "" without one.
func formatTrace(ctx context.Context) string {
	var t traceText
	propagation.TraceContext{}.Inject(ctx, &t)
	return string(t)
}

// inTrace returns ctx with the span that a traceparent names as the parent of
// what begins there. A text that is no traceparent leaves ctx as it is.
func inTrace(ctx context.Context, text string) context.Context {
	if text == "" {
		return ctx
	}
	t := traceText(text)
	return propagation.TraceContext{}.Extract(ctx, &t)
}

// answer is what a provider was told.
type answer uint8

const (
	answerAccepted answer = iota
	answerUndecodable
	answerHandshake
	answerProbe
	answerRefused
	answerNotFound
	answerGone
	answerNotAllowed
	answerUnreadable
	answerUnavailable
	answerFailed
	answers // how many there are
)

// String is the value of the attribute interactor.answer.
func (a answer) String() string {
	switch a {
	case answerAccepted:
		return "accepted"
	case answerUndecodable:
		return "undecodable"
	case answerHandshake:
		return "handshake"
	case answerProbe:
		return "probe"
	case answerRefused:
		return "refused"
	case answerNotFound:
		return "not_found"
	case answerGone:
		return "gone"
	case answerNotAllowed:
		return "not_allowed"
	case answerUnreadable:
		return "unreadable"
	case answerUnavailable:
		return "unavailable"
	case answerFailed:
		return "failed"
	case answers:
	}
	return fmt.Sprintf("answer(%d)", uint8(a))
}

// conclusion is how a request ended.
type conclusion struct {
	answer answer
	status int
}

// outcomeName is the value of the attribute interactor.outcome of a try.
func outcomeName(o *Outcome) string {
	switch {
	case o.Status == Delivered:
		return "delivered"
	case o.Status == Dead:
		return "dead"
	case o.Pause != "":
		return "paused"
	}
	return "retry"
}
