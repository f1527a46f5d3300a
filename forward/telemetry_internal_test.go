package forward

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/internal/id"
)

// Whatever a provider sends as traceparent, or a store returns, is a span or none.
func FuzzTraceparent(f *testing.F) {
	for _, s := range []string{
		"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", "00-4BF9",
		strings.Repeat("-", 1<<10),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ctx := inTrace(t.Context(), text)
		sc := trace.SpanContextFromContext(ctx)
		if (ctx == t.Context()) == sc.IsValid() {
			t.Fatalf("%q: changed the context and names no span, or the other way round", text)
		}
		if !sc.IsValid() {
			return
		}
		if again := trace.SpanContextFromContext(inTrace(t.Context(), formatTrace(ctx))); !again.Equal(sc) {
			t.Errorf("%q: %+v became %+v", text, sc, again)
		}
	})
}

func TestAcceptedAt(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_000).Add(300 * time.Microsecond)
	name := id.New("dlv", at)
	made, ok := id.Time(name)
	if !ok {
		t.Fatal("the id has no time")
	}
	for _, row := range []struct {
		name string
		task Task
		want time.Time
	}{
		{"before the first try, exactly", Task{ID: name, Due: made.Add(300 * time.Microsecond)}, made.Add(300 * time.Microsecond)},
		{"before the first try, from the store", Task{ID: name, Due: made}, made},
		{"after a failed try", Task{ID: name, Due: at.Add(time.Hour), Tries: 1}, made},
		{"scheduled for later", Task{ID: name, Due: at.Add(time.Hour)}, made},
		{"of another store", Task{ID: "17", Due: at}, at},
	} {
		if got := acceptedAt(&row.task); !got.Equal(row.want) {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

func TestErrorType(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		attempt Attempt
		want    string
	}{
		{Attempt{StatusCode: 503, Class: ClassStatus}, "503"},
		{Attempt{StatusCode: 999, Class: ClassStatus}, other},
		{Attempt{Class: ClassTimeout}, "timeout"},
		{Attempt{Class: ClassHandler, Error: "user-42: whatever a handler says"}, "handler"},
		{Attempt{}, other},
	} {
		if got := errorType(&row.attempt); got != row.want {
			t.Errorf("%+v: %q, want %q", row.attempt, got, row.want)
		}
	}
}

func TestThrottleTellsSubjectsApartWithinBounds(t *testing.T) {
	t.Parallel()
	var limit throttle
	now := time.Unix(1_700_000_000, 0)
	for i := range 3 * throttleKeys {
		limit.allow(strings.Repeat("x", i), now)
	}
	if n := len(limit.subjects); n > throttleKeys+1 {
		t.Errorf("%d subjects are remembered, want at most %d", n, throttleKeys+1)
	}
	if _, ok := limit.allow("x", now); !ok {
		t.Error("a subject suffers from others")
	}
	for range 20 {
		limit.allow("x", now)
	}
	if _, ok := limit.allow("x", now.Add(-time.Hour)); !ok {
		t.Error("a clock that is set back silences a subject")
	}
}
