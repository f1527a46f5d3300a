package sqlite

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// conn is one connection with its prepared statements. Rooms write their SQL
// against it:
//
//	n, err := c.sql(`UPDATE … WHERE id = ?`).text(id).exec()
//	found, err := c.sql(`SELECT … WHERE id = ?`).text(id).one(func(r row) { … })
//	err := c.sql(`SELECT … WHERE lane = ?`).text(lane).each(func(r row) error { … })
//
// A conn is used by one goroutine at a time.
type conn struct {
	db    *sqlite3.Conn
	cache map[string]*stmt // by SQL text
}

func newConn(db *sqlite3.Conn) *conn {
	return &conn{db: db, cache: make(map[string]*stmt)}
}

// sql returns the statement of text, prepared once per connection. Values are
// bound in the order of its placeholders. Mistakes show when it runs.
func (c *conn) sql(text string) *stmt {
	st := c.cache[text]
	if st != nil && !st.busy {
		st.busy, st.bound, st.err = true, 0, nil
		return st
	}
	s, tail, err := c.db.PrepareFlags(text, sqlite3.PREPARE_PERSISTENT)
	switch {
	case err != nil:
		return &stmt{err: fmt.Errorf("sqlite: %w in %q", err, text)}
	case tail != "" || s == nil:
		_ = s.Close()
		return &stmt{err: fmt.Errorf("sqlite: one statement wanted, got %q", text)}
	}
	// While a statement's rows are read, the same text gets a second one that
	// is used once.
	fresh := &stmt{s: s, busy: true, once: st != nil}
	if !fresh.once {
		c.cache[text] = fresh
	}
	return fresh
}

// script runs several statements without values.
func (c *conn) script(text string) error { return c.db.Exec(text) }

// reset takes back statements that an interrupted function left behind.
func (c *conn) reset() {
	for _, st := range c.cache {
		if st.busy {
			_ = st.s.Reset() // returns what the last step returned
			st.busy = false
		}
	}
}

func (c *conn) close() error {
	for text, st := range c.cache {
		_ = st.s.Close()
		delete(c.cache, text)
	}
	return c.db.Close()
}

// stmt is a prepared statement whose values are being bound. It ends with
// exec, one or each, and is not used after.
type stmt struct {
	s     *sqlite3.Stmt
	bound int
	err   error
	busy  bool
	once  bool
}

func (st *stmt) text(v string) *stmt {
	if st.err == nil {
		st.bound++
		st.err = st.s.BindText(st.bound, v)
	}
	return st
}

func (st *stmt) int(v int64) *stmt {
	if st.err == nil {
		st.bound++
		st.err = st.s.BindInt64(st.bound, v)
	}
	return st
}

func (st *stmt) bool(v bool) *stmt {
	if v {
		return st.int(1)
	}
	return st.int(0)
}

// blob binds bytes; nil is NULL.
func (st *stmt) blob(v []byte) *stmt {
	if st.err == nil {
		st.bound++
		if v == nil {
			st.err = st.s.BindNull(st.bound)
		} else {
			st.err = st.s.BindBlob(st.bound, v)
		}
	}
	return st
}

// time binds milliseconds since 1970 in UTC; the zero Time is NULL.
func (st *stmt) time(v time.Time) *stmt {
	if v.IsZero() {
		return st.blob(nil)
	}
	return st.int(v.UnixMilli())
}

// exec runs the statement and returns how many rows it inserted, changed or
// removed.
func (st *stmt) exec() (int64, error) {
	if st.err != nil {
		return 0, st.end(st.err)
	}
	c := st.s.Conn()
	before := c.TotalChanges()
	if err := st.s.Exec(); err != nil {
		return 0, st.end(err)
	}
	n := c.TotalChanges() - before
	return n, st.end(nil)
}

// one calls scan with the first row and says whether there was one.
func (st *stmt) one(scan func(row)) (found bool, err error) {
	if st.err != nil {
		return false, st.end(st.err)
	}
	defer func() { err = st.end(err) }()
	if st.s.Step() {
		scan(row{st.s})
		return true, st.s.Err()
	}
	return false, st.s.Err()
}

// each calls scan with every row until it returns an error.
func (st *stmt) each(scan func(row) error) (err error) {
	if st.err != nil {
		return st.end(st.err)
	}
	defer func() { err = st.end(err) }()
	for st.s.Step() {
		if err := scan(row{st.s}); err != nil {
			return err
		}
	}
	return st.s.Err()
}

// end makes the statement ready for its next use and returns err.
func (st *stmt) end(err error) error {
	if st.s == nil {
		return err
	}
	if err != nil {
		err = fmt.Errorf("%w in %q", err, st.s.SQL())
	}
	_ = st.s.Reset() // returns err once more
	st.busy = false
	if st.once {
		_ = st.s.Close()
	}
	return err
}

// row is a row of a result; columns count from 0. NULL is the zero value.
type row struct{ s *sqlite3.Stmt }

func (r row) text(i int) string { return r.s.ColumnText(i) }
func (r row) int(i int) int64   { return r.s.ColumnInt64(i) }
func (r row) bool(i int) bool   { return r.s.ColumnInt64(i) != 0 }
func (r row) null(i int) bool   { return r.s.ColumnType(i) == sqlite3.NULL }

// blob returns a copy; nil for NULL.
func (r row) blob(i int) []byte {
	raw := r.s.ColumnRawBlob(i)
	if raw == nil && r.s.ColumnType(i) == sqlite3.NULL {
		return nil
	}
	return append(make([]byte, 0, len(raw)), raw...)
}

// time returns the zero Time for NULL.
func (r row) time(i int) time.Time {
	if r.s.ColumnType(i) == sqlite3.NULL {
		return time.Time{}
	}
	return time.UnixMilli(r.s.ColumnInt64(i)).UTC()
}
