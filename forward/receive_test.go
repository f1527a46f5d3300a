package forward_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, method, path string
		header             map[string]string
		body               string
		sign               string // with this secret
		status             int
		answer             string // contained in the body
		events             int
	}{
		{name: "accepted", body: `{"team":"T1","items":[{"key":"k"}]}`, sign: "default-key", status: 202, events: 2},
		{name: "unknown connector", path: "/webhooks/nothing", body: "{}", sign: "default-key", status: 404, answer: "no connector"},
		{name: "unknown endpoint", path: hook + "/sub_unknown", body: "{}", sign: "default-key", status: 404, answer: "no such address"},
		{name: "removed address", path: hook + "/sub_gone", body: "{}", sign: "default-key", status: 410},
		{name: "prefix stripped", path: "/acme", body: "{}", sign: "default-key", status: 404, answer: "do not use http.StripPrefix"},
		{name: "escaped name", path: "/webhooks/%61cme", body: "{}", sign: "default-key", status: 404},
		{name: "slash at the end", path: hook + "/", body: "{}", sign: "default-key", status: 404},
		{name: "climbing up", path: "/webhooks/../webhooks/acme", body: "{}", sign: "default-key", status: 404},
		{name: "no signature", body: `{"team":"T1","items":[{"key":"k"}]}`, status: 401},
		{name: "wrong signature", body: `{"team":"T1","items":[{"key":"k"}]}`, sign: "another-key", status: 401},
		{name: "empty key", body: `{"team":"T1","items":[{"key":"k"}]}`, sign: "", header: map[string]string{"X-Acme-Signature": acmeSign("", []byte(`{"team":"T1","items":[{"key":"k"}]}`))}, status: 401},
		{name: "body over the limit", body: `{"team":"` + strings.Repeat("x", 5000) + `"}`, sign: "default-key", status: 413},
		{name: "body at the limit", body: `{"team":"` + strings.Repeat("x", 4096-11) + `"}`, sign: "default-key", status: 202},
		{name: "unknown identity", body: `{"team":"T9","items":[{"key":"k"}]}`, sign: "default-key", status: 202},
		{name: "unwanted trigger", body: `{"team":"T1","items":[{"kind":"acme.note.removed","key":"k"}]}`, sign: "default-key", status: 202},
		{name: "ping", body: `{"do":"ping"}`, sign: "default-key", status: 202},
		{name: "reply of its own", path: hook + "?a=b%2F", body: `{"do":"reply"}`, sign: "default-key", status: 299, answer: "https://hooks.example.com/webhooks/acme?a=b%2F"},
		{name: "HEAD", method: http.MethodHead, status: 200},
		{name: "HEAD at an unknown address", method: http.MethodHead, path: hook + "/sub_unknown", status: 404},
		{name: "GET without handshake", method: http.MethodGet, status: 405},
		{name: "GET with handshake", method: http.MethodGet, header: map[string]string{"X-Acme-Challenge": "echo"}, status: 200, answer: "echo"},
		{name: "PUT", method: http.MethodPut, body: "{}", sign: "default-key", status: 405},
		{name: "panic in Challenge", header: map[string]string{"X-Acme-Challenge": "panic"}, status: 401},
		{name: "panic in Verify", body: `{"do":"panic in Verify"}`, sign: "default-key", status: 500},
		{name: "panic in Decode is kept", body: `{"do":"panic in Decode"}`, sign: "default-key", status: 202, events: 1},
		{name: "undecodable is kept", body: `not JSON`, sign: "default-key", status: 202, events: 1},
		{name: "unknown trigger is kept", body: `{"team":"T1","items":[{"kind":"acme.else","key":"k"}]}`, sign: "default-key", status: 202, events: 1},
		{name: "key on its way", path: hook + "/sub_P", body: "{}", sign: "default-key", status: 503},
		{name: "key given where one is known", header: map[string]string{"X-Acme-Challenge": "x", "X-Acme-Key": "mine"}, status: 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := build(t, forward.Config{
				Directory: two(settings(noteAdded), settings("acme.note.added")),
				PublicURL: "https://hooks.example.com/", Limits: forward.Limits{MaxBody: 4096},
			})
			method, path := row.method, row.path
			if method == "" {
				method = http.MethodPost
			}
			if path == "" {
				path = hook
			}
			req := httptest.NewRequest(method, "http://evil.example", strings.NewReader(row.body))
			req.URL.Path, _, _ = strings.Cut(path, "?")
			if _, q, ok := strings.Cut(path, "?"); ok {
				req.URL.RawQuery = q
			}
			if strings.Contains(path, "%") && !strings.Contains(path, "?") {
				req.URL.RawPath, req.URL.Path = path, "/webhooks/acme"
			}
			req.Header.Set("X-Forwarded-Host", "evil.example")
			if row.sign != "" {
				req.Header.Set("X-Acme-Signature", acmeSign(row.sign, []byte(row.body)))
			}
			for name, value := range row.header {
				req.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			f.ServeHTTP(w, req)
			if w.Code != row.status || !strings.Contains(w.Body.String(), row.answer) {
				t.Errorf("status %d, want %d; body %q", w.Code, row.status, w.Body)
			}
			if w.Code == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			if got := len(all(t, f, "*")); got != row.events {
				t.Errorf("%d events in the log, want %d", got, row.events)
			}
		})
	}
}

