package sqlite

// attemptSchema2 is what attempts and retention keep.
const attemptSchema2 = `
ALTER TABLE attempt ADD COLUMN class      TEXT    NOT NULL DEFAULT ''; -- why it failed, in one word
ALTER TABLE attempt ADD COLUMN dns        INTEGER NOT NULL DEFAULT 0;  -- microseconds, as are the next three
ALTER TABLE attempt ADD COLUMN connect    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN tls        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN first_byte INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN reused     INTEGER NOT NULL DEFAULT 0;  -- the connection was open already

-- Accounts that are being erased. A row is there from the order until nothing of
-- the account is left; whoever runs works it off.
CREATE TABLE erasure (
	environment TEXT    NOT NULL,
	account     TEXT    NOT NULL,
	due         INTEGER NOT NULL, -- when it was ordered
	PRIMARY KEY (environment, account)
) STRICT, WITHOUT ROWID;
`
