package interactor

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// Who is remembered as a recipient is read anew when its params change.
func TestRecipientsHaveTheParamsOfTheirConnection(t *testing.T) {
	t.Parallel()
	in, d, google := alone(t)
	conn, sub := watched(t, in, google, "user-1", "alice@example.com")
	ctx := t.Context()
	want := trigger.Overrides{gmail.EmailSent: {}}
	recipient := func() forward.Recipient {
		t.Helper()
		to, err := d.Recipients(ctx, forward.Address{Connector: gmail.Name}, "", conn.Identities[0].Keys)
		if err != nil || len(to) != 1 || to[0].Subscription != sub.ID {
			t.Fatalf("reached %+v, %v", to, err)
		}
		return to[0]
	}
	if got := recipient(); len(got.Overrides) != 0 {
		t.Errorf("got %v", got.Overrides)
	}
	if _, err := in.SetParams(ctx, conn.ID, want); err != nil {
		t.Fatal(err)
	}
	if got := recipient(); !got.Overrides.Equal(want) {
		t.Errorf("by key: got %v, want %v", got.Overrides, want)
	}
	to, err := d.Recipients(ctx, forward.Address{Connector: gmail.Name, Endpoint: sub.Endpoint, Subscription: sub.ID}, "", nil)
	if err != nil || len(to) != 1 || !to[0].Overrides.Equal(want) {
		t.Errorf("at its address: got %+v, %v", to, err)
	}
	// What Run has found out by now: from where on the provider reports.
	if sub, err = in.cfg.Store.Subscription(ctx, sub.ID); err != nil {
		t.Fatal(err)
	}
	sub.Held.Cursor = "1"
	if _, err = in.cfg.Store.SaveSubscription(ctx, sub, subscription.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	x, err := d.Subscription(ctx, sub.ID)
	if err != nil || !x.Recipient.Overrides.Equal(want) {
		t.Errorf("asked about: got %+v, %v", x, err)
	}
	// Of what nothing is left, the connector is not asked: it might tell everything.
	if sub, err = in.cfg.Store.Subscription(ctx, sub.ID); err != nil {
		t.Fatal(err)
	}
	sub.Rejected = []subscription.Rejection{{Filter: sub.Filters[0], Reason: "no such label"}}
	if _, err = in.cfg.Store.SaveSubscription(ctx, sub, subscription.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	var retry *connector.RetryError
	if _, err := d.Subscription(ctx, sub.ID); !errors.As(err, &retry) || retry.After == 0 {
		t.Errorf("rejected as a whole: %v, want to be asked later", err)
	}
	if c, err := (connections{in.Auth}).Connection(ctx, conn.ID); err != nil || !c.Params.Equal(want) {
		t.Errorf("for its watches: got %v, %v", c.Params, err)
	}
}

// deaf is Gmail that cannot deliver what is received.
type deaf struct{ *gmail.Connector }

const whyDeaf = "incoming mail needs another topic: set it in the Config"

func (c deaf) Describe() connector.Description {
	d := c.Connector.Describe()
	d.Triggers = slices.Clone(d.Triggers)
	for i := range d.Triggers {
		if d.Triggers[i].Name == gmail.EmailReceived {
			d.Triggers[i].Undeliverable, d.Triggers[i].Scopes = whyDeaf, []string{"incoming"}
		}
	}
	return d
}

// The program's own trigger list is refused like anybody else's, and no consent is
// asked for what a wildcard leaves out.
func TestUndeliverableTriggers(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "interactor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	cfg := Config{
		PublicURL: "https://hooks.example.com", Store: db, SealingKeys: []string{seal.NewKey()},
		Connectors: []Connector{deaf{gmail.New(gmail.Config{ClientID: "id", ClientSecret: "secret"})}},
		Forwarding: Forwarding{URL: "https://app.example.com/events", Triggers: trigger.List("gmail.*", gmail.EmailReceived, "gmail.nothing")},
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), whyDeaf) || !strings.Contains(err.Error(), "gmail.nothing") {
		t.Errorf("got %v, want all that is wrong", err)
	}
	cfg.Forwarding.Triggers = trigger.List("gmail.*")
	in, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	scopes, err := in.scopes(t.Context(), "env_default", gmail.Name)
	if err != nil || len(scopes) == 0 || slices.Contains(scopes, "incoming") {
		t.Errorf("scopes are %v, %v", scopes, err)
	}
}
