package forward_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// News go to Notify always, and to the receiver when its list names them.
func TestNewsGoBothWays(t *testing.T) {
	t.Parallel()
	for _, name := range []string{forward.DeliveryExhausted, forward.DestinationPaused, forward.DestinationRecovered} {
		for _, listed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s listed %v", name, listed), func(t *testing.T) {
				t.Parallel()
				triggers := []string{noteAdded}
				if listed {
					triggers = append(triggers, name)
				}
				s := settings(triggers...)
				s.Retry = []time.Duration{time.Second}
				tries := 0
				r := &receiver{answer: func(_ int, ev trigger.Event) (int, http.Header) {
					if ev.Trigger != noteAdded {
						return http.StatusOK, nil
					}
					tries++
					switch {
					case name == forward.DeliveryExhausted:
						return http.StatusBadRequest, nil
					case tries == 1:
						return http.StatusGone, nil
					}
					return http.StatusOK, nil
				}}
				var mu sync.Mutex
				told := map[string]trigger.Event{}
				cfg := forward.Config{
					Directory: two(s, settings("gone.away")),
					Notify: func(_ context.Context, ev trigger.Event) {
						mu.Lock()
						defer mu.Unlock()
						told[ev.Trigger] = ev
					},
				}
				bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
					running(t, f)
					mustPost(t, f, hook, "default-key", one("k"))
					pass(time.Minute)
					if err := f.Resume(t.Context(), "env_A"); err != nil { // where it was paused
						t.Fatal(err)
					}
					pass(time.Minute)
					mu.Lock()
					defer mu.Unlock()
					news, ok := told[name]
					if !ok {
						t.Fatalf("Notify was told %v", told)
					}
					var arrived []trigger.Event
					for _, d := range r.deliveries() {
						if d.event.Trigger == name {
							arrived = append(arrived, d.event)
						}
					}
					switch {
					case !listed && len(arrived) != 0:
						t.Errorf("the receiver got %v, which its list does not name", arrived)
					case listed && (len(arrived) != 1 || arrived[0].ID != news.ID || string(arrived[0].Payload) != string(news.Payload) || arrived[0].Environment != "env_A"):
						t.Errorf("the receiver got %+v, want %+v", arrived, news)
					}
				})
			})
		}
	}
}
