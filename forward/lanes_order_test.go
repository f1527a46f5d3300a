package forward_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// The order of each account holds across failed tries and restarts in the middle
// of one. An event may come twice, but never after a later one.
func TestOrderedOverRestarts(t *testing.T) {
	t.Parallel()
	const accounts, each = 8, 25
	var mu sync.Mutex
	last, arrived := map[string]int{}, 0
	s := open(t, file(t))
	f := build(t, forward.Config{
		Store:    s,
		Settings: forward.Settings{Triggers: trigger.List("*"), Ordered: true, Retry: make20(time.Millisecond)},
		OnEvent: func(ctx context.Context, ev trigger.Event) error {
			n, err := strconv.Atoi(string(ev.Payload))
			if err != nil {
				return err
			}
			mu.Lock()
			switch before := last[ev.Account]; n {
			case before + 1:
				last[ev.Account] = n
				arrived++
			case before: // once more
			default:
				t.Errorf("event %d of %s came after %d", n, ev.Account, before)
			}
			mu.Unlock()
			if rand.IntN(10) == 0 {
				return errors.New("now and then")
			}
			if rand.IntN(10) == 0 {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Millisecond):
				}
			}
			return nil
		},
		Limits: forward.Limits{InMemory: 16 << 10, InFlight: 8, PerLane: 8, DrainTimeout: time.Millisecond},
	})
	var senders sync.WaitGroup
	for a := range accounts {
		senders.Go(func() {
			for n := range each {
				err := f.Publish(context.WithoutCancel(t.Context()), trigger.Event{
					Trigger: "a.b", Account: fmt.Sprint("user-", a), Payload: strconv.AppendInt(nil, int64(n+1), 10),
				})
				if err != nil {
					t.Errorf("Publish: %v", err)
				}
			}
		})
	}
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(20))*time.Millisecond)
		if err := f.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
		cancel()
	}
	senders.Wait()
	stop := start(t, f)
	for deadline := time.Now().Add(20 * time.Second); ; breathe() {
		mu.Lock()
		n := arrived
		mu.Unlock()
		if n == accounts*each {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d arrived", n, accounts*each)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// make20 returns twenty equal waits.
func make20(wait time.Duration) (waits []time.Duration) {
	for range 20 {
		waits = append(waits, wait)
	}
	return waits
}
