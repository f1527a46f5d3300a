package sqlite

// replaySchema2 is replays by filter.
const replaySchema2 = `
CREATE TABLE replay (
	id          TEXT    NOT NULL PRIMARY KEY, -- rpl_…
	state       INTEGER NOT NULL DEFAULT 0,   -- see replayRunning
	due         INTEGER,                      -- when it is to be looked at; NULL once it has ended
	created     INTEGER NOT NULL,
	ended       INTEGER,                      -- NULL while it runs
	reason      TEXT    NOT NULL DEFAULT '',  -- why it was cancelled
	environment TEXT    NOT NULL,             -- '*' is all; this and the following are what it selects
	connector   TEXT    NOT NULL,
	trigger     TEXT    NOT NULL,
	account     TEXT    NOT NULL,
	connection  TEXT    NOT NULL,
	status      TEXT    NOT NULL,
	since       INTEGER,
	until       INTEGER NOT NULL,
	mark        TEXT    NOT NULL DEFAULT '',  -- how far it has come: see position
	selected_all INTEGER NOT NULL DEFAULT 0,  -- it has come to the end
	selected    INTEGER NOT NULL DEFAULT 0,   -- events
	undecodable INTEGER NOT NULL DEFAULT 0,   -- of these
	delivered   INTEGER NOT NULL DEFAULT 0,   -- deliveries; those that are not finished are counted in task
	dead        INTEGER NOT NULL DEFAULT 0,
	cancelled   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX replay_environment ON replay (environment, id);
CREATE INDEX replay_due         ON replay (due)   WHERE due IS NOT NULL;
CREATE INDEX replay_ended       ON replay (ended) WHERE ended IS NOT NULL;

ALTER TABLE task ADD COLUMN job TEXT NOT NULL DEFAULT ''; -- deliver: the replay that made it
CREATE INDEX task_job ON task (job) WHERE job <> '' AND status = 0;
`

// States of replays as they are stored.
const (
	replayRunning   = 0
	replayDone      = 1
	replayCancelled = 2
)
