package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

const (
	purgeEvery = 10 * time.Minute
	purgeStep  = 500 // in one call
	purgePause = 50 * time.Millisecond

	// Parts of Limits.MaxStore, in percent: finished events begin to go at
	// roomHigh until roomLow is reached, so that mostly nobody has to be refused;
	// who is refused is so until roomAgain, or the news would come and go.
	roomHigh, roomLow, roomAgain = 90, 85, 95

	roomEvery   = time.Second            // the size is asked for this often at most
	roomClosely = 100 * time.Millisecond // beyond roomHigh
	roomTimeout = time.Second

	// anyAge is further in the future than clocks err.
	anyAge = 100 * 365 * 24 * time.Hour

	leastStore = 1 << 20 // bytes; an empty store takes a part of that
)

// ErrStoreFull means that the store has reached Limits.MaxStore and holds nothing
// that may go: new events are refused, providers get 503 and send them again.
// Deliveries go on and make room.
var ErrStoreFull = errors.New("forward: the store has reached Limits.MaxStore: raise it, or see why events are not delivered")

// forget removes what is older than Limits.Retention, in steps that are small
// beside what deliveries write.
func (f *Forwarder) forget(ctx context.Context) {
	keys := keepKeys
	if f.limits.Retention > 0 {
		keys = max(keys, f.limits.Retention)
	}
	for sleep(ctx, jitter(purgeEvery, 0.8, 1.2)) {
		if f.limits.Retention > 0 {
			f.purge(ctx, "events", f.now().Add(-f.limits.Retention), f.store.Purge)
			f.purge(ctx, "replays", f.now().Add(-f.limits.Retention), f.store.PurgeReplays)
		}
		f.purge(ctx, "dedupe keys", f.now().Add(-keys), f.store.PurgeKeys)
	}
}

func (f *Forwarder) purge(ctx context.Context, what string, before time.Time, step func(context.Context, time.Time, int) (int, error)) {
	for {
		n, err := step(ctx, before, purgeStep)
		if err != nil && ctx.Err() == nil {
			f.log.ErrorContext(ctx, "old records could not be removed", "what", what, "error", err)
		}
		if err != nil || n < purgeStep || !sleep(ctx, purgePause) {
			return
		}
	}
}

// room is what is known of the store's size, where it is bounded.
type room struct {
	size   atomic.Int64 // bytes, when last asked
	full   atomic.Bool
	asking atomic.Bool
	next   atomic.Int64 // when to ask again, in nanoseconds since 1970
}

// admit reports whether new events may be stored: nil or [ErrStoreFull].
func (f *Forwarder) admit(ctx context.Context) error {
	if f.limits.MaxStore <= 0 {
		return nil
	}
	f.measure(ctx)
	if f.room.full.Load() {
		f.count.full.Add(1)
		return ErrStoreFull
	}
	return nil
}

// measure asks the store for its size if it is time to. Of several callers one
// does; the others go on with what is known.
func (f *Forwarder) measure(ctx context.Context) {
	now := f.now()
	next := f.room.next.Load()
	if late := now.UnixNano() - next; late < 0 && late > -2*roomEvery.Nanoseconds() { // else the clock was set back
		return
	}
	if !f.room.asking.CompareAndSwap(false, true) {
		return
	}
	defer f.room.asking.Store(false)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roomTimeout)
	defer cancel()
	size, err := f.store.Size(ctx)
	if err != nil {
		// What is to be stored will fail for the same reason, and say so.
		f.room.next.Store(now.Add(roomEvery).UnixNano())
		return
	}
	f.measured(ctx, size, now)
}

// measured acts on a size.
func (f *Forwarder) measured(ctx context.Context, size int64, now time.Time) {
	limit := f.limits.MaxStore
	f.room.size.Store(size)
	wait := roomEvery
	if size >= limit/100*roomHigh {
		wait = roomClosely
	}
	f.room.next.Store(now.Add(wait).UnixNano())
	switch {
	case size >= limit && f.room.full.CompareAndSwap(false, true):
		f.notify(ctx, f.storeNews(StoreFull, fmt.Sprintf(
			"the store holds %d bytes and Limits.MaxStore is %d: requests are answered 503 until finished events have made room", size, limit)))
	case size < limit/100*roomAgain && f.room.full.CompareAndSwap(true, false):
		f.notify(ctx, f.storeNews(StoreRecovered, fmt.Sprintf("the store holds %d bytes: requests are taken again", size)))
	}
}

// storeNews is for Notify alone: there is no room for an event that tells of it,
// and no Environment that it concerns.
func (f *Forwarder) storeNews(name, reason string) trigger.Event {
	now := f.now().UTC()
	ev := trigger.Event{ID: id.New("evt", now), Trigger: name, Time: now, Connector: newsConnector}
	ev.DedupeKey = ev.ID
	ev.Payload, _ = json.Marshal(newsPayload{Reason: reason}) //nolint:errchkjson // texts cannot fail
	return ev
}

// makeRoom removes finished events, the oldest first, whenever the store comes
// near Limits.MaxStore.
func (f *Forwarder) makeRoom(ctx context.Context) {
	if f.limits.MaxStore <= 0 {
		return
	}
	for wait := roomEvery; sleep(ctx, wait); {
		wait = roomEvery
		f.measure(ctx)
		if f.room.size.Load() < f.limits.MaxStore/100*roomHigh {
			continue
		}
		began := f.now()
		none, err := f.shrink(ctx)
		if err != nil && ctx.Err() == nil {
			f.log.ErrorContext(ctx, "finished events could not be removed to make room", "error", err)
		}
		if none {
			// Nothing more may go. Finding that out may take reading all that is
			// pending: not over and over.
			wait = max(wait, 20*f.now().Sub(began))
		}
	}
}

// shrink removes finished events until there is room, and says whether none was
// left. It begins with few: they may be large, and no more should go than need to.
func (f *Forwarder) shrink(ctx context.Context) (none bool, err error) {
	for step := 8; ; step = min(2*step, purgeStep) {
		n, err := f.store.Purge(ctx, f.now().Add(anyAge), step)
		if err != nil {
			return false, err
		}
		size, err := f.store.Size(ctx)
		if err != nil {
			return false, err
		}
		f.measured(ctx, size, f.now())
		if n < step || size < f.limits.MaxStore/100*roomLow || !sleep(ctx, purgePause) {
			return n < step, nil
		}
	}
}
