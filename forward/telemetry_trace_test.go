package forward_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// spans keeps the spans that ended.
func spans(options ...sdktrace.TracerProviderOption) (*tracetest.InMemoryExporter, *sdktrace.TracerProvider) {
	e := tracetest.NewInMemoryExporter()
	return e, sdktrace.NewTracerProvider(append(options, sdktrace.WithSyncer(e))...)
}

// named returns the spans of that name, oldest first.
func named(e *tracetest.InMemoryExporter, name string) (found []tracetest.SpanStub) {
	for _, s := range e.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// span returns the only span of that name.
func span(t *testing.T, e *tracetest.InMemoryExporter, name string) tracetest.SpanStub {
	t.Helper()
	found := named(e, name)
	if len(found) != 1 {
		t.Fatalf("%d spans named %q, want 1", len(found), name)
	}
	return found[0]
}

func value(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// below fails the test unless s is a child of parent in the same trace.
func below(t *testing.T, s, parent tracetest.SpanStub) {
	t.Helper()
	if s.Parent.SpanID() != parent.SpanContext.SpanID() || s.SpanContext.TraceID() != parent.SpanContext.TraceID() {
		t.Errorf("%q (%s, parent %s) is not below %q (%s)", s.Name, s.SpanContext.TraceID(), s.Parent.SpanID(), parent.Name, parent.SpanContext.SpanID())
	}
}

const theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// postTraced plays acme calling h with a traceparent of its own.
func postTraced(ctx context.Context, t *testing.T, h http.Handler, r request) {
	t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	req.Header.Set("X-Acme-Signature", acmeSign("default-key", body))
	req.Header.Set("traceparent", theirs)
	req.Header.Set("tracestate", "acme=1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code != http.StatusAccepted {
		t.Fatalf("status %d", w.Code)
	}
}

func TestTraceFromRequestToReceiver(t *testing.T) {
	t.Parallel()
	ended, provider := spans()
	r := &receiver{}
	secret := settings("*")
	secret.URL = "https://receiver.example:8443/events/s3cret?token=t0ken"
	bubble(t, r, forward.Config{TracerProvider: provider, Directory: two(secret, settings("gone.away"))}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		postTraced(t.Context(), t, f, one("k"))
		synctest.Wait()

		receive, commit, deliver := span(t, ended, "webhook receive acme"), span(t, ended, "webhook commit"), span(t, ended, "webhook deliver acme")
		if receive.Parent.IsValid() || receive.SpanContext.TraceID().String() == theirs[3:35] {
			t.Error("a provider decides which trace ours is")
		}
		if len(receive.Links) != 1 || receive.Links[0].SpanContext.TraceID().String() != theirs[3:35] || receive.Links[0].SpanContext.TraceState().Len() != 0 {
			t.Errorf("links %+v, want one to the provider's span", receive.Links)
		}
		below(t, commit, receive)
		below(t, deliver, commit)
		if receive.SpanKind != trace.SpanKindServer || commit.SpanKind != trace.SpanKindProducer || deliver.SpanKind != trace.SpanKindClient {
			t.Errorf("kinds %v, %v, %v", receive.SpanKind, commit.SpanKind, deliver.SpanKind)
		}
		got := r.deliveries()[0]
		if want := "00-" + receive.SpanContext.TraceID().String() + "-" + deliver.SpanContext.SpanID().String() + "-01"; got.header.Get("traceparent") != want {
			t.Errorf("the receiver got traceparent %q, want %q", got.header.Get("traceparent"), want)
		}
		for _, row := range []struct {
			span      tracetest.SpanStub
			key, want string
		}{
			{receive, "interactor.connector", "acme"},
			{receive, "interactor.answer", "accepted"},
			{receive, "http.request.method", "POST"},
			{receive, "http.response.status_code", "202"},
			{receive, "http.route", "/webhooks/{connector}"},
			{commit, "messaging.batch.message_count", "1"},
			{deliver, "interactor.connector", "acme"},
			{deliver, "interactor.trigger", noteAdded},
			{deliver, "interactor.outcome", "delivered"},
			{deliver, "interactor.environment", "env_A"},
			{deliver, "messaging.message.id", got.event.ID},
			{deliver, "server.address", "receiver.example"},
			{deliver, "server.port", "8443"},
			{deliver, "http.response.status_code", "204"},
			{deliver, "http.request.resend_count", ""},
			{deliver, "error.type", ""},
		} {
			if got := value(row.span, row.key); got != row.want {
				t.Errorf("%s of %q is %q, want %q", row.key, row.span.Name, got, row.want)
			}
		}
		text := fmt.Sprintf("%+v", ended.GetSpans())
		for _, secret := range []string{"s3cret", "t0ken", "user-A1", "default-key", "whsec_"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q stands in a span", secret)
			}
		}
		// The log shows what was sent.
		rec, err := f.Event(t.Context(), got.event.ID)
		if err != nil || rec.Deliveries[0].Attempts[0].RequestHeader.Get("traceparent") != got.header.Get("traceparent") {
			t.Errorf("attempt %+v, %v", rec.Deliveries, err)
		}
	})
}