// all returns the event log, oldest first.
func all(t testing.TB, f *forward.Forwarder, environment string) (records []forward.Record) {
	t.Helper()
	for rec, err := range f.Events(t.Context(), forward.Query{Environment: environment}) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	slices.Reverse(records)
	return records
}

func TestUnknownIdentityIsCountedNotStored(t *testing.T) {
	t.Parallel()
	f := build(t, forward.Config{Directory: two(settings("*"), settings("*"))})
	mustPost(t, f, hook, "default-key", request{Team: "T9", Items: []item{{Key: "k"}}})
	if s := f.Stats(); s.Nobody != 1 || s.Accepted != 1 || len(all(t, f, "*")) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSameProviderEventInTwoEnvironments(t *testing.T) {
	t.Parallel()
	f := build(t, forward.Config{Directory: two(settings("*"), settings("*"))})
	mustPost(t, f, hook, "default-key", one("same"))
	mustPost(t, f, hook, "default-key", one("same")) // the provider tries again
	a, b := all(t, f, "env_A"), all(t, f, "env_B")
	if len(a) != 1 || len(b) != 1 || a[0].ID == b[0].ID || a[0].Account != "user-A1" || b[0].Account != "user-B1" {
		t.Errorf("A has %v, B has %v", a, b)
	}
	if s := f.Stats(); s.Duplicates != 2 {
		t.Errorf("%d duplicates counted, want 2", s.Duplicates)
	}
}

// What A's own App signs reaches A's Connections only, whomever it names.
func TestOwnAppReachesNobodyElse(t *testing.T) {
	t.Parallel()
	f := build(t, forward.Config{Directory: two(settings("*"), settings("*"))})
	mustPost(t, f, hook+"/app_A", "key-of-A", one("k")) // T1 is at the default App
	if got := all(t, f, "*"); len(got) != 0 {
		t.Errorf("A's App reached %v", got)
	}
	if w := post(t, f, hook, "key-of-A", one("k")); w.Code != http.StatusUnauthorized {
		t.Errorf("A's key at the default address: status %d", w.Code)
	}
	mustPost(t, f, hook+"/app_A", "key-of-A", request{Team: "TA", Items: []item{{Key: "k"}}})
	if got := all(t, f, "*"); len(got) != 1 || got[0].Connection != "conn_A2" {
		t.Errorf("A's App should reach conn_A2 alone: %v", got)
	}
}

func TestOneEventForEachConnectionWhateverSubscriptionsTell(t *testing.T) {
	t.Parallel()
	d := two(forward.Settings{URL: "https://receiver.example", Secrets: settings().Secrets, Triggers: []trigger.Filter{
		{Trigger: noteAdded, Params: map[string]string{"label": "red"}},
		{Trigger: noteAdded, Params: map[string]string{"label": "blue"}},
	}}, settings("gone.away"))
	key := " " + string(connector.NewKey("team", "T1"))
	r := d.people[key][0]
	red, blue, green := r, r, r
	red.Subscription, red.Params = "sub_red", map[string]string{"label": "red"}
	blue.Subscription, blue.Params = "sub_blue", map[string]string{"label": "blue"}
	green.Subscription, green.Params, green.Connection = "sub_green", map[string]string{"label": "green"}, "conn_green"
	d.people[key] = []forward.Recipient{green, red, blue}
	f := build(t, forward.Config{Directory: d})
	mustPost(t, f, hook, "default-key", one("k"))
	if got := all(t, f, "*"); len(got) != 1 || got[0].Connection != r.Connection {
		t.Errorf("want one event for %s, got %v", r.Connection, got)
	}
	if d.people[key][0].Params["label"] != "green" {
		t.Error("Params were changed")
	}
}

func TestRawOnlyOnRequest(t *testing.T) {
	t.Parallel()
	raw := settings("*")
	raw.Raw = true
	f := build(t, forward.Config{Directory: two(raw, settings("*"))})
	mustPost(t, f, hook, "default-key", one("k"))
	a, b := all(t, f, "env_A")[0], all(t, f, "env_B")[0]
	if string(a.Raw) != `{"said":"<so>"}` || b.Raw != nil {
		t.Errorf("raw of A %s, of B %s", a.Raw, b.Raw)
	}
}

func TestStoreDown(t *testing.T) {
	t.Parallel()
	m := newMemory()
	down := errors.New("disk on fire")
	m.fail = func(method string) error {
		if method == "Append" {
			return down
		}
		return nil
	}
	f := build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("*"))})
	if w := post(t, f, hook, "default-key", one("k")); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	m.mu.Lock()
	m.fail = nil
	m.mu.Unlock()
	mustPost(t, f, hook, "default-key", one("k"))
	if got := all(t, f, "*"); len(got) != 2 {
		t.Errorf("the provider's second try gave %d events, want 2", len(got))
	}
}

