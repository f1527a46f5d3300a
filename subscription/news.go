package subscription

import (
	"encoding/json"
	"time"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// failAfter is how many calls about a watch have failed in a row when that is
// news: by then they have failed for some five minutes.
const failAfter = 6

// News are the names of this room's news.
func News() []string { return []string{Created, Renewed, Failed, Recovered, Gap} }

// newsPayload is the payload of this room's news.
type newsPayload struct {
	Subscription string    `json:"subscription"`
	Connector    string    `json:"connector"`
	Watch        string    `json:"watch"`
	Resource     string    `json:"resource,omitempty"`
	Triggers     []string  `json:"triggers"`
	RenewAt      time.Time `json:"renew_at,omitzero"`
	Tries        int       `json:"tries,omitempty"`  // failed calls in a row
	Reason       string    `json:"reason,omitempty"` // for people
}

// news is one event to be told, for SaveOptions.News.
func (r *Reconciler) news(s Subscription, name string) []trigger.Event {
	reason := s.LastError
	if reason == "" && name == Failed {
		reason = s.rejections()
	}
	payload, _ := json.Marshal(newsPayload{ //nolint:errchkjson // texts and times cannot fail
		Subscription: s.ID, Connector: s.Connector, Watch: s.Watch, Resource: s.Resource, Triggers: s.Triggers,
		RenewAt: s.RenewAt, Tries: s.Tries, Reason: reason,
	})
	now := r.cfg.Now()
	return []trigger.Event{{
		ID: id.New("evt", now), Trigger: name, Time: now, Environment: s.Environment,
		Account: s.Account, Connection: s.Connection, Payload: payload,
	}}
}

// heldNews says what a success means, and notes it in s. renewed: it was held, and
// the call has prolonged it.
func (r *Reconciler) heldNews(s *Subscription, renewed bool) []trigger.Event {
	name, partly := "", len(s.Rejected) > 0
	told := s.FailureTold
	switch {
	case told && !partly:
		name = Recovered
	case s.HeldSince.IsZero():
		name = Created
	case renewed:
		name = Renewed
	case s.lost:
		name = Recovered
	}
	s.FailureTold = partly
	if s.HeldSince.IsZero() {
		s.HeldSince = r.cfg.Now()
	}
	var all []trigger.Event
	if name != "" {
		all = r.news(*s, name)
	}
	if partly && !told { // the rest of it is silent until somebody acts
		all = append(all, r.news(*s, Failed)...)
	}
	return all
}

// failedNews says what a failure means, and notes it in s: one that lasts, or that
// only a person can mend, is told once.
func (r *Reconciler) failedNews(s *Subscription) []trigger.Event {
	if s.FailureTold || s.State == Removing || s.State != Refused && s.Tries < failAfter {
		return nil
	}
	s.FailureTold = true
	return r.news(*s, Failed)
}
