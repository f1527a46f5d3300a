package gmail_test

import (
	"testing"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/internal/racing"
)

const carol = "carol@example.com"

// Sixty days: no watch lapses, none is renewed in a storm, mail arrives each day,
// a watch that Google lost is back within two days, and a grant that is dead is
// told once and asked about seldom.
func TestSixtyDays(t *testing.T) {
	t.Parallel()
	if testing.Short() || racing.Enabled {
		t.Skip("60 simulated days: they run without the race detector")
	}
	simulate(t, 0, nil, func(s *sim) {
		s.google.AddMailbox(bob)
		s.signIn("user-1", alice)
		s.signIn("user-2", alice)
		dead := s.signIn("user-3", carol)
		const days = 60
		var refreshes int
		for day := range days {
			switch day {
			case 10:
				s.google.RevokeAccess(carol)
			case 12:
				refreshes = s.net.called("POST /token")
			case 30:
				s.google.ExpireWatches(alice)
			}
			for range 24 {
				s.pass(time.Hour)
				if (day < 30 || day > 31) && !s.google.Status(alice).Watching {
					t.Fatalf("day %d: the watch has lapsed", day)
				}
			}
			id := s.google.Send(mailTo("daily"))[alice]
			s.pass(10 * time.Second)
			both := s.has("user-1", gmail.EmailReceived, id) && s.has("user-2", gmail.EmailReceived, id)
			if day != 30 && day != 31 && !both {
				t.Fatalf("day %d: mail did not arrive", day)
			}
		}
		s.pass(12 * time.Hour)
		if n := s.count(gmail.EmailReceived); n != 2*days || s.ids > 0 { // for two accounts each
			t.Errorf("%d mails arrived, want %d; %d under two ids", n, 2*days, s.ids)
		}
		if n := s.google.Watches(alice); n < 2*days*10/13 || n > 2*days*10/8+10 {
			t.Errorf("%d calls of watch for two connections in %d days", n, days)
		}
		c, err := s.Auth.Connection(s.t.Context(), dead.ID)
		if err != nil || c.Status != auth.Expired {
			t.Errorf("the dead connection is %s, %v", c.Status, err)
		}
		if n := s.count(auth.HasExpired); n != 1 || s.logged("auth: connection must be connected again") != 1 {
			t.Errorf("the dead grant was told %d times", n)
		}
		// Two live connections need a token each hour, taken a little early.
		if n := s.net.called("POST /token") - refreshes; n > 2*24*(days-12)*5/4 {
			t.Errorf("%d calls of the token endpoint", n)
		}
	})
}
