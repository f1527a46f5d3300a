package sqlite

// newsSchema2 keeps what was put beside a commit for somebody to tell.
const newsSchema2 = `
CREATE TABLE news (
	id          TEXT    NOT NULL PRIMARY KEY, -- evt_…
	trigger     TEXT    NOT NULL,
	environment TEXT    NOT NULL,
	account     TEXT    NOT NULL,
	connection  TEXT    NOT NULL,
	time        INTEGER NOT NULL,
	payload     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
`
