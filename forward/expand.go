package forward

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
)

const (
	expandTimeout = 5 * time.Minute // of one page
	refusedTries  = 10              // after so many a record that is gone counts as refused
	revokedRetry  = time.Hour       // a Connection without authorisation is asked about again
	mergeNext     = "interactor:next"
)

// expand works on a task of a Connection: it asks the provider, page by page,
// each page one commit of events and cursor. The task ends with the last page.
func (e *engine) expand(l *lane, t Task) {
	due, keep, err := e.f.ask(e.work, t)
	switch {
	case err == nil && !keep:
	case errors.Is(err, ErrLeaseLost):
		e.f.count.lostLeases.Add(1)
		e.f.meters.leasesLost(e.work, 1)
	case err != nil && e.work.Err() != nil:
		e.interrupted(l, t)
		return
	case err != nil:
		due, keep = e.f.setback(e.work, t, err)
		if !keep {
			break
		}
		if due.IsZero() { // not even that could be stored
			e.postpone(l, t, storeRetry)
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if keep && !due.IsZero() && !e.closed {
		e.scheduleLater(l, due)
	}
	// What merged in the store while this was running comes next.
	e.drop(l, size(&t))
}

// ask is expand, in a span of its own and once more where that helps.
func (f *Forwarder) ask(ctx context.Context, t Task) (due time.Time, keep bool, err error) {
	if f.tracing != nil {
		var span trace.Span
		ctx, span = f.tracing.ask(ctx, &t)
		defer func() { asked(span, err) }()
	}
	due, keep, err = f.expand(ctx, t)
	for again := 0; errors.Is(err, ErrCursorMoved) && again < 3; again++ {
		// A notice may arrive while its watch is being created: the starting point
		// that the provider gave was stored meanwhile. From there it is asked anew.
		due, keep, err = f.expand(ctx, t)
	}
	return due, keep, err
}

// expand returns when the task is due again, if it is kept.
func (f *Forwarder) expand(ctx context.Context, t Task) (due time.Time, keep bool, err error) {
	turn := f.erasing.turn.Load()
	x, err := f.directory.Subscription(ctx, t.Subscription)
	if errors.Is(err, ErrNoAddress) { // nobody to ask for: the watch was removed
		return time.Time{}, false, f.append(ctx, Batch{Finished: []Finished{{Task: t}}})
	}
	if err != nil {
		return time.Time{}, false, err
	}
	entry, ok := f.registry.Lookup(x.Connector)
	if !ok || entry.Expander == nil {
		return time.Time{}, false, fmt.Errorf("connector %s cannot be asked any longer", x.Connector)
	}
	var notice *connector.Notice
	if t.Thin != nil {
		thin, err := f.open(ctx, t.Thin, t.ID, "thin")
		if err != nil {
			return time.Time{}, false, fmt.Errorf("what the provider said: %w", err)
		}
		notice = &connector.Notice{Thin: thin, Watch: x.Recipient.Watch, Merge: t.Merge}
	}
	addr := Address{
		Connector: x.Connector, App: x.App, Deployment: x.Recipient.Deployment, Environment: x.Recipient.Environment,
		turn: turn,
	}
	for {
		if f.erasing.stops(&t) {
			return time.Time{}, false, ErrLeaseLost // or will be, when its row has gone
		}
		page, err := f.page(ctx, entry, x, notice)
		if err != nil {
			return time.Time{}, false, err
		}
		b := f.newIntake(entry, addr, f.now().UTC())
		if err := b.notices(ctx, page.Notices, &x.Recipient); err != nil {
			return time.Time{}, false, err
		}
		if page.Cursor != "" {
			b.batch.Cursor = &CursorMove{Subscription: t.Subscription, From: x.Subscription.Cursor, Cursor: page.Cursor}
			x.Subscription.Cursor = page.Cursor
		}
		if page.More {
			if err := b.commit(ctx); err != nil {
				return time.Time{}, false, err
			}
			continue
		}
		due, keep = f.again(b, entry, x, t, page.Next)
		return due, keep, b.commit(ctx)
	}
}

// again ends the task in the batch of its last page, and says when it or a
// follow-up is due.
func (f *Forwarder) again(b *intake, entry *connector.Entry, x *Expandable, t Task, next time.Time) (due time.Time, keep bool) {
	if !next.IsZero() && next.Before(b.now.Add(time.Second)) {
		next = b.now.Add(time.Second) // a connector's clock must not make us spin
	}
	if t.Kind == Poll {
		if w, ok := entry.Watch(x.Recipient.Watch); ok && w.Poll > 0 {
			due = b.now.Add(jitter(w.Poll, 0.9, 1.1))
		}
		if !next.IsZero() && (due.IsZero() || next.Before(due)) {
			due = next
		}
		b.batch.Finished = []Finished{{Task: t, Due: due}}
		return due, true
	}
	b.batch.Finished = []Finished{{Task: t}}
	if !next.IsZero() {
		b.batch.Tasks = append(b.batch.Tasks, Task{
			ID: id.New("tsk", b.now), Kind: Expand, Lane: t.Lane, Due: next,
			Subscription: t.Subscription, Merge: mergeNext,
		})
	}
	return time.Time{}, false
}

// page asks for one page. A panic is a failed try.
func (f *Forwarder) page(ctx context.Context, entry *connector.Entry, x *Expandable, n *connector.Notice) (page *connector.Expansion, err error) {
	ctx, cancel := context.WithTimeout(ctx, expandTimeout)
	defer cancel()
	defer f.contain(ctx, entry.Name, "Expand", func(p any) { page, err = nil, fmt.Errorf("the connector panicked: %v", p) })
	page, err = entry.Expander.Expand(ctx, x.Session, x.Subscription, n)
	if err == nil && page == nil {
		page = &connector.Expansion{}
	}
	return page, err
}

// setback acts on what a try to ask failed with, and stores when the next one
// is due. keep is false when there is none; due is zero when the store is away.
func (f *Forwarder) setback(ctx context.Context, t Task, cause error) (due time.Time, keep bool) {
	if f.tracing != nil {
		ctx = inTrace(ctx, t.Trace)
	}
	tries := t.Tries + 1
	wait := backoff(tries)
	signal, giveUp := connector.SignalNone, false
	var retry *connector.RetryError
	switch {
	case errors.As(cause, &retry):
		wait = max(wait, 0)
		if retry.After > 0 {
			wait = jitter(retry.After, 1, 1.1)
		}
	case errors.Is(cause, connector.ErrRevoked):
		signal, wait = SignalExpired, jitter(revokedRetry, 0.8, 1.2)
	case errors.Is(cause, connector.ErrScope):
		signal, wait = SignalScope, jitter(revokedRetry, 0.8, 1.2)
	case errors.Is(cause, connector.ErrGone) && tries < refusedTries:
		signal = connector.SignalGone
	case errors.Is(cause, connector.ErrRefused), errors.Is(cause, connector.ErrGone):
		// Trying again cannot help. A poll goes on at its pace; a single notice is
		// given up, and that is told as a gap.
		if wait = max(wait, revokedRetry); t.Kind == Expand {
			signal, giveUp = connector.SignalGap, true
		}
	}
	reason := excerpt(cause.Error())
	f.log.WarnContext(ctx, "asking the provider failed", "subscription", t.Subscription, "tries", tries, "next", wait, "gives_up", giveUp, "error", reason)
	if signal != connector.SignalNone && (tries&(tries-1) == 0 || giveUp) { // ever more seldom
		if err := f.signalFor(ctx, t, signal, reason); err != nil {
			f.log.ErrorContext(ctx, "signal not taken", "subscription", t.Subscription, "signal", signal, "error", err)
			giveUp = false
		}
	}
	finished := Finished{Task: t, Tries: tries, Error: reason}
	if !giveUp {
		finished.Due = f.now().Add(wait)
	}
	err := f.append(ctx, Batch{Finished: []Finished{finished}})
	switch {
	case errors.Is(err, ErrLeaseLost):
		f.count.lostLeases.Add(1)
		f.meters.leasesLost(ctx, 1)
		return time.Time{}, false
	case err != nil:
		f.log.ErrorContext(ctx, "the store failed", "doing", "postponing a task", "error", err)
		return time.Time{}, true
	}
	return finished.Due, !giveUp
}

func (f *Forwarder) signalFor(ctx context.Context, t Task, s connector.Signal, reason string) error {
	x, err := f.directory.Subscription(ctx, t.Subscription)
	if err != nil {
		// Without a Session there is still a Connection to tell about.
		return f.directory.Signal(ctx, Recipient{
			Subscription: t.Subscription, Connection: strings.TrimPrefix(t.Lane, "conn:"),
		}, s, reason)
	}
	return f.directory.Signal(ctx, x.Recipient, s, reason)
}
