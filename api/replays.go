package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
)

// replayDelivery serves POST /deliveries/{id}/replay.
func (a *api) replayDelivery(c *call) (answer, error) {
	if err := a.noBody(c); err != nil {
		return answer{}, err
	}
	wanted := c.params["id"]
	if !id.Valid("dlv", wanted) {
		return answer{}, notFound("delivery", wanted)
	}
	found, err := a.cfg.Forwarder.Delivery(c.r.Context(), wanted)
	var of forward.Record
	if err == nil {
		of, err = a.cfg.Forwarder.Event(c.r.Context(), found.Event)
	}
	if errors.Is(err, forward.ErrNotFound) || err == nil && of.Environment != c.environment {
		return answer{}, notFound("delivery", wanted)
	}
	if err != nil {
		return answer{}, err
	}
	made, err := a.cfg.Forwarder.ReplayDelivery(c.r.Context(), wanted)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusAccepted, deliveryOf(made))
}

// replayAll serves POST /replays.
func (a *api) replayAll(c *call) (answer, error) {
	body, err := c.body()
	if err != nil {
		return answer{}, err
	}
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	q := forward.Query{Environment: c.environment}
	var status string
	dry := false
	o := parseObject(body)
	o.text("connector", &q.Connector)
	o.text("trigger", &q.Trigger)
	o.text("account", &q.Account)
	o.text("connection", &q.Connection)
	o.text("status", &status)
	o.time("since", &q.Since)
	o.time("until", &q.Until)
	o.flag("dry_run", &dry)
	if err := o.end(); err != nil {
		return answer{}, err
	}
	q.Status = forward.Status(status)
	if dry {
		n, err := a.cfg.Forwarder.Count(c.r.Context(), q)
		if err != nil {
			return answer{}, err
		}
		return reply(http.StatusOK, ReplayCount{Count: n})
	}
	made, err := a.cfg.Forwarder.ReplayAll(c.r.Context(), q)
	if err != nil {
		return answer{}, err
	}
	job, err := a.cfg.Forwarder.ReplayJob(c.r.Context(), made)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusAccepted, replayOf(job))
}

// replays serves GET /replays.
func (a *api) replays(c *call) (answer, error) {
	q := parseQuery(c.r)
	sel := forward.ReplaysQuery{Environment: c.environment}
	var limit int
	sel.After, limit = q.page("rpl")
	if err := q.end(); err != nil {
		return answer{}, err
	}
	list := List[Replay]{Items: []Replay{}}
	for found, err := range a.cfg.Forwarder.Replays(c.r.Context(), sel) {
		if err != nil {
			return answer{}, err
		}
		if len(list.Items) == limit {
			list.Next = list.Items[limit-1].ID
			break
		}
		list.Items = append(list.Items, replayOf(found))
	}
	return reply(http.StatusOK, list)
}

// replay serves GET /replays/{id}.
func (a *api) replay(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	found, err := a.ownReplay(c)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusOK, replayOf(found))
}

// cancelReplay serves DELETE /replays/{id}.
func (a *api) cancelReplay(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	found, err := a.ownReplay(c)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.cfg.Forwarder.CancelReplay(c.r.Context(), found.ID)
}

// ownReplay returns the one that the path names, if it is this Environment's.
func (a *api) ownReplay(c *call) (forward.ReplayJob, error) {
	wanted := c.params["id"]
	if !id.Valid("rpl", wanted) {
		return forward.ReplayJob{}, notFound("replay", wanted)
	}
	found, err := a.cfg.Forwarder.ReplayJob(c.r.Context(), wanted)
	if errors.Is(err, forward.ErrNotFound) || err == nil && found.Query.Environment != c.environment {
		return forward.ReplayJob{}, notFound("replay", wanted)
	}
	return found, err
}

func replayOf(j forward.ReplayJob) Replay {
	q := j.Query
	return Replay{
		ID: j.ID, State: string(j.State), Reason: j.Reason,
		Filter: ReplayFilter{
			Connector: q.Connector, Trigger: q.Trigger, Account: q.Account, Connection: q.Connection,
			Status: string(q.Status), Since: when(q.Since), Until: q.Until.UTC(),
		},
		Selected: j.Selected, Queued: j.Queued, Delivered: j.Delivered, Dead: j.Dead,
		Cancelled: j.Cancelled, Undecodable: j.Undecodable,
		CreatedAt: j.Created.UTC(), EndedAt: when(j.Ended),
	}
}

// time takes a member that is a time.
func (o *object) time(name string, to *time.Time) {
	var text string
	if !o.text(name, &text) || o.err != nil {
		return
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		o.err = badBody(name, "%s is no time: write it like 2026-11-23T15:04:05Z", name)
	}
	*to = t
}

func (o *object) flag(name string, to *bool) { o.take(name, "true or false", to) }
