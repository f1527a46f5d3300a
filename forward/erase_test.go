package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// connected is a Directory that can disconnect.
type connected struct {
	*directory
	ended atomic.Int64
	fails atomic.Bool
}

func (c *connected) Disconnect(_ context.Context, environment, account string) (ids []string, err error) {
	if c.fails.Load() {
		return nil, errors.New("the store of accounts is away")
	}
	c.ended.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, people := range c.people {
		c.people[key] = slices.DeleteFunc(slices.Clone(people), func(r forward.Recipient) bool {
			gone := r.Environment == environment && r.Account == account
			if gone {
				ids = append(ids, r.Connection)
			}
			return gone
		})
	}
	return ids, nil
}

func both() *connected { return &connected{directory: two(settings("*"), settings("*"))} }

// accounts returns whose events the log has, and whose were delivered.
func accounts(m *memory, r *receiver) (stored, delivered []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		stored = append(stored, e.Event.Account)
	}
	for _, d := range r.deliveries() {
		delivered = append(delivered, d.event.Account)
	}
	slices.Sort(stored)
	slices.Sort(delivered)
	return stored, delivered
}

// An account is erased wherever its events are: waiting in the store, in memory,
// or done. Those of another one stay and are delivered.
func TestEraseAccount(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		running bool
	}{{"while Run runs", true}, {"while it does not", false}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var down atomic.Bool
			r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
				if down.Load() {
					return 500, nil
				}
				return 204, nil
			}}
			m, d := newMemory(), both()
			bubble(t, r, forward.Config{Store: m, Directory: d}, func(t *testing.T, f *forward.Forwarder) {
				stop := running(t, f)
				mustPost(t, f, hook, "default-key", one("done"))
				pass(time.Second)
				down.Store(true)
				mustPost(t, f, hook, "default-key", one("failing"))
				pass(time.Second)
				if !row.running {
					stop()
					mustPost(t, f, hook, "default-key", one("waiting"))
				}
				tried := len(r.deliveries())
				n, err := f.EraseAccount(t.Context(), "env_A", "user-A1")
				if want := map[bool]int{true: 2, false: 3}[row.running]; err != nil || n != want {
					t.Fatalf("erased %d, %v; want %d", n, err, want)
				}
				down.Store(false)
				if !row.running {
					running(t, f)
				}
				pass(time.Hour)
				stored, _ := accounts(m, r)
				if slices.Contains(stored, "user-A1") || !slices.Contains(stored, "user-B1") {
					t.Errorf("events are left of %v", stored)
				}
				for _, got := range r.deliveries()[tried:] {
					if got.event.Account == "user-A1" {
						t.Error("an event of the erased account was delivered")
					}
				}
				if d.ended.Load() != 1 || len(m.erased) != 0 {
					t.Errorf("disconnected %d times, noted %v", d.ended.Load(), m.erased)
				}
				if n, err := f.EraseAccount(t.Context(), "env_A", "user-A1"); n != 0 || err != nil {
					t.Errorf("a second time: %d, %v", n, err)
				}
				// The same account again: a user like any other, and no occurrence is known.
				d.mu.Lock()
				d.people[" "+string(connector.NewKey("team", "T1"))] = two(forward.Settings{}, forward.Settings{}).people[" "+string(connector.NewKey("team", "T1"))]
				d.mu.Unlock()
				mustPost(t, f, hook, "default-key", one("done"))
				pass(time.Second)
				if stored, _ := accounts(m, r); !slices.Contains(stored, "user-A1") {
					t.Error("an account that is there again gets nothing")
				}
			})
		})
	}
}

func TestEraseAccountMustBeNamed(t *testing.T) {
	t.Parallel()
	f := build(t, forward.Config{Directory: both()})
	if _, err := f.EraseAccount(t.Context(), "env_A", ""); !errors.Is(err, forward.ErrNoAccount) {
		t.Errorf("without account: %v", err)
	}
	if _, err := f.EraseAccount(t.Context(), "", "user-A1"); !errors.Is(err, forward.ErrNoEnvironment) {
		t.Errorf("without environment: %v", err)
	}
}

// It returns when a try in flight has ended, whose outcome is recorded nowhere;
// what waits in memory behind it is never tried.
func TestEraseWaitsForTriesInFlight(t *testing.T) {
	t.Parallel()
	var notified told
	r := &receiver{
		wait:   func(context.Context, int) { time.Sleep(10 * time.Second) }, //nolint:forbidigo // time is fake
		answer: func(int, trigger.Event) (int, http.Header) { return 400, nil },
	}
	m, d := newMemory(), both()
	d.settings["env_A"] = forward.Settings{
		URL: "https://receiver.example/a", Triggers: trigger.List("*", forward.DeliveryExhausted), Secrets: settings("*").Secrets, Retry: []time.Duration{0},
	}
	cfg := forward.Config{Store: m, Directory: d, Notify: notified.notify, Limits: forward.Limits{PerLane: 1}}
	bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		for i := range 5 {
			mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
		}
		synctest.Wait()
		began := time.Now()
		if n, err := f.EraseAccount(t.Context(), "env_A", "user-A1"); n != 5 || err != nil {
			t.Fatalf("erased %d, %v", n, err)
		}
		if took := time.Since(began); took < 9*time.Second || took > 12*time.Second {
			t.Errorf("it took %s, with a try in flight that takes 10 s", took)
		}
		pass(time.Hour)
		stored, delivered := accounts(m, r)
		if n := strings.Count(fmt.Sprint(delivered), "user-A1"); n != 1 || slices.Contains(stored, "user-A1") {
			t.Errorf("%d tries, want the one in flight; events are left of %v", n, stored)
		}
		if s := f.Stats(); s.Held != 0 || s.Bytes != 0 {
			t.Errorf("memory is not given back: %+v", s)
		}
	})
}

