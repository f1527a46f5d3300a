package interactor_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// The life of a connection and its watch is told: all of it to Notify, and to the
// receiver what its trigger list names.
func TestLifecycleNews(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	inbox := forwardtest.NewReceiver(t)
	var mu sync.Mutex
	var told []string
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
		Forwarding: inbox.Settings(gmail.EmailSent, auth.Created, auth.WasRevoked, subscription.Created),
		Notify: func(_ context.Context, ev trigger.Event) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, ev.Trigger)
		},
	})
	conn := connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-42"}, "alice@example.com")
	if err := in.Auth.MarkExpired(t.Context(), conn.ID, "it is over"); err != nil {
		t.Fatal(err)
	}
	if err := in.Auth.Disconnect(t.Context(), conn.ID); err != nil {
		t.Fatal(err)
	}
	var arrived []string
	for range 3 {
		ev := inbox.Next()
		arrived = append(arrived, ev.Trigger)
		if ev.Account != "user-42" || ev.Connection != conn.ID || ev.Environment != "env_default" || ev.Deployment != "dep_default" || ev.Connector != "interactor" {
			t.Errorf("%+v", ev)
		}
		var payload struct{ Connector, Identity, Status, Reason string }
		if err := json.Unmarshal(ev.Payload, &payload); err != nil || payload.Connector != gmail.Name {
			t.Errorf("%s, %v", ev.Payload, err)
		}
		if ev.Trigger == auth.WasRevoked && (payload.Identity != "alice@example.com" || payload.Status != "revoked" || payload.Reason != "disconnected") {
			t.Errorf("%s", ev.Payload)
		}
	}
	slices.Sort(arrived)
	if want := []string{auth.Created, auth.WasRevoked, subscription.Created}; !slices.Equal(arrived, want) {
		t.Errorf("arrived %v, want %v", arrived, want)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, name := range []string{auth.Created, subscription.Created, auth.HasExpired, auth.WasRevoked} {
		if !slices.Contains(told, name) {
			t.Errorf("Notify was not told %s: %v", name, told)
		}
	}
}