func TestDirectoryDownKeepsNothing(t *testing.T) {
	t.Parallel()
	d := two(settings("*"), settings("*"))
	f := build(t, forward.Config{Directory: d})
	d.breaks(errors.New("away"))
	for _, path := range []string{hook, hook + "/sub_unknown"} {
		if w := post(t, f, path, "default-key", one("k")); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

func TestHandshakeTeachesOnce(t *testing.T) {
	t.Parallel()
	d := two(settings("*"), settings("*"))
	f := build(t, forward.Config{Directory: d})
	shake := func(key string) int {
		req := httptest.NewRequest(http.MethodPost, hook+"/sub_P", nil)
		req.Header.Set("X-Acme-Challenge", "hello")
		req.Header.Set("X-Acme-Key", key)
		w := httptest.NewRecorder()
		f.ServeHTTP(w, req)
		return w.Code
	}
	d.breaks(errors.New("away"))
	if got := shake("taught"); got != http.StatusServiceUnavailable {
		t.Errorf("the key could not be kept, yet the answer is %d", got)
	}
	d.breaks(nil)
	if got := shake("taught"); got != http.StatusOK {
		t.Errorf("first key: %d", got)
	}
	if got := shake("taken over"); got != http.StatusUnauthorized {
		t.Errorf("second key: %d, want 401", got)
	}
	if w := post(t, f, hook+"/sub_P", "taught", one("k")); w.Code != http.StatusAccepted {
		t.Errorf("signed with the key that was taught: %d", w.Code)
	}
}

func TestSignalsReachTheDirectoryBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	d := two(settings("*"), settings("*"))
	f := build(t, forward.Config{Directory: d})
	mustPost(t, f, hook, "default-key", request{Team: "T1", Signal: connector.SignalRevoked})
	if want := []string{"conn_A1 revoked", "conn_B1 revoked"}; !slices.Equal(d.signals, want) {
		t.Errorf("signals %v, want %v", d.signals, want)
	}
}

// Bodies that are not verified yet have a common bound.
func TestInboundBytesAreBounded(t *testing.T) {
	t.Parallel()
	f := build(t, forward.Config{
		Directory: two(settings("*"), settings("*")),
		Limits:    forward.Limits{MaxBody: 1000, Inbound: 1500},
	})
	slow, write := io.Pipe()
	req := httptest.NewRequest(http.MethodPost, hook, slow)
	req.ContentLength = 1000
	done := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, req)
		done <- w.Code
	}()
	if _, err := write.Write([]byte("x")); err != nil { // it is being read
		t.Fatal(err)
	}
	body := []byte(`{"team":"` + strings.Repeat("x", 700) + `"}`)
	if w := postBody(f, hook, "default-key", body); w.Code != http.StatusServiceUnavailable {
		t.Errorf("beyond the bound: status %d, want 503", w.Code)
	}
	write.CloseWithError(io.ErrUnexpectedEOF)
	if got := <-done; got != http.StatusBadRequest {
		t.Errorf("a body that breaks off: status %d, want 400", got)
	}
	if w := postBody(f, hook, "default-key", body); w.Code != http.StatusAccepted {
		t.Errorf("with room again: status %d", w.Code)
	}
}

