package gmail_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/subscription"
)

// What goes wrong between us and Google, with the whole engine in between. Each
// time mail is sent before, during and after, and each mail arrives once.
func TestFaults(t *testing.T) {
	t.Parallel()
	quarter := 15 * time.Minute
	for _, tt := range []struct {
		name  string
		ahead time.Duration // of Google's clock
		do    func(s *sim, send func())
		gaps  int
	}{
		{name: "a token expires in the middle of an expand", do: func(s *sim, send func()) {
			s.google.DropPushes(2)
			send()
			send()
			// The page has been read with a good token; of its messages the second
			// finds it expired.
			s.google.Fail(gmailtest.Fault{Call: "message", Skip: 1, Status: 401, Reason: "authError"})
			send()
			s.pass(time.Minute)
			if n := s.google.Refreshes(alice); n != 1 {
				s.t.Errorf("%d refreshes", n)
			}
		}},
		{name: "every token is expired at once", do: func(s *sim, send func()) {
			s.google.ExpireTokens()
			send()
			s.pass(time.Minute)
		}},
		{name: "the grant is revoked, and given again", do: func(s *sim, send func()) {
			s.google.RevokeAccess(alice)
			send()
			s.pass(time.Hour)
			c, err := s.Auth.Find(s.t.Context(), auth.Query{Connector: gmail.Name, Account: "user-1"})
			if err != nil || c.Status != auth.Expired {
				s.t.Errorf("the connection is %s, %v", c.Status, err)
			}
			send()
			before := s.net.called("POST /token")
			s.pass(24 * time.Hour)
			if n := s.net.called("POST /token") - before; n > 0 {
				s.t.Errorf("Google was asked %d times for a token of a dead grant", n)
			}
			if again := s.signIn("user-1", alice); again.ID != c.ID {
				s.t.Errorf("the connection is %s, not %s", again.ID, c.ID)
			}
		}},
		{name: "Google answers 503 for an hour", do: func(s *sim, send func()) {
			s.google.Fail(gmailtest.Fault{Status: 503, Times: 1 << 30})
			for range 4 {
				send()
				s.pass(quarter)
			}
			if n := s.net.called("GET /gmail/v1/users/me/history"); n > 40 {
				s.t.Errorf("Google was asked %d times in that hour", n)
			}
			s.google.Heal()
			s.pass(2 * time.Hour)
		}},
		{name: "Google says slow down", do: func(s *sim, send func()) {
			s.google.Fail(gmailtest.Fault{Call: "history", Status: 429, Times: 3, RetryAfter: 10 * time.Minute})
			send()
			s.pass(time.Hour)
		}},
		{name: "notifications are told twice", do: func(s *sim, send func()) {
			s.google.DuplicatePushes(100)
			for range 5 {
				send()
			}
			s.pass(time.Minute)
		}},
		{name: "notifications overtake each other, and some are from long ago", do: func(s *sim, send func()) {
			now := s.google.Status(alice).HistoryID
			s.google.DropPushes(2)
			send()
			send()
			newest := s.google.Status(alice).HistoryID
			for _, id := range []uint64{newest, now - 1000, now, newest - 1, 1} {
				s.google.Notify(alice, id)
			}
			s.pass(time.Minute)
		}},
		{name: "notifications never come", do: func(s *sim, send func()) {
			s.google.DropPushes(1 << 30)
			send()
			s.pass(7 * time.Hour) // the safety net
			s.google.DropPushes(0)
		}},
		{name: "one notification stands for a burst", do: func(s *sim, send func()) {
			s.google.SetNotifyInterval(time.Second)
			for range 20 {
				send()
			}
			s.pass(2 * time.Second)
			send()
			s.pass(time.Minute)
		}},
		{name: "Google has forgotten the history", do: func(s *sim, send func()) {
			s.google.DropPushes(3)
			for range 3 {
				send()
			}
			s.google.ExpireHistory(alice)
			send()
			s.pass(time.Minute)
		}, gaps: 1},
		{name: "Google's clock is ahead", ahead: 9 * time.Minute, do: skewed, gaps: 1},
		{name: "Google's clock is behind", ahead: -9 * time.Minute, do: skewed, gaps: 1},
		{name: "two Interactors share the store", do: func(s *sim, send func()) {
			first := s.Interactor
			stop := s.start()
			for i := range 10 {
				handler := first.Handler()
				if i%2 == 0 {
					handler = s.Handler()
				}
				s.net.serve(oursURL, handler)
				s.google.DuplicatePushes(1)
				if i == 5 {
					s.google.ExpireTokens()
				}
				send()
				s.pass(time.Second)
			}
			s.pass(7 * time.Hour) // over polls and renewals of both
			stop()
			s.Interactor = first
			s.net.serve(oursURL, first.Handler())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			simulate(t, tt.ahead, nil, func(s *sim) {
				s.google.AddMailbox(bob)
				s.signIn("user-1", alice)
				var ids []string
				send := func() {
					ids = append(ids, s.google.Send(gmailtest.Mail{
						From: alice, To: []string{alice, bob}, Subject: fmt.Sprint(len(ids)),
					})[alice])
				}
				send()
				s.pass(time.Minute)
				tt.do(s, send)
				send()
				s.pass(2 * time.Hour)
				for i, id := range ids {
					for _, name := range []string{gmail.EmailSent, gmail.EmailReceived, gmail.ThreadStarted} {
						if !s.has("user-1", name, id) {
							s.t.Errorf("mail %d of %d: no %s", i, len(ids), name)
						}
					}
				}
				if n := s.count(gmail.EmailSent); n != len(ids) || s.ids > 0 {
					s.t.Errorf("%d mails arrived, %d were sent; %d events came under two ids", n, len(ids), s.ids)
				}
				if n := s.count(subscription.Gap); n != tt.gaps {
					s.t.Errorf("%d gaps were told, want %d", n, tt.gaps)
				}
			})
		})
	}
}

// skewed does what depends on a clock: tokens, pushes, and a resync, which asks
// for mail since a moment.
func skewed(s *sim, send func()) {
	send()
	s.pass(2 * time.Hour)
	send()
	s.google.DropPushes(2)
	s.pass(time.Minute)
	send()
	send()
	s.google.ExpireHistory(alice)
	send()
	s.pass(time.Minute)
}
