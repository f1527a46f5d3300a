package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/subscription"
)

// Sealing is a fresh store for [Sealed].
type Sealing interface {
	auth.Store
	deployment.Store
	subscription.Store
	forward.Store
	seal.Store
}

// Sealed judges what a store does so that values can be sealed anew.
func Sealed(t *testing.T, open func(t *testing.T) Sealing) {
	t.Helper()
	for _, rule := range []struct {
		words string
		test  func(t *testing.T, s Sealing)
	}{
		{"every kind is found with the record that it is bound to, and swapped", sealedKinds},
		{"what was changed meanwhile is left out and counted, the others are swapped", sealedChanged},
		{"a swap is a change: who has read before does not write the former value back", sealedVersions},
		{"pages are in order, bounded, and leave nothing out", sealedPages},
		{"a kind that nobody knows is an error, and swaps nothing", sealedUnknown},
	} {
		t.Run(rule.words, func(t *testing.T) {
			t.Parallel()
			rule.test(t, open(t))
		})
	}
}

// fillSealed stores a value of each kind and returns the records they belong to.
func fillSealed(t *testing.T, s Sealing) map[seal.Kind]string {
	t.Helper()
	ctx := t.Context()
	o, d := newDeployment("Acme", "Shop", epoch(), "Production")
	_, err := s.EnsureDeployment(ctx, o, d, []deployment.StoredForwarding{{Owner: d.ID, Public: []byte("{}"), Sealed: []byte("former")}})
	noError(t, err)
	conn := someConnection("alice")
	conn.Environment, conn.Token, conn.Secrets = d.Environments[0].ID, []byte("former"), []byte("former")
	_, err = s.SaveConnection(ctx, auth.Write{Record: conn})
	noError(t, err)
	app := auth.AppRecord{ID: "app_1", Environment: conn.Environment, Connector: "gmail", Sealed: []byte("former"), CreatedAt: noon(), UpdatedAt: noon()}
	noError(t, s.SaveApp(ctx, app))
	noError(t, s.PutState(ctx, auth.State{ID: "hash", Sealed: []byte("former"), Until: noon()}))
	watch := newWatch(conn.ID, func(w *subscription.Subscription) { w.Sealed = []byte("former") })
	noError(t, s.SaveComparison(ctx, subscription.Dirty{}, []subscription.Subscription{watch}, nil))

	event := newEvent(func(n *forward.NewEvent) { n.Event.Payload, n.Event.Raw = []byte("former"), []byte("former") })
	task, thin := deliver(event), expand(watch.ID, "former", "")
	dead := forward.DeadInbound{ID: newID("evt"), Connector: "gitea", Environment: "env_a", ReceivedAt: epoch(), Request: []byte("former")}
	mustAppend(t, s, forward.Batch{Events: []forward.NewEvent{event}, Tasks: []forward.Task{task, thin}, Dead: []forward.DeadInbound{dead}})
	done := outcome(claimOne(t, s, task.Lane), forward.Delivered)
	done.Attempt.Response = []byte("former")
	mustFinish(t, s, done)
	return map[seal.Kind]string{
		seal.KindToken: conn.ID, seal.KindFields: conn.ID, seal.KindApp: app.ID, seal.KindConsent: "hash",
		seal.KindForwarding: d.ID, seal.KindWatch: watch.ID, seal.KindRequest: dead.ID, seal.KindThin: thin.ID,
		seal.KindPayload: event.Event.ID, seal.KindRaw: event.Event.ID, seal.KindResponse: task.ID,
	}
}

// sealedOf returns the one value of a kind.
func sealedOf(t *testing.T, s seal.Store, kind seal.Kind) seal.Stored {
	t.Helper()
	values, next, err := s.SealedAfter(t.Context(), kind, "", 100)
	noError(t, err)
	if len(values) != 1 || next != "" {
		t.Fatalf("%s: got %d values and next %q, want one value and the end", kind, len(values), next)
	}
	return values[0]
}

func sealedKinds(t *testing.T, s Sealing) {
	records := fillSealed(t, s)
	for _, kind := range seal.Kinds() {
		v := sealedOf(t, s, kind)
		if v.Kind != kind || v.Record != records[kind] || string(v.Sealed) != "former" {
			t.Errorf("%s: got %+v, want the one of %s", kind, v, records[kind])
		}
		changed, err := s.SwapSealed(t.Context(), []seal.Swap{{Stored: v, Anew: []byte("anew " + kind)}})
		if err != nil || changed != 0 {
			t.Errorf("%s: %d left out, %v", kind, changed, err)
		}
	}
	for _, kind := range seal.Kinds() { // when all were swapped: none took another one's place
		if v := sealedOf(t, s, kind); string(v.Sealed) != "anew "+string(kind) {
			t.Errorf("%s holds %q after the swap", kind, v.Sealed)
		}
	}
}

