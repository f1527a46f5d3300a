package sqlite

import (
	"errors"
	"fmt"
)

// applicationID marks our files among SQLite's ("intr").
const applicationID = 0x696e7472

// migrations returns what leads from one version of the schema to the next; the
// first one makes an empty file version 1. Each room keeps its own section in
// its own file. What was released is never changed: a change is a new version.
func migrations() [][]string {
	return [][]string{
		{queueSchema, forwardSchema, deploymentSchema, subscriptionSchema, authSchema, apiSchema}, // version 1: one section per room
		{laneSchema2, attemptSchema2, replaySchema2, traceSchema2, newsSchema2, watchSchema2},     // version 2: one section per subject
	}
}

// ours refuses a file that belongs to another program or a newer version, before
// anything is changed in it.
func ours(c *conn, path string) error {
	var version, app, tables int64
	err := errors.Join(
		scanInt(c, `PRAGMA user_version`, &version),
		scanInt(c, `PRAGMA application_id`, &app),
		scanInt(c, `SELECT count(*) FROM sqlite_schema`, &tables),
	)
	if err != nil {
		return err
	}
	known := int64(len(migrations()))
	switch {
	case app == 0 && version == 0 && tables == 0: // new
	case app != applicationID:
		return fmt.Errorf("%w: %s is an SQLite database of another program: choose another Path", ErrForeign, path)
	case version > known:
		return fmt.Errorf("%w: %s has schema version %d and this program knows versions up to %d: use a newer release of interactor",
			ErrNewer, path, version, known)
	}
	return nil
}

// migrate brings the schema up to date, all of it or nothing.
func migrate(c *conn, path string) error {
	var version int64
	if err := scanInt(c, `PRAGMA user_version`, &version); err != nil {
		return err
	}
	steps := migrations()
	if version == int64(len(steps)) {
		return nil
	}
	if err := c.script(`BEGIN EXCLUSIVE`); err != nil {
		return err
	}
	for i, sections := range steps[version:] {
		for _, section := range sections {
			if err := c.script(section); err != nil {
				return errors.Join(fmt.Errorf("sqlite: migrating %s to schema version %d: %w", path, version+int64(i)+1, err),
					c.script(`ROLLBACK`))
			}
		}
	}
	return c.script(fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT`, applicationID, len(steps)))
}

func scanInt(c *conn, sql string, to *int64) error {
	_, err := c.sql(sql).one(func(r row) { *to = r.int(0) })
	return err
}