// When it cannot be finished nothing is delivered, and Run finishes it; also
// after a restart, before anything else.
func TestEraseThatIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		restart bool
		fails   string // what the store cannot do; "" is the Directory
	}{
		{"Directory away", false, ""}, {"Directory away, then a restart", true, ""},
		{"store away", false, "Erase"}, {"store away, then a restart", true, "Erase"},
		{"killed before the end is noted", true, "EndErasure"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r, m, d := &receiver{}, newMemory(), both()
			bubble(t, r, forward.Config{Store: m, Directory: d}, func(t *testing.T, f *forward.Forwarder) {
				mustPost(t, f, hook, "default-key", one("waiting"))
				if !row.restart {
					// Nothing can be claimed until the order is given.
					m.fail = func(method string) error {
						if method == "Claim" {
							return errors.New("away")
						}
						return nil
					}
					running(t, f)
				}
				var away atomic.Bool
				away.Store(true)
				m.mu.Lock()
				m.fail = func(method string) error {
					if away.Load() && method == row.fails {
						return errors.New("away")
					}
					return nil
				}
				m.mu.Unlock()
				d.fails.Store(row.fails == "")
				if _, err := f.EraseAccount(t.Context(), "env_A", "user-A1"); !errors.Is(err, forward.ErrErasing) {
					t.Fatalf("EraseAccount: %v", err)
				}
				if row.restart {
					m.reopen()
					f = build(t, forward.Config{Store: m, Directory: d, Transport: r})
					running(t, f)
				}
				mustPost(t, f, hook, "default-key", one("meanwhile"))
				pass(5 * time.Minute)
				_, delivered := accounts(m, r)
				if slices.Contains(delivered, "user-A1") || len(m.erased) != 1 {
					t.Errorf("delivered to %v, noted %v", delivered, m.erased)
				}
				away.Store(false)
				d.fails.Store(false)
				pass(5 * time.Minute)
				stored, delivered := accounts(m, r)
				if slices.Contains(delivered, "user-A1") || slices.Contains(stored, "user-A1") || len(m.erased) != 0 {
					t.Errorf("delivered to %v, events left of %v, noted %v", delivered, stored, m.erased)
				}
				if !slices.Contains(delivered, "user-B1") {
					t.Error("the other account got nothing")
				}
			})
		})
	}
}

// A request that asked whom it concerns before the account was erased stores
// nothing when it comes to that, even after.
func TestRequestThatAskedBeforeTheErasure(t *testing.T) {
	t.Parallel()
	r, m := &receiver{}, newMemory()
	d := &slowDirectory{connected: both(), asked: make(chan struct{}), goOn: make(chan struct{})}
	bubble(t, r, forward.Config{Store: m, Directory: d}, func(t *testing.T, f *forward.Forwarder) {
		d.asked, d.goOn = make(chan struct{}), make(chan struct{}) // of the bubble
		running(t, f)
		code := make(chan int, 1)
		go func() { code <- post(t, f, hook, "default-key", one("late")).Code }()
		<-d.asked
		if _, err := f.EraseAccount(t.Context(), "env_A", "user-A1"); err != nil {
			t.Fatal(err)
		}
		close(d.goOn)
		if c := <-code; c != http.StatusAccepted {
			t.Errorf("status %d", c)
		}
		pass(time.Minute)
		stored, delivered := accounts(m, r)
		if slices.Contains(stored, "user-A1") || slices.Contains(delivered, "user-A1") || !slices.Contains(delivered, "user-B1") {
			t.Errorf("stored for %v, delivered to %v", stored, delivered)
		}
	})
}

// slowDirectory answers the first question whom a request concerns late.
type slowDirectory struct {
	*connected
	once        sync.Once
	asked, goOn chan struct{}
}

func (d *slowDirectory) Recipients(ctx context.Context, a forward.Address, watch string, keys []connector.Key) ([]forward.Recipient, error) {
	found, err := d.connected.Recipients(ctx, a, watch, keys)
	d.once.Do(func() { close(d.asked); <-d.goOn })
	return found, err
}

