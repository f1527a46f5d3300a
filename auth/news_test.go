package auth_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/internal/id"
)

// told takes what is to be told out of the store: names and, of the last one, the payload.
func (f *fixture) told(t *testing.T) (names string, last map[string]any) {
	t.Helper()
	list, err := f.store.WaitingNews(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var all, ids []string
	for _, ev := range list {
		all, ids = append(all, ev.Trigger), append(ids, ev.ID)
		if !id.Valid("evt", ev.ID) || ev.Environment != "env_default" || ev.Account == "" || ev.Connection == "" || ev.Time.IsZero() {
			t.Errorf("%+v", ev)
		}
		last = map[string]any{}
		if err := json.Unmarshal(ev.Payload, &last); err != nil {
			t.Fatal(err)
		}
		if last["connection"] != ev.Connection {
			t.Errorf("%s of %s", ev.Payload, ev.Connection)
		}
	}
	if err := f.store.ForgetNews(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " "), last
}

// What becomes of a connection is told once for each change, however often a
// reason for it comes.
func TestNews(t *testing.T) {
	t.Parallel()
	told := 0
	f := setUp(t, func(f *fixture) { f.cfg.Told = func() { told++ } })
	ctx := t.Context()
	conn := f.connect(t, "alice", auth.ConnectRequest{}).ID
	want := func(names, status, reason string) {
		t.Helper()
		got, last := f.told(t)
		if got != names {
			t.Errorf("told %q, want %q", got, names)
		}
		if names != "" && (last["status"] != status || last["reason"] != reason && (reason != "" || last["reason"] != nil) || told == 0) {
			t.Errorf("payload %v, want %s because %q; called %d times", last, status, reason, told)
		}
		told = 0
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want("connection.created", "active", "")
	do(f.MarkExpired(ctx, conn, "it is dead"))
	do(f.MarkExpired(ctx, conn, "it is dead"))
	do(f.MarkExpired(ctx, conn, "still dead"))
	want("connection.expired", "expired", "it is dead")
	b := f.browser(t)
	b.get(f.p.consent(t, b.press(t, f.link(t, auth.ConnectRequest{}), nil).Header().Get("Location"), "alice"))
	want("connection.recovered", "active", "")
	do(f.MarkFailed(ctx, conn, "broken"))
	want("connection.failed", "failed", "broken")
	do(f.MarkRevoked(ctx, conn, "the app was removed"))
	want("connection.revoked", "revoked", "the app was removed")
	do(f.MarkExpired(ctx, conn, "a call failed")) // as it must
	want("", "", "")
	do(f.MarkActive(ctx, conn))
	want("connection.recovered", "active", "")
	do(f.MarkNeedsConsent(ctx, conn, "lacks notes.write", "notes.write"))
	do(f.MarkNeedsConsent(ctx, conn, "lacks notes.write", "notes.more"))
	got, last := f.told(t)
	if missing, _ := json.Marshal(last["missing"]); got != "connection.needs_consent" || string(missing) != `["notes.write"]` {
		t.Errorf("told %q: %v", got, last)
	}
	do(f.Touch(ctx, conn, f.clock.now()))
	want("", "", "")
	do(f.Disconnect(ctx, conn))
	do(f.Disconnect(ctx, conn))
	want("connection.revoked", "revoked", "disconnected")
	do(f.FinishDisconnect(ctx, conn))
	want("", "", "")
}
