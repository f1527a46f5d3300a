package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

func TestDisconnect(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	token := f.p.refreshTokens()[0]
	for range 2 {
		if err := f.Disconnect(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	r := f.record(t, id)
	if r.Status != auth.Revoked || !r.Closing || r.Erased || f.p.count("/revoke") != 0 {
		t.Errorf("closing: %+v", r)
	}
	s, err := f.Session(ctx, id)
	if err != nil {
		t.Fatal("its watches cannot be removed: ", err)
	}
	f.clock.advance(2 * time.Hour)
	if err := s.JSON(ctx, http.MethodGet, "me", nil, nil); err != nil {
		t.Errorf("a closing one refreshes, too: %v", err)
	}
	f.p.set(func() {
		f.p.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	})
	if err := f.FinishDisconnect(ctx, id); err == nil || f.record(t, id).Erased {
		t.Errorf("provider away: %v, %+v", err, f.record(t, id))
	}
	f.p.set(func() { f.p.before = nil })
	last := f.p.refreshTokens()[0]
	for range 2 {
		if err := f.FinishDisconnect(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	r = f.record(t, id)
	if r.Closing || !r.Erased || r.Token != nil || r.Secrets != nil || r.Grant != "" || !r.RefreshAt.IsZero() {
		t.Errorf("erased: %+v", r)
	}
	if !slices.Equal(f.p.revoked, []string{last}) || last == token {
		t.Errorf("revoked %v, want the last refresh token %q", f.p.revoked, last)
	}
	var again *auth.ReconnectError
	if _, err := f.Client(ctx, id); !errors.As(err, &again) {
		t.Errorf("client of an erased one: %v", err)
	}
	wantErr(t, f.Disconnect(ctx, "conn_unknown"), auth.ErrNotFound)

	b := f.browser(t)
	if res := b.get(f.p.consent(t, b.press(t, f.link(t, auth.ConnectRequest{}), nil).Header().Get("Location"), "alice")); res.Code != 200 {
		t.Fatalf("connect again: %d", res.Code)
	}
	if r := f.record(t, f.only(t)); r.ID != id || r.Status != auth.Active || r.Erased {
		t.Errorf("connected again: %+v", r)
	}
}

func TestAbandonDisconnect(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	if err := f.Disconnect(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	f.p.Close()
	if err := f.AbandonDisconnect(t.Context(), id); err != nil || !f.record(t, id).Erased {
		t.Errorf("%v, %+v", err, f.record(t, id))
	}
}

// Revoking ends all grants of user and App at some providers: it waits until
// nobody else lives on them.
func TestSharedGrantIsNotRevoked(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	one := f.connect(t, "alice", auth.ConnectRequest{Account: "a"}).ID
	two := f.connect(t, "alice", auth.ConnectRequest{Account: "b"}).ID
	for i, id := range []string{one, two} {
		if err := errors.Join(f.Disconnect(ctx, id), f.FinishDisconnect(ctx, id)); err != nil {
			t.Fatal(err)
		}
		if n := f.p.count("/revoke"); n != i {
			t.Errorf("after disconnecting %d: revoked %d times", i+1, n)
		}
	}
}

// Connecting again while watches are being removed takes the disconnect back.
func TestReconnectWhileClosing(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	if err := f.Disconnect(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b := f.browser(t)
	b.get(f.p.consent(t, b.press(t, f.link(t, auth.ConnectRequest{}), nil).Header().Get("Location"), "alice"))
	if err := f.FinishDisconnect(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if r := f.record(t, id); r.Status != auth.Active || r.Erased || r.Closing || f.p.count("/revoke") != 0 {
		t.Errorf("%+v", r)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx := t.Context()
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	check := func(err error, want auth.Status, reason string) {
		t.Helper()
		r := f.record(t, id)
		if err != nil || r.Status != want || r.Reason != reason {
			t.Errorf("%v, %+v", err, r.Connection)
		}
	}
	f.clock.advance(time.Minute)
	check(f.MarkRevoked(ctx, id, "app removed"), auth.Revoked, "app removed")
	if r := f.record(t, id); !r.Since.Equal(f.clock.now()) || !r.RefreshAt.IsZero() {
		t.Errorf("%+v", r)
	}
	check(f.MarkActive(ctx, id), auth.Active, "")
	if f.record(t, id).RefreshAt.IsZero() {
		t.Error("restored without refresh")
	}
	check(f.MarkExpired(ctx, id, "dead"), auth.Expired, "dead")
	// Calls that fail for that tell the reason within theirs.
	_, err := f.Session(ctx, id)
	if err == nil || !strings.Contains(err.Error(), "dead") {
		t.Errorf("a session of a dead grant: %v", err)
	}
	check(f.MarkExpired(ctx, id, fmt.Sprint(err)), auth.Expired, "dead")
	check(f.MarkFailed(ctx, id, "broken"), auth.Failed, "broken")
	check(f.MarkActive(ctx, id), auth.Active, "")
	changes := len(f.changed)
	check(f.MarkNeedsConsent(ctx, id, "lacks notes.write", "notes.write"), auth.Active, "lacks notes.write")
	if r := f.record(t, id); !r.NeedsConsent || !slices.Equal(r.Missing, []string{"notes.write"}) {
		t.Errorf("%+v", r.Connection)
	}
	version := f.record(t, id).Version
	check(f.MarkNeedsConsent(ctx, id, "lacks notes.write"), auth.Active, "lacks notes.write")
	if f.record(t, id).Version != version || len(f.changed) != changes {
		t.Error("the same again is written again")
	}
	wantErr(t, f.MarkActive(ctx, "conn_unknown"), auth.ErrNotFound)

	for i, after := range []time.Duration{0, 30 * time.Second, 2 * time.Minute} {
		at := f.clock.now().Add(after)
		if err := f.Touch(ctx, id, at); err != nil {
			t.Fatal(err)
		}
		if got := f.record(t, id).LastEvent; got.Equal(at) == (i == 1) {
			t.Errorf("after %v the last event is %v", after, got)
		}
	}

	f.p.set(func() {
		for tok := range f.p.access {
			f.p.access[tok] = "alice2"
		}
	})
	changes = len(f.changed)
	if err := f.Reidentify(ctx, id); err != nil {
		t.Fatal(err)
	}
	if r := f.record(t, id); r.Identity != "alice2@example.com" || r.Holder != "id-alice" || len(f.changed) != changes+1 {
		t.Errorf("%+v", r)
	}
	if err := f.Reidentify(ctx, id); err != nil || len(f.changed) != changes+1 {
		t.Errorf("nothing new: %v, %d", err, len(f.changed))
	}
}

// A refresh under way is over before the grant is revoked, so that what is
// revoked is the last refresh token.
func TestDisconnectDuringRefresh(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	if err := f.Disconnect(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var again *auth.ReconnectError
	if _, err := f.Client(t.Context(), id); !errors.As(err, &again) {
		t.Errorf("a disconnected connection still gives a client: %v", err)
	}
	session, err := f.Session(t.Context(), id) // is for what has to be removed
	if err != nil {
		t.Fatal(err)
	}
	c := session.HTTP
	asked, answer := make(chan struct{}), make(chan struct{})
	f.p.set(func() {
		f.p.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				close(asked)
				<-answer
			}
			return false
		}
	})
	f.clock.advance(2 * time.Hour)
	called, finished := make(chan error), make(chan error)
	go func() {
		res, err := c.Get(f.p.URL + "/api/me")
		if err == nil {
			res.Body.Close()
		}
		called <- err
	}()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.FinishDisconnect(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it did not wait: %v", err)
	}
	go func() { finished <- f.FinishDisconnect(t.Context(), id) }()
	close(answer)
	if err := <-called; err != nil {
		if _, gone := errors.AsType[*auth.ReconnectError](err); !gone {
			t.Error(err)
		}
	}
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if left := f.p.refreshTokens(); len(left) != 0 || len(f.p.revoked) != 1 {
		t.Errorf("left at the provider: %v, revoked %v", left, f.p.revoked)
	}
}

// Consent after a refusal for lack of a scope tells those who wait for it, also
// when the provider names the same scopes as before.
func TestConsentAnewTellsWhoWaits(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	id := f.connect(t, "alice", auth.ConnectRequest{}).ID
	if err := f.MarkNeedsConsent(t.Context(), id, "no access to the folder"); err != nil {
		t.Fatal(err)
	}
	changes := len(f.changed)
	browser := f.browser(t)
	res := browser.press(t, f.link(t, auth.ConnectRequest{}), nil)
	browser.get(f.p.consent(t, res.Header().Get("Location"), "alice"))
	if r := f.record(t, id); r.NeedsConsent {
		t.Fatalf("connected again: %+v", r)
	}
	if len(f.changed) == changes {
		t.Error("nobody was told")
	}
}

// Who holds a client when a Connection ends gets no further with it, and the token
// that it has seen is not sent any more.
func TestAClientEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(f *fixture, id string) error{
		"revoked at the provider":                   func(f *fixture, id string) error { return f.MarkRevoked(t.Context(), id, "removed there") },
		"refused by the provider":                   func(f *fixture, id string) error { return f.MarkExpired(t.Context(), id, "refused") },
		"disconnected, its watches not yet removed": func(f *fixture, id string) error { return f.Disconnect(t.Context(), id) },
		"disconnected": func(f *fixture, id string) error {
			return errors.Join(f.Disconnect(t.Context(), id), f.FinishDisconnect(t.Context(), id))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t)
			id := f.connect(t, "alice", auth.ConnectRequest{}).ID
			c := f.client(t, id)
			if status, _ := get(t, c, f.p.URL+"/api/me"); status != http.StatusOK {
				t.Fatalf("before: %d", status)
			}
			if err := end(f, id); err != nil {
				t.Fatal(err)
			}
			before := f.p.count("/api/me")
			err := call(c, f.p.URL+"/api/me")
			var again *auth.ReconnectError
			if !errors.As(err, &again) || again.Connection.ID != id || !errors.Is(err, connector.ErrRevoked) || f.p.count("/api/me") != before {
				t.Errorf("after: %v, %d requests", err, f.p.count("/api/me")-before)
			}
		})
	}
}
