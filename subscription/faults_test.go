package subscription_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

func (r *room) disconnect(id string) {
	c, _ := r.accounts.Connection(r.t.Context(), id)
	c.Usable, c.Ended, c.Closing, c.EndedAt = false, true, true, r.now()
	r.change(id, c)
}

// Whatever a provider says to a removal, the Connection is let go in the end.
func TestARemovalThatFailsEnds(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		answer error
		panics bool
		wait   time.Duration // after the first try
	}{
		{"refused", fmt.Errorf("%w: no", connector.ErrRefused), false, 0},
		{"lack of a scope, which nobody will grant any more", fmt.Errorf("%w: no", connector.ErrScope), false, 0},
		{"the grant is gone", fmt.Errorf("%w: no", connector.ErrRevoked), false, 0},
		{"a panic at each try", nil, true, 4 * 24 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider()
			r := newRoom(t, p)
			r.run()
			r.connect("conn_1", "env_a")
			r.until("a watch", r.settled(1))
			if row.answer != nil {
				p.failNext(row.answer)
			}
			p.leaving = func() {
				if row.panics {
					panic("crash")
				}
			}
			r.disconnect("conn_1")
			if row.wait > 0 {
				r.until("the first try failed", func() bool { all := r.all(); return len(all) == 1 && all[0].LastError != "" })
				r.forward(row.wait)
			}
			r.until("closed", func() bool { return slices.Contains(r.accounts.closedOnes(), "conn_1") })
		})
	}
}

// renamed is the provider under another name: a program without "acme".
type renamed struct{ *provider }

func (r renamed) Describe() connector.Description {
	d := r.provider.Describe()
	d.Name = "other"
	d.Triggers = slices.Clone(d.Triggers)
	for i := range d.Triggers {
		d.Triggers[i].Name = strings.Replace(d.Triggers[i].Name, "acme", "other", 1)
	}
	return d
}

