package interactor

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// What was disconnected is asked about no more, even before its watches go.
func TestNothingIsFetchedForWhatWasDisconnected(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	google := gmailtest.NewServer()
	t.Cleanup(google.Close)
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	var in *Interactor
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { in.Handler().ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	in, err = New(Config{
		PublicURL: web.URL, Store: db, SealingKeys: []string{seal.NewKey()}, AllowPrivateNetworks: true,
		Connectors: []Connector{gmail.New(google.Config())},
		Forwarding: Forwarding{URL: web.URL + "/events", Triggers: trigger.List(gmail.EmailSent)},
	})
	if err != nil {
		t.Fatal(err)
	}
	link, err := in.AuthURL(ctx, ConnectRequest{Connector: gmail.Name, Account: "user-42"})
	if err != nil {
		t.Fatal(err)
	}
	if err := google.Consent(ctx, link, "alice@example.com"); err != nil {
		t.Fatal(err)
	}
	conn, err := in.Auth.Find(ctx, auth.Query{Connector: gmail.Name, Account: "user-42"})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Subscriptions.Settle(ctx, conn.ID); err != nil { // Run, which would do it, does not run
		t.Fatal(err)
	}
	var sub string
	for s, err := range in.Subscriptions.Subscriptions(ctx, subscription.Query{Environment: "*", Connection: conn.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		sub = s.ID
	}
	d := &directory{registry: in.registry, auth: in.Auth, deployments: in.Deployments, subscriptions: in.Subscriptions, gap: in.gap}
	var retry *connector.RetryError
	if _, err := d.Subscription(ctx, sub); !errors.As(err, &retry) {
		t.Errorf("while it is being created: %v, want to be asked again", err)
	}
	if err := in.Auth.Disconnect(ctx, conn.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Subscription(ctx, sub); !errors.Is(err, forward.ErrNoAddress) {
		t.Errorf("after it was disconnected: %v, want ErrNoAddress", err)
	}
}