// What is asked of a provider for the account ends, and its pages store nothing.
func TestEraseWhileAProviderIsAsked(t *testing.T) {
	t.Parallel()
	asked, goOn := make(chan struct{}), make(chan struct{})
	a := &acme{secret: "default-key", expand: func(*connector.Subscription, *connector.Notice) (*connector.Expansion, error) {
		close(asked)
		<-goOn
		return &connector.Expansion{Notices: occurrences("page 1"), More: true}, nil
	}}
	m, d := newMemory(), both()
	key := " " + string(connector.NewKey("team", "T1"))
	d.people[key] = d.people[key][:1]
	bubble(t, &receiver{}, forward.Config{Store: m, Directory: d, Connectors: []connector.Connector{a}}, func(t *testing.T, f *forward.Forwarder) {
		asked, goOn = make(chan struct{}), make(chan struct{})
		running(t, f)
		mustPost(t, f, hook, "default-key", thin("look", ""))
		<-asked
		mustPost(t, f, hook, "default-key", thin("again", ""))
		done := make(chan error, 1)
		go func() {
			_, err := f.EraseAccount(t.Context(), "env_A", "user-A1")
			done <- err
		}()
		pass(time.Second)
		select {
		case err := <-done:
			t.Errorf("it returned while a provider was being asked: %v", err)
		default:
		}
		close(goOn)
		if err := <-done; err != nil {
			t.Error(err)
		}
		pass(time.Hour)
		if len(m.events) != 0 || m.waiting() != 0 {
			t.Errorf("%d events and %d tasks are left", len(m.events), m.waiting())
		}
	})
}

// Over SQLite, with requests, deliveries and erasures all at once: after each
// erasure nothing of the account arrives, and the others lose nothing.
func TestEraseUnderLoad(t *testing.T) {
	t.Parallel()
	var erased, late sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var ev trigger.Event
		if err := ev.UnmarshalJSON(body); err != nil {
			t.Error(err)
			return
		}
		if _, gone := erased.Load(ev.Account); gone {
			late.Store(ev.Account, ev.ID)
		}
	}))
	defer server.Close()
	db := open(t, file(t))
	s := settings("*")
	s.URL = server.URL
	f := build(t, forward.Config{Store: db, Settings: s})
	start(t, f)
	const people, each = 20, 20
	var wg sync.WaitGroup
	for p := range people {
		wg.Go(func() {
			account := fmt.Sprintf("user-%d", p)
			for i := range each {
				if err := f.Publish(t.Context(), trigger.Event{Trigger: "invoice.paid", Account: account, DedupeKey: fmt.Sprintf("%s %d", account, i)}); err != nil {
					t.Error(err)
				}
			}
			if p%2 == 0 {
				return
			}
			if _, err := f.EraseAccount(t.Context(), "", account); err != nil {
				t.Error(err)
			}
			erased.Store(account, true)
		})
	}
	wg.Wait()
	until(t, "everything else was delivered", func() bool {
		records := all(t, f, "")
		return len(records) == people/2*each && !slices.ContainsFunc(records, func(r forward.Record) bool { return r.Status != forward.Delivered })
	})
	late.Range(func(account, id any) bool {
		t.Errorf("%s of %s arrived after it was erased", id, account)
		return true
	})
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// What waits in memory is not tried either while the Directory cannot disconnect.
func TestEraseStopsWhatIsInMemory(t *testing.T) {
	t.Parallel()
	r := &receiver{wait: func(context.Context, int) { time.Sleep(10 * time.Second) }} //nolint:forbidigo // time is fake
	m, d := newMemory(), both()
	d.fails.Store(true)
	bubble(t, r, forward.Config{Store: m, Directory: d, Limits: forward.Limits{PerLane: 1}}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		for i := range 5 {
			mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
		}
		synctest.Wait()
		before, _ := accounts(m, r)
		if _, err := f.EraseAccount(t.Context(), "env_A", "user-A1"); !errors.Is(err, forward.ErrErasing) {
			t.Fatalf("EraseAccount: %v", err)
		}
		pass(10 * time.Minute)
		if _, delivered := accounts(m, r); strings.Count(fmt.Sprint(delivered), "user-A1") != 1 {
			t.Errorf("delivered to %v, want the one try in flight; stored %v", delivered, before)
		}
		d.fails.Store(false)
		pass(10 * time.Minute)
		if stored, _ := accounts(m, r); slices.Contains(stored, "user-A1") {
			t.Errorf("events are left of %v", stored)
		}
	})
}

// A store that is away when Run begins is waited for; when ctx ends first, Run has
// nothing to report.
func TestRunBeginsWhenErasuresAreKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.fail = func(method string) error {
			if method == "Erasures" {
				return errors.New("away")
			}
			return nil
		}
		f := build(t, forward.Config{Store: m, Directory: both(), Transport: &receiver{}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := f.Run(ctx); err != nil {
			t.Errorf("Run that ended before it had begun: %v", err)
		}
		if err := f.Run(t.Context()); err == nil || time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) < time.Minute {
			t.Errorf("Run of a store that stays away: %v", err)
		}
	})
}
