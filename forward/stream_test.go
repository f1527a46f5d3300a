package forward_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
)

// piped is acme with a stream instead of webhooks.
type piped struct {
	acme

	mu     sync.Mutex
	opened []string // apps, in order
	at     []time.Time
	open   map[string]int
	do     func(ctx context.Context, app string, n int, deliver func(context.Context, *connector.Inbound) error) error
}

var _ connector.Streamer = (*piped)(nil)

func (p *piped) Describe() connector.Description {
	d := p.acme.Describe()
	d.Watches[0].Intake, d.Watches[0].Secret = connector.FromAppStream, connector.SecretNone
	return d
}

func (p *piped) Stream(ctx context.Context, sc connector.StreamContext, deliver func(context.Context, *connector.Inbound) error) error {
	app := sc.App["client_id"]
	p.mu.Lock()
	p.opened, p.at = append(p.opened, app), append(p.at, time.Now())
	if p.open == nil {
		p.open = map[string]int{}
	}
	p.open[app]++
	n := len(p.opened)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open[app]--
	}()
	return p.do(ctx, app, n, deliver)
}

// of is how often the App's stream is open now.
func (p *piped) of(app string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[app]
}

// streaming is a Directory that knows Apps.
type streaming struct {
	*directory
	apps []forward.Address
}

func (d *streaming) Streams(context.Context, string) ([]forward.Address, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.apps), d.broken
}

func (d *streaming) set(apps ...forward.Address) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apps = apps
}

func app(id, client string) forward.Address {
	return forward.Address{Connector: "acme", App: id, Endpoint: id, AppFields: map[string]string{"client_id": client}}
}

func message(r request) *connector.Inbound {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return &connector.Inbound{Body: b}
}

// piping runs a test with a connector that has a stream for each App.
func piping(t *testing.T, p *piped, test func(t *testing.T, f *forward.Forwarder, m *memory, d *streaming)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, d := newMemory(), &streaming{directory: two(settings("*"), settings("*"))}
		d.set(app("", "default"))
		f := build(t, forward.Config{Store: m, Directory: d, Transport: &receiver{}, Connectors: []connector.Connector{p}})
		test(t, f, m, d)
	})
}

func hold(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// What a stream brings goes the way of a request: to everybody whom it concerns,
// each event once, and nil only when it is stored.
func TestStream(t *testing.T) {
	t.Parallel()
	var errs []error
	var m *memory
	p := &piped{acme: acme{secret: "default-key"}, do: func(ctx context.Context, _ string, _ int, deliver func(context.Context, *connector.Inbound) error) error {
		for _, in := range []*connector.Inbound{message(one("a")), message(one("a")), message(one("b"))} {
			errs = append(errs, deliver(ctx, in))
		}
		m.mu.Lock()
		m.fail = func(method string) error {
			if method == "Append" {
				return errors.New("disk full")
			}
			return nil
		}
		m.mu.Unlock()
		errs = append(errs, deliver(ctx, message(one("c"))))
		m.mu.Lock()
		m.fail = nil
		m.mu.Unlock()
		errs = append(errs, deliver(ctx, message(one("c"))), deliver(ctx, &connector.Inbound{Body: []byte("{")}),
			deliver(ctx, nil), deliver(ctx, &connector.Inbound{Body: make([]byte, 64<<20)}))
		return hold(ctx)
	}}
	piping(t, p, func(t *testing.T, f *forward.Forwarder, store *memory, _ *streaming) {
		m = store
		stop := running(t, f)
		pass(time.Minute)
		var got []byte
		for _, err := range errs {
			got = append(got, map[bool]byte{true: '.', false: 'x'}[err == nil])
		}
		if want := "...x..xx"; string(got) != want {
			t.Errorf("errors %v, want %s", errs, want)
		}
		for _, env := range []string{"env_A", "env_B"} {
			keys := 0
			for _, e := range all(t, f, env) {
				if e.Status != forward.Delivered {
					t.Errorf("%s is %s", e.ID, e.Status)
				}
				keys++
			}
			if keys != 3 {
				t.Errorf("%s got %d events, want 3", env, keys)
			}
		}
		if len(store.dead) != 1 {
			t.Errorf("%d requests are kept as dead", len(store.dead))
		}
		stop()
		if n := p.of("default"); n != 0 {
			t.Errorf("%d streams are open after Run", n)
		}
	})
}

// A stream that breaks is opened again, ever more seldom while it breaks at once;
// a panic is a break like any other.
func TestStreamBreaks(t *testing.T) {
	t.Parallel()
	p := &piped{acme: acme{secret: "default-key"}, do: func(ctx context.Context, _ string, n int, _ func(context.Context, *connector.Inbound) error) error {
		switch {
		case n == 3:
			panic("stream")
		case n == 12: // holds for a while
			select {
			case <-ctx.Done():
			case <-time.After(time.Hour):
			}
			return nil
		case n == 13:
			return &connector.RetryError{After: 20 * time.Minute, Err: errors.New("slow down")}
		case n > 13:
			return hold(ctx)
		}
		return errors.New("broken")
	}}
	piping(t, p, func(t *testing.T, f *forward.Forwarder, _ *memory, _ *streaming) {
		running(t, f)
		pass(5 * time.Hour)
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.at) != 14 {
			t.Fatalf("opened %d times", len(p.at))
		}
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
			if got := p.at[i+1].Sub(p.at[i]); got < want*8/10 || got > want*12/10 {
				t.Errorf("wait %d was %s, want about %s", i, got, want)
			}
		}
		for i, want := range map[int]time.Duration{10: 5 * time.Minute, 11: time.Hour + time.Second, 12: 20 * time.Minute} {
			if got := p.at[i+1].Sub(p.at[i]); got < want*8/10 || got > want*12/10 {
				t.Errorf("wait %d was %s, want about %s", i, got, want)
			}
		}
	})
}

// Each App has one stream; those of Apps that have gone or changed end.
func TestStreamsFollowTheApps(t *testing.T) {
	t.Parallel()
	p := &piped{acme: acme{secret: "default-key"}, do: func(ctx context.Context, _ string, _ int, _ func(context.Context, *connector.Inbound) error) error {
		return hold(ctx)
	}}
	piping(t, p, func(t *testing.T, f *forward.Forwarder, _ *memory, d *streaming) {
		running(t, f)
		want := func(what string, apps ...string) {
			t.Helper()
			pass(time.Minute)
			for _, name := range []string{"default", "own", "other"} {
				n := 0
				if slices.Contains(apps, name) {
					n = 1
				}
				if got := p.of(name); got != n {
					t.Errorf("%s: %d streams of %s, want %d", what, got, name, n)
				}
			}
		}
		want("at first", "default")
		d.set(app("", "default"), app("app_1", "own"))
		want("an own App", "default", "own")
		d.breaks(errors.New("store away"))
		d.set()
		want("the store is away", "default", "own")
		d.breaks(nil)
		d.set(app("", "default"), app("app_1", "other"), app("app_1", "own"))
		want("replaced, and connections live on the former one", "default", "own", "other")
		changed := app("app_1", "other")
		changed.AppFields["subscription"] = "next"
		d.set(changed)
		want("only a changed one", "other")
		if n := len(p.opened); n != 4 {
			t.Errorf("opened %d times: %q", n, p.opened)
		}
	})
}
