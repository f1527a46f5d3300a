package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

// These tests run a Forwarder on its own over SQLite and loopback.

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "forward.db") }

func TestAloneEndToEnd(t *testing.T) {
	t.Parallel()
	r := forwardtest.NewReceiver(t)
	f := build(t, forward.Config{Store: open(t, file(t)), Settings: r.Settings("acme.*")})
	start(t, f)
	server := httptest.NewServer(f)
	defer server.Close()
	for i := range 20 {
		body := fmt.Sprintf(`{"items":[{"key":"k%d","text":"<%d> & more"}]}`, i, i)
		req, _ := http.NewRequest(http.MethodPost, server.URL+hook, strings.NewReader(body))
		req.Header.Set("X-Acme-Signature", acmeSign("default-key", []byte(body)))
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusAccepted {
			t.Fatalf("status %d", res.StatusCode)
		}
	}
	seen := map[string]bool{}
	for range 20 {
		ev := r.Next()
		seen[string(ev.Payload)] = true
		if ev.Connector != "acme" || ev.Account != "" || ev.Environment != "" {
			t.Errorf("event %+v", ev)
		}
	}
	if len(seen) != 20 || !seen[`{"text":"<7> & more"}`] {
		t.Errorf("payloads %v", seen)
	}
	until(t, "all are recorded as delivered", func() bool {
		n := 0
		for rec, err := range f.Events(t.Context(), forward.Query{Status: forward.Delivered}) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Status == forward.Delivered {
				n++
			}
		}
		return n == 20
	})
}

func TestRestartWithLeasedTasks(t *testing.T) {
	t.Parallel()
	path := file(t)
	r := forwardtest.NewReceiver(t)
	db := open(t, path)
	f := build(t, forward.Config{Store: db, Settings: r.Settings("*")})
	for i := range 10 {
		mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
	}
	// A worker takes half of them, and is never heard of again.
	taken, err := db.Claim(t.Context(), forward.ClaimRequest{Lane: "dest:", Now: time.Now().Add(time.Second), Limit: 5, Bytes: 1 << 20, Lease: time.Hour})
	if err != nil || len(taken) != 5 {
		t.Fatalf("claimed %d, %v", len(taken), err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f = build(t, forward.Config{Store: open(t, path), Settings: r.Settings("*")})
	began := time.Now()
	start(t, f)
	seen := map[string]bool{}
	for range 10 {
		seen[r.Next().ID] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d events arrived, want 10", len(seen))
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s: leases of before the restart were waited for", took)
	}
}

func TestMisbehavingReceivers(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not see the sender go
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/target", http.StatusTemporaryRedirect)
		case "/target":
			t.Error("a redirect was followed")
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/large":
			w.WriteHeader(http.StatusInternalServerError)
			junk := make([]byte, 64<<10)
			for r.Context().Err() == nil {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		case "/garbage":
			c, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprint(c, "no HTTP at all\r\n\r\n")
			c.Close()
		case "/hang":
			<-r.Context().Done()
		}
	}))
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	for _, row := range []struct{ name, url, says string }{
		{"redirects", plain.URL + "/redirect", "status 307: redirects are not followed"},
		{"resets", plain.URL + "/reset", "reset: "},
		{"answers without end", plain.URL + "/large", "status 500"},
		{"answers garbage", plain.URL + "/garbage", "network: "},
		{"hangs", plain.URL + "/hang", "timeout: no answer within 300ms"},
		{"is not there", "http://" + closed.Addr().String(), "refused: "},
		{"has no name", "http://receiver.invalid/", "dns: "},
		{"has a certificate of nobody", secure.URL, "tls: the certificate is signed by nobody"},
		{"does not speak TLS", strings.Replace(plain.URL, "http:", "https:", 1), "tls: the receiver does not speak TLS"},
		{"is a metadata service", "http://[64:ff9b::a9fe:a9fe]:1/", "private address: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := two(settings("*"), settings("gone.away"))
			s := settings("*")
			s.URL, s.Timeout = row.url, 15*time.Second
			if row.name == "hangs" {
				s.Timeout = 300 * time.Millisecond
			}
			d.settings["env_A"] = s
			f := build(t, forward.Config{Directory: d})
			start(t, f)
			mustPost(t, f, hook, "default-key", one("k"))
			var rec forward.Record
			until(t, "a try was recorded", func() bool {
				rec, _ = f.Event(t.Context(), all(t, f, "env_A")[0].ID)
				return len(rec.Deliveries[0].Attempts) > 0
			})
			a := rec.Deliveries[0].Attempts[0]
			if rec.Status != forward.Pending || !strings.HasPrefix(a.Error, row.says) {
				t.Errorf("%s: %q, want %q", rec.Status, a.Error, row.says)
			}
			if len(a.Response) > 16<<10 {
				t.Errorf("%d bytes of the response were kept", len(a.Response))
			}
		})
	}
}

