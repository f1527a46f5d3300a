package sqlite

// laneSchema2 is what is known about a lane beside its tasks, and deliveries that
// wait for one another.
const laneSchema2 = `
-- Written when a lane begins or ceases to fail, and when its receiver says how long
-- it wants to be left alone. Of a destination, which is "dest:…".
CREATE TABLE lane (
	lane    TEXT    NOT NULL PRIMARY KEY,
	failing INTEGER NOT NULL DEFAULT 0, -- every try since has failed; 0: it does not fail
	rest    INTEGER NOT NULL DEFAULT 0  -- no try before; 0: it did not say
) STRICT, WITHOUT ROWID;

-- Unfinished deliveries of one lane and series are worked on in the order of turn.
-- The first one of them is due, and may be leased; the others are not due, so that
-- no search comes upon them, and become so one by one.
ALTER TABLE task ADD COLUMN series TEXT NOT NULL DEFAULT '';   -- '' is none
ALTER TABLE task ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;

CREATE INDEX task_series ON task (lane, series, turn) WHERE series <> '' AND status = 0;

-- A destination that is paused pauses its replays.
INSERT INTO pause (lane, reason, since)
	SELECT 'bulk:' || substr(lane, 6), reason, since FROM pause WHERE lane LIKE 'dest:%';
`
