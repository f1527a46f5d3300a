package interactor

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// alone is an Interactor whose Run does not run, with a stand-in for Google.
func alone(t *testing.T) (*Interactor, *directory, *gmailtest.Server) {
	t.Helper()
	google := gmailtest.NewServer()
	t.Cleanup(google.Close)
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
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
		Connectors: []Connector{gmail.New(google.Config()), webhook.New(webhook.Config{})},
		Forwarding: Forwarding{URL: web.URL + "/events", Triggers: trigger.List(gmail.EmailSent, webhook.Received)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return in, in.directory(), google
}

// watched connects a mailbox and makes the intent of its watch, as Run would.
func watched(t *testing.T, in *Interactor, google *gmailtest.Server, account, mailbox string) (auth.Record, subscription.Subscription) {
	t.Helper()
	ctx := t.Context()
	link, err := in.AuthURL(ctx, ConnectRequest{Connector: gmail.Name, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	if err := google.Consent(ctx, link, mailbox); err != nil {
		t.Fatal(err)
	}
	found, err := in.Auth.Find(ctx, auth.Query{Connector: gmail.Name, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Subscriptions.Settle(ctx, found.ID); err != nil {
		t.Fatal(err)
	}
	conn, err := in.Auth.Get(ctx, found.ID)
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range in.Subscriptions.Subscriptions(ctx, subscription.Query{Environment: "*", Connection: conn.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		return conn, s
	}
	t.Fatal("no watch is wanted")
	return conn, subscription.Subscription{}
}

// What was disconnected is asked about no more, even before its watches go.
func TestNothingIsFetchedForWhatWasDisconnected(t *testing.T) {
	t.Parallel()
	in, d, google := alone(t)
	conn, sub := watched(t, in, google, "user-42", "alice@example.com")
	var retry *connector.RetryError
	if _, err := d.Subscription(t.Context(), sub.ID); !errors.As(err, &retry) {
		t.Errorf("while it is being created: %v, want to be asked again", err)
	}
	if err := in.Auth.Disconnect(t.Context(), conn.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Subscription(t.Context(), sub.ID); !errors.Is(err, forward.ErrNoAddress) {
		t.Errorf("after it was disconnected: %v, want ErrNoAddress", err)
	}
}

// The address decides who can be reached; what a request names only narrows it.
func TestTheAddressDecidesWhoIsReached(t *testing.T) {
	t.Parallel()
	in, d, google := alone(t)
	_, alice := watched(t, in, google, "user-1", "alice@example.com")
	conn, bob := watched(t, in, google, "user-2", "bob@example.com")
	keys := conn.Identities[0].Keys
	if len(keys) == 0 {
		t.Fatal("bob has no key to name him by")
	}
	for _, row := range []struct {
		name  string
		at    forward.Address
		watch string
		keys  []connector.Key
		want  string
	}{
		{"the App, naming bob", forward.Address{Connector: gmail.Name}, "", keys, bob.ID},
		{"the App, naming nobody", forward.Address{Connector: gmail.Name}, "", nil, ""},
		{"the App, naming bob and a watch he does not have", forward.Address{Connector: gmail.Name}, "other", keys, ""},
		{"another App, naming bob", forward.Address{Connector: gmail.Name, App: "app_1"}, "", keys, ""},
		{"another connector, naming bob", forward.Address{Connector: webhook.Name}, "", keys, ""},
		{"alice's address, naming bob", forward.Address{Connector: gmail.Name, Endpoint: alice.Endpoint, Subscription: alice.ID}, "", keys, alice.ID},
		{"alice's address, naming nobody", forward.Address{Connector: gmail.Name, Endpoint: alice.Endpoint, Subscription: alice.ID}, "", nil, alice.ID},
	} {
		to, err := d.Recipients(t.Context(), row.at, row.watch, row.keys)
		got := ""
		for _, r := range to {
			got += r.Subscription
		}
		if err != nil || got != row.want {
			t.Errorf("%s: reached %q, %v; want %q", row.name, got, err, row.want)
		}
	}
	// A mailbox is told of at its App's address, and nowhere else.
	for _, name := range []string{gmail.Name, webhook.Name} {
		if _, err := d.Address(t.Context(), name, bob.ID); !errors.Is(err, forward.ErrNoAddress) {
			t.Errorf("/webhooks/%s/%s: %v, want ErrNoAddress", name, bob.ID, err)
		}
	}
	if err := in.Auth.Disconnect(t.Context(), conn.ID); err != nil {
		t.Fatal(err)
	}
	if to, err := d.Recipients(t.Context(), forward.Address{Connector: gmail.Name}, "", keys); err != nil || len(to) != 0 {
		t.Errorf("disconnected: reached %v, %v", to, err)
	}
}

// A Webhook's address exists under its own connector only, and answers 410 from
// the moment it was disconnected.
func TestAWebhooksAddress(t *testing.T) {
	t.Parallel()
	in, d, _ := alone(t)
	ctx := t.Context()
	conn, err := in.Auth.Connect(ctx, ConnectRequest{Connector: webhook.Name, Account: "user-1", Input: map[string]string{
		"secret": "a shared secret of 32 characters", "scheme": webhook.HMAC,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Subscriptions.Settle(ctx, conn.ID); err != nil {
		t.Fatal(err)
	}
	addresses, err := in.Subscriptions.Addresses(ctx, conn.ID)
	if err != nil || len(addresses) != 1 {
		t.Fatalf("addresses: %v, %v", addresses, err)
	}
	endpoint := path.Base(addresses[0])
	a, err := d.Address(ctx, webhook.Name, endpoint)
	if err != nil || !slices.Equal(a.Secrets, []string{"a shared secret of 32 characters"}) || a.Connection != conn.ID || a.Values["secret"] != "" {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := d.Address(ctx, gmail.Name, endpoint); !errors.Is(err, forward.ErrNoAddress) {
		t.Errorf("under another connector: %v, want ErrNoAddress", err)
	}
	if err := in.Auth.Disconnect(ctx, conn.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Address(ctx, webhook.Name, endpoint); !errors.Is(err, forward.ErrAddressGone) {
		t.Errorf("disconnected: %v, want ErrAddressGone", err)
	}
	if _, err := d.Address(ctx, webhook.Name, "sub_00000000000000000000000000"); !errors.Is(err, forward.ErrNoAddress) {
		t.Errorf("unknown: %v, want ErrNoAddress", err)
	}
}

// A call that failed because the grant is dead says nothing new, least of all of
// a grant that came after it.
func TestADeadGrantIsRecordedOnce(t *testing.T) {
	t.Parallel()
	in, d, google := alone(t)
	conn, sub := watched(t, in, google, "user-1", "alice@example.com")
	refused := func(cause error) {
		t.Helper()
		if err := (connections{in.Auth}).Refused(t.Context(), conn.ID, fmt.Errorf("gmail: watch: %w", cause)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(status auth.Status, reason string) {
		t.Helper()
		if c, err := in.Auth.Get(t.Context(), conn.ID); err != nil || c.Status != status || c.Reason != reason {
			t.Errorf("%s, %q, %v; want %s, %q", c.Status, c.Reason, err, status, reason)
		}
	}
	refused(connector.NewStatusError(http.StatusUnauthorized, []byte("dead")))
	first := "gmail: watch: " + connector.NewStatusError(http.StatusUnauthorized, []byte("dead")).Error()
	want(auth.Expired, first)
	_, again := in.Auth.Session(t.Context(), conn.ID)
	if _, ok := errors.AsType[*auth.ReconnectError](again); !ok {
		t.Fatalf("a session of a dead grant: %v", again)
	}
	refused(again)
	to := forward.Recipient{Connection: conn.ID, Subscription: sub.ID}
	if err := d.Signal(t.Context(), to, forward.SignalExpired, again.Error()); err != nil {
		t.Fatal(err)
	}
	want(auth.Expired, first)
	if err := in.Auth.MarkActive(t.Context(), conn.ID); err != nil {
		t.Fatal(err)
	}
	refused(again)
	want(auth.Active, "")
}