// Without AllowPrivateNetworks neither a literal address nor a name that leads
// to one is called.
func TestPrivateAddressIsRefused(t *testing.T) {
	t.Parallel()
	r := forwardtest.NewReceiver(t)
	cfg := forward.Config{Store: newMemory(), Connectors: []connector.Connector{&acme{secret: "default-key"}}, Logger: quiet(), Settings: r.Settings("*")}
	if _, err := forward.New(cfg); err == nil || !strings.Contains(err.Error(), "set AllowPrivateNetworks for development and tests") {
		t.Errorf("New: %v", err)
	}
	d := two(r.Settings("*"), settings("gone.away"))
	cfg.Settings, cfg.Directory = forward.Settings{}, d
	f, err := forward.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	start(t, f)
	mustPost(t, f, hook, "default-key", one("k"))
	var rec forward.Record
	until(t, "a try was recorded", func() bool {
		rec, _ = f.Event(t.Context(), all(t, f, "env_A")[0].ID)
		return len(rec.Deliveries[0].Attempts) == 1
	})
	if a := rec.Deliveries[0].Attempts[0]; !strings.HasPrefix(a.Error, "private address") || strings.Contains(a.Error, "127.0.0.1") {
		t.Errorf("attempt %+v", a)
	}
	r.None(50 * time.Millisecond)
}

func TestOnEvent(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		handle func(n int32) error
		tries  int32
		status forward.Status
		says   string
	}{
		{"nil", func(int32) error { return nil }, 1, forward.Delivered, ""},
		{"error, then nil", func(n int32) error {
			if n == 1 {
				return errors.New("not now")
			}
			return nil
		}, 2, forward.Delivered, ""},
		{"panic, then nil", func(n int32) error {
			if n == 1 {
				panic("oops")
			}
			return nil
		}, 2, forward.Delivered, ""},
		{"permanent", func(int32) error { return fmt.Errorf("so: %w", forward.Permanent(errors.New("never"))) }, 1, forward.Dead, "handler: so: never"},
		{"payload", func(int32) error {
			_, err := trigger.Decode[struct{ Text int }](trigger.Event{Payload: []byte(`{"text":"x"}`)})
			return err
		}, 1, forward.Dead, "payload does not match"},
		{"always an error", func(int32) error { return errors.New("no") }, 3, forward.Dead, "all 3 tries failed, the last one: handler: no"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			f := build(t, forward.Config{
				Store: open(t, file(t)),
				Settings: forward.Settings{
					Triggers: trigger.List("acme.*"), Retry: []time.Duration{time.Millisecond, time.Millisecond},
				},
				OnEvent: func(ctx context.Context, ev trigger.Event) error {
					if _, ok := ctx.Deadline(); !ok || ev.Trigger != noteAdded {
						t.Errorf("deadline %v, event %v", ok, ev.Trigger)
					}
					return row.handle(calls.Add(1))
				},
			})
			start(t, f)
			mustPost(t, f, hook, "default-key", one("k"))
			var rec forward.Record
			until(t, "it is finished", func() bool {
				rec, _ = f.Event(t.Context(), all(t, f, "")[0].ID)
				return rec.Status == row.status
			})
			if calls.Load() != row.tries || !strings.Contains(rec.Reason, row.says) {
				t.Errorf("%d calls, want %d; reason %q", calls.Load(), row.tries, rec.Reason)
			}
			if forward.Permanent(nil) != nil || forward.RetryAfter(time.Second, nil) != nil {
				t.Error("a nil error was marked")
			}
		})
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	r := forwardtest.NewReceiver(t)
	f := build(t, forward.Config{Store: open(t, file(t)), Settings: r.Settings("acme.*"), DefaultEnvironment: "env_default", DefaultDeployment: "dep_default"})
	start(t, f)
	ev := trigger.Event{Trigger: "invoice.paid", Payload: []byte(`{"n":1}`), DedupeKey: "inv-1"}
	for range 2 {
		if err := f.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.Next(); got.Trigger != "invoice.paid" || got.Environment != "env_default" || got.Deployment != "dep_default" {
		t.Errorf("event %+v", got)
	}
	r.None(50 * time.Millisecond)
	for _, row := range []struct {
		name string
		ev   trigger.Event
	}{
		{"no trigger", trigger.Event{}},
		{"malformed trigger", trigger.Event{Trigger: "no spaces.please"}},
		{"payload is no JSON", trigger.Event{Trigger: "a.b", Payload: []byte("{")}},
		{"foreign id", trigger.Event{Trigger: "a.b", ID: "a.b.c"}},
		{"impossible time", trigger.Event{Trigger: "a.b", Time: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)}},
	} {
		if err := f.Publish(t.Context(), trigger.Event{Trigger: "fine.one"}, row.ev); err == nil {
			t.Errorf("%s: accepted", row.name)
		}
	}
	if n := len(all(t, f, "*")); n != 1 {
		t.Errorf("%d events, want 1: a batch with a mistake was stored in part", n)
	}
	many := build(t, forward.Config{Directory: two(settings("*"), settings("*"))})
	if err := many.Publish(t.Context(), trigger.Event{Trigger: "a.b"}); !errors.Is(err, forward.ErrNoEnvironment) {
		t.Errorf("without environment: %v", err)
	}
	for _, err := range many.Events(t.Context(), forward.Query{}) {
		if !errors.Is(err, forward.ErrNoEnvironment) {
			t.Errorf("events without environment: %v", err)
		}
	}
}

