package subscription_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

func TestWatchIsCreatedOnConnectAndRemovedOnDisconnect(t *testing.T) {
	t.Parallel()
	r := newRoom(t, newProvider())
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	s := r.all()[0]
	if want := "https://hooks.example.com/in/webhooks/acme/" + s.ID; r.provider.held()["r1"] != want {
		t.Errorf("it points to %s, want %s", r.provider.held()["r1"], want)
	}
	c, _ := r.accounts.Connection(t.Context(), "conn_1")
	c.Usable, c.Ended, c.Closing, c.EndedAt = false, true, true, time.Now()
	r.change("conn_1", c)
	r.until("no watch, and the grant let go", func() bool {
		return len(r.provider.held()) == 0 && slices.Equal(r.accounts.closedOnes(), []string{"conn_1"})
	})
	if got, err := r.Get(t.Context(), s.ID); err != nil || got.State != subscription.Removed || len(got.Sealed) != 0 {
		t.Errorf("the removed watch: %+v, %v", got, err)
	}
}

// What arrives while the provider is being told must verify already.
func TestIntentIsDurableBeforeTheProviderIsCalled(t *testing.T) {
	t.Parallel()
	p := newProvider()
	r := newRoom(t, p)
	type seen struct {
		subs   []subscription.Subscription
		secret string
		err    error
	}
	during := make(chan seen, 1)
	p.during = func(sub *connector.Subscription) {
		var s seen
		if s.subs, s.err = r.At(t.Context(), sub.ID); s.err == nil && len(s.subs) == 1 {
			s.secret, s.err = r.Secret(t.Context(), s.subs[0])
		}
		if s.secret != sub.Secret || len(sub.Secret) != 43 {
			s.err = errors.New("the provider was given another key: " + sub.Secret)
		}
		during <- s
	}
	r.run()
	r.connect("conn_1", "env_a")
	got := <-during
	if got.err != nil || len(got.subs) != 1 || got.subs[0].State != subscription.Pending {
		t.Errorf("during the call the store has %+v, %v", got.subs, got.err)
	}
	if len(got.subs) == 1 && strings.Contains(string(got.subs[0].Sealed), got.secret) {
		t.Error("the key lies open in the store")
	}
}

func TestLostAnswerIsAdoptedNotDoubled(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.lose = true
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("the first try failed", func() bool { all := r.all(); return len(all) == 1 && all[0].LastError != "" })
	r.forward(time.Minute)
	r.until("one watch", r.settled(1))
	if got := p.held(); len(got) != 1 || got["r1"] == "" {
		t.Errorf("the provider holds %v, want the first one adopted", got)
	}
}

// A connector that panics after the provider was called leaves what a crash does:
// a watch without a record of it.
func TestPanicDuringTheCallIsAdoptedNotDoubled(t *testing.T) {
	t.Parallel()
	p := newProvider()
	r := newRoom(t, p)
	calls := 0
	p.during = func(*connector.Subscription) {
		if calls++; calls == 1 {
			panic("crash")
		}
	}
	r.run()
	r.connect("conn_1", "env_a")
	r.until("the panic is recorded", func() bool { all := r.all(); return len(all) == 1 && all[0].LastError != "" })
	if len(p.held()) != 1 {
		t.Fatal("the provider was not called before the panic")
	}
	r.forward(time.Hour)
	r.until("one watch", r.settled(1))
}

