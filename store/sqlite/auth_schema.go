package sqlite

// authSchema holds connected accounts, consents under way and own Apps.
const authSchema = `
CREATE TABLE connection (
	id          TEXT    NOT NULL PRIMARY KEY, -- conn_…
	environment TEXT    NOT NULL,
	connector   TEXT    NOT NULL DEFAULT '',
	account     TEXT    NOT NULL DEFAULT '',
	holder      TEXT    NOT NULL DEFAULT '',  -- who granted
	app         TEXT    NOT NULL DEFAULT '',  -- '' is the default one
	client      TEXT    NOT NULL DEFAULT '',  -- client id of the App it was made with
	status      TEXT    NOT NULL DEFAULT 'active',
	closing     INTEGER NOT NULL DEFAULT 0,
	erased      INTEGER NOT NULL DEFAULT 0,
	refresh_at  INTEGER,                      -- NULL: never
	last_event  INTEGER,
	grant_hash  TEXT    NOT NULL DEFAULT '',  -- equal for equal grants
	token       BLOB,                         -- sealed
	secrets     BLOB,                         -- sealed
	doc         TEXT    NOT NULL DEFAULT '{}', -- JSON: see connectionDoc
	version     INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX connection_holder ON connection (environment, connector, account, holder) WHERE account <> '';
CREATE INDEX connection_environment   ON connection (environment, id);
CREATE INDEX connection_connector     ON connection (environment, connector, id);
CREATE INDEX connection_account       ON connection (environment, account, id);
CREATE INDEX connection_status        ON connection (environment, status, id);
CREATE INDEX connection_refresh       ON connection (refresh_at) WHERE refresh_at IS NOT NULL;
CREATE INDEX connection_grant         ON connection (connector, app, grant_hash) WHERE grant_hash <> '';
CREATE INDEX connection_client        ON connection (app, client) WHERE app <> '' AND erased = 0;

-- Who a connection is at the provider: which connections live on one consent.
CREATE TABLE identity (
	connector  TEXT NOT NULL,
	app        TEXT NOT NULL,
	identity   TEXT NOT NULL,
	connection TEXT NOT NULL,
	PRIMARY KEY (connector, app, identity, connection)
) STRICT, WITHOUT ROWID;

CREATE INDEX identity_connection ON identity (connection);

-- Tickets of the Continue page and states at providers, by hash.
CREATE TABLE consent (
	id     TEXT    NOT NULL PRIMARY KEY,
	sealed BLOB    NOT NULL,
	until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX consent_until ON consent (until);

-- Registrations at providers that belong to an environment.
CREATE TABLE app (
	id          TEXT    NOT NULL PRIMARY KEY, -- app_…
	environment TEXT    NOT NULL,
	connector   TEXT    NOT NULL,
	client      TEXT    NOT NULL,
	external    INTEGER NOT NULL, -- the program keeps its secrets
	deleted     INTEGER NOT NULL, -- kept for connections made with it
	sealed      BLOB,
	created     INTEGER NOT NULL,
	updated     INTEGER NOT NULL,
	version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX app_environment ON app (environment, connector);
`
