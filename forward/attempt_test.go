package forward_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/dialguard"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// attempted publishes an event and returns its first attempt.
func attempted(t *testing.T, f *forward.Forwarder) forward.Attempt {
	t.Helper()
	d, _ := attemptedDelivery(t, f)
	return d.Attempts[0]
}

func attemptedDelivery(t *testing.T, f *forward.Forwarder) (d forward.Delivery, event string) {
	t.Helper()
	rec, err := f.SendExample(t.Context(), "", noteAdded, "user-42")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "an attempt was made", func() bool {
		rec, err = f.Event(t.Context(), rec.ID)
		return err == nil && len(rec.Deliveries) == 1 && len(rec.Deliveries[0].Attempts) > 0
	})
	return rec.Deliveries[0], rec.ID
}

// raw answers whatever comes with bytes.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Read(make([]byte, 1<<16))
				_, _ = io.WriteString(c, answer)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestErrorClasses(t *testing.T) {
	t.Parallel()
	answering := func(status int) func(*testing.T) forward.Config {
		return func(t *testing.T) forward.Config {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			}))
			t.Cleanup(s.Close)
			return forward.Config{Settings: forward.Settings{URL: s.URL}}
		}
	}
	at := func(url func(*testing.T) string) func(*testing.T) forward.Config {
		return func(t *testing.T) forward.Config { return forward.Config{Settings: forward.Settings{URL: url(t)}} }
	}
	handler := func(h func() error) func(*testing.T) forward.Config {
		return func(*testing.T) forward.Config {
			return forward.Config{OnEvent: func(context.Context, trigger.Event) error { return h() }}
		}
	}
	failing := func(err error) func(*testing.T) forward.Config {
		return func(*testing.T) forward.Config {
			return forward.Config{
				Settings: forward.Settings{URL: "https://receiver.example"},
				Transport: roundTripper(func(*http.Request) (*http.Response, error) {
					return nil, fmt.Errorf("dial: %w", err)
				}),
			}
		}
	}
	for _, row := range []struct {
		name string
		want forward.ErrorClass
		cfg  func(*testing.T) forward.Config
	}{
		{"204", "", answering(204)},
		{"500", forward.ClassStatus, answering(500)},
		{"404", forward.ClassStatus, answering(404)},
		{"302", forward.ClassRedirect, answering(302)},
		{"410", forward.ClassGone, answering(410)},
		{"nobody listens", forward.ClassRefused, at(func(*testing.T) string {
			s := httptest.NewServer(http.NotFoundHandler())
			s.Close()
			return s.URL
		})},
		{"no answer in time", forward.ClassTimeout, func(t *testing.T) forward.Config {
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}))
			t.Cleanup(s.Close)
			return forward.Config{Settings: forward.Settings{URL: s.URL, Timeout: 100 * time.Millisecond}}
		}},
		{"closed without an answer", forward.ClassReset, at(func(t *testing.T) string { return raw(t, "") })},
		{"not HTTP", forward.ClassNetwork, at(func(t *testing.T) string { return raw(t, "220 mail.example ESMTP\r\n") })},
		{"https to a port that speaks http", forward.ClassTLS, at(func(t *testing.T) string {
			return strings.Replace(raw(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "http:", "https:", 1)
		})},
		{"a certificate that nobody has signed", forward.ClassTLS, at(func(t *testing.T) string {
			s := httptest.NewTLSServer(http.NotFoundHandler())
			s.Config.ErrorLog = nil
			t.Cleanup(s.Close)
			return s.URL
		})},
		{"metadata address", forward.ClassPrivateAddress, at(func(*testing.T) string { return "http://receiver.example" })},
		{"no such host", forward.ClassDNS, failing(&net.DNSError{Err: "no such host", IsNotFound: true})},
		{"no name server", forward.ClassDNS, failing(&net.DNSError{Err: "server misbehaving"})},
		{"handler", forward.ClassHandler, handler(func() error { return errors.New("disk full") })},
		{"handler panics", forward.ClassPanic, handler(func() error { panic("oh") })},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			cfg := row.cfg(t)
			cfg.Settings.Triggers = trigger.List("*")
			if cfg.Settings.URL != "" {
				cfg.Settings.Secrets = []string{webhook.NewSecret()}
			}
			if row.want == forward.ClassPrivateAddress {
				cfg.Transport = toMetadata()
			}
			f := build(t, cfg)
			start(t, f)
			a := attempted(t, f)
			if a.Class != row.want || (a.Error == "") != (row.want == "") {
				t.Errorf("class %q, error %q; want %q", a.Class, a.Error, row.want)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestErrorClassesAreListedOnce(t *testing.T) {
	t.Parallel()
	seen := map[forward.ErrorClass]bool{}
	for _, c := range forward.ErrorClasses() {
		if seen[c] || c == "" || strings.Trim(string(c), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("class %q is there twice, or no word", c)
		}
		seen[c] = true
	}
}

func TestTiming(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}))
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	f := build(t, forward.Config{
		Store: open(t, file(t)), Transport: transport,
		Settings: forward.Settings{
			URL: strings.Replace(server.URL, "127.0.0.1", "localhost", 1), Triggers: trigger.List("*"), Secrets: []string{webhook.NewSecret()},
		},
	})
	transport.TLSClientConfig.ServerName = "example.com"
	start(t, f)
	first := attempted(t, f)
	if g := first.Timing; g.Connect <= 0 || g.TLS <= 0 || g.FirstByte <= 0 || g.DNS <= 0 || g.Reused ||
		g.DNS+g.Connect+g.TLS+g.FirstByte > first.Took+time.Millisecond {
		t.Errorf("on a new connection: %+v of %s", g, first.Took)
	}
	second := attempted(t, f)
	if g := second.Timing; g.Connect != 0 || g.TLS != 0 || g.DNS != 0 || g.FirstByte <= 0 || !g.Reused {
		t.Errorf("on a connection that is open: %+v", g)
	}
}

