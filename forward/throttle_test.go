package forward_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// journal keeps log lines, each with the trace that its context is in.
type journal struct {
	mu    sync.Mutex
	lines []map[string]any
	raw   bytes.Buffer
}

func (j *journal) logger() *slog.Logger {
	return slog.New(traced{slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug})})
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		return 0, err
	}
	j.lines = append(j.lines, m)
	return j.raw.Write(line)
}

// saying returns the lines with that message.
func (j *journal) saying(message string) (found []map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if l["msg"] == message {
			found = append(found, l)
		}
	}
	return found
}

// traced adds the trace of a line's context, as handlers of OpenTelemetry do.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func TestRefusalsAreLoggedSeldom(t *testing.T) {
	t.Parallel()
	var log journal
	bubble(t, &receiver{}, forward.Config{Logger: log.logger()}, func(t *testing.T, f *forward.Forwarder) {
		for range 25 {
			post(t, f, hook, "wrong-key", one("k"))
		}
		if n := len(log.saying("request refused")); n != 10 {
			t.Errorf("%d lines of 25 refusals, want 10", n)
		}
		pass(time.Minute)
		post(t, f, hook, "wrong-key", one("k"))
		lines := log.saying("request refused")
		if len(lines) != 11 {
			t.Fatalf("%d lines after a minute, want 11", len(lines))
		}
		if lines[10]["suppressed"] != 15.0 || lines[9]["suppressed"] != nil || lines[10]["connector"] != "acme" || lines[10]["level"] != "WARN" {
			t.Errorf("last line %v, want the 15 that were left out", lines[10])
		}
		post(t, f, hook, "wrong-key", one("k"))
		if l := log.saying("request refused")[11]; l["suppressed"] != nil {
			t.Errorf("told twice: %v", l)
		}
		if n := f.Stats().Refused; n != 27 {
			t.Errorf("%d refusals were counted, want 27", n)
		}
	})
}

// An unverified request can also make a connector panic, or find the store away.
func TestOtherLinesThatStrangersCauseAreSeldom(t *testing.T) {
	t.Parallel()
	var log journal
	d := two(settings("*"), settings("gone.away"))
	bubble(t, &receiver{}, forward.Config{Logger: log.logger(), Directory: d}, func(t *testing.T, f *forward.Forwarder) {
		for range 25 {
			post(t, f, hook, "x", request{Do: "panic in Verify"})
		}
		d.breaks(errors.New("away"))
		for range 25 {
			post(t, f, hook, "x", one("k"))
		}
		for _, message := range []string{"connector panicked", "request not taken"} {
			if n := len(log.saying(message)); n != 10 {
				t.Errorf("%d lines %q, want 10", n, message)
			}
		}
	})
}

func TestLinesAreInTheTrace(t *testing.T) {
	t.Parallel()
	var log journal
	ended, provider := spans()
	d := two(settings("*"), settings("gone.away"))
	bubble(t, &receiver{}, forward.Config{Logger: log.logger(), Directory: d, TracerProvider: provider}, func(t *testing.T, f *forward.Forwarder) {
		post(t, f, hook, "wrong-key", one("k"))
		post(t, f, hook, "x", request{Do: "panic in Verify"})
		post(t, f, hook, "default-key", request{Do: "confuse"})
		received := named(ended, "webhook receive acme")
		for i, message := range []string{"request refused", "connector panicked", "request could not be decoded; it is kept as a dead event"} {
			lines := log.saying(message)
			if len(lines) != 1 || lines[0]["trace_id"] != received[i].SpanContext.TraceID().String() || lines[0]["connector"] != "acme" {
				t.Errorf("%q: %v, want one line in trace %s", message, lines, received[i].SpanContext.TraceID())
			}
		}
		mustPost(t, f, hook, "default-key", one("k"))
		d.breaks(errors.New("away"))
		running(t, f)
		commit := named(ended, "webhook commit")[1]
		if lines := log.saying("forwarding settings could not be read; deliveries wait"); len(lines) == 0 || lines[0]["trace_id"] != commit.SpanContext.TraceID().String() {
			t.Errorf("%v, want a line in trace %s", lines, commit.SpanContext.TraceID())
		}
		d.breaks(nil)
	})
}

func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	var log journal
	n := 0
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
		if n++; n == 1 {
			return http.StatusBadRequest, http.Header{"Set-Cookie": {"c00kie"}}
		}
		return http.StatusGone, nil
	}}
	s := settings("*", forward.DestinationPaused)
	s.URL, s.HeaderKey, s.HeaderValue = "https://receiver.example/events?token=t0ken", "X-Key", "he4der"
	s.Retry = []time.Duration{time.Second}
	bubble(t, r, forward.Config{Logger: log.logger(), Directory: two(s, settings("gone.away"))}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		body := one("b0dy")
		post(t, f, hook, "wrong-key", body)
		post(t, f, hook, "default-key", request{Do: "confuse", Team: "b0dy"})
		post(t, f, hook, "x", request{Do: "panic in Verify"})
		mustPost(t, f, hook, "default-key", body)
		pass(time.Minute)
		synctest.Wait()
	})
	if len(log.saying("news")) == 0 {
		t.Error("no news in the log")
	}
	for _, secret := range append([]string{"default-key", "t0ken", "he4der", "c00kie", "b0dy"}, s.Secrets...) {
		if strings.Contains(log.raw.String(), secret) {
			t.Errorf("%q stands in the log:\n%s", secret, log.raw.String())
		}
	}
}
