package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
)

// Publish forwards events of your own: same envelope, signature, retries and
// log. Only Trigger is required, say "invoice.paid"; the trigger list is not
// consulted. It returns when the events are durable; events whose DedupeKey is
// known already are skipped. Either all of them are taken, or none. Errors:
// [ErrStoreFull].
func (f *Forwarder) Publish(ctx context.Context, events ...trigger.Event) error {
	var b Batch
	now := f.now().UTC()
	for i, ev := range events {
		if err := f.prepare(ctx, &ev); err != nil {
			return fmt.Errorf("forward: publish: event %d: %w", i, err)
		}
		settings, err := f.directory.Settings(ctx, ev.Environment)
		if err != nil {
			return fmt.Errorf("forward: publish: event %d: settings of environment %s: %w", i, ev.Environment, err)
		}
		b.add(ev, now, "", settings.Ordered)
	}
	if len(b.Events) == 0 {
		return nil
	}
	if err := f.admit(ctx); err != nil {
		return err
	}
	return f.append(ctx, b)
}

// prepare completes an event of the caller's.
func (f *Forwarder) prepare(ctx context.Context, ev *trigger.Event) (err error) {
	if !trigger.ValidName(ev.Trigger) {
		return fmt.Errorf("Trigger %.60q is no name: write one such as \"invoice.paid\"", ev.Trigger) //nolint:staticcheck // ST1005: it begins with a field's name
	}
	if ev.Environment, err = f.environment(ev.Environment); err != nil {
		return err
	}
	if ev.Deployment == "" {
		if ev.Deployment, err = f.deployment(ctx, ev.Environment); err != nil {
			return err
		}
	}
	now := f.now().UTC()
	switch {
	case ev.ID == "":
		ev.ID = id.New("evt", now)
	case !id.Valid("evt", ev.ID):
		return fmt.Errorf("ID %.60q is not one of ours: leave it out, and put your own into DedupeKey", ev.ID)
	}
	if ev.Time.IsZero() {
		ev.Time = now
	}
	if ev.DedupeKey == "" {
		ev.DedupeKey = ev.ID
	}
	for name, value := range map[string]json.RawMessage{"Payload": ev.Payload, "Raw": ev.Raw} {
		if len(value) > 0 && !json.Valid(value) {
			return fmt.Errorf("%s is not JSON", name)
		}
	}
	_, err = ev.AppendJSON(nil)
	return err
}

// Event returns one event with its deliveries and their attempts, or [ErrNotFound].
// Other errors are those of the store and, where payloads are sealed, [ErrSealed]
// and the Keeper's.
func (f *Forwarder) Event(ctx context.Context, id string) (Record, error) {
	rec, err := f.store.Record(ctx, id)
	if err != nil {
		return Record{}, err
	}
	return f.openRecord(ctx, rec)
}

// eventsPage is how many events Events reads at a time.
const eventsPage = 100

// Events iterates over the event log, newest first, without deliveries. It reads
// in pages, so breaking off early is cheap. One whose payload no key opens is
// shown without, so that it does not stand in the way of the others.
func (f *Forwarder) Events(ctx context.Context, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var err error
		if q.Environment, err = f.environment(q.Environment); err != nil {
			yield(Record{}, err)
			return
		}
		for {
			page, err := f.store.Records(ctx, q, eventsPage)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, rec := range page {
				opened, err := f.opened(ctx, rec.Event)
				switch {
				case errors.Is(err, seal.ErrDamaged), errors.Is(err, seal.ErrNoKey):
					f.log.ErrorContext(ctx, "a payload cannot be opened", "event", rec.ID, "error", err)
					opened.Payload, opened.Raw = nil, nil
				case err != nil:
					yield(Record{}, fmt.Errorf("forward: event %s: its payload: %w", rec.ID, err))
					return
				}
				rec.Event = opened
				if !yield(rec, nil) {
					return
				}
			}
			if len(page) < eventsPage {
				return
			}
			q.After = page[len(page)-1].ID
		}
	}
}

// Replay delivers an event again, under the same webhook-id, as a new delivery.
// A request that could not be decoded is decoded again; the delivery is then
// that of the first event it holds. Errors: [ErrNotFound].
func (f *Forwarder) Replay(ctx context.Context, event string) (Delivery, error) {
	dead, err := f.store.Inbound(ctx, event)
	if err == nil {
		return f.revive(ctx, dead)
	}
	if !errors.Is(err, ErrNotFound) {
		return Delivery{}, err
	}
	rec, err := f.store.Record(ctx, event)
	if err != nil {
		return Delivery{}, err
	}
	return f.resend(ctx, rec)
}

// SendExample sends the catalogue's example of a trigger through the real path,
// marked "test":true in data, whether or not the trigger list names it.
// environment "" is the default one; account may be empty. Errors:
// [ErrUnknownTrigger], [ErrStoreFull].
func (f *Forwarder) SendExample(ctx context.Context, environment, name, account string) (Record, error) {
	connector, _, _ := strings.Cut(name, ".")
	entry, ok := f.registry.Lookup(connector)
	if !ok {
		return Record{}, fmt.Errorf("%w: %q", ErrUnknownTrigger, name)
	}
	def, ok := entry.Trigger(name)
	if !ok {
		return Record{}, fmt.Errorf("%w: %q", ErrUnknownTrigger, name)
	}
	ev := trigger.Event{Trigger: name, Connector: connector, Account: account, Environment: environment, Test: true}
	var err error
	if ev.Payload, err = marshal(def.Example); err != nil {
		return Record{}, fmt.Errorf("forward: example of %s: %w", name, err)
	}
	if err := f.prepare(ctx, &ev); err != nil {
		return Record{}, fmt.Errorf("forward: example of %s: %w", name, err)
	}
	now := f.now().UTC()
	var b Batch
	b.add(ev, now, "", false)
	if err := f.admit(ctx); err != nil {
		return Record{}, err
	}
	if err := f.append(ctx, b); err != nil {
		return Record{}, err
	}
	d := Delivery{ID: b.Tasks[0].ID, Event: ev.ID, Status: Pending, NextAt: now}
	return Record{Event: ev, Status: Pending, ReceivedAt: now, Deliveries: []Delivery{d}}, nil
}