// A program that was started without a connector by mistake must not have let its
// watches die once it has it again.
func TestWatchesOutliveAProgramWithoutTheirConnector(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.life = time.Hour
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	r.stop()

	registry, err := connector.NewRegistry(renamed{newProvider()})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing([]string{seal.NewKey()})
	if err != nil {
		t.Fatal(err)
	}
	without, err := subscription.New(subscription.Config{
		Store: r.store, Registry: registry, Connections: r.accounts, Keeper: ring, PublicURL: "https://hooks.example.com",
		Wanted: func(context.Context, string) ([]trigger.Filter, error) { return nil, nil }, Now: r.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	with := r.Reconciler
	r.Reconciler = without
	r.run()
	r.forward(45 * time.Minute)
	r.until("the renewal failed", func() bool { return r.all()[0].LastError != "" })
	r.stop()

	r.Reconciler = with
	r.run()
	r.forward(45 * time.Minute)
	r.until("renewed", func() bool { return r.settled(1)() && r.all()[0].LastError == "" })
}

// What a provider says about a watch while it is being told about it counts.
func TestAWatchThatIsGoneBeforeItsCreationIsAnswered(t *testing.T) {
	t.Parallel()
	p := newProvider()
	r := newRoom(t, p)
	calls := 0
	p.during = func(sub *connector.Subscription) {
		if calls++; calls == 1 {
			p.forget()
			if err := r.Signal(t.Context(), sub.ID, connector.SignalGone); err != nil {
				t.Error(err)
			}
		}
	}
	r.run()
	r.connect("conn_1", "env_a")
	r.until("made anew", r.settled(1))
}

// The grant went while the provider was being called: the watch does not come back.
func TestARemovedWatchStaysRemoved(t *testing.T) {
	t.Parallel()
	p := newProvider()
	r := newRoom(t, p)
	settled := make(chan error, 1)
	p.during = func(*connector.Subscription) {
		r.accounts.mu.Lock()
		c := r.accounts.all["conn_1"]
		c.Usable, c.Ended = false, true
		r.accounts.all["conn_1"] = c
		r.accounts.mu.Unlock()
		settled <- r.Settle(t.Context(), "conn_1")
	}
	r.run()
	r.connect("conn_1", "env_a")
	if err := <-settled; err != nil {
		t.Fatal(err)
	}
	r.stop()
	if left := r.all(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// A key that the provider gives with the answer counts, although somebody
// changed the record during the call.
func TestTheKeyOfAConflictingAnswerIsKept(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.secret = connector.SecretTheirs
	p.key = "first"
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	calls := 0
	p.during = func(sub *connector.Subscription) {
		if calls++; calls == 1 {
			if err := r.Signal(t.Context(), sub.ID, connector.SignalMissed); err != nil {
				t.Error(err)
			}
		}
	}
	p.setKey("second")
	p.forget()
	if err := r.Repair(t.Context(), "conn_1"); err != nil {
		t.Fatal(err)
	}
	r.until("made anew", func() bool { return r.settled(1)() && p.held()["r2"] != "" })
	if key, err := r.Secret(t.Context(), r.all()[0]); err != nil || key != "second" {
		t.Errorf("the key is %q, %v", key, err)
	}
}

// Connected again through another App, the same Subscription (its cursor, its
// address) is told to the provider by the new one.
func TestAnotherAppTakesTheWatchOver(t *testing.T) {
	t.Parallel()
	p := newProvider()
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	before := r.all()[0]
	c, _ := r.accounts.Connection(t.Context(), "conn_1")
	c.App = "app_1"
	r.change("conn_1", c)
	r.until("made with the new App", func() bool { all := r.all(); return len(all) == 1 && all[0].App == "app_1" && r.settled(1)() })
	if after := r.all()[0]; after.ID != before.ID || after.Held.ID != "r1" {
		t.Errorf("got %+v, want %s with the watch at its address adopted", after, before.ID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := []string{"subscribe boxes/one", "subscribe boxes/one"}; !slices.Equal(p.calls, want) {
		t.Errorf("calls: %q, want %q", p.calls, want)
	}
}

// Watches that went while a Connection could not be used are there again when
// it can.
func TestWatchesComeBackWithTheirConnection(t *testing.T) {
	t.Parallel()
	p := newProvider()
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	before := r.all()[0]
	c, _ := r.accounts.Connection(t.Context(), "conn_1")
	c.Usable = false
	r.change("conn_1", c)
	r.until("unhealthy", func() bool { return r.all()[0].LastError != "" })
	p.forget()
	c.Usable = true
	r.change("conn_1", c)
	r.until("back", func() bool { return r.settled(1)() && r.all()[0].Healthy() })
	if after := r.all()[0]; after.ID != before.ID {
		t.Errorf("another Subscription: %s, want %s", after.ID, before.ID)
	}
}

// Who is told of a refused question keeps renewing: it may have been the question.
func TestAStalledWatchIsRenewed(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.life = time.Hour
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	if err := r.Stall(t.Context(), r.all()[0].ID, "no scope"); err != nil {
		t.Fatal(err)
	}
	if s := r.all()[0]; s.Healthy() {
		t.Errorf("healthy: %+v", s)
	}
	r.forward(45 * time.Minute)
	r.until("renewed", func() bool { return r.all()[0].Healthy() })
}

// Where one call ends all of an Identity's watches, who joins during that call
// does not lose its own.
func TestASharedWatchOutlivesTheRemovalItWasMadeIn(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.per, p.stopsAll = connector.PerIdentity, true
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	leaving, joined := make(chan struct{}), make(chan struct{})
	calls := 0
	p.leaving = func() {
		if calls++; calls == 1 {
			close(leaving)
			<-joined
		}
	}
	r.disconnect("conn_1")
	<-leaving
	r.connect("conn_2", "env_b")
	r.until("the second one has a watch", func() bool {
		return slices.ContainsFunc(r.all(), func(s subscription.Subscription) bool {
			return s.Connection == "conn_2" && s.State == subscription.Active
		})
	})
	close(joined)
	r.until("closed", func() bool { return slices.Contains(r.accounts.closedOnes(), "conn_1") })
	r.until("the second one is watched", r.settled(1))
}
