package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// Routed is a fresh store for [Routing].
type Routed interface {
	auth.Store
	deployment.Store
	subscription.Store
	forward.Store
	RoutingVersion(ctx context.Context) (int64, error)
}

// Routing judges when a store says that what requests are routed by has changed.
// Who remembers an answer longer than that would send an event to somebody who
// has disconnected, or refuse one that a new key has signed.
func Routing(t *testing.T, open func(t *testing.T) Routed) {
	t.Helper()
	s := open(t)
	ctx := t.Context()
	version := func() int64 {
		v, err := s.RoutingVersion(ctx)
		noError(t, err)
		return v
	}
	changes := func(what string, want bool, do func()) {
		t.Helper()
		before := version()
		do()
		if after := version(); (after != before) != want {
			t.Errorf("%s: version %d became %d", what, before, after)
		}
	}
	o, d := newDeployment("Acme", "Shop", epoch(), "Production")
	conn := someConnection("alice")
	conn.Environment = d.Environments[0].ID
	app := auth.AppRecord{ID: "app_1", Environment: conn.Environment, Connector: "gmail", ClientID: "client", CreatedAt: noon(), UpdatedAt: noon()}
	watch := newWatch(conn.ID)
	saveConnection := func() {
		v, err := s.SaveConnection(ctx, auth.Write{Record: conn, Routes: true})
		noError(t, err)
		conn.Version = v
	}
	changes("a new deployment", true, func() {
		_, err := s.EnsureDeployment(ctx, o, d, nil)
		noError(t, err)
	})
	changes("a new connection", true, saveConnection)
	changes("a new App", true, func() { noError(t, s.SaveApp(ctx, app)) })
	changes("a changed App", true, func() {
		app.Version, app.Sealed = 1, []byte("another secret")
		noError(t, s.SaveApp(ctx, app))
	})
	changes("a new watch", true, func() {
		noError(t, s.SaveComparison(ctx, subscription.Dirty{}, []subscription.Subscription{watch}, nil))
	})
	changes("a watch that the provider holds", true, func() {
		held, err := s.Subscription(ctx, watch.ID)
		noError(t, err)
		held.Held.Keys, held.State = nil, subscription.Active
		_, err = s.SaveSubscription(ctx, held, subscription.SaveOptions{})
		noError(t, err)
	})
	changes("an event", false, func() {
		add(t, s, newEvent())
		mustFinish(t, s, outcome(claimOne(t, s, "dest:env_a"), forward.Delivered))
	})
	changes("looking for work", false, func() {
		_, err := s.ClaimDirty(ctx, noon().Add(time.Hour), time.Minute, 10)
		noError(t, err)
		_, err = s.ClaimSubscriptions(ctx, noon().Add(time.Hour), time.Minute, 10)
		noError(t, err)
	})
	changes("other params of a connection", true, func() {
		conn.Params = trigger.Overrides{"gmail.email.labeled": {"label": "Orders"}}
		saveConnection()
	})
	changes("a disconnected connection", true, func() {
		conn.Status = auth.Revoked
		saveConnection()
	})
	changes("a removed watch", true, func() {
		gone, err := s.Subscription(ctx, watch.ID)
		noError(t, err)
		gone.State, gone.EndedAt = subscription.Removed, noon()
		_, err = s.SaveSubscription(ctx, gone, subscription.SaveOptions{})
		noError(t, err)
	})
	changes("a forgotten watch", true, func() {
		n, err := s.ForgetSubscriptions(ctx, noon().Add(time.Hour), 10)
		if noError(t, err); n != 1 {
			t.Errorf("forgot %d, want 1", n)
		}
	})
	changes("a deleted environment", true, func() {
		_, err := s.MarkDeleted(ctx, conn.Environment, noon())
		noError(t, err)
	})
	changes("an erased environment", true, func() { noError(t, s.EraseEnvironment(ctx, conn.Environment)) })
}
