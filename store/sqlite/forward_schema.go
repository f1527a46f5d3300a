package sqlite

import "github.com/interactorhq/interactor/forward"

// forwardSchema is what the room "forward" alone writes. What changes with every
// event has as few indexes as its questions allow: each is a tree to change.
const forwardSchema = `
CREATE TABLE event (
	n           INTEGER PRIMARY KEY,          -- in the order in which they were stored
	id          TEXT    NOT NULL UNIQUE,      -- evt_…
	environment TEXT    NOT NULL,
	received    INTEGER NOT NULL,
	status      INTEGER NOT NULL,             -- see stateOf; paused is pending in a paused lane
	trigger     TEXT    NOT NULL,
	connector   TEXT    NOT NULL,
	account     TEXT    NOT NULL,
	connection  TEXT    NOT NULL,
	deployment  TEXT    NOT NULL,
	time        INTEGER,
	test        INTEGER NOT NULL,
	dedupe      TEXT    NOT NULL,             -- as the connector said it; '' is the id
	reason      TEXT    NOT NULL DEFAULT '',  -- why it is dead
	inbound     TEXT    NOT NULL DEFAULT '',  -- the dead request that it was decoded from
	payload     INTEGER NOT NULL,             -- payload.n; 0: none
	delivery    TEXT    NOT NULL DEFAULT '',  -- the first one; others have task.later
	deliveries  INTEGER NOT NULL DEFAULT 0    -- how many
) STRICT;

CREATE INDEX event_environment ON event (environment, received);
CREATE INDEX event_account     ON event (environment, account, received) WHERE account <> '';
CREATE INDEX event_dead        ON event (environment, received) WHERE status = 2;

-- In a table of its own, so that lists and states are small to read and change.
CREATE TABLE payload (
	n       INTEGER PRIMARY KEY,
	payload BLOB,
	raw     BLOB
) STRICT;

-- Tries of deliveries: task.attempt is the last one, prev the one before it.
CREATE TABLE attempt (
	n               INTEGER PRIMARY KEY,
	prev            INTEGER NOT NULL, -- 0: none
	task            TEXT    NOT NULL,
	at              INTEGER NOT NULL,
	took            INTEGER NOT NULL, -- microseconds
	url             TEXT    NOT NULL,
	code            INTEGER NOT NULL,
	error           TEXT    NOT NULL,
	request_header  TEXT    NOT NULL, -- one "Name: value" a line
	response_header TEXT    NOT NULL,
	response        BLOB
) STRICT;

-- Occurrences that are known. Events are purged and these are not, until later.
CREATE TABLE dedupe (
	key BLOB    NOT NULL PRIMARY KEY, -- see dedupeKey
	at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests that could not be decoded; each is the event of the same id, too.
CREATE TABLE inbound (
	id       TEXT NOT NULL PRIMARY KEY,
	endpoint TEXT NOT NULL,
	request  BLOB NOT NULL
) STRICT;

CREATE TABLE pause (
	lane   TEXT    NOT NULL PRIMARY KEY,
	reason TEXT    NOT NULL,
	since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

// States of events and deliveries as they are stored. An index holds only what
// is dead, so these numbers stand in the schema.
const (
	pending   = 0 // or paused, when its lane is
	delivered = 1
	dead      = 2
	cancelled = 3 // deliveries only
)

func stateOf(s forward.Status) int64 {
	switch s {
	case forward.Delivered:
		return delivered
	case forward.Dead:
		return dead
	case forward.Cancelled:
		return cancelled
	default:
		return pending // Pending, and Paused, which the lane says
	}
}

func statusOf(state int64, paused bool) forward.Status {
	switch {
	case state == delivered:
		return forward.Delivered
	case state == dead:
		return forward.Dead
	case state == cancelled:
		return forward.Cancelled
	case paused:
		return forward.Paused
	}
	return forward.Pending
}
