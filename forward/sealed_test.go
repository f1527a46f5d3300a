package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// kms counts what a Keeper is asked, and can be away.
type kms struct {
	seal.Keyring
	sealed, opened atomic.Int64
	away           atomic.Bool
}

func newKMS() *kms { return &kms{Keyring: seal.Keyring{seal.NewKey()}} }

var errAway = errors.New("kms: connection refused")

func (k *kms) Seal(ctx context.Context, plaintext, bind []byte) ([]byte, error) {
	if k.away.Load() {
		return nil, errAway
	}
	k.sealed.Add(1)
	return k.Keyring.Seal(ctx, plaintext, bind)
}

func (k *kms) Open(ctx context.Context, sealed, bind []byte) ([]byte, error) {
	if k.away.Load() {
		return nil, errAway
	}
	k.opened.Add(1)
	return k.Keyring.Open(ctx, sealed, bind)
}

// What is stored can be read by nobody without the key, and arrives as the same
// bytes, out of memory and after a restart.
func TestPayloadsSealedAtRest(t *testing.T) {
	t.Parallel()
	const marker = "walrus-walrus-walrus"
	var down atomic.Bool
	var mu sync.Mutex
	bodies := map[string][][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies[r.Header.Get("Webhook-Id")] = append(bodies[r.Header.Get("Webhook-Id")], body)
		mu.Unlock()
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(append([]byte("you sent "), body...))
	}))
	defer server.Close()
	path := file(t)
	db := open(t, path)
	keeper := newKMS()
	cfg := forward.Config{
		Store: db, Keeper: keeper, SealPayloads: true,
		Settings: forward.Settings{
			URL: server.URL, Triggers: trigger.List("*"), Secrets: []string{webhook.NewSecret()}, Raw: true,
			Retry: slices.Repeat([]time.Duration{100 * time.Millisecond}, 20),
		},
	}
	down.Store(true)
	f := build(t, cfg)
	stop := start(t, f)
	text := "<" + marker + "> & \u2028 é"
	mustPost(t, f, hook, "default-key", request{Team: "T1", Items: []item{{Key: "k", Text: text}}})
	err := f.Publish(t.Context(), trigger.Event{Trigger: "invoice.paid", Payload: []byte(`{ "a" : "` + marker + `" }`), Raw: []byte(`"` + marker + `"`)})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "both were tried", func() bool { mu.Lock(); defer mu.Unlock(); return len(bodies) == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal"} {
		if b, err := os.ReadFile(name); err != nil || bytes.Contains(b, []byte(marker)) {
			t.Errorf("%s holds a payload in clear, or cannot be read: %v", name, err)
		}
	}
	for _, rec := range all(t, f, "") {
		if !strings.Contains(string(rec.Payload), marker) {
			t.Errorf("the log shows %s", rec.Payload)
		}
	}
	if n := keeper.sealed.Load(); n != 1 || keeper.opened.Load() != 0 {
		t.Errorf("the Keeper sealed %d times and opened %d times, want once and never", n, keeper.opened.Load())
	}

	down.Store(false)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Store = open(t, path)
	f = build(t, cfg)
	start(t, f)
	until(t, "both were delivered", func() bool {
		return !slices.ContainsFunc(all(t, f, ""), func(r forward.Record) bool { return r.Status != forward.Delivered })
	})
	mu.Lock()
	defer mu.Unlock()
	for id, got := range bodies {
		for _, body := range got {
			if !bytes.Equal(body, got[0]) || !bytes.Contains(body, []byte(marker)) {
				t.Errorf("%s was sent as\n%s, then as\n%s", id, got[0], body)
			}
		}
		rec, err := f.Event(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range rec.Deliveries[0].Attempts {
			if !bytes.Contains(a.Response, []byte(marker)) {
				t.Errorf("the response is shown as %q", a.Response)
			}
		}
	}
	if n := keeper.opened.Load(); n != 1 {
		t.Errorf("the Keeper opened %d times after the restart, want once", n)
	}
}

func TestSealPayloadsNeedsAKeeper(t *testing.T) {
	t.Parallel()
	_, err := forward.New(forward.Config{
		Store: newMemory(), Connectors: []connector.Connector{&acme{secret: "k"}}, Settings: settings("*"), SealPayloads: true,
	})
	if err == nil || !strings.Contains(err.Error(), "Keeper is missing") {
		t.Errorf("New: %v", err)
	}
}

