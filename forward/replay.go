package forward

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/interactorhq/interactor/internal/id"
)

// ReplayState is how far a [ReplayJob] is.
type ReplayState string

// States of a ReplayJob.
const (
	ReplayRunning   ReplayState = "running"   // some of its events are not selected yet, or not finished
	ReplayDone      ReplayState = "done"      // all that it selected is delivered or dead
	ReplayCancelled ReplayState = "cancelled" // by CancelReplay; what was under way then may still have arrived
)

// ReplayJob is a replay by filter.
type ReplayJob struct {
	ID      string // "rpl_…"
	Query   Query  // what it selects; Until is set
	State   ReplayState
	Reason  string    // why it was cancelled
	Created time.Time // when it was asked for
	Ended   time.Time // zero while it runs

	Selected    int // events that it has come to so far
	Queued      int // deliveries that wait or are being tried
	Delivered   int // deliveries
	Dead        int // deliveries
	Cancelled   int // deliveries that CancelReplay ended
	Undecodable int // events that still cannot be decoded, or that nobody wants

	Mark Mark // how far it has come; for the Store
	All  bool // everything is selected; for the Store
}

// Mark is a place in the event log, in words of the Store's. Empty is before all.
type Mark string

// Errors of replays.
var (
	// ErrTooManyReplays means that enough replays of that Environment are running.
	ErrTooManyReplays = errors.New("forward: too many replays are running: wait for one to end, or cancel one")

	// ErrReplayMoved means that a replay is not where it was read as, or has ended.
	ErrReplayMoved = errors.New("forward: the replay was moved on or cancelled by somebody else meanwhile")
)

// QueryError says what is wrong with the Query of a replay.
type QueryError struct {
	Field   string // as in the JSON API: "status", "since", …
	Problem string // in words, with what to do
}

func (e *QueryError) Error() string { return "forward: replay: " + e.Field + " " + e.Problem }

// maxFilter is how long a text of a replay's Query may be, in bytes.
const maxFilter = 512

// replaysRunning is how many replays of an Environment run at a time.
const replaysRunning = 20

// ReplayDelivery makes one delivery again: the same event to the same
// destination under the same webhook-id, as a new delivery. Errors: [ErrNotFound].
func (f *Forwarder) ReplayDelivery(ctx context.Context, delivery string) (Delivery, error) {
	d, err := f.store.Delivery(ctx, delivery)
	if err != nil {
		return Delivery{}, err
	}
	rec, err := f.store.Record(ctx, d.Event)
	if err != nil {
		return Delivery{}, err
	}
	return f.resend(ctx, rec)
}

// resend makes a new delivery of an event that is stored.
func (f *Forwarder) resend(ctx context.Context, rec Record) (Delivery, error) {
	now := f.now().UTC()
	t := Task{ID: id.New("dlv", now), Kind: Deliver, Lane: destLane(rec.Environment), Due: now, Event: rec.Event, Replay: true}
	if err := f.append(ctx, Batch{Tasks: []Task{t}}); err != nil {
		return Delivery{}, err
	}
	return Delivery{ID: t.ID, Event: rec.ID, Status: Pending, NextAt: now, Replay: true}, nil
}

// Delivery returns one delivery with its attempts, or [ErrNotFound].
func (f *Forwarder) Delivery(ctx context.Context, id string) (Delivery, error) {
	return f.store.Delivery(ctx, id)
}

// Count is the dry run of [Forwarder.ReplayAll]: it returns how many events that
// would replay now, and refuses what it refuses. It looks at every event of the
// Environment and time that q names, so it takes seconds where these are millions.
func (f *Forwarder) Count(ctx context.Context, q Query) (int, error) {
	q, err := f.replayQuery(q, f.now())
	if err != nil {
		return 0, err
	}
	n := 0
	var mark Mark
	for {
		s, err := f.store.Select(ctx, q, mark, countPage)
		if err != nil {
			return 0, err
		}
		n += len(s.Events)
		if s.Last {
			return n, nil
		}
		mark = s.Next
	}
}

// countPage is how many events are counted in one read.
const countPage = 4096

