package forward_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// located is a Directory that knows Deployments.
type located struct{ forward.Directory }

func (located) Deployment(_ context.Context, environment string) (string, error) {
	if environment == "env_gone" {
		return "", fmt.Errorf("%w: %s", forward.ErrEnvironmentGone, environment)
	}
	return "dep_1", nil
}

// What another room has put beside a commit is told although nobody was running,
// and although the store fails now and then: each of Notify and the receiver once.
func TestOutbox(t *testing.T) {
	t.Parallel()
	m := newMemory()
	news := func(name, environment string) trigger.Event {
		return trigger.Event{
			ID: id.New("evt", time.Now()), Trigger: name, Environment: environment, Account: "user-A", Connection: "conn_A",
			Time: time.Now(), Payload: []byte(`{"reason":"so"}`),
		}
	}
	var mu sync.Mutex
	var told []string
	r := &receiver{}
	cfg := forward.Config{
		Store: m, Directory: located{two(settings("connection.expired", "subscription.renewed"), settings("a.b"))},
		Notify: func(_ context.Context, ev trigger.Event) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, ev.Trigger+" of "+ev.Environment)
		},
	}
	bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
		first := news("connection.expired", "env_A")
		m.addNews(first, news("connection.created", "env_A"), news("connection.expired", "env_B"), news("connection.expired", "env_gone"))
		// Each fails a few times, one after another.
		fails := map[string]int{"WaitingNews": 2, "Append": 2, "ForgetNews": 2}
		m.fail = func(method string) error {
			if fails[method] == 0 {
				return nil
			}
			fails[method]--
			return errors.New("busy")
		}
		running(t, f)
		pass(10 * time.Second)
		second := news("subscription.renewed", "env_A")
		m.addNews(second)
		f.WakeNews()
		pass(time.Second)
		mu.Lock()
		defer mu.Unlock()
		for _, want := range []string{"connection.expired of env_A", "connection.created of env_A", "connection.expired of env_B", "subscription.renewed of env_A"} {
			if n := len(slices.DeleteFunc(slices.Clone(told), func(got string) bool { return got != want })); n != 1 {
				t.Errorf("Notify was told %s %d times: %v", want, n, told)
			}
		}
		var arrived []string
		for _, d := range r.deliveries() {
			arrived = append(arrived, d.event.ID)
			if d.event.Deployment != "dep_1" || d.event.Account != "user-A" || string(d.event.Payload) != `{"reason":"so"}` {
				t.Errorf("%+v", d.event)
			}
		}
		if want := []string{first.ID, second.ID}; !slices.Equal(arrived, want) {
			t.Errorf("arrived %v, want %v", arrived, want)
		}
		if left, err := m.WaitingNews(t.Context(), 9); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
	})
}
