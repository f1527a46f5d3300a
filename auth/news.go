package auth

import (
	"encoding/json"
	"time"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// News about Connections, as trigger names. They go to Config.Notify always, and
// are forwarded like any other event when a trigger list names them.
const (
	Created      = "connection.created"       // an end user has connected an account
	HasExpired   = "connection.expired"       // the provider refuses the grant: the user must connect again
	WasRevoked   = "connection.revoked"       // disconnected by you, or by the user at the provider
	HasFailed    = "connection.failed"        // it cannot be used for another reason
	Recovered    = "connection.recovered"     // it works again: the user has connected again, or a suspension was lifted
	NeedsConsent = "connection.needs_consent" // triggers need scopes that the user has not granted
)

// News are the names of this room's news.
func News() []string {
	return []string{Created, HasExpired, WasRevoked, HasFailed, Recovered, NeedsConsent}
}

// newsPayload is the payload of this room's news.
type newsPayload struct {
	Connection string    `json:"connection"`
	Connector  string    `json:"connector"`
	Identity   string    `json:"identity,omitempty"` // who that is at the provider
	Status     Status    `json:"status"`
	Reason     string    `json:"reason,omitempty"` // for people
	Since      time.Time `json:"since,omitzero"`
	Missing    []string  `json:"missing,omitempty"` // scopes
}

// news are what a change of a Connection means to the team. They are stored in
// the commit of the change, so each change is told, and once.
func (a *Authorizer) news(before, after Record) []trigger.Event {
	var names []string
	switch {
	case before.Version == 0:
		names = append(names, Created)
	case before.Status == after.Status:
	case after.Status == Active && before.Status != Pending:
		names = append(names, Recovered)
	case after.Status == Expired:
		names = append(names, HasExpired)
	case after.Status == Revoked:
		names = append(names, WasRevoked)
	case after.Status == Failed:
		names = append(names, HasFailed)
	}
	if after.NeedsConsent && !before.NeedsConsent {
		names = append(names, NeedsConsent)
	}
	if len(names) == 0 {
		return nil
	}
	payload, _ := json.Marshal(newsPayload{ //nolint:errchkjson // texts and times cannot fail
		Connection: after.ID, Connector: after.Connector, Identity: after.Identity, Status: after.Status, Reason: after.Reason,
		Since: after.Since, Missing: after.Missing,
	})
	now := a.now()
	news := make([]trigger.Event, 0, len(names))
	for _, name := range names {
		news = append(news, trigger.Event{
			ID: id.New("evt", now), Trigger: name, Time: now, Environment: after.Environment,
			Account: after.Account, Connection: after.ID, Payload: payload,
		})
	}
	return news
}
