package e2e_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/trigger"
	standard "github.com/interactorhq/interactor/webhook"
)

// TestSecretRotation: while a signing secret is being rotated, receivers that have the old one, the
// new one or both accept what comes, by the official Go library and by npm's; after the overlap only
// those with the new one do. A v1a key is rotated out with the others.
func TestSecretRotation(t *testing.T) {
	t.Parallel()
	// The overlap is shorter than the tolerance of both libraries, which have clocks of their own.
	const overlap = 2 * time.Minute
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	inbox := newReceiver(t)
	in := interactortest.Start(t, interactor.Config{Connectors: []interactor.Connector{webhook.New(webhook.Config{})}, Now: now})
	old := standard.NewSecret()
	private, public := standard.NewKeyPair()
	err := in.Deployments.SetForwarding(t.Context(), "", forward.Settings{
		URL: inbox.url, Triggers: trigger.List("*"), Secrets: []string{old, private},
	})
	if err != nil {
		t.Fatal(err)
	}
	deliver := func(what string, versions ...string) delivery {
		t.Helper()
		sent, err := in.Forwarder.SendExample(t.Context(), "", webhook.Received, "")
		if err != nil {
			t.Fatal(err)
		}
		d := inbox.wait(t, what, func(d delivery) bool { return d.id == sent.ID })
		var got []string
		for signature := range strings.FieldsSeq(d.header.Get("webhook-signature")) {
			version, _, _ := strings.Cut(signature, ",")
			got = append(got, version)
		}
		if !slices.Equal(got, versions) {
			t.Errorf("%s: signed with %v, want %v", what, got, versions)
		}
		return d
	}
	ours := func(d delivery, secrets ...string) error {
		return standard.Verifier{Secrets: secrets, Now: now}.Verify(d.header, d.body)
	}

	d := deliver("before", "v1", "v1a")
	verify(t, old, d)

	fresh, err := in.Deployments.RotateSecret(t.Context(), "", overlap)
	if err != nil {
		t.Fatal(err)
	}
	d = deliver("in the overlap", "v1", "v1", "v1a")
	verify(t, old, d)
	verify(t, fresh, d)
	for _, secrets := range [][]string{{old}, {fresh}, {fresh, old}, {public}} {
		if err := ours(d, secrets...); err != nil {
			t.Errorf("in the overlap, a receiver with %d secrets refuses: %v", len(secrets), err)
		}
	}

	ahead.Store(int64(overlap))
	d = deliver("after the overlap", "v1")
	verify(t, fresh, d)
	if accepts(t, old, d) || ours(d, old) == nil || ours(d, public) == nil {
		t.Error("after the overlap a receiver with what was rotated out still accepts")
	}
}