func TestChunkedBodyOverTheLimit(t *testing.T) {
	t.Parallel()
	f := build(t, forward.Config{Directory: two(settings("*"), settings("*")), Limits: forward.Limits{MaxBody: 100_000}})
	for size, want := range map[int]int{100_000: 401, 100_001: 413, 300_000: 413} {
		req := httptest.NewRequest(http.MethodPost, hook, io.NopCloser(bytes.NewReader(make([]byte, size))))
		req.ContentLength = -1
		w := httptest.NewRecorder()
		f.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%d bytes: status %d, want %d", size, w.Code, want)
		}
	}
}

func TestUndecodableIsKeptSealedAndReplayed(t *testing.T) {
	t.Parallel()
	for name, keeper := range map[string]seal.Keeper{"sealed": seal.Keyring{seal.NewKey()}, "without keeper": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory()
			product := &acme{secret: "default-key"}
			f := build(t, forward.Config{
				Store: m, Directory: two(settings("*"), settings("*")), Keeper: keeper,
				Connectors: []connector.Connector{product},
			})
			large := strings.Repeat("secret text ", 10_000) // more than a Keeper seals at once
			mustPost(t, f, hook, "default-key", request{Team: "T1", Do: "confuse", Items: []item{{Key: "k", Text: large}}})
			log := all(t, f, "*")
			if len(log) != 1 || log[0].Status != forward.Dead || !strings.Contains(log[0].Reason, "what is this?") {
				t.Fatalf("log %v", log)
			}
			dead, err := m.Inbound(t.Context(), log[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(dead.Request, []byte("default-key")) {
				t.Error("the key that verified it was kept with it")
			}
			if keeper != nil && bytes.Contains(dead.Request, []byte("received_at")) {
				t.Error("the request is not sealed")
			}
			if _, err := f.Replay(t.Context(), log[0].ID); err == nil || !strings.Contains(err.Error(), "still cannot be decoded") {
				t.Errorf("replay before the upgrade: %v", err)
			}
			product.mu.Lock()
			product.upgraded = true
			product.mu.Unlock()
			d, err := f.Replay(t.Context(), log[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			log = all(t, f, "*")
			if len(log) != 3 || log[0].Status == forward.Dead {
				t.Fatalf("after the replay the log is %v", log)
			}
			rec, err := f.Event(t.Context(), d.Event)
			if err != nil || rec.Status != forward.Pending || !bytes.Contains(rec.Payload, []byte("secret text")) {
				t.Errorf("replayed event: %v, %v", rec.Status, err)
			}
		})
	}
}

func TestDamagedDeadRequest(t *testing.T) {
	t.Parallel()
	m := newMemory()
	f := build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("*")), Keeper: seal.Keyring{seal.NewKey()}})
	mustPost(t, f, hook, "default-key", request{Do: "confuse"})
	id := all(t, f, "*")[0].ID
	whole := m.dead[id]
	for name, request := range map[string][]byte{
		"empty": {}, "cut short": whole.Request[:2], "key cut short": whole.Request[:20],
		"flipped bit":  append(bytes.Clone(whole.Request[:len(whole.Request)-1]), whole.Request[len(whole.Request)-1]^1),
		"unknown form": append([]byte{9}, whole.Request[1:]...),
	} {
		d := whole
		d.Request = request
		m.dead[id] = d
		if _, err := f.Replay(t.Context(), id); err == nil || strings.Contains(err.Error(), "still cannot") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
