package sqlite

const deploymentSchema = `
CREATE TABLE organization (
	id      TEXT NOT NULL PRIMARY KEY,
	name    TEXT NOT NULL,
	created INTEGER NOT NULL,
	deleted INTEGER
) STRICT;
CREATE UNIQUE INDEX organization_name ON organization (name) WHERE deleted IS NULL;
CREATE INDEX organization_order ON organization (created, id) WHERE deleted IS NULL;
CREATE INDEX organization_deleted ON organization (id) WHERE deleted IS NOT NULL;

CREATE TABLE deployment (
	id           TEXT NOT NULL PRIMARY KEY,
	organization TEXT NOT NULL,
	name         TEXT NOT NULL,
	created      INTEGER NOT NULL,
	deleted      INTEGER
) STRICT;
CREATE UNIQUE INDEX deployment_name ON deployment (organization, name) WHERE deleted IS NULL;
CREATE INDEX deployment_organization ON deployment (organization, created, id);
CREATE INDEX deployment_order ON deployment (created, id) WHERE deleted IS NULL;
CREATE INDEX deployment_deleted ON deployment (id) WHERE deleted IS NOT NULL;

CREATE TABLE environment (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation
	id         TEXT NOT NULL UNIQUE,
	deployment TEXT NOT NULL,
	name       TEXT NOT NULL,
	created    INTEGER NOT NULL,
	deleted    INTEGER
) STRICT;
CREATE UNIQUE INDEX environment_name ON environment (deployment, name) WHERE deleted IS NULL;
CREATE INDEX environment_deployment ON environment (deployment, seq);
CREATE INDEX environment_deleted ON environment (id) WHERE deleted IS NOT NULL;

CREATE TABLE forwarding (
	revision INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
	owner    TEXT NOT NULL UNIQUE, -- a deployment or an environment
	public   BLOB NOT NULL,
	sealed   BLOB NOT NULL,
	managed  INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
	hash        BLOB NOT NULL PRIMARY KEY,
	environment TEXT NOT NULL,
	issued      INTEGER NOT NULL,
	until       INTEGER -- NULL: the current one
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_environment ON api_key (environment, until);
CREATE UNIQUE INDEX api_key_current ON api_key (environment) WHERE until IS NULL;
`