func TestSendExample(t *testing.T) {
	t.Parallel()
	r := forwardtest.NewReceiver(t)
	f := build(t, forward.Config{Store: open(t, file(t)), Settings: r.Settings(noteRemoved)})
	start(t, f)
	for range 2 { // each is an event of its own
		rec, err := f.SendExample(t.Context(), "", noteAdded, "user-42")
		if err != nil || len(rec.Deliveries) != 1 {
			t.Fatalf("%+v, %v", rec, err)
		}
		if got := r.Next(); !got.Test || got.ID != rec.ID || got.Account != "user-42" || string(got.Payload) != `{"text":"an example"}` {
			t.Errorf("event %+v", got)
		}
	}
	for _, name := range []string{"acme.unknown", "nothing.at.all", ""} {
		if _, err := f.SendExample(t.Context(), "", name, ""); !errors.Is(err, forward.ErrUnknownTrigger) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNewReportsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := forward.New(forward.Config{PublicURL: "hooks.example.com", Settings: forward.Settings{HeaderKey: "Host", HeaderValue: "a\r\nb"}, Limits: forward.Limits{InFlight: -1}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"forward: Config has 8 problems", "Store is missing: ", "Connectors is missing: ", "PublicURL is no absolute address",
		"Limits.InFlight is negative", "Settings.URL is missing", "Settings.Triggers is empty",
		`Settings: header_key "Host" belongs to the protocol`, "Settings: header_value contains a line break",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	_, err = forward.New(forward.Config{
		Store: newMemory(), Connectors: []connector.Connector{withoutApp{&acme{}}},
		Settings: forward.Settings{URL: "https://app.example.com/events", Triggers: trigger.List("acme.note.aded", "gmial.*", "acme.*", "*", "delivery.exhausted")},
	})
	for _, want := range []string{
		`acme has no trigger "acme.note.aded"; it has acme.note.added, acme.note.removed`, `there is no connector "gmial"`,
		"Settings.Secrets is missing", "acme has no webhook secret", "has 4 problems",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	_, err = forward.New(forward.Config{
		Store: newMemory(), Connectors: []connector.Connector{&acme{secret: "default-key"}}, Settings: settings("*"),
		Proxy: &url.URL{Scheme: "socks5", User: url.UserPassword("user", "hunter2"), Host: "proxy.example"}, Transport: &receiver{},
	})
	for _, want := range []string{"Proxy is no http or https address", "Transport is set, so Proxy and RootCAs have no effect", "has 2 problems"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

// withoutApp is acme whose Config names no App.
type withoutApp struct{ *acme }

func (withoutApp) DefaultApp() (connector.App, bool) { return connector.App{}, false }