func sealedChanged(t *testing.T, s Sealing) {
	fillSealed(t, s)
	var swaps []seal.Swap
	for _, kind := range seal.Kinds() {
		v := sealedOf(t, s, kind)
		if len(swaps)%2 == 1 {
			v.Sealed = []byte("what was read before somebody changed it")
		}
		swaps = append(swaps, seal.Swap{Stored: v, Anew: []byte("anew")})
	}
	changed, err := s.SwapSealed(t.Context(), swaps)
	if err != nil || changed != len(swaps)/2 {
		t.Errorf("%d of %d left out, %v", changed, len(swaps), err)
	}
	for i, kind := range seal.Kinds() {
		want := "anew"
		if i%2 == 1 {
			want = "former"
		}
		if v := sealedOf(t, s, kind); string(v.Sealed) != want {
			t.Errorf("%s holds %q, want %q", kind, v.Sealed, want)
		}
	}
}

func sealedVersions(t *testing.T, s Sealing) {
	ctx := t.Context()
	records := fillSealed(t, s)
	conn, err := s.ConnectionByID(ctx, records[seal.KindToken])
	noError(t, err)
	app, err := s.AppByID(ctx, records[seal.KindApp])
	noError(t, err)
	watch, err := s.Subscription(ctx, records[seal.KindWatch])
	noError(t, err)
	for _, kind := range []seal.Kind{seal.KindToken, seal.KindApp, seal.KindWatch} {
		_, err := s.SwapSealed(ctx, []seal.Swap{{Stored: sealedOf(t, s, kind), Anew: []byte("anew")}})
		noError(t, err)
	}
	_, err = s.SaveConnection(ctx, auth.Write{Record: conn})
	isError(t, err, auth.ErrConflict)
	isError(t, s.SaveApp(ctx, app), auth.ErrConflict)
	_, err = s.SaveSubscription(ctx, watch, subscription.SaveOptions{})
	isError(t, err, subscription.ErrConflict)
	for _, kind := range []seal.Kind{seal.KindToken, seal.KindApp, seal.KindWatch} {
		if v := sealedOf(t, s, kind); string(v.Sealed) != "anew" {
			t.Errorf("%s holds %q, want the new value", kind, v.Sealed)
		}
	}
}

func sealedPages(t *testing.T, s Sealing) {
	const total = 7
	for i := range byte(total) {
		noError(t, s.PutState(t.Context(), auth.State{ID: fmt.Sprintf("hash %d", i), Sealed: []byte{i}, Until: noon().Add(time.Hour)}))
		add(t, s, newEvent(func(n *forward.NewEvent) {
			n.Event.Payload = append([]byte{i}, bytes.Repeat([]byte("x"), 3<<20)...)
		}))
	}
	for kind, page := range map[seal.Kind]int{seal.KindConsent: 3, seal.KindPayload: 100} {
		var got []byte
		for after := ""; ; {
			values, next, err := s.SealedAfter(t.Context(), kind, after, page)
			noError(t, err)
			size := 0
			for _, v := range values {
				got, size = append(got, v.Sealed[0]), size+len(v.Sealed)
			}
			if len(values) > page || size > 8<<20 {
				t.Errorf("%s: a page has %d values, %d bytes", kind, len(values), size)
			}
			if next == "" {
				break
			}
			after = next
		}
		if want := []byte{0, 1, 2, 3, 4, 5, 6}; !bytes.Equal(got, want) {
			t.Errorf("%s: the pages held %v, want %v", kind, got, want)
		}
	}
}

func sealedUnknown(t *testing.T, s Sealing) {
	if _, _, err := s.SealedAfter(t.Context(), "socks", "", 1); err == nil {
		t.Error("values of an unknown kind were found")
	}
	fillSealed(t, s)
	v := sealedOf(t, s, seal.KindToken)
	_, err := s.SwapSealed(t.Context(), []seal.Swap{{Stored: v, Anew: []byte("anew")}, {Stored: seal.Stored{Kind: "socks"}, Anew: []byte("anew")}})
	if err == nil {
		t.Error("a value of an unknown kind was swapped")
	}
	if v := sealedOf(t, s, seal.KindToken); string(v.Sealed) != "former" {
		t.Errorf("beside an unknown kind the token became %q", v.Sealed)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.SealedAfter(ended, seal.KindToken, "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}
