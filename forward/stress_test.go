package forward_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// Run is started and stopped again and again while providers send and the
// store hiccups. Everything that was acknowledged is delivered, and what is
// left in the store has a due time and no lease.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(t *testing.T) forward.Store{
		"memory": func(*testing.T) forward.Store { return newMemory() },
		"memory that fails": func(*testing.T) forward.Store {
			m := newMemory()
			var calls atomic.Int64
			m.fail = func(string) error {
				if calls.Add(1)%23 == 0 {
					return errors.New("hiccup")
				}
				return nil
			}
			return m
		},
		"sqlite": func(t *testing.T) forward.Store { return open(t, file(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			arrived := map[string]int{}
			s := store(t)
			f := build(t, forward.Config{
				Store: s,
				Settings: forward.Settings{
					Triggers: trigger.List("acme.*"), Retry: []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond},
				},
				OnEvent: func(ctx context.Context, ev trigger.Event) error {
					if rand.IntN(20) == 0 {
						return errors.New("now and then")
					}
					if rand.IntN(20) == 0 { // sometimes it is in flight when Run ends
						select {
						case <-ctx.Done():
							return ctx.Err()
						case <-time.After(time.Millisecond):
						}
					}
					mu.Lock()
					defer mu.Unlock()
					arrived[string(ev.Payload)]++
					return nil
				},
				Limits: forward.Limits{InMemory: 32 << 10, InFlight: 8, PerLane: 8, DrainTimeout: 2 * time.Millisecond},
			})
			var acknowledged sync.Map
			var n atomic.Int64
			done := make(chan struct{})
			var senders sync.WaitGroup
			for w := range 4 {
				senders.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-done:
							return
						default:
						}
						text := fmt.Sprintf("%d-%d", w, i)
						if post(t, f, hook, "default-key", one(text)).Code == http.StatusAccepted {
							acknowledged.Store(fmt.Sprintf(`{"text":%q}`, text), true)
							n.Add(1)
						}
						if i%20 == 0 {
							breathe()
						}
					}
				})
			}
			for range 12 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(20))*time.Millisecond)
				if err := f.Run(ctx); err != nil {
					t.Errorf("Run: %v", err)
				}
				cancel()
			}
			close(done)
			senders.Wait()
			start(t, f)
			missing := func() (missing []any) {
				mu.Lock()
				defer mu.Unlock()
				acknowledged.Range(func(text, _ any) bool {
					if arrived[text.(string)] == 0 {
						missing = append(missing, text)
					}
					return true
				})
				return missing
			}
			for deadline := time.Now().Add(20 * time.Second); len(missing()) > 0; breathe() {
				if time.Now().After(deadline) {
					t.Fatalf("of %d acknowledged events %d did not arrive: %.200v", n.Load(), len(missing()), missing())
				}
			}
			until(t, "nothing waits and nothing is leased", func() bool {
				oldest, err := s.OldestDue(t.Context())
				stats := f.Stats()
				return err == nil && oldest.IsZero() && stats.Held == 0 && stats.Bytes == 0 && stats.Trying == 0
			})
			t.Logf("%d acknowledged; %+v", n.Load(), f.Stats())
		})
	}
}

// An outcome that cannot be recorded is recorded when the store is back, without
// a second try; when it stays away Run ends.
func TestStoreFailsWhileRecording(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		err   error
		away  time.Duration
		ends  bool
		tries int
	}{
		{"for a moment", errors.New("busy"), 5 * time.Second, false, 1},
		{"for longer than Run waits", errors.New("busy"), time.Hour, true, 1},
		{"for good", fmt.Errorf("fsync: %w", forward.ErrStoreFailed), time.Hour, true, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				r := &receiver{}
				f := build(t, forward.Config{Store: m, Directory: two(settings("*"), settings("gone.away")), Transport: r})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- f.Run(ctx) }()
				synctest.Wait()
				back := time.Now().Add(row.away)
				m.mu.Lock()
				m.fail = func(method string) error {
					if method == "Finish" && time.Now().Before(back) {
						return row.err
					}
					return nil
				}
				m.mu.Unlock()
				mustPost(t, f, hook, "default-key", one("k"))
				pass(10 * time.Minute)
				select {
				case err := <-done:
					if !row.ends || !errors.Is(err, row.err) {
						t.Errorf("Run returned %v", err)
					}
				default:
					if row.ends {
						t.Error("Run goes on")
					}
				}
				cancel()
				if n := len(r.deliveries()); n != row.tries {
					t.Errorf("%d tries, want %d", n, row.tries)
				}
				if !row.ends {
					if err := <-done; err != nil {
						t.Error(err)
					}
					if rec := all(t, f, "env_A")[0]; rec.Status != forward.Delivered {
						t.Errorf("status %s", rec.Status)
					}
				}
			})
		})
	}
}
