package forward_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

const hook = "/webhooks/acme"

// quiet keeps logs out of the test's output; set to t.Output to see them.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// build makes a Forwarder from a Config that names what matters to the test.
func build(t testing.TB, cfg forward.Config) *forward.Forwarder {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = newMemory()
	}
	if cfg.Registry == nil && len(cfg.Connectors) == 0 {
		cfg.Connectors = []connector.Connector{&acme{secret: "default-key"}}
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	cfg.AllowPrivateNetworks = true
	f, err := forward.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// start runs f until the test ends, or until the returned function is called,
// which returns what Run did.
func start(t testing.TB, f *forward.Forwarder) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	until(t, "Run is running", func() bool { return f.Stats().Running })
	return stop
}

// until waits for a condition, at most 5 seconds.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("it never came true that %s", what)
		}
		breathe()
	}
}

// breathe gives others a moment.
func breathe() {
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	<-timer.C
}

// receiver is a receiver in memory, for synctest: it answers what answer says.
type receiver struct {
	mu     sync.Mutex
	got    []delivery
	answer func(n int, ev trigger.Event) (status int, header http.Header)
	wait   func(ctx context.Context, n int) // before the answer
}

type delivery struct {
	at     time.Time
	event  trigger.Event
	header http.Header
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var ev trigger.Event
	if err := ev.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.got = append(r.got, delivery{time.Now(), ev, req.Header.Clone()})
	n := len(r.got)
	r.mu.Unlock()
	if r.wait != nil {
		r.wait(req.Context(), n)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	status, header := http.StatusNoContent, http.Header{}
	if r.answer != nil {
		status, header = r.answer(n, ev)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("thanks"))}, nil
}

func (r *receiver) deliveries() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivery(nil), r.got...)
}

func settings(triggers ...string) forward.Settings {
	return forward.Settings{URL: "https://receiver.example/events", Triggers: trigger.List(triggers...), Secrets: []string{webhook.NewSecret()}}
}

func registry(t testing.TB) *connector.Registry {
	t.Helper()
	r, err := connector.NewRegistry(&acme{secret: "default-key"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// textLog writes every line of the log to b.
func textLog(b *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
