package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// intake turns Notices into one Batch: events for those who want them, tasks
// for what has to be asked, and signals.
type intake struct {
	f        *Forwarder
	entry    *connector.Entry
	addr     Address
	now      time.Time
	inbound  string // id of the DeadInbound that is decoded again
	batch    Batch
	signals  []signalled
	settings map[string]Settings

	reached []string // connections that got the present occurrence
	asked   map[string]bool
}

type signalled struct {
	to     Recipient
	signal connector.Signal
	reason string
}

func (f *Forwarder) newIntake(entry *connector.Entry, addr Address, now time.Time) *intake {
	return &intake{f: f, entry: entry, addr: addr, now: now}
}

// notices takes Notices in. own is who is meant by a Notice that names nobody;
// nil leaves that to the Directory. Errors: *undecodableError, or the Directory's.
func (b *intake) notices(ctx context.Context, notices []connector.Notice, own *Recipient) error {
	for i := range notices {
		n := &notices[i]
		to, err := b.recipients(ctx, n, own)
		if err != nil {
			return err
		}
		if len(to) == 0 {
			b.f.count.nobody.Add(1)
			b.f.meters.dropped(ctx, b.entry.Name, eventNobody)
		}
		for j := range n.Occurrences {
			if err := b.occurrence(ctx, &n.Occurrences[j], to); err != nil {
				return err
			}
		}
		if n.Thin != nil {
			b.thin(ctx, n, to)
		}
		if n.Signal != connector.SignalNone {
			for _, r := range to {
				b.signals = append(b.signals, signalled{r, n.Signal, n.Reason})
			}
		}
	}
	return nil
}

func (b *intake) recipients(ctx context.Context, n *connector.Notice, own *Recipient) ([]Recipient, error) {
	if own != nil && len(n.To) == 0 {
		return []Recipient{*own}, nil
	}
	watch := ""
	if n.Thin != nil {
		watch = n.Watch
	}
	return b.f.directory.Recipients(ctx, b.addr, watch, n.To)
}

// occurrence makes one event for each Connection that it concerns and whose
// Environment wants it, however many of its Subscriptions tell of it.
func (b *intake) occurrence(ctx context.Context, o *connector.Occurrence, to []Recipient) error {
	def, ok := b.entry.Trigger(o.Trigger)
	if !ok {
		return &undecodableError{fmt.Errorf("connector %s told of %q, which is not among its triggers", b.entry.Name, o.Trigger)}
	}
	var payload json.RawMessage
	b.reached = b.reached[:0]
	wanted := false
	for i := range to {
		r := &to[i]
		if len(to) > 1 && slices.Contains(b.reached, r.Connection) {
			continue
		}
		settings, err := b.settingsOf(ctx, r.Environment)
		if err != nil {
			return err
		}
		attributes := o.Attributes
		if r.Watch == "" || def.Watch == "" || r.Watch == def.Watch {
			attributes = withParams(attributes, r.Params)
		}
		if !r.Overrides.Match(settings.Triggers, o.Trigger, attributes) {
			continue
		}
		wanted = true
		b.reached = append(b.reached, r.Connection)
		if payload == nil {
			if payload, err = marshal(o.Payload); err != nil {
				return &undecodableError{fmt.Errorf("payload of %s: %w", o.Trigger, err)}
			}
		}
		b.event(o, r, payload, &settings)
	}
	if !wanted && len(to) > 0 {
		b.f.count.unwanted.Add(1)
		b.f.meters.dropped(ctx, b.entry.Name, eventUnwanted)
	}
	return nil
}

func (b *intake) event(o *connector.Occurrence, r *Recipient, payload json.RawMessage, settings *Settings) {
	ev := trigger.Event{
		ID: id.New("evt", b.now), Trigger: o.Trigger, Time: o.OccurredAt.UTC(), Connector: b.entry.Name,
		Account: r.Account, Connection: r.Connection, Deployment: r.Deployment, Environment: r.Environment,
		Payload: payload, DedupeKey: o.Key,
	}
	if y := ev.Time.Year(); o.OccurredAt.IsZero() || y < 1970 || y > 9999 {
		ev.Time = b.now
	}
	if ev.DedupeKey == "" {
		ev.DedupeKey = ev.ID
	}
	if settings.Raw && len(o.Raw) > 0 {
		ev.Raw = o.Raw
		if !json.Valid(o.Raw) { // a form, XML: as text
			ev.Raw, _ = marshal(string(o.Raw)) // cannot fail
		}
	}
	b.batch.add(ev, b.now, b.inbound, settings.Ordered)
}

// thin makes a task for each Subscription that has to be asked about.
func (b *intake) thin(ctx context.Context, n *connector.Notice, to []Recipient) {
	for _, r := range to {
		if r.Subscription == "" || b.entry.Expander == nil || (n.Watch != "" && r.Watch != "" && r.Watch != n.Watch) {
			b.f.count.nobody.Add(1)
			b.f.meters.dropped(ctx, b.entry.Name, eventNobody)
			continue
		}
		if key := r.Subscription + " " + n.Merge; n.Merge != "" {
			if b.asked[key] {
				continue
			}
			if b.asked == nil {
				b.asked = make(map[string]bool)
			}
			b.asked[key] = true
		}
		b.batch.Tasks = append(b.batch.Tasks, Task{
			ID: id.New("tsk", b.now), Kind: Expand, Lane: connLane(r.Connection), Due: b.now,
			Subscription: r.Subscription, Thin: n.Thin, Merge: n.Merge,
		})
	}
}

// commit acts on the signals and stores the batch. Signals come first: when
// either fails the provider sends both again, and acting twice does no harm.
func (b *intake) commit(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := b.act(ctx); err != nil || b.empty() {
		return err
	}
	if len(b.batch.Events) > 0 || len(b.batch.Tasks) > 0 || len(b.batch.Dead) > 0 {
		if err := b.f.admit(ctx); err != nil {
			return err
		}
	}
	return b.f.appendSince(ctx, b.batch, b.addr.turn)
}

// act acts on the signals.
func (b *intake) act(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	for _, s := range b.signals {
		if err := b.f.directory.Signal(ctx, s.to, s.signal, s.reason); err != nil {
			return fmt.Errorf("signal %s: %w", s.signal, err)
		}
	}
	return nil
}

func (b *intake) empty() bool {
	return len(b.batch.Events) == 0 && len(b.batch.Tasks) == 0 && len(b.batch.Dead) == 0 &&
		len(b.batch.Finished) == 0 && b.batch.Cursor == nil
}

func (b *intake) settingsOf(ctx context.Context, environment string) (Settings, error) {
	if s, ok := b.settings[environment]; ok {
		return s, nil
	}
	s, err := b.f.directory.Settings(ctx, environment)
	if err != nil {
		return Settings{}, err
	}
	if b.settings == nil {
		b.settings = make(map[string]Settings, 1)
	}
	b.settings[environment] = s
	return s, nil
}

// withParams adds the Params that chose a Resource to what a connector said.
func withParams(attributes map[string][]string, params map[string]string) map[string][]string {
	if len(params) == 0 {
		return attributes
	}
	all := make(map[string][]string, len(attributes)+len(params))
	maps.Copy(all, attributes)
	for name, value := range params {
		all[name] = append(slices.Clip(all[name]), value)
	}
	return all
}

// marshal keeps <, > and & readable.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
