package sqlite

const subscriptionSchema = `
-- Watches at providers, one row for each Connection and Resource. A row is an
-- intent while due is set; one that is removed stays for a while without due, so
-- that its address can answer 410.
CREATE TABLE subscription (
	id          TEXT    NOT NULL PRIMARY KEY, -- sub_…
	environment TEXT    NOT NULL,
	connection  TEXT    NOT NULL,
	account     TEXT    NOT NULL,
	connector   TEXT    NOT NULL,
	app         TEXT    NOT NULL, -- '' is the default one
	watch       TEXT    NOT NULL,
	resource    TEXT    NOT NULL,
	identity    TEXT    NOT NULL,
	endpoint    TEXT    NOT NULL, -- last part of its address
	state       TEXT    NOT NULL,
	last_error  TEXT    NOT NULL DEFAULT '',
	tries       INTEGER NOT NULL DEFAULT 0,
	due         INTEGER,                    -- of the next call; NULL: none is planned
	leased      INTEGER NOT NULL DEFAULT 0, -- until when; 0: nobody works on it
	renew_at    INTEGER,
	created_at  INTEGER NOT NULL,
	ended_at    INTEGER,
	cursor      TEXT    NOT NULL DEFAULT '',
	sealed      BLOB,                       -- the key that verifies its requests
	doc         TEXT    NOT NULL,           -- JSON: params, topics, filters, triggers, held
	version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX subscription_connection  ON subscription (connection);
-- Of two comparisons at the same time, one makes the intent.
CREATE UNIQUE INDEX subscription_intent ON subscription (connection, watch, resource, identity)
	WHERE state NOT IN ('removing', 'removed');
CREATE INDEX subscription_endpoint    ON subscription (endpoint) WHERE state <> 'removed';
CREATE INDEX subscription_due         ON subscription (due) WHERE due IS NOT NULL;
CREATE INDEX subscription_leased      ON subscription (leased) WHERE leased <> 0;
CREATE INDEX subscription_sibling     ON subscription (connector, app, watch, resource, identity) WHERE state <> 'removed';
CREATE INDEX subscription_environment ON subscription (environment, id) WHERE state <> 'removed';
CREATE INDEX subscription_removed     ON subscription (ended_at) WHERE state = 'removed';
`