func TestTriggerListChanges(t *testing.T) {
	t.Parallel()
	r := newRoom(t, newProvider())
	r.run()
	r.connect("conn_1", "env_a")
	r.until("one watch", r.settled(1))

	r.want(boxes("one", "two"), "conn_1")
	r.until("a second one for another resource", r.settled(2))

	r.want(append(boxes("one", "two"), trigger.Filter{Trigger: "acme.note", Params: map[string]string{"box": "one"}}), "conn_1")
	r.until("the first one reports more, in place", func() bool {
		return r.settled(2)() && slices.ContainsFunc(r.all(), func(s subscription.Subscription) bool {
			return slices.Equal(s.Topics, []string{"mail", "note"})
		})
	})

	r.want(boxes("two"), "conn_1")
	r.until("what nobody wants is removed", r.settled(1))
	if s := r.all()[0]; s.Resource != "boxes/two" {
		t.Errorf("left is %s", s.Resource)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	t.Run("refused: shown, not tried again until something changes", func(t *testing.T) {
		t.Parallel()
		r := newRoom(t, newProvider())
		r.provider.failNext(connector.ErrRefused)
		r.run()
		r.connect("conn_1", "env_a")
		r.until("refused", func() bool { a := r.all(); return len(a) == 1 && a[0].State == subscription.Refused })
		if s := r.all()[0]; !s.Due.IsZero() || s.LastError == "" {
			t.Errorf("due %v, error %q", s.Due, s.LastError)
		}
		r.mark("conn_1")
		r.until("created after a change", r.settled(1))
	})
	t.Run("revoked: the connection is told, and it goes on after a reconnect", func(t *testing.T) {
		t.Parallel()
		r := newRoom(t, newProvider())
		r.provider.failNext(connector.ErrRevoked)
		r.run()
		r.connect("conn_1", "env_a")
		r.until("told", func() bool {
			r.accounts.mu.Lock()
			defer r.accounts.mu.Unlock()
			return len(r.accounts.refused) == 1
		})
		r.connect("conn_1", "env_a")
		r.until("created after the reconnect", r.settled(1))
	})
	t.Run("retry: after the time that the provider asks for", func(t *testing.T) {
		t.Parallel()
		r := newRoom(t, newProvider())
		r.provider.failNext(&connector.RetryError{After: time.Hour, Err: errors.New("slow down")})
		r.run()
		r.connect("conn_1", "env_a")
		r.until("failed", func() bool { a := r.all(); return len(a) == 1 && a[0].LastError != "" })
		if wait := r.all()[0].Due.Sub(r.now()); wait < 59*time.Minute || wait > 61*time.Minute {
			t.Errorf("the next try is in %s, want an hour", wait)
		}
		r.forward(2 * time.Hour)
		r.until("created", r.settled(1))
	})
	t.Run("closing: the grant is let go when the provider works again", func(t *testing.T) {
		t.Parallel()
		r := newRoom(t, newProvider())
		r.accounts.broken = errors.New("down")
		r.run()
		r.change("conn_1", subscription.Connection{ID: "conn_1", Connector: "acme", Ended: true, Closing: true, EndedAt: time.Now()})
		r.forward(giveUp / 2)
		r.forward(giveUp)
		r.until("let go at last", func() bool { return len(r.accounts.closedOnes()) == 1 })
	})
}

const giveUp = 3 * 24 * time.Hour

func TestRenewal(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.life = time.Hour
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("one watch", r.settled(1))
	first := r.all()[0].RenewAt
	if wait := first.Sub(r.now()); wait < 20*time.Minute || wait > 40*time.Minute {
		t.Errorf("renewed in %s, want half of its life", wait)
	}
	r.forward(45 * time.Minute)
	r.until("renewed", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.calls) == 2
	})
	p.forget()
	r.forward(45 * time.Minute)
	r.until("made anew when the provider has lost it", func() bool {
		return r.settled(1)() && p.held()["r2"] != ""
	})
}