// A part that never ended took as long as the try.
func TestTimingOfAHandshakeThatHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := build(t, forward.Config{Settings: forward.Settings{
		URL: "https://" + l.Addr().String(), Triggers: trigger.List("*"), Secrets: []string{webhook.NewSecret()}, Timeout: 200 * time.Millisecond,
	}})
	start(t, f)
	a := attempted(t, f)
	if a.Class != forward.ClassTimeout || a.Timing.TLS < 100*time.Millisecond || a.Timing.FirstByte != 0 {
		t.Errorf("class %q, %+v", a.Class, a.Timing)
	}
}

// toMetadata dials as usual, where every name leads to a metadata address.
func toMetadata() http.RoundTripper {
	guarded := dialguard.New(dialguard.Config{AllowPrivate: true}) // it refuses metadata addresses all the same
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Host = "169.254.169.254"
		return guarded.RoundTrip(r)
	})
}

// What a receiver knows of us and sends back must not get into the log, where
// everybody who may read events would find it.
func TestSecretsThatAReceiverSendsBack(t *testing.T) {
	t.Parallel()
	const value = `Bearer t0k/en"+<42>&é`
	signing := webhook.NewSecret()
	for _, row := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request)
	}{
		{"body", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "you sent %s, %s again", r.Header.Get("X-Token"), r.Header.Get("X-Token"))
		}},
		{"token alone", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.TrimPrefix(r.Header.Get("X-Token"), "Bearer "))
		}},
		{"JSON", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(encoded(r.Header.Get("X-Token"), true)) }},
		{"JSON with < as it is", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(encoded(r.Header.Get("X-Token"), false)) }},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `Bearer t0k/en&#34;+&lt;42&gt;&amp;é`)
		}},
		{"URL", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "t0k%2Fen%22%2B%3C42%3E%26%C3%A9")
		}},
		{"across the end of what is kept", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", 16<<10-12)+r.Header.Get("X-Token"))
		}},
		{"behind itself", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(r.Header.Get("X-Token"), 2000))
		}},
		{"header", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Echo", r.Header.Get("X-Token")) }},
		{"across the end of a header", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", strings.Repeat("x", 1<<10-12)+r.Header.Get("X-Token"))
		}},
		{"cookie", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", "a="+r.Header.Get("X-Token"))
		}},
		{"status 500", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "bad token "+r.Header.Get("X-Token"), http.StatusInternalServerError)
		}},
		{"signing secret", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "WEBHOOK_SECRET=%s", signing) }},
		{"signing key", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.TrimPrefix(signing, "whsec_"))
		}},
		{"not HTTP", func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprintf(c, "%s\r\n\r\n", r.Header.Get("X-Token")) // "Bearer" is no version, and what follows is quoted
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.Header.Get("X-Token") != value {
					t.Errorf("sent %q", r.Header.Get("X-Token"))
				}
				row.answer(w, r)
			}))
			defer server.Close()
			f := build(t, forward.Config{Settings: forward.Settings{
				URL: server.URL, Triggers: trigger.List("*"), Secrets: []string{signing}, HeaderKey: "x-token", HeaderValue: value,
			}})
			start(t, f)
			d, _ := attemptedDelivery(t, f)
			a := d.Attempts[0]
			shown := fmt.Sprintf("%+v %s %s", d, a.Response, a.Error)
			for _, secret := range []string{"t0k", "en&#34;", "en%22", `en\"`, "en\\u", strings.TrimPrefix(signing, "whsec_")[:12]} {
				if strings.Contains(shown, secret) {
					t.Errorf("%q is in the log: %.600s", secret, shown)
				}
			}
			if !strings.Contains(shown, "[redacted]") {
				t.Errorf("nothing is redacted: %.600s", shown)
			}
			if len(a.Response) > 16<<10 {
				t.Errorf("%d bytes are kept", len(a.Response))
			}
		})
	}
}

func encoded(v string, escape bool) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escape)
	if err := enc.Encode(map[string]string{"got": v}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestResponseIsKeptAsItIs(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte{0, 0xff, 'a', '\n'}, 5<<10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 3000))
		_, _ = w.Write(body)
	}))
	defer server.Close()
	f := build(t, forward.Config{Settings: forward.Settings{
		URL: server.URL, Triggers: trigger.List("*"), Secrets: []string{webhook.NewSecret()}, HeaderKey: "X-Token", HeaderValue: "secret-value",
	}})
	start(t, f)
	a := attempted(t, f)
	if !bytes.Equal(a.Response, body[:16<<10]) {
		t.Errorf("kept %d bytes, want the first 16 KiB as they came", len(a.Response))
	}
	if got := a.ResponseHeader.Get("X-Long"); len(got) > 1100 || !strings.HasPrefix(got, "xxx") {
		t.Errorf("a long header is kept as %d bytes", len(got))
	}
	if a.RequestHeader.Get("X-Token") != "[redacted]" || a.RequestHeader.Get("Webhook-Id") == "" {
		t.Errorf("request headers %v", a.RequestHeader)
	}
}
