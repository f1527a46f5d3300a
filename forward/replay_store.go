package forward

import (
	"context"
	"time"
)

// Replays keeps replays by filter. What they select, and their deliveries, are
// in the event log and in the Queue like all others.
type Replays interface {
	// Select returns finished events that q selects and that lie behind from,
	// oldest first (with q.Environment "*" about so), at most limit; with q.Status empty those that are dead or
	// delivered, dead requests that were understood since left out. It may return
	// less than there is, and nothing, so as not to read for long: Next says where
	// to go on, unless it is Last.
	Select(ctx context.Context, q Query, from Mark, limit int) (Selection, error)

	// AddReplay stores a running replay, unless atMost of its Environment are
	// running: then [ErrTooManyReplays].
	AddReplay(ctx context.Context, j ReplayJob, atMost int) error

	// ReplayJob returns a replay, or [ErrNotFound].
	ReplayJob(ctx context.Context, id string) (ReplayJob, error)

	// ReplayJobs returns replays newest first, those behind q.After.
	ReplayJobs(ctx context.Context, q ReplaysQuery, limit int) ([]ReplayJob, error)

	// ReadyReplays returns running replays that can go on, the one first that has
	// waited longest: those of which fewer than room deliveries are not finished
	// or, when everything is selected, none.
	ReadyReplays(ctx context.Context, room, limit int) ([]ReplayJob, error)

	// CancelReplay ends a running replay and those of its deliveries that wait.
	// Those that are leased go on until their outcome, or end when they are given
	// back, or would have to be tried again. One that has ended stays as it is.
	// Errors: [ErrNotFound].
	CancelReplay(ctx context.Context, id, reason string, at time.Time) error

	// PurgeReplays removes at most limit replays that ended before the given time
	// and have no delivery left that is not finished.
	PurgeReplays(ctx context.Context, before time.Time, limit int) (int, error)
}

// Selection is what [Replays.Select] found.
type Selection struct {
	Events []Selected
	Next   Mark // behind everything that was looked at
	Last   bool // there is nothing more
}

// Selected is an event that is to be replayed.
type Selected struct {
	ID          string
	Mark        Mark // behind it
	Environment string
	Undecoded   bool // it is a [DeadInbound]
}

// ReplayStep moves a replay on, together with the deliveries of a Batch. When
// the replay is not where From says, or not running, the batch fails with
// [ErrReplayMoved].
type ReplayStep struct {
	Replay      string
	From, To    Mark
	At          time.Time // the replay is due again then, behind those that wait longer
	Selected    int       // events, to be added
	Undecodable int       // of these
	Last        bool      // To is the end. Once none of its deliveries is left unfinished, the replay is done
}
