package gmail_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	retry := func(err error) bool { var r *connector.RetryError; return errors.As(err, &r) }
	is := func(target error) func(error) bool {
		return func(err error) bool { return errors.Is(err, target) && !retry(err) }
	}
	for _, tt := range []struct {
		name  string
		fault gmailtest.Fault
		want  func(error) bool
	}{
		{"rate limit, 403", gmailtest.Fault{Call: "history", Status: 403, Reason: "rateLimitExceeded"}, retry},
		{"user rate limit, 403", gmailtest.Fault{Call: "message", Status: 403, Reason: "userRateLimitExceeded"}, retry},
		{"too many requests", gmailtest.Fault{Call: "message", Status: 429, RetryAfter: 7 * time.Second}, func(err error) bool {
			var r *connector.RetryError
			return errors.As(err, &r) && r.After == 7*time.Second
		}},
		{"server error", gmailtest.Fault{Call: "history", Status: 500}, retry},
		{"unavailable, second message", gmailtest.Fault{Call: "message", Skip: 1, Status: 503}, retry},
		{"scope missing", gmailtest.Fault{Call: "history", Status: 403, Reason: "insufficientPermissions"}, is(connector.ErrScope)},
		{"API not enabled", gmailtest.Fault{Call: "history", Status: 403, Reason: "accessNotConfigured"}, is(connector.ErrRefused)},
		{"unauthorized after refresh", gmailtest.Fault{Call: "history", Status: 401, Times: 2, Reason: "authError"}, is(connector.ErrRevoked)},
		{"profile fails in a resync", gmailtest.Fault{Call: "profile", Status: 500}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			r := newRig(t, google, alice, "gmail.*")
			sent := []string{google.Send(mail("one"))[alice], google.Send(mail("two"))[alice]}
			if tt.want == nil { // needs a lost history
				tt.want = retry
				google.ExpireHistory(alice)
			}
			google.Fail(tt.fault)
			if _, err := r.page(nil); err == nil || !tt.want(err) {
				t.Fatalf("got %v", err)
			}
			r.catchUp() // once the fault is over nothing is missing and nothing is told twice
			slices.Sort(sent)
			got := r.ids(gmail.EmailSent)
			slices.Sort(got)
			if !slices.Equal(got, sent) || r.twice > 0 {
				t.Errorf("told %q and %d again, want %q", got, r.twice, sent)
			}
		})
	}
}

// One message that cannot be had must not hold up the mailbox for good.
func TestUnreadableMessageIsAGap(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, "gmail.*")
	google.Send(mail("poison"))
	id := google.Send(mail("fine"))[alice]
	google.Fail(gmailtest.Fault{Call: "message", Status: 400, Reason: "failedPrecondition"})
	r.catchUp()
	r.want(gmail.EmailSent, id)
	if len(r.gaps) != 1 {
		t.Errorf("gaps: %q", r.gaps)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	t.Run("token expires between pages", func(t *testing.T) {
		t.Parallel()
		google := newGoogle(t)
		google.SetPageSize(1)
		r := newRig(t, google, alice, "gmail.*")
		var sent []string
		for i := range 4 {
			sent = append(sent, google.Send(mail(fmt.Sprint(i)))[alice])
		}
		for {
			google.ExpireTokens()
			out, err := r.page(nil)
			if err != nil {
				t.Fatal(err)
			}
			if !out.More {
				break
			}
		}
		r.want(gmail.EmailSent, sent...)
		if google.Refreshes(alice) != 4 {
			t.Errorf("%d refreshes", google.Refreshes(alice))
		}
	})
	t.Run("revoked by the person", func(t *testing.T) {
		t.Parallel()
		google := newGoogle(t)
		r := newRig(t, google, alice, "gmail.*")
		google.RevokeAccess(alice)
		if _, err := r.page(nil); !errors.Is(err, connector.ErrRevoked) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		google := newGoogle(t)
		r := newRig(t, google, alice, "gmail.*")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var retry *connector.RetryError
		if _, err := r.c.Expand(ctx, r.s, r.sub, nil); !errors.Is(err, context.Canceled) || errors.As(err, &retry) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no network", func(t *testing.T) {
		t.Parallel()
		google := newGoogle(t)
		r := newRig(t, google, alice, "gmail.*")
		google.Close()
		var retry *connector.RetryError
		if _, err := r.page(nil); !errors.As(err, &retry) {
			t.Errorf("got %v", err)
		}
	})
}
