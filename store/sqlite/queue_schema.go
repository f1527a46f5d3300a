package sqlite

// queueSchema holds the tables that several rooms write to.
const queueSchema = `
-- What there is to do, and the deliveries that were done. A row waits while due
-- is set and lease is 0, is being worked on while lease is set, and is finished
-- or asleep when neither is. Polls: the room "subscription" keeps the row with
-- id = sub_…, kind = 'poll', lane = 'conn:' || connection, subscription = id.
CREATE TABLE task (
	id           TEXT    NOT NULL PRIMARY KEY, -- dlv_…, tsk_…, sub_…
	kind         TEXT    NOT NULL,             -- deliver, expand, poll
	lane         TEXT    NOT NULL,             -- dest:env_…, conn:conn_…
	due          INTEGER,                      -- NULL: never by itself
	lease        INTEGER NOT NULL DEFAULT 0,   -- token of the lease; 0: not leased
	tries        INTEGER NOT NULL DEFAULT 0,   -- expand and poll: failed ones in a row
	error        TEXT    NOT NULL DEFAULT '',  -- expand and poll: of the last try
	event        TEXT    NOT NULL DEFAULT '',  -- deliver: what
	later        INTEGER NOT NULL DEFAULT 0,   -- deliver: not the delivery that event.delivery names
	replay       INTEGER NOT NULL DEFAULT 0,
	status       INTEGER NOT NULL DEFAULT 0,   -- deliver: see stateOf
	reason       TEXT    NOT NULL DEFAULT '',
	attempt      INTEGER NOT NULL DEFAULT 0,   -- deliver: the last one; each names the one before
	subscription TEXT    NOT NULL DEFAULT '',  -- expand, poll: of whom
	merge        TEXT    NOT NULL DEFAULT '',  -- expand: a waiting one with the same is replaced
	thin         BLOB                          -- expand: what the provider said
) STRICT, WITHOUT ROWID;

CREATE INDEX task_due    ON task (lane, due) WHERE lease = 0 AND due IS NOT NULL;
CREATE INDEX task_leased ON task (lease)     WHERE lease <> 0;
CREATE INDEX task_later  ON task (event)     WHERE later = 1;
CREATE INDEX task_merge  ON task (subscription, merge) WHERE subscription <> '';

-- Which connections a request concerns: keys of who somebody is at the provider
-- (subscription = ''; kept by the room "auth") and of what is watched (kept by
-- the room "subscription").
CREATE TABLE route (
	connector    TEXT NOT NULL,
	app          TEXT NOT NULL, -- '' is the default one
	key          TEXT NOT NULL,
	connection   TEXT NOT NULL,
	subscription TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (connector, app, key, connection, subscription)
) STRICT, WITHOUT ROWID;

CREATE INDEX route_connection ON route (connection, subscription);

-- Connections whose watches may differ from what is wanted. Marked by markDirty
-- in the commit that makes them so, by the rooms "auth" and "deployment"; worked
-- off by the room "subscription".
CREATE TABLE dirty (
	connection TEXT    NOT NULL PRIMARY KEY,
	due        INTEGER NOT NULL,
	leased     INTEGER NOT NULL DEFAULT 0, -- until when; 0: nobody works on it
	version    INTEGER NOT NULL DEFAULT 1  -- grows with each mark
) STRICT, WITHOUT ROWID;

CREATE INDEX dirty_due ON dirty (due);

-- The greatest token of a task's lease that may have been given out.
CREATE TABLE lease (token INTEGER NOT NULL) STRICT;
INSERT INTO lease VALUES (0);
`