// Rows of both kinds are read, whatever is set now; without the Keeper the error
// says what to do, and the event is there when it is back.
func TestSealingSwitchedOnAndOff(t *testing.T) {
	t.Parallel()
	m, keeper, r := newMemory(), newKMS(), &receiver{}
	bubble(t, r, forward.Config{Store: m}, func(t *testing.T, f *forward.Forwarder) {
		with := func(k seal.Keeper, on bool) *forward.Forwarder {
			return build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("gone.away")), Transport: r, Keeper: k, SealPayloads: on})
		}
		mustPost(t, f, hook, "default-key", one("plain"))
		mustPost(t, with(keeper, true), hook, "default-key", one("sealed"))
		mustPost(t, with(keeper, false), hook, "default-key", one("plain again"))
		if _, err := f.Event(t.Context(), sealedID(m)); !errors.Is(err, forward.ErrSealed) {
			t.Errorf("Event without a Keeper: %v", err)
		}
		stop := running(t, f)
		pass(time.Second)
		stop()
		if n := len(r.deliveries()); n != 2 {
			t.Errorf("%d were delivered without the Keeper, want the plain ones", n)
		}
		g := with(keeper, false)
		rec, err := g.Event(t.Context(), sealedID(m))
		if err != nil || rec.Status != forward.Pending || rec.Deliveries[0].Attempts[0].Class != forward.ClassSealed {
			t.Errorf("record %+v, %v", rec, err)
		}
		running(t, g)
		pass(time.Minute)
		var got []string
		for _, d := range r.deliveries() {
			got = append(got, string(d.event.Payload))
		}
		if want := `[{"text":"plain"} {"text":"plain again"} {"text":"sealed"}]`; fmt.Sprint(got) != want {
			t.Errorf("delivered %v, want %v", got, want)
		}
	})
}

// sealedID returns the id of the event whose payload is sealed.
func sealedID(m *memory) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, e := range m.events {
		if len(e.Event.Payload) > 0 && e.Event.Payload[0] == 1 {
			return id
		}
	}
	return ""
}

// A row that was given another one's content is not delivered, and does not keep
// others from being listed.
func TestSealedPayloadOfAnotherEvent(t *testing.T) {
	t.Parallel()
	m, keeper, r := newMemory(), newKMS(), &receiver{}
	bubble(t, r, forward.Config{Store: m, Keeper: keeper, SealPayloads: true}, func(t *testing.T, f *forward.Forwarder) {
		for _, key := range []string{"a", "b", "c"} {
			mustPost(t, f, hook, "default-key", one(key))
			pass(time.Millisecond)
		}
		records := all(t, f, "env_A")
		a, b := m.events[records[0].ID], m.events[records[1].ID]
		a.Event.Payload, b.Event.Payload = b.Event.Payload, a.Event.Payload
		for _, task := range m.tasks {
			task.Event = m.events[task.Event.ID].Event
		}
		running(t, f)
		pass(time.Second)
		if got := r.deliveries(); len(got) != 1 || string(got[0].event.Payload) != `{"text":"c"}` {
			t.Errorf("delivered %+v, want c alone", got)
		}
		for i, rec := range all(t, f, "env_A") {
			if dead := i < 2; (rec.Status == forward.Dead) != dead || (rec.Payload == nil) != dead {
				t.Errorf("event %d is %s with payload %s", i, rec.Status, rec.Payload)
			}
		}
		if _, err := f.Event(t.Context(), records[0].ID); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("Event: %v", err)
		}
	})
}

// A field has its own name: raw content cannot be put in the place of a payload.
func TestSealedRawInThePlaceOfThePayload(t *testing.T) {
	t.Parallel()
	m, r := newMemory(), &receiver{}
	bubble(t, r, forward.Config{Store: m, Keeper: newKMS(), SealPayloads: true}, func(t *testing.T, f *forward.Forwarder) {
		if err := f.Publish(t.Context(), trigger.Event{Trigger: "invoice.paid", Environment: "env_A", Payload: []byte(`1`), Raw: []byte(`2`)}); err != nil {
			t.Fatal(err)
		}
		id := sealedID(m)
		m.events[id].Event.Payload = m.events[id].Event.Raw
		if _, err := f.Event(t.Context(), id); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("Event: %v", err)
		}
	})
}