// ReplayAll replays the events that q selects, oldest first and behind all
// others, so that it delays none of them. It returns its id when the request is
// durable; Run works it off, also after a restart, until it is done or cancelled.
//
// Selected is what is finished, was received before the call, and fits q when
// the replay comes to it: what is pending or paused is on its way already.
// Status is [Dead], [Delivered], or empty for both; with an empty one, something
// else of q than Until has to be set, so that nobody replays everything by accident. Dead
// requests that could not be decoded are decoded again. With Environment "*",
// which is all of them, a destination that does not answer delays the others'
// part of the replay.
//
// Errors: [*QueryError], [ErrTooManyReplays], [ErrNoEnvironment].
func (f *Forwarder) ReplayAll(ctx context.Context, q Query) (id string, err error) {
	now := f.now().UTC()
	if q, err = f.replayQuery(q, now); err != nil {
		return "", err
	}
	j := ReplayJob{ID: newReplayID(now), Query: q, State: ReplayRunning, Created: now}
	if err := f.store.AddReplay(ctx, j, replaysRunning); err != nil {
		return "", err
	}
	f.wakeReplays()
	return j.ID, nil
}

func newReplayID(now time.Time) string { return id.New("rpl", now) }

// replayQuery completes the Query of a replay at a time, or says what is wrong with it.
func (f *Forwarder) replayQuery(q Query, now time.Time) (Query, error) {
	var err error
	if q.Environment, err = f.environment(q.Environment); err != nil {
		return q, err
	}
	wrong := func(field, format string, args ...any) (Query, error) {
		return q, &QueryError{Field: field, Problem: fmt.Sprintf(format, args...)}
	}
	switch q.Status {
	case "", Dead, Delivered:
	case Pending:
		return wrong("status", `is "pending": those events are on their way already`)
	case Paused:
		return wrong("status", `is "paused": those events are sent when their destination is resumed`)
	default:
		return wrong("status", `is %.60q: it must be "dead", "delivered" or absent for both`, string(q.Status))
	}
	for _, m := range []struct{ field, value string }{
		{"environment", q.Environment}, {"connector", q.Connector}, {"trigger", q.Trigger}, {"account", q.Account}, {"connection", q.Connection},
	} {
		if len(m.value) > maxFilter {
			return wrong(m.field, "has more than %d bytes: there is none of that name", maxFilter)
		}
	}
	bare := q
	bare.Environment, bare.After, bare.Until = "", "", time.Time{}
	switch {
	case q.After != "":
		return wrong("after", "cannot be set: a replay has no pages")
	case bare == (Query{}):
		return wrong("status", `is missing, and so is everything else, which would replay all there is: set "dead" to replay what was not delivered, or since`)
	case !q.Until.IsZero() && !q.Since.Before(q.Until):
		return wrong("since", "is not before until: that selects nothing")
	case !q.Since.IsZero() && !q.Since.Before(now):
		return wrong("since", "is in the future: that selects nothing")
	}
	// What is received from now on, such as what comes of decoding again, is not
	// part of it, or it might never end. Stores keep milliseconds.
	q.Since, q.Until = q.Since.UTC(), q.Until.UTC()
	if now = now.UTC().Truncate(time.Millisecond); q.Until.IsZero() || q.Until.After(now) {
		q.Until = now
	}
	return q, nil
}

// ReplayJob returns one replay by filter, or [ErrNotFound].
func (f *Forwarder) ReplayJob(ctx context.Context, id string) (ReplayJob, error) {
	return f.store.ReplayJob(ctx, id)
}

// ReplaysQuery selects replays by filter.
type ReplaysQuery struct {
	Environment string // "" is the default one, "*" is all
	After       string // id of the last one already seen: continue behind it
}

// Replays iterates over the replays by filter, newest first. Those that have
// ended are forgotten as events are.
func (f *Forwarder) Replays(ctx context.Context, q ReplaysQuery) iter.Seq2[ReplayJob, error] {
	return func(yield func(ReplayJob, error) bool) {
		var err error
		if q.Environment, err = f.environment(q.Environment); err != nil {
			yield(ReplayJob{}, err)
			return
		}
		for {
			page, err := f.store.ReplayJobs(ctx, q, eventsPage)
			if err != nil {
				yield(ReplayJob{}, err)
				return
			}
			for _, j := range page {
				if !yield(j, nil) {
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

// CancelReplay ends a replay by filter: it selects nothing more, and those of
// its deliveries that wait end as [Cancelled]; their events are what they were
// before. Tries in flight finish, and what they deliver counts. It returns when
// that is durable. One that has ended already stays as it is. Errors: [ErrNotFound].
func (f *Forwarder) CancelReplay(ctx context.Context, id string) error {
	if err := f.store.CancelReplay(ctx, id, "cancelled on request", f.now().UTC()); err != nil {
		return err
	}
	if e := f.engine.Load(); e != nil {
		f.putBack(context.WithoutCancel(ctx), e.without(id)) // the store ends what is given back
	}
	return nil
}
