package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	eraseEvery = time.Minute // orders that were left unfinished are looked for
	eraseStep  = 200         // events in one call of the Store
	tryLook    = 10 * time.Millisecond

	// eraseMemory is how long an erased account is remembered: requests that asked
	// before whom they concern are answered by then.
	eraseMemory = time.Hour
)

// Errors of [Forwarder.EraseAccount], beside those of the Store.
var (
	ErrNoAccount = errors.New("forward: account is empty: name the one to erase")

	// ErrErasing means that the order is durable but not carried out yet: nothing
	// of the account is delivered any longer, and Run goes on with it.
	ErrErasing = errors.New("forward: the account is not erased yet, and Run goes on with it")
)

// Disconnecter is implemented by a [Directory] that knows who is connected. It is
// asked before the events of an account are erased, so that no more of them come.
type Disconnecter interface {
	// Disconnect ends every Connection of an account and returns the ids of all
	// that there are, those that had ended before as well. From when it returns
	// Recipients names none of them. It may be called again.
	Disconnect(ctx context.Context, environment, account string) (connections []string, err error)
}

// EraseAccount removes everything that is kept of an account's events in an
// Environment, delivered or not: events, payloads, deliveries, attempts, requests
// that were not understood, work that waits for its Connections, and the dedupe
// keys of these, which a Directory that is a [Disconnecter] names and ends first.
// environment "" is the default one. It returns how many events there were.
//
// When it returns nil nothing of it is stored or delivered any longer, and what
// was under way has ended: it waits for tries in flight, for Settings.Timeout at
// most. The order is durable before anything is done: with [ErrErasing], such as
// when ctx has ended, or after a crash, nothing of the account is delivered and
// Run erases the rest; calling it again is another way. Events of the account
// that come in meanwhile are dropped; later ones are events like any other.
func (f *Forwarder) EraseAccount(ctx context.Context, environment, account string) (int, error) {
	environment, err := f.environment(environment)
	if err != nil {
		return 0, err
	}
	if account == "" {
		return 0, ErrNoAccount
	}
	order := Erasure{Environment: environment, Account: account, At: f.now()}
	if err := f.store.PutErasure(ctx, order); err != nil {
		return 0, fmt.Errorf("forward: erase account: %w", err)
	}
	f.erasing.block(person{environment, account})
	n := 0
	if err = f.erasing.enter(ctx); err == nil {
		n, err = f.erase(ctx, order)
		f.erasing.leave()
	}
	if err != nil {
		f.wakeEraser()
		return n, fmt.Errorf("%w: %w", ErrErasing, err)
	}
	return n, nil
}

// erase carries out an order that is durable, one at a time. Until it is done,
// also after an error, nothing of the account is stored or delivered.
func (f *Forwarder) erase(ctx context.Context, order Erasure) (removed int, err error) {
	who := person{order.Environment, order.Account}
	f.erasing.block(who)
	if d, ok := f.directory.(Disconnecter); ok {
		if order.Connections, err = d.Disconnect(ctx, order.Environment, order.Account); err != nil {
			return 0, err
		}
		f.erasing.name(who, order.Connections)
	}
	order.Triggers = f.triggers()

	// From here on nothing of the account gets from the store into memory or the
	// other way: whatever had begun has ended, whatever begins is stopped.
	f.erasing.settle()
	if err := f.clear(ctx, who); err != nil {
		return 0, err
	}
	for {
		n, err := f.store.Erase(ctx, order, eraseStep)
		removed += n
		if err != nil {
			return removed, err
		}
		if n < eraseStep {
			break
		}
	}
	if err := f.store.EndErasure(ctx, order); err != nil {
		return removed, err
	}
	f.erasing.done(who, f.now())
	f.log.InfoContext(ctx, "an account was erased", "environment", order.Environment, "events", removed)
	return removed, nil
}

// triggers are the names that dedupe keys of Connections are made of, beside
// those of the events that are there.
func (f *Forwarder) triggers() []string {
	names := append([]string{DeliveryExhausted, DestinationPaused, DestinationRecovered}, f.cfg.News...)
	for entry := range f.registry.All() {
		for _, t := range entry.Triggers {
			names = append(names, t.Name)
		}
	}
	return names
}

// clear takes an account's tasks out of memory and waits until none of them is
// being tried.
func (f *Forwarder) clear(ctx context.Context, who person) error {
	e := f.working.Load()
	if e == nil {
		return nil
	}
	e.mu.Lock()
	for _, l := range e.lanes {
		waiting := l.drain()
		for i := range waiting {
			if f.erasing.stops(&waiting[i]) {
				e.drop(l, size(&waiting[i]))
			} else {
				l.push(waiting[i])
			}
		}
	}
	e.mu.Unlock()
	for wait := tryLook; e.tries(who); wait = min(2*wait, time.Second) {
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
	return nil
}

// tries reports whether a task of somebody is being worked on.
func (e *engine) tries(who person) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.trying {
		if w.lane != nil && e.f.erasing.is(&w.task, who) {
			return true
		}
	}
	return false
}

// runEraser goes on with orders that were left unfinished until ctx ends.
func (f *Forwarder) runEraser(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.eraseOrdered(ctx); err != nil && ctx.Err() == nil {
			f.log.ErrorContext(ctx, "an account could not be erased; trying again", "error", err)
		}
		timer := time.NewTimer(eraseEvery)
		select {
		case <-ctx.Done():
		case <-f.erasing.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// eraseOrdered carries out what is ordered. What fails does not keep the rest.
func (f *Forwarder) eraseOrdered(ctx context.Context) error {
	orders, err := f.store.Erasures(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, order := range orders {
		if err := f.eraseIfOrdered(ctx, order); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// eraseIfOrdered carries out an order unless somebody has done so meanwhile: what
// came after that would be erased, too.
func (f *Forwarder) eraseIfOrdered(ctx context.Context, order Erasure) error {
	if err := f.erasing.enter(ctx); err != nil {
		return err
	}
	defer f.erasing.leave()
	orders, err := f.store.Erasures(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(orders, func(o Erasure) bool { return o.Environment == order.Environment && o.Account == order.Account }) {
		return nil
	}
	_, err = f.erase(ctx, order)
	return err
}

func (f *Forwarder) wakeEraser() {
	select {
	case f.erasing.wake <- struct{}{}:
	default:
	}
}

// blockOrdered stops the accounts whose erasure a former process has left
// unfinished, before anything of them can be delivered.
func (f *Forwarder) blockOrdered(ctx context.Context) error {
	for began := f.now(); ; {
		orders, err := f.store.Erasures(ctx)
		if err == nil {
			for _, o := range orders {
				f.erasing.block(person{o.Environment, o.Account})
			}
			return nil
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // Run ends before it has begun
		}
		f.log.ErrorContext(ctx, "the store failed", "doing", "reading which accounts are to be erased", "error", err)
		if errors.Is(err, ErrStoreFailed) || f.now().Sub(began) > patience {
			return err
		}
		if !sleep(ctx, storeRetry) {
			return nil
		}
	}
}
