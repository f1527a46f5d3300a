package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
)

// events serves GET /events.
func (a *api) events(c *call) (answer, error) {
	q := parseQuery(c.r)
	sel := forward.Query{
		Environment: c.environment, Connector: q.one("connector"), Trigger: q.one("trigger"),
		Account: q.one("account"), Connection: q.one("connection"),
		Status: forward.Status(q.among("status", "pending", "delivered", "dead", "paused")),
		Since:  q.time("since"), Until: q.time("until"),
	}
	var limit int
	sel.After, limit = q.page("evt")
	if err := q.end(); err != nil {
		return answer{}, err
	}
	list := List[Event]{Items: []Event{}}
	for found, err := range a.cfg.Forwarder.Events(c.r.Context(), sel) {
		if err != nil {
			return answer{}, err
		}
		if len(list.Items) == limit {
			list.Next = list.Items[limit-1].ID
			break
		}
		found.Deliveries = nil
		list.Items = append(list.Items, eventOf(found))
	}
	return reply(http.StatusOK, list)
}

// event serves GET /events/{id}.
func (a *api) event(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	found, err := a.ownEvent(c)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusOK, eventOf(found))
}

// ownEvent returns the one that the path names, if it is this Environment's.
func (a *api) ownEvent(c *call) (forward.Record, error) {
	wanted := c.params["id"]
	if !id.Valid("evt", wanted) {
		return forward.Record{}, notFound("event", wanted)
	}
	found, err := a.cfg.Forwarder.Event(c.r.Context(), wanted)
	if errors.Is(err, forward.ErrNotFound) || err == nil && found.Environment != c.environment {
		return forward.Record{}, notFound("event", wanted)
	}
	return found, err
}

// replayEvent serves POST /events/{id}/replay.
func (a *api) replayEvent(c *call) (answer, error) {
	if err := a.noBody(c); err != nil {
		return answer{}, err
	}
	found, err := a.ownEvent(c)
	if err != nil {
		return answer{}, err
	}
	d, err := a.cfg.Forwarder.Replay(c.r.Context(), found.ID)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusAccepted, deliveryOf(d))
}

// noBody accepts none, and an empty object.
func (a *api) noBody(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	if err := parseQuery(c.r).end(); err != nil {
		return err
	}
	if len(strings.TrimSpace(string(body))) == 0 {
		return nil
	}
	return parseObject(body).end()
}

// sendExample serves POST /events/test.
func (a *api) sendExample(c *call) (answer, error) {
	body, err := c.body()
	if err != nil {
		return answer{}, err
	}
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	var trigger, account string
	o := parseObject(body)
	o.text("trigger", &trigger)
	o.text("account", &account)
	if err := o.end(); err != nil {
		return answer{}, err
	}
	if trigger == "" {
		return answer{}, missing("trigger", "name one, such as \"gmail.email.sent\"; GET /connectors/{connector} lists those of a connector")
	}
	switch {
	case len(account) > maxAccount:
		return answer{}, badBody("account", "account has more than %d bytes", maxAccount)
	case strings.ContainsFunc(account, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		return answer{}, badBody("account", "account holds control characters or is not UTF-8")
	}
	made, err := a.cfg.Forwarder.SendExample(c.r.Context(), c.environment, trigger, account)
	if err != nil {
		return answer{}, err
	}
	return reply(http.StatusAccepted, eventOf(made))
}

// maxAccount is how long the id of an account may be, in bytes, as for a connection.
const maxAccount = 512

func eventOf(r forward.Record) Event {
	e := Event{
		ID: r.ID, Type: r.Trigger, Timestamp: r.Time.UTC(), ReceivedAt: r.ReceivedAt.UTC(),
		Status: string(r.Status), Reason: r.Reason, Connector: r.Connector, Account: r.Account,
		Connection: r.Connection, Test: r.Test, Payload: r.Payload,
	}
	if len(e.Payload) == 0 { // not decoded
		e.Payload = json.RawMessage("null")
	}
	for _, d := range r.Deliveries {
		e.Deliveries = append(e.Deliveries, deliveryOf(d))
	}
	return e
}

func deliveryOf(d forward.Delivery) Delivery {
	out := Delivery{
		ID: d.ID, Event: d.Event, URL: d.URL, Status: string(d.Status), Reason: d.Reason,
		NextAt: when(d.NextAt), Replay: d.Replay, Attempts: make([]Attempt, 0, len(d.Attempts)),
	}
	for _, t := range d.Attempts {
		out.Attempts = append(out.Attempts, Attempt{
			At: t.At.UTC(), Took: t.Took.String(), URL: t.URL, StatusCode: t.StatusCode,
			ErrorClass: string(t.Class), Error: t.Error, Timing: timingOf(t.Timing),
			RequestHeader: header(t.RequestHeader), ResponseHeader: header(t.ResponseHeader),
			Response: strings.ToValidUTF8(string(t.Response), "\uFFFD"),
		})
	}
	return out
}

// timingOf is nil for tries without HTTP.
func timingOf(t forward.Timing) *Timing {
	if t == (forward.Timing{}) {
		return nil
	}
	text := func(d time.Duration) string { return d.Truncate(time.Microsecond).String() }
	return &Timing{DNS: text(t.DNS), Connect: text(t.Connect), TLS: text(t.TLS), FirstByte: text(t.FirstByte), Reused: t.Reused}
}

// header marshals as {} when it is empty.
func header(h http.Header) http.Header {
	if h == nil {
		return http.Header{}
	}
	return h
}