// A watch that never expires may still be removed by somebody at the provider.
func TestAWatchThatNeverExpiresIsVerified(t *testing.T) {
	t.Parallel()
	p := newProvider()
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("one watch", r.settled(1))
	if wait := r.all()[0].Due.Sub(r.now()); wait < 18*time.Hour || wait > 30*time.Hour {
		t.Errorf("looked at in %s, want a day", wait)
	}
	version := r.all()[0].Version
	r.forward(31 * time.Hour)
	r.until("looked at", func() bool { return r.all()[0].Version > version && r.all()[0].Due.After(r.now()) })
	p.mu.Lock()
	if len(p.watches) != 1 || len(p.calls) != 1 {
		t.Errorf("to look at it, the provider was asked for %v and holds %v", p.calls, p.watches)
	}
	p.mu.Unlock()
	p.forget()
	r.forward(31 * time.Hour)
	r.until("made anew", func() bool { return r.settled(1)() && p.held()["r2"] != "" })
}

func TestSharedWatch(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.per = connector.PerIdentity
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.until("one watch", r.settled(1))
	r.connect("conn_2", "env_b")
	r.until("two connections, one watch", func() bool { return len(r.all()) == 2 && r.settled(1)() })
	all := r.all()
	one, err := r.Secret(t.Context(), all[0])
	if err != nil {
		t.Fatal(err)
	}
	if two, err := r.Secret(t.Context(), all[1]); err != nil || one != two || all[0].Endpoint != all[1].Endpoint {
		t.Errorf("address or key differ: %v %v %v", all[0].Endpoint, all[1].Endpoint, err)
	}
	end := func(id string) {
		c, _ := r.accounts.Connection(t.Context(), id)
		c.Usable, c.Ended, c.Closing, c.EndedAt = false, true, true, r.now()
		r.change(id, c)
		r.until(id+" closed", func() bool { return slices.Contains(r.accounts.closedOnes(), id) })
	}
	end("conn_1")
	p.mu.Lock()
	left := slices.ContainsFunc(p.calls, func(c string) bool { return strings.HasPrefix(c, "unsubscribe") })
	p.mu.Unlock()
	if left || len(p.held()) != 1 {
		t.Error("the watch that another connection lives on was removed")
	}
	end("conn_2")
	if len(p.held()) != 0 {
		t.Error("the last one to leave left the watch behind")
	}
}

func TestKeyIsLearnedOnce(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.secret = connector.SecretTheirs
	r := newRoom(t, p)
	learned := make(chan error, 2)
	p.during = func(sub *connector.Subscription) {
		s, err := r.Get(t.Context(), sub.ID)
		if err != nil {
			learned <- err
			return
		}
		learned <- r.Learn(t.Context(), s, "their key")
	}
	r.run()
	r.connect("conn_1", "env_a")
	r.until("one watch", r.settled(1))
	if err := <-learned; err != nil {
		t.Fatal(err)
	}
	s := r.all()[0]
	if key, err := r.Secret(t.Context(), s); err != nil || key != "their key" {
		t.Errorf("the key is %q, %v", key, err)
	}
	if err := r.Learn(t.Context(), s, "another key"); !errors.Is(err, subscription.ErrKeyKnown) {
		t.Errorf("the address was taken over: %v", err)
	}
}

// A key is sealed for one Subscription: put into another record, it is nobody's.
func TestKeysCannotBeSwapped(t *testing.T) {
	t.Parallel()
	r := newRoom(t, newProvider())
	r.run()
	r.want(boxes("one", "two"), "conn_1")
	r.connect("conn_1", "env_a")
	r.until("two watches", r.settled(2))
	all := r.all()
	one, two := all[0], all[1]
	one.Sealed = two.Sealed
	if key, err := r.Secret(t.Context(), one); err == nil {
		t.Errorf("the key of %s opens for %s: %q", two.ID, one.ID, key)
	}
}

func TestSecondRunIsAnError(t *testing.T) {
	t.Parallel()
	r := newRoom(t, newProvider())
	r.run()
	r.connect("conn_1", "env_a")
	r.until("it runs", r.settled(1))
	if err := r.Run(t.Context()); !errors.Is(err, subscription.ErrRunning) {
		t.Errorf("got %v", err)
	}
	r.stop()
	r.run()
	r.connect("conn_2", "env_a")
	r.until("it runs again", r.settled(2))
}