// Without a key nothing is acknowledged; with one, a KMS that is away stops
// neither intake nor what is in memory, and costs no try.
func TestKeeperAway(t *testing.T) {
	t.Parallel()
	m, keeper, r := newMemory(), newKMS(), &receiver{}
	bubble(t, r, forward.Config{Store: m, Keeper: keeper, SealPayloads: true}, func(t *testing.T, f *forward.Forwarder) {
		keeper.away.Store(true)
		if w := post(t, f, hook, "default-key", one("early")); w.Code != http.StatusServiceUnavailable || m.waiting() != 0 {
			t.Errorf("status %d without a key", w.Code)
		}
		keeper.away.Store(false)
		mustPost(t, f, hook, "default-key", one("waits"))
		keeper.away.Store(true)

		pass(25 * time.Hour) // time for another key
		mustPost(t, f, hook, "default-key", one("another"))
		other := build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("gone.away")), Transport: r, Keeper: keeper, SealPayloads: true})
		running(t, other)
		pass(time.Minute)
		if n := len(r.deliveries()); n != 0 || m.waiting() != 2 {
			t.Errorf("%d deliveries without a key, %d tasks wait", n, m.waiting())
		}
		keeper.away.Store(false)
		pass(time.Minute)
		if n := len(r.deliveries()); n != 2 {
			t.Errorf("%d deliveries when the Keeper was back, want 2", n)
		}
		for _, rec := range all(t, other, "env_A") {
			if rec, _ = other.Event(t.Context(), rec.ID); len(rec.Deliveries[0].Attempts) != 1 {
				t.Errorf("%d attempts, want 1", len(rec.Deliveries[0].Attempts))
			}
		}
		before := keeper.sealed.Load()
		mustPost(t, f, hook, "default-key", one("next day"))
		mustPost(t, f, hook, "default-key", one("same day"))
		if n := keeper.sealed.Load() - before; n != 1 {
			t.Errorf("%d keys were made on the next day, want 1", n)
		}
	})
}

// What a provider said in a thin notice is sealed, too, and given to the
// connector as it was, whatever its first byte.
func TestThinNotices(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{true, false} {
		for _, thin := range []string{"walrus", "\x00walrus", "\x01walrus", "\x01\x00\x03abcwalrus"} {
			t.Run(fmt.Sprintf("%q, sealed: %t", thin, sealed), func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				var got []string
				a := &acme{secret: "default-key", expand: func(_ *connector.Subscription, n *connector.Notice) (*connector.Expansion, error) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, string(n.Thin))
					return nil, nil
				}}
				m := newMemory()
				cfg := forward.Config{Store: m, Connectors: []connector.Connector{a}}
				if sealed {
					cfg.Keeper, cfg.SealPayloads = newKMS(), true
				}
				bubble(t, &receiver{}, cfg, func(t *testing.T, f *forward.Forwarder) {
					mustPost(t, f, hook, "default-key", request{Team: "T1", Bytes: []byte(thin)})
					for _, task := range m.tasks {
						if strings.Contains(string(task.Thin), "walrus") == sealed {
							t.Errorf("stored as %q", task.Thin)
						}
					}
					running(t, f)
					mustPost(t, f, hook, "default-key", request{Team: "T1", Bytes: []byte(thin)}) // handed over in memory
					pass(time.Minute)
					mu.Lock()
					defer mu.Unlock()
					for _, g := range got {
						if g != thin {
							t.Errorf("the connector got %q", g)
						}
					}
					if len(got) != 4 { // two connections
						t.Errorf("%d calls", len(got))
					}
				})
			})
		}
	}
}

// Many who need the same key at once ask the Keeper once.
func TestOneQuestionForAKey(t *testing.T) {
	t.Parallel()
	m, keeper := newMemory(), newKMS()
	cfg := forward.Config{Store: m, Keeper: keeper, SealPayloads: true, Directory: two(settings("*"), settings("gone.away"))}
	f := build(t, cfg)
	mustPost(t, f, hook, "default-key", one("k"))
	id := sealedID(m)
	f = build(t, cfg)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if rec, err := f.Event(t.Context(), id); err != nil || string(rec.Payload) != `{"text":"k"}` {
				t.Errorf("payload %s, %v", rec.Payload, err)
			}
			mustPost(t, f, hook, "default-key", one("k"))
		})
	}
	wg.Wait()
	if keeper.opened.Load() != 1 || keeper.sealed.Load() != 2 {
		t.Errorf("opened %d, sealed %d times; want once in each process", keeper.opened.Load(), keeper.sealed.Load())
	}
}
