package forward

import (
	"context"
	"errors"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// Store is what forwarding keeps. Package store/storetest states its rules in
// words and judges implementations. Every method that writes returns when the
// write is durable; calls made at the same time may share one commit.
type Store interface {
	Queue
	Log
	Retention
	Replays
	Outbox
}

// Outbox holds news that other rooms have put beside a commit of theirs, so that
// what has happened is told although the program ended right after it.
type Outbox interface {
	// WaitingNews returns news that were not told yet, in order of ID, at most
	// limit. ID, Trigger, Environment, Account, Connection, Time (in milliseconds)
	// and Payload are set.
	WaitingNews(ctx context.Context, limit int) ([]trigger.Event, error)

	// ForgetNews removes news: they were told. Those that are not there are no error.
	ForgetNews(ctx context.Context, ids []string) error
}

// Queue is the hot path.
type Queue interface {
	// Append stores a batch, all of it or nothing. Events whose (Connection,
	// Trigger, DedupeKey) is known are left out, with their Deliveries. It
	// returns the Tasks that were stored, in the order of the batch; a Task whose
	// Lease is not zero is stored as already leased to the caller: what is
	// returned carries the token. A Task whose Series has an unfinished Task
	// already is stored without lease, and not due before that one is finished. A
	// Task of an event that is not there is left out. A Finished whose lease is
	// lost makes the whole batch fail with [ErrLeaseLost], a Cursor that was moved
	// meanwhile with [ErrCursorMoved], a Replay that was with [ErrReplayMoved].
	// What b holds must stay as it is, also when ctx has ended.
	// After another error nothing is stored or, where that cannot be known, leases
	// that it made run out by themselves.
	Append(ctx context.Context, b Batch) ([]Task, error)

	// Lanes returns lanes that hold Tasks which are not leased, with the earliest
	// due time of each, soonest first, at most limit, none due later than until.
	// Lanes that are paused are left out.
	Lanes(ctx context.Context, until time.Time, limit int) ([]LaneDue, error)

	// Claim leases due Tasks of one lane, those due first in front, with what is
	// needed to work on them. A Task is never leased twice at a time; each lease
	// has a greater token than the one before.
	Claim(ctx context.Context, r ClaimRequest) ([]Task, error)

	// Finish records Outcomes: attempt and next state together, and what they say
	// about their lane. When a Task of a Series is finished, the one that was stored
	// next becomes due. An Outcome whose lease is lost changes nothing; its index is
	// in the returned list.
	Finish(ctx context.Context, outcomes []Outcome) (lost []int, err error)

	// Release gives leased Tasks back, due at once and without an attempt. Those
	// whose lease is lost, and those that are not there, are left alone; those of
	// a replay that was cancelled end.
	Release(ctx context.Context, tasks []Task) error

	// Pause stops a lane from being claimed, and with "dest:…" the lane "bulk:…" of
	// the same name. A zero time lets both go on, and forgets the rest of what is
	// known about them: the next try is the first.
	Pause(ctx context.Context, lane, reason string, since time.Time) error

	// Lane returns what is known about a lane beside its Tasks; of "bulk:…" it is
	// what is known about "dest:…" of the same name.
	Lane(ctx context.Context, lane string) (LaneState, error)
}

// LaneState is what a store knows about a lane beside its Tasks. The zero value is
// that of a lane about which there is nothing to know.
type LaneState struct {
	PausedReason string
	PausedSince  time.Time // zero: it is not paused
	FailingSince time.Time // every try since has failed; zero: the last one did not, or there was none
	RestUntil    time.Time // as the last [Outcome.Rest] said
}

// Log answers questions about events.
type Log interface {
	// Record returns an event with its Deliveries and their Attempts, or [ErrNotFound].
	Record(ctx context.Context, id string) (Record, error)

	// Delivery returns a delivery with its Attempts, or [ErrNotFound].
	Delivery(ctx context.Context, id string) (Delivery, error)

	// Records returns events newest first, without Deliveries. With q.After it
	// continues behind that id.
	Records(ctx context.Context, q Query, limit int) ([]Record, error)

	// Inbound returns a request that was kept because it could not be decoded, or [ErrNotFound].
	Inbound(ctx context.Context, id string) (DeadInbound, error)

	// OldestDue returns the due time of the Task that has waited longest, zero
	// when nothing is waiting.
	OldestDue(ctx context.Context) (time.Time, error)

	// Backlog counts the Tasks that wait and are not leased. It may take a time
	// that grows with their number, but nothing may have to wait for it.
	Backlog(ctx context.Context, now time.Time) (Backlog, error)
}

// Retention forgets.
type Retention interface {
	// Purge removes at most limit finished events that were received before the
	// given time, those stored first in front, with all that belongs to them, and
	// returns how many it removed; fewer than limit means that there are no more.
	// Pending work is never removed. Their dedupe keys stay until PurgeKeys.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)

	// PurgeKeys removes at most limit dedupe keys that were stored before the given time.
	PurgeKeys(ctx context.Context, before time.Time, limit int) (int, error)

	// PutErasure notes that an account is to be erased. Noted twice it is one.
	PutErasure(ctx context.Context, e Erasure) error

	// Erasures returns what is noted, the oldest first, without Connections and
	// Triggers.
	Erasures(ctx context.Context) ([]Erasure, error)

	// Erase removes at most limit events of the account, whatever their state and
	// whoever has leased their Tasks, with all that belongs to them. It returns how
	// many it removed; fewer than limit means that none is left, and then what
	// waits for the Connections (Tasks of kind [Expand], leased ones too) and their
	// dedupe keys have gone as well: those of e.Triggers, and those of the Triggers
	// of the events that were removed. Of events without Connection it removes the
	// keys that are theirs. Leases of what was removed are lost.
	Erase(ctx context.Context, e Erasure, limit int) (int, error)

	// EndErasure removes the note. One that is not there is no error.
	EndErasure(ctx context.Context, e Erasure) error

	// Size returns how many bytes the store takes for what it holds. Room that
	// removed records have left and that is used again does not count. It is
	// cheap: asked for several times a second near Limits.MaxStore.
	Size(ctx context.Context) (int64, error)
}

// Erasure is the order to erase an account.
type Erasure struct {
	Environment string
	Account     string    // never empty
	At          time.Time // when it was given

	Connections []string // of the account, where that is known
	Triggers    []string // that their events may have had
}

// Errors that a Store returns.
var (
	ErrNotFound  = errors.New("forward: no such record")
	ErrLeaseLost = errors.New("forward: another worker has taken this task over")

	// ErrCursorMoved means that a Subscription's cursor is not what it was read as.
	ErrCursorMoved = errors.New("forward: the cursor was moved by somebody else meanwhile")

	// ErrStoreFailed means that the store cannot go on, such as after a failed
	// fsync: it must be opened anew. Run returns it at once.
	ErrStoreFailed = errors.New("forward: the store has failed and must be opened anew")
)

// Batch is one durable commit.
type Batch struct {
	// Events with what is to be done about each: Tasks of kind [Deliver] that
	// name one of Events by its ID, or one that is stored already (a replay).
	Events []NewEvent

	// Tasks to store. Those of kind [Expand] with a Merge replace a waiting, not
	// leased one of the same Subscription with an equal Merge.
	Tasks []Task

	// Dead are requests that were verified but not understood.
	Dead []DeadInbound

	// Cursor of a Subscription that moves together with the Events found by expanding it.
	Cursor *CursorMove

	// Finished are leased Tasks that this batch completes. One with a Due time is
	// kept and waits until then; others are removed.
	Finished []Finished

	// Replay that moves on together with the deliveries that it adds.
	Replay *ReplayStep
}

// NewEvent is an event to be stored.
type NewEvent struct {
	Event      trigger.Event
	ReceivedAt time.Time
	Inbound    string // id of the DeadInbound it was decoded from, if it was
}

// CursorMove sets the cursor of a Subscription, unless somebody else has moved it
// since it was read (then the batch fails with [ErrCursorMoved]): what lies
// between would never be told. Setting it to what it is already is no error.
type CursorMove struct {
	Subscription string
	From         string // as it was read
	Cursor       string
}

// Finished ends the lease of a Task of kind [Expand] or [Poll].
type Finished struct {
	Task  Task
	Due   time.Time // zero: the Task is removed (a Poll: it waits without due time until something sets one)
	Tries int       // kept with the Task: failed tries in a row
	Error string    // of the last try; for people
}

// Kind of a Task.
type Kind string

// Kinds of Tasks.
const (
	Deliver Kind = "deliver" // send an event to a destination
	Expand  Kind = "expand"  // ask the provider what a thin notice means
	Poll    Kind = "poll"    // ask the provider what is new; one for each Subscription that polls, its ID is the Subscription's
)

// Task is something to do at a time. It waits in its lane: "dest:" and an
// Environment id for deliveries, "bulk:" and that id for those of a replay by
// filter, "conn:" and a Connection id for the others.
type Task struct {
	ID    string // "dlv_…" (Deliver), "tsk_…" (Expand), "sub_…" (Poll)
	Kind  Kind
	Lane  string
	Due   time.Time
	Lease int64 // token of the lease; 0: not leased
	Tries int   // tries made so far

	// Trace is the W3C traceparent of the commit that stored the Task; "" without
	// tracing. What is done about the Task belongs to that trace, also after a
	// restart.
	Trace string

	// Deliver
	Event  trigger.Event // in a Batch only its ID is needed
	Replay bool
	Series string // not empty: Tasks of a lane with the same one are worked on one after another, as they were stored
	Job    string // "rpl_…": the replay by filter that made it

	// Expand and Poll
	Subscription string
	Thin         []byte // the Notice's; nil for Poll
	Merge        string
}

// Backlog is how many Tasks wait, by the kind of their lane.
type Backlog struct {
	Deliveries  Waiting // in lanes "dest:…"
	Replays     Waiting // in lanes "bulk:…"
	Calls       Waiting // in lanes "conn:…"
	PausedLanes int     // without lanes "bulk:…", which are paused with their destination
}

// Waiting counts Tasks. Each is in one of the three.
type Waiting struct {
	Due       int64 // now, and their lane is not paused
	Scheduled int64 // later, or when another one of their series has ended
	Paused    int64 // their lane is paused, whenever they are due
}

// LaneDue is a lane that has waiting Tasks.
type LaneDue struct {
	Lane string
	Due  time.Time
}

// ClaimRequest asks for due Tasks of one lane.
type ClaimRequest struct {
	Lane  string
	Now   time.Time
	Limit int
	Bytes int64         // of payloads at most, except that one Task is returned however large it is
	Lease time.Duration // how long the lease holds where several processes share the store
}

// Outcome of one try of a [Deliver] Task.
type Outcome struct {
	Task    Task
	Attempt Attempt
	Status  Status
	Due     time.Time // of the next try, with Pending
	Reason  string    // why it is Dead
	Pause   string    // not empty: pause the Task's lane, for this reason, in the same commit

	// What it changes about the Task's lane, see [LaneState]; mostly nothing.
	Failing   time.Time // not zero: the first failure after a success, or the first of all
	Recovered bool      // the first success after failures
	Rest      time.Time // not zero: the receiver wants no try in this lane before
}

// DeadInbound is a request that was verified but could not be decoded. It shows
// in the log as a Dead event; replaying it decodes it anew.
type DeadInbound struct {
	ID          string // "evt_…", also of the Record that shows it
	Connector   string
	Endpoint    string // of its address; empty: the default App's
	Connection  string // of its address, if that is a Subscription's
	Account     string
	Deployment  string
	Environment string // whose App or Subscription the address belongs to; may be empty with several tenants
	ReceivedAt  time.Time
	Reason      string
	Request     []byte // the Inbound, sealed where the Forwarder has a Keeper
}
