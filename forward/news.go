package forward

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// News about deliveries, as trigger names: in Config.Notify always, and
// forwarded like any other event when a trigger list names them.
const (
	DeliveryExhausted    = "delivery.exhausted"    // all tries failed; the event is dead until replayed
	DestinationPaused    = "destination.paused"    // the receiver answered 410 (gone), or nothing but failures came for Settings.PauseAfter
	DestinationRecovered = "destination.recovered" // first success after failures were reported

	// StoreFull and StoreRecovered go to Config.Notify alone.
	StoreFull      = "store.full"      // Limits.MaxStore is reached: requests are answered 503
	StoreRecovered = "store.recovered" // requests are taken again
)

// newsConnector is what stands for a connector in news.
const newsConnector = "interactor"

// listed reports whether a trigger list names news. Wildcards are about
// connectors: who forwards everything that happens does not get these beside it.
func (s Settings) listed(news string) bool {
	return slices.ContainsFunc(s.Triggers, func(f trigger.Filter) bool { return f.Trigger == news })
}

// newsPayload is the payload of this room's news.
type newsPayload struct {
	Event    string `json:"event,omitempty"`    // id of the event that was given up
	Trigger  string `json:"trigger,omitempty"`  // its trigger
	Delivery string `json:"delivery,omitempty"` // id of the delivery
	Tries    int    `json:"tries,omitempty"`    // made so far
	URL      string `json:"url,omitempty"`      // of the destination
	Reason   string `json:"reason,omitempty"`   // for people
}

// news makes an event of what an outcome means. Its dedupe key tells it once.
func (f *Forwarder) news(name string, t Task, o Outcome) trigger.Event {
	p := newsPayload{URL: o.Attempt.URL, Reason: o.Reason}
	if name == DestinationPaused {
		p.Reason = o.Pause
	}
	now := f.now()
	ev := trigger.Event{
		ID: id.New("evt", now), Trigger: name, Time: now, Connector: newsConnector,
		Deployment: t.Event.Deployment, Environment: t.Event.Environment,
		DedupeKey: name + " " + t.ID,
	}
	if name == DeliveryExhausted {
		p.Event, p.Trigger, p.Delivery, p.Tries = t.Event.ID, t.Event.Trigger, t.ID, t.Tries+1
		ev.Account, ev.Connection = t.Event.Account, t.Event.Connection
	} else {
		ev.DedupeKey = ev.ID
	}
	ev.Payload, _ = json.Marshal(p) //nolint:errchkjson // texts and numbers cannot fail
	return ev
}

// tell puts news beside an outcome. News about the delivery of news go to
// Notify alone, or one dead receiver would make news for ever.
func (d *done) tell(ev trigger.Event, settings Settings) {
	d.news = append(d.news, ev)
	if d.outcome.Task.Event.Connector != newsConnector && settings.listed(ev.Trigger) {
		d.wanted = append(d.wanted, ev)
	}
}

// untell takes news of that name back.
func (d *done) untell(name string) {
	named := func(ev trigger.Event) bool { return ev.Trigger == name }
	d.news, d.wanted = slices.DeleteFunc(d.news, named), slices.DeleteFunc(d.wanted, named)
}

// News tells what an operator should know, for rooms that have news of their own:
// Config.Notify gets it, and the Environment's destination as well when its
// trigger list names it. It returns when that is durable; a DedupeKey makes news
// that are told again one event.
func (f *Forwarder) News(ctx context.Context, ev trigger.Event) error {
	if ev.Connector == "" {
		ev.Connector = newsConnector
	}
	if err := f.prepare(ctx, &ev); err != nil {
		return err
	}
	f.notify(ctx, ev)
	return f.forwardNews(ctx, ev)
}

// forwardNews publishes news, once prepared, where a trigger list names them.
func (f *Forwarder) forwardNews(ctx context.Context, ev trigger.Event) error {
	settings, err := f.directory.Settings(ctx, ev.Environment)
	if err != nil || !settings.listed(ev.Trigger) {
		return err
	}
	return f.Publish(ctx, ev)
}

// good reports whether news of that name are nothing to worry about.
func good(name string) bool {
	_, what, _ := strings.Cut(name, ".")
	return what == "created" || what == "renewed" || what == "recovered"
}

// notify calls Config.Notify, which must not be able to stop deliveries.
func (f *Forwarder) notify(ctx context.Context, ev trigger.Event) {
	var about struct { // not the URL, which may hold a secret
		Event        string `json:"event"`
		Subscription string `json:"subscription"`
		Reason       string `json:"reason"`
	}
	_ = json.Unmarshal(ev.Payload, &about) // of another form: what it is called says enough
	level := slog.LevelWarn
	if good(ev.Trigger) {
		level = slog.LevelInfo
	}
	f.log.Log(ctx, level, "news", "name", ev.Trigger, "environment", ev.Environment, "connection", ev.Connection,
		"event", about.Event, "subscription", about.Subscription, "reason", about.Reason)
	if f.cfg.Notify == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			f.log.ErrorContext(ctx, "Notify panicked", "news", ev.Trigger, "panic", p)
		}
	}()
	f.cfg.Notify(ctx, ev)
}
