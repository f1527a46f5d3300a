package subscription_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// told returns the names of the news so far.
func (r *room) told() (names []string) {
	r.t.Helper()
	list, err := r.store.WaitingNews(r.t.Context(), 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, ev := range list {
		names = append(names, strings.TrimPrefix(ev.Trigger, "subscription."))
		if ev.Environment != "env_a" || ev.Account != "user-conn_1" || ev.Connection != "conn_1" || !strings.Contains(string(ev.Payload), `"subscription":"sub_`) {
			r.t.Errorf("%+v", ev)
		}
	}
	return names
}

func (r *room) untilTold(names ...string) {
	r.t.Helper()
	r.until("told: "+strings.Join(names, " "), func() bool { return len(r.told()) >= len(names) })
	if got := r.told(); !slices.Equal(got, names) {
		r.t.Fatalf("told %v, want %v", got, names)
	}
}

func TestNewsOfAWatch(t *testing.T) {
	t.Parallel()
	p := newProvider()
	p.life = time.Hour
	r := newRoom(t, p)
	r.run()
	r.connect("conn_1", "env_a")
	r.untilTold("created")
	if s := r.all()[0]; s.HeldSince.IsZero() || s.LastRenewal.IsZero() {
		t.Errorf("held since %v, renewed %v", s.HeldSince, s.LastRenewal)
	}
	r.forward(45 * time.Minute)
	r.untilTold("created", "renewed")
	p.forget()
	r.forward(45 * time.Minute)
	r.untilTold("created", "renewed", "recovered")

	// It reports more from now on: that is nothing to be told.
	r.want(append(boxes("one"), trigger.Filter{Trigger: "acme.note", Params: map[string]string{"box": "one"}}), "conn_1")
	r.until("changed in place", func() bool { return r.settled(1)() && len(r.all()[0].Topics) == 2 })
	r.untilTold("created", "renewed", "recovered")
}

func TestNewsOfFailures(t *testing.T) {
	t.Parallel()
	t.Run("a failure is news when it has lasted for a while, once", func(t *testing.T) {
		t.Parallel()
		p := newProvider()
		r := newRoom(t, p)
		p.failNext(slices.Repeat([]error{errors.New("it is down")}, 8)...)
		r.run()
		r.connect("conn_1", "env_a")
		for tries := 1; tries <= 8; tries++ {
			r.until("the next try", func() bool { // a due time in the past: it is under way
				all := r.all()
				return len(all) == 1 && all[0].Tries >= tries && all[0].LastError != "" && all[0].Due.After(r.now())
			})
			if told := len(r.told()); (told > 0) != (tries >= 6) || told > 1 {
				t.Fatalf("after %d tries it is told %v", tries, r.told())
			}
			r.forward(time.Hour)
		}
		r.untilTold("failed", "recovered")
	})
	t.Run("a refusal is news at once, once", func(t *testing.T) {
		t.Parallel()
		p := newProvider()
		r := newRoom(t, p)
		p.failNext(connector.ErrRefused, connector.ErrRefused)
		r.run()
		r.connect("conn_1", "env_a")
		r.untilTold("failed")
		r.mark("conn_1") // tried again
		r.until("refused again", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.fail) == 0
		})
		r.mark("conn_1")
		r.untilTold("failed", "recovered")
	})
	t.Run("a grant that is dead is the connection's news", func(t *testing.T) {
		t.Parallel()
		p := newProvider()
		r := newRoom(t, p)
		p.failNext(connector.ErrRevoked)
		r.run()
		r.connect("conn_1", "env_a")
		r.until("the connection is told", func() bool {
			r.accounts.mu.Lock()
			defer r.accounts.mu.Unlock()
			return len(r.accounts.refused) == 1
		})
		r.connect("conn_1", "env_a")
		r.untilTold("created")
	})
}