func TestTraceOfEachTry(t *testing.T) {
	t.Parallel()
	ended, provider := spans()
	r := &receiver{answer: func(n int, _ trigger.Event) (int, http.Header) {
		if n == 1 {
			return http.StatusServiceUnavailable, nil
		}
		return http.StatusOK, nil
	}}
	bubble(t, r, forward.Config{TracerProvider: provider}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		mustPost(t, f, hook, "default-key", one("k"))
		pass(time.Minute)
		tries := named(ended, "webhook deliver acme")
		if len(tries) != 2 {
			t.Fatalf("%d tries, want 2", len(tries))
		}
		commit := span(t, ended, "webhook commit")
		for i, want := range []map[string]string{
			{"error.type": "503", "interactor.outcome": "retry", "http.response.status_code": "503"},
			{"error.type": "", "interactor.outcome": "delivered", "http.request.resend_count": "1"},
		} {
			below(t, tries[i], commit)
			for key, want := range want {
				if got := value(tries[i], key); got != want {
					t.Errorf("try %d: %s is %q, want %q", i, key, got, want)
				}
			}
		}
		if tries[0].Status.Code != codes.Error || tries[1].Status.Code != codes.Unset {
			t.Errorf("statuses %v, %v", tries[0].Status, tries[1].Status)
		}
	})
}

// What was accepted before a restart is delivered in its trace after it.
func TestTraceSurvivesRestart(t *testing.T) {
	t.Parallel()
	path := file(t)
	ended, provider := spans()
	cfg := func() forward.Config {
		return forward.Config{
			Store: open(t, path), Directory: two(settings("*"), settings("gone.away")), TracerProvider: provider, Transport: &receiver{},
		}
	}
	first := cfg()
	mustPost(t, build(t, first), hook, "default-key", one("k"))
	if err := first.Store.(interface{ Close() error }).Close(); err != nil {
		t.Fatal(err)
	}
	commit := span(t, ended, "webhook commit")
	second := cfg()
	start(t, build(t, second))
	until(t, "it is delivered", func() bool { return len(second.Transport.(*receiver).deliveries()) == 1 })
	until(t, "the try has ended", func() bool { return len(named(ended, "webhook deliver acme")) == 1 })
	deliver := span(t, ended, "webhook deliver acme")
	below(t, deliver, commit)
	if !deliver.Parent.IsRemote() {
		t.Error("its parent should have come out of the store")
	}
	if got := second.Transport.(*receiver).deliveries()[0].header.Get("traceparent"); !strings.Contains(got, commit.SpanContext.TraceID().String()) {
		t.Errorf("the receiver got %q", got)
	}
}

// A thin notice is asked about, and what it was about delivered, in one trace; a
// follow-up that the connector asks for has one of its own.
func TestTraceOfAsking(t *testing.T) {
	t.Parallel()
	ended, provider := spans()
	r := &receiver{}
	synctest.Test(t, func(t *testing.T) {
		d := two(settings("*"), settings("gone.away"))
		key := " " + string(connector.NewKey("team", "T1"))
		d.people[key] = d.people[key][:1]
		asked := 0
		f := build(t, forward.Config{
			Directory: d, Transport: r, TracerProvider: provider,
			Connectors: []connector.Connector{&acme{secret: "default-key", expand: func(*connector.Subscription, *connector.Notice) (*connector.Expansion, error) {
				if asked++; asked > 1 {
					return &connector.Expansion{}, nil
				}
				return &connector.Expansion{Notices: occurrences("k"), Next: time.Now().Add(time.Hour)}, nil
			}}},
		})
		running(t, f)
		mustPost(t, f, hook, "default-key", thin("look", ""))
		synctest.Wait()
		receive, ask, deliver := span(t, ended, "webhook receive acme"), span(t, ended, "webhook expand"), span(t, ended, "webhook deliver acme")
		commits := named(ended, "webhook commit")
		if len(commits) != 2 {
			t.Fatalf("%d commits, want 2", len(commits))
		}
		below(t, commits[0], receive)
		below(t, ask, commits[0])
		below(t, commits[1], ask)
		below(t, deliver, commits[1])
		pass(2 * time.Hour)
		asks := named(ended, "webhook expand")
		if len(asks) != 2 || asks[1].Parent.IsValid() {
			t.Errorf("%d times asked; the second should begin a trace: %+v", len(asks), asks[1].Parent)
		}
	})
}

