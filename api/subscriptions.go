package api

import (
	"net/http"

	"github.com/interactorhq/interactor/subscription"
)

// subscriptions serves GET /subscriptions.
func (a *api) subscriptions(c *call) (answer, error) {
	q := parseQuery(c.r)
	healthy := q.among("healthy", "true", "false")
	sel := subscription.Query{
		Environment: c.environment, Connection: q.one("connection"), Connector: q.one("connector"),
		Healthy: healthy == "true", Unhealthy: healthy == "false",
	}
	var limit int
	sel.After, limit = q.page("sub")
	if err := q.end(); err != nil {
		return answer{}, err
	}
	list := List[Subscription]{Items: []Subscription{}}
	for found, err := range a.cfg.Subscriptions.Subscriptions(c.r.Context(), sel) {
		if err != nil {
			return answer{}, err
		}
		if len(list.Items) == limit {
			list.Next = list.Items[limit-1].ID
			break
		}
		list.Items = append(list.Items, subscriptionOf(found))
	}
	return reply(http.StatusOK, list)
}

func subscriptionOf(s subscription.Subscription) Subscription {
	return Subscription{
		ID: s.ID, Connection: s.Connection, Account: s.Account, Connector: s.Connector,
		Watch: s.Watch, Resource: s.Resource, RemoteID: s.Held.ID, Triggers: some(s.Triggers),
		State: string(s.State), Healthy: s.Healthy(), LastError: s.LastError, Tries: s.Tries, CreatedAt: s.CreatedAt.UTC(),
		HeldSince: when(s.HeldSince), LastRenewalAt: when(s.LastRenewal), RenewAt: when(s.RenewAt), ExpiresAt: when(s.Held.ExpiresAt),
		NextTryAt: when(s.Due), Rejected: rejected(s.Rejected),
	}
}

func rejected(all []subscription.Rejection) []Rejection {
	out := make([]Rejection, 0, len(all))
	for _, r := range all {
		out = append(out, Rejection{Trigger: r.Filter.Trigger, Params: r.Filter.Params, Reason: r.Reason})
	}
	return out
}
