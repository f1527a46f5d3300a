package gmailtest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// SetPush sets where the default project's push subscription delivers: the
// address of the webhook, as one sets it in the Google Cloud console. Until
// then notifications are lost. Loopback only.
func (s *Server) SetPush(endpoint string) error { return s.SetAppPush(defaultClient, endpoint) }

// SetAppPush is SetPush for the project of another client.
func (s *Server) SetAppPush(clientID, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !loopbackHost(u.Hostname()) {
		return fmt.Errorf("gmailtest: push endpoint %q is no http address on loopback", endpoint)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil {
		return fmt.Errorf("gmailtest: there is no client %q: call AddClient", clientID)
	}
	c.project.endpoint = endpoint
	return nil
}

// Fault makes calls fail.
type Fault struct {
	// Call is what fails: "token", "revoke", "certs", or of the Gmail API
	// "profile", "watch", "stop", "history", "messages" (list), "message" (get),
	// "attachment", "thread", "labels", "drafts", and of Pub/Sub "pull" and
	// "acknowledge". Empty: any.
	Call       string
	Skip       int    // so many calls pass first
	Times      int    // how many fail. Defaults to 1
	Status     int    // required
	Reason     string // such as "rateLimitExceeded"
	RetryAfter time.Duration
}

// Fail makes the next calls fail. Faults add up, in order.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = max(1, f.Times)
	s.faults = append(s.faults, &f)
}

// Heal ends every fault.
func (s *Server) Heal() { s.set(func() { s.faults = nil }) }

// faulty answers with the fault that is due for the call, if any. s.mu is held.
func (s *Server) faulty(w http.ResponseWriter, call string) bool {
	for _, f := range s.faults {
		if f.Times == 0 || f.Call != "" && f.Call != call {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Times--
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
		}
		if call == "token" || call == "revoke" {
			oauthError(w, f.Status, orElse(f.Reason, "internal_failure"), "A fault that was asked for.")
		} else {
			apiError(w, f.Status, orElse(f.Reason, "backendError"), "A fault that was asked for.")
		}
		return true
	}
	return false
}

// SetClock replaces the clock, for tokens and watches that expire. Defaults to time.Now.
func (s *Server) SetClock(now func() time.Time) { s.set(func() { s.now = now }) }

// SetTokenLifetime sets how long access tokens live. Defaults to 3599 s, as Google's.
func (s *Server) SetTokenLifetime(d time.Duration) { s.set(func() { s.lifetime = d }) }

// SetPageSize bounds the pages of history.list and messages.list; 0: as asked for.
func (s *Server) SetPageSize(n int) { s.set(func() { s.pageSize = n }) }

// SetHistoryIDAsString makes notifications carry historyId as a string.
func (s *Server) SetHistoryIDAsString(on bool) { s.set(func() { s.idAsString = on }) }

// SetUnwrapped makes pushes carry the notification itself, as a subscription
// with payload unwrapping does.
func (s *Server) SetUnwrapped(on bool) { s.set(func() { s.unwrapped = on }) }

// SetNotifyInterval is the least time between two notifications of a mailbox;
// what comes sooner is lost. Google's is a second. Defaults to 0: nothing is lost.
func (s *Server) SetNotifyInterval(d time.Duration) { s.set(func() { s.interval = d }) }

// DropPushes loses the next n notifications.
func (s *Server) DropPushes(n int) { s.set(func() { s.drop = n }) }

// DuplicatePushes delivers the next n notifications twice.
func (s *Server) DuplicatePushes(n int) { s.set(func() { s.dup = n }) }

// ExpireTokens ends every access token now; refresh tokens stay good.
func (s *Server) ExpireTokens() { s.set(func() { clear(s.access) }) }

// ExpireUsedTokens is ExpireTokens for those that were used, as time passing
// does it: a token that was given a moment ago is good for its first call.
func (s *Server) ExpireUsedTokens() {
	s.set(func() { maps.DeleteFunc(s.access, func(_ string, t *accessToken) bool { return t.used }) })
}

// ExpireHistory forgets the history of a mailbox: older cursors get 404.
func (s *Server) ExpireHistory(mailbox string) {
	s.set(func() {
		m := s.mailbox(mailbox)
		m.history, m.oldest = nil, s.next()
		m.current = m.oldest
	})
}

// ExpireWatches ends the watches of a mailbox, as the passing of 7 days does.
func (s *Server) ExpireWatches(mailbox string) {
	s.set(func() { clear(s.mailbox(mailbox).watches) })
}

// RevokeAccess is the person who removes every app from the account.
func (s *Server) RevokeAccess(mailbox string) {
	s.set(func() {
		for key, g := range s.grants {
			if key.mailbox == fold(mailbox) {
				s.end(g)
			}
		}
	})
}

// Notify publishes a notification about a mailbox whatever happened in it: a
// late one, or one about an address that nobody connected.
func (s *Server) Notify(mailbox string, historyID uint64) {
	s.set(func() {
		p := s.projects[defaultProject]
		s.send(p, s.notification(p, mailbox, historyID))
	})
}

// Notification is the body of a push about a mailbox, for tests of decoding.
func (s *Server) Notification(mailbox string, historyID uint64) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notification(s.projects[defaultProject], mailbox, historyID)
}

func (s *Server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Status is what happened to a mailbox so far.
type Status struct {
	Watches   int    // calls of users.watch
	Stops     int    // calls of users.stop
	Watching  bool   // a watch is live
	Refreshes int    // answers to refresh tokens
	Revoked   bool   // its consent was revoked, and none given since
	HistoryID uint64 // of its newest change
	Messages  int
}

// Status tells what happened to a mailbox.
func (s *Server) Status(mailbox string) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fold(mailbox)
	st := Status{Refreshes: s.refreshes[key], Revoked: s.revoked[key]}
	m := s.mailboxes[key]
	if m == nil {
		return st
	}
	st.Watches, st.Stops, st.HistoryID, st.Messages = m.watched, m.stopped, m.current, len(m.messages)
	for _, w := range m.watches {
		st.Watching = st.Watching || s.now().Before(w.expires)
	}
	return st
}

// Watches is how often users.watch was called for a mailbox.
func (s *Server) Watches(mailbox string) int { return s.Status(mailbox).Watches }

// Stops is how often users.stop was called for a mailbox.
func (s *Server) Stops(mailbox string) int { return s.Status(mailbox).Stops }

// Revoked reports whether the consent of a mailbox was revoked.
func (s *Server) Revoked(mailbox string) bool { return s.Status(mailbox).Revoked }

// Refreshes is how often a refresh token of a mailbox was used.
func (s *Server) Refreshes(mailbox string) int { return s.Status(mailbox).Refreshes }

// Pushes tells how many notifications were published, and how many pushes of
// them were acknowledged.
func (s *Server) Pushes() (published, acknowledged int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published, s.delivered
}
