package jiratest

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// Fault makes calls fail.
type Fault struct {
	// Call is what fails: "token", "resources" (accessible-resources), "me", and
	// of the Jira API the names in the table of apiRoutes, such as "register",
	// "webhooks" (list), "refresh", "unregister", "search", "issue", "myself".
	// Empty: any.
	Call string
	Skip int // so many calls pass first
	// Times is how many fail. Defaults to 1; ignored with For.
	Times int
	// For makes every call fail so long, by the server's clock.
	For        time.Duration
	Status     int // required, but with Lost
	RetryAfter time.Duration
	// Lost carries the call out and cuts the connection instead of answering.
	Lost bool

	until time.Time
}

// Fail makes the next calls fail. Faults add up, in order. Status 429 is
// answered as Jira's rate limits are.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = max(1, f.Times)
	if f.For > 0 {
		f.until = s.now().Add(f.For)
	}
	s.faults = append(s.faults, &f)
}

// Recover ends every fault.
func (s *Server) Recover() { s.set(func() { s.faults = nil }) }

// answer runs a call, or fails it when a fault is due. s.mu is held.
func (s *Server) answer(w http.ResponseWriter, name string, call func(http.ResponseWriter)) {
	f := s.due(name)
	switch {
	case f == nil:
		call(w)
	case f.Lost:
		call(httptest.NewRecorder())
		panic(http.ErrAbortHandler)
	default:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
		}
		if f.Status == http.StatusTooManyRequests {
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("RateLimit-Reason", "jira-burst-based")
		}
		if name == "token" {
			oauthError(w, f.Status, "server_error", "A fault that was asked for.")
			return
		}
		apiError(w, f.Status, "A fault that was asked for.")
	}
}

// due takes the fault that is due for a call.
func (s *Server) due(name string) *Fault {
	for _, f := range s.faults {
		over := f.Times == 0
		if f.For > 0 {
			over = !s.now().Before(f.until)
		}
		if over || f.Call != "" && f.Call != name {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.For == 0 {
			f.Times--
		}
		return f
	}
	return nil
}

// SetClock replaces the clock, for tokens and webhooks that expire. Defaults to time.Now.
func (s *Server) SetClock(now func() time.Time) { s.set(func() { s.now = now }) }

// SetTokenLifetime sets how long access tokens live. Defaults to an hour, as Atlassian's.
func (s *Server) SetTokenLifetime(d time.Duration) { s.set(func() { s.lifetime = d }) }

// SetReuseWindow lets a refresh token that was used answer again so long; each
// answer brings another refresh token. Defaults to 0: it works once. Atlassian
// is said to have such a window, of unknown length.
func (s *Server) SetReuseWindow(d time.Duration) { s.set(func() { s.reuse = d }) }

// SetPageSize bounds the pages of every list; 0: as asked for.
func (s *Server) SetPageSize(n int) { s.set(func() { s.pageSize = n }) }

// SetSearchLag hides from searches what changed so recently: Jira's index
// follows after the data. Defaults to 0.
func (s *Server) SetSearchLag(d time.Duration) { s.set(func() { s.lag = d }) }

// ExpireTokens ends every access token now; refresh tokens stay good.
func (s *Server) ExpireTokens() { s.set(func() { clear(s.access) }) }

// SetScopes limits what an app may ask for, as the permissions in the developer
// console do. Defaults to every scope that the server knows.
func (s *Server) SetScopes(clientID string, scopes ...string) {
	s.set(func() {
		if c := s.clients[clientID]; c != nil {
			c.scopes = append([]string{}, scopes...)
		}
	})
}

// SetClientSecret replaces the secret of an app, as "Rotate secret" in the
// developer console does: the former one is dead at once, and deliveries are
// signed with the new one.
func (s *Server) SetClientSecret(clientID, secret string) {
	s.set(func() {
		if c := s.clients[clientID]; c != nil {
			c.secret = secret
		}
	})
}

// SetUndistributed makes an app one that is not distributed, as every app is
// until its distribution is switched on: webhooks that anyone but the owner
// registered are kept, and nothing is delivered for them. An empty owner undoes it.
func (s *Server) SetUndistributed(clientID, owner string) {
	s.set(func() {
		if c := s.clients[clientID]; c != nil {
			c.owner = fold(owner)
		}
	})
}

// RevokeAccess is the person who removes every app under "Connected apps":
// tokens are dead, and the webhooks they registered fall silent (assumed).
func (s *Server) RevokeAccess(email string) {
	s.set(func() {
		for key, g := range s.grants {
			if key.person == fold(email) {
				s.end(g)
			}
		}
	})
}

// Status is what happened to a person's grants so far.
type Status struct {
	Refreshes int  // answers to refresh tokens
	Revoked   bool // the consent was revoked, and none given since
}

// Status tells what happened to a person's grants.
func (s *Server) Status(email string) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{Refreshes: s.refreshes[fold(email)], Revoked: s.revoked[fold(email)]}
}
