package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/trigger"
)

// What is sealed at rest has one of these forms in the store:
//
//	sealed  1 | length of the sealed data key 2 bytes | sealed data key | nonce, AES-256-GCM ciphertext and tag
//	escaped 0 | plaintext that begins with 0 or 1
//	plain   anything else, which JSON always is
//
// so that rows from before sealing was switched on, and from after it was
// switched off, are read like any other. The id and the name of the field are
// authenticated, so a row cannot be given another one's content.
const (
	formEscaped = 0
	formKeyed   = 1
)

// Errors of what is sealed.
var (
	// ErrSealed means that a payload is sealed and there is no Keeper to open it.
	ErrSealed = errors.New("forward: it is sealed: set Keeper")

	errSealedDamaged = fmt.Errorf("forward: what is sealed: %w", seal.ErrDamaged)
)

// hopeless reports whether opening fails however often it is tried with the keys
// that there are. Else a KMS may be away.
func hopeless(err error) bool {
	return errors.Is(err, seal.ErrDamaged) || errors.Is(err, seal.ErrNoKey) || errors.Is(err, ErrSealed)
}

// stored returns b as the store gets it: payloads and what providers said are
// sealed when they are to be. Tasks keep the Event in plain, for those that are
// handed over in memory.
func (f *Forwarder) stored(ctx context.Context, b Batch) (Batch, error) {
	if f.cfg.SealPayloads && len(b.Events) > 0 {
		events := slices.Clone(b.Events)
		for i := range events {
			ev := &events[i].Event
			var err error
			if ev.Payload, err = f.keys.seal(ctx, ev.Payload, ev.ID, "payload"); err != nil {
				return b, err
			}
			if ev.Raw, err = f.keys.seal(ctx, ev.Raw, ev.ID, "raw"); err != nil {
				return b, err
			}
		}
		b.Events = events
	}
	var tasks []Task
	for i := range b.Tasks {
		t := &b.Tasks[i]
		if len(t.Thin) == 0 {
			continue
		}
		thin := escape(t.Thin)
		if f.cfg.SealPayloads {
			var err error
			if thin, err = f.keys.seal(ctx, t.Thin, t.ID, "thin"); err != nil {
				return b, err
			}
		}
		if tasks == nil {
			tasks = slices.Clone(b.Tasks)
		}
		tasks[i].Thin = thin
	}
	if tasks != nil {
		b.Tasks = tasks
	}
	return b, nil
}

// escape makes a text one of the forms. Nearly always it is one already.
func escape(text []byte) []byte {
	if text[0] != formEscaped && text[0] != formKeyed {
		return text
	}
	return append([]byte{formEscaped}, text...)
}

// opened returns an event from the store, or from memory, with its content in plain.
func (f *Forwarder) opened(ctx context.Context, ev trigger.Event) (trigger.Event, error) {
	payload, err := f.open(ctx, ev.Payload, ev.ID, "payload")
	if err != nil {
		return ev, err
	}
	raw, err := f.open(ctx, ev.Raw, ev.ID, "raw")
	if err != nil {
		return ev, err
	}
	ev.Payload, ev.Raw = payload, raw
	return ev, nil
}

// open returns a field in plain. Errors: those of the Keeper, [ErrSealed].
func (f *Forwarder) open(ctx context.Context, stored []byte, id, field string) ([]byte, error) {
	switch {
	case len(stored) == 0 || stored[0] != formEscaped && stored[0] != formKeyed:
		return stored, nil
	case stored[0] == formEscaped:
		return stored[1:], nil
	case f.cfg.Keeper == nil:
		return nil, ErrSealed
	}
	return f.keys.open(ctx, stored, id, field)
}

// openRecord opens what a Record shows.
func (f *Forwarder) openRecord(ctx context.Context, rec Record) (Record, error) {
	var err error
	if rec.Event, err = f.opened(ctx, rec.Event); err != nil {
		return rec, fmt.Errorf("forward: event %s: its payload: %w", rec.ID, err)
	}
	for i := range rec.Deliveries {
		d := &rec.Deliveries[i]
		for j := range d.Attempts {
			a := &d.Attempts[j]
			if a.Response, err = f.open(ctx, a.Response, d.ID, "response"); err != nil {
				return rec, fmt.Errorf("forward: event %s: a response: %w", rec.ID, err)
			}
		}
	}
	return rec, nil
}

// storedResponse makes a response what is stored of it: it may quote the payload.
// Without a key it is left out, as an outcome waits for nobody.
func (f *Forwarder) storedResponse(ctx context.Context, response []byte, delivery string) []byte {
	if len(response) == 0 {
		return response
	}
	if !f.cfg.SealPayloads {
		return escape(response)
	}
	sealed, err := f.keys.seal(ctx, response, delivery, "response")
	if err != nil {
		f.log.ErrorContext(ctx, "a response could not be sealed; it is not kept", "delivery", delivery, "error", err)
		return nil
	}
	return sealed
}