func TestTraceBelowTheCallersSpan(t *testing.T) {
	t.Parallel()
	ended, provider := spans()
	bubble(t, &receiver{}, forward.Config{TracerProvider: provider}, func(t *testing.T, f *forward.Forwarder) {
		ctx, server := provider.Tracer("test").Start(t.Context(), "server")
		postTraced(ctx, t, f, one("k"))
		if err := f.Publish(ctx, trigger.Event{Trigger: "a.b", Environment: "env_A"}); err != nil {
			t.Fatal(err)
		}
		server.End()
		receive := span(t, ended, "webhook receive acme")
		below(t, receive, span(t, ended, "server"))
		if receive.SpanKind != trace.SpanKindInternal {
			t.Errorf("kind %v: the caller's is the server's span", receive.SpanKind)
		}
		below(t, named(ended, "webhook commit")[1], span(t, ended, "server"))
	})
}

// A provider's flag does not decide what is sampled, and what is not sampled
// stays so until the receiver.
func TestTraceNotSampled(t *testing.T) {
	t.Parallel()
	ended, provider := spans(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	r := &receiver{}
	bubble(t, r, forward.Config{TracerProvider: provider}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		postTraced(t.Context(), t, f, one("k"))
		synctest.Wait()
		if n := len(ended.GetSpans()); n != 0 {
			t.Errorf("%d spans, want none", n)
		}
		if got := r.deliveries()[0].header.Get("traceparent"); !strings.HasSuffix(got, "-00") {
			t.Errorf("traceparent %q, want one that is not sampled", got)
		}
	})
}

func TestWithoutTracingNothingIsKeptOrSent(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	m := newMemory()
	bubble(t, r, forward.Config{Store: m}, func(t *testing.T, f *forward.Forwarder) {
		postTraced(t.Context(), t, f, one("k"))
		for _, task := range m.tasks {
			if task.Trace != "" {
				t.Errorf("trace %q is kept", task.Trace)
			}
		}
		running(t, f)
		if got := r.deliveries()[0].header["Traceparent"]; got != nil {
			t.Errorf("traceparent %q was sent", got)
		}
	})
}

func TestTraceOfRefusals(t *testing.T) {
	t.Parallel()
	ended, provider := spans()
	d := two(settings("*"), settings("gone.away"))
	bubble(t, &receiver{}, forward.Config{TracerProvider: provider, Directory: d}, func(t *testing.T, f *forward.Forwarder) {
		post(t, f, hook, "wrong-key", one("k"))
		d.breaks(fmt.Errorf("away"))
		post(t, f, hook, "default-key", one("k"))
		req := httptest.NewRequest("BREW", hook+"/app_A", nil)
		d.breaks(nil)
		f.ServeHTTP(httptest.NewRecorder(), req)
		got := named(ended, "webhook receive acme")
		if len(got) != 3 {
			t.Fatalf("%d spans, want 3", len(got))
		}
		for i, want := range []struct {
			answer, status, method string
			code                   codes.Code
		}{
			{"refused", "401", "POST", codes.Unset}, // the sender's fault
			{"unavailable", "503", "POST", codes.Error},
			{"not_allowed", "405", "_OTHER", codes.Unset},
		} {
			s := got[i]
			if value(s, "interactor.answer") != want.answer || value(s, "http.response.status_code") != want.status ||
				value(s, "http.request.method") != want.method || value(s, "error.type") != want.answer || s.Status.Code != want.code {
				t.Errorf("span %d: %v %v, want %+v", i, s.Attributes, s.Status, want)
			}
		}
		if !slices.Contains(got[2].Attributes, attribute.String("http.route", "/webhooks/{connector}/{endpoint}")) {
			t.Errorf("attributes %v", got[2].Attributes)
		}
	})
}
