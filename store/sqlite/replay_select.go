package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/interactorhq/interactor/forward"
)

// position is what a Mark says: when an event was received, and its n.
type position struct{ received, n int64 }

func (p position) mark() forward.Mark { return forward.Mark(fmt.Sprintf("%d %d", p.received, p.n)) }

func readMark(m forward.Mark) (p position, err error) {
	if m == "" {
		return p, nil
	}
	if _, err := fmt.Sscanf(string(m), "%d %d", &p.received, &p.n); err != nil {
		return p, fmt.Errorf("sqlite: mark %.40q is none of this store's: %w", m, err)
	}
	return p, nil
}

// selectRows is how many events one Select looks at: filters may fit hardly any.
const selectRows = 20_000

// Select implements [forward.Replays].
func (s *Store) Select(ctx context.Context, q forward.Query, from forward.Mark, limit int) (forward.Selection, error) {
	begin, err := readMark(from)
	if err != nil {
		return forward.Selection{}, err
	}
	var sel forward.Selection
	err = s.read(ctx, func(c *conn) error {
		sel = forward.Selection{}
		rows, last := 0, begin
		walk := func(where string, bind func(*stmt) *stmt) error {
			return bind(bindSelect(c.sql(selectSQL(q, where)), q)).each(func(r row) error {
				if len(sel.Events) == limit || rows == selectRows {
					return errEnough
				}
				rows++
				last = position{r.int(0), r.int(1)}
				if r.bool(4) {
					sel.Events = append(sel.Events, forward.Selected{ID: r.text(2), Mark: last.mark(), Environment: r.text(3), Undecoded: r.bool(5)})
				}
				return nil
			})
		}
		since, until := dueAt(q.Since), q.Until.UnixMilli()
		var err error
		if q.Environment == "*" { // no index has all of them by time; they were stored in about that order
			err = walk(`n > ? ORDER BY n`, func(st *stmt) *stmt { return st.int(since).int(until).int(begin.n) })
		} else {
			if from != "" { // those of the same millisecond; comparing pairs would not use the index
				since = max(since, begin.received+1)
				err = walk(`received = ? AND n > ? ORDER BY n`, func(st *stmt) *stmt { return st.int(begin.received).int(begin.n) })
			}
			if err == nil {
				err = walk(`received >= ? AND received < ? ORDER BY received, n`, func(st *stmt) *stmt { return st.int(since).int(until) })
			}
		}
		sel.Next, sel.Last = last.mark(), err == nil
		if isEnough(err) {
			err = nil
		}
		return err
	})
	if err != nil {
		return forward.Selection{}, err
	}
	return sel, nil
}

// selectSQL walks through an index that has the events in order, as far as where
// says, and tells of each whether the rest of the query fits.
func selectSQL(q forward.Query, where string) string {
	const undecoded = `(trigger = '' AND EXISTS (SELECT 1 FROM inbound WHERE inbound.id = event.id))`
	index, walk := `INDEXED BY event_environment`, `environment = ? AND `
	fits := []string{`status <> 0`, `NOT (status = 1 AND ` + undecoded + `)`}
	for _, f := range exactFilters(q) {
		fits = append(fits, f.column+` = ?`)
	}
	switch {
	case q.Environment == "*":
		index, walk, fits = `NOT INDEXED`, ``, append(fits, `received >= ?`, `received < ?`)
	case q.Account != "":
		index, walk = `INDEXED BY event_account`, walk+`account = ? AND account <> '' AND `
	case q.Status == forward.Dead:
		index, walk = `INDEXED BY event_dead`, walk+`status = 2 AND `
	}
	switch q.Status {
	case forward.Dead:
		fits = append(fits, `status = 2`)
	case forward.Delivered:
		fits = append(fits, `status = 1`)
	default: // both
	}
	return `SELECT received, n, id, environment, ` + strings.Join(fits, ` AND `) + `, ` + undecoded + `
		FROM event ` + index + ` WHERE ` + walk + where
}

// bindSelect binds what selectSQL asks for, less what is in where.
func bindSelect(st *stmt, q forward.Query) *stmt {
	for _, f := range exactFilters(q) {
		st.text(f.value)
	}
	if q.Environment != "*" {
		st.text(q.Environment)
		if q.Account != "" {
			st.text(q.Account)
		}
	}
	return st
}

// filter is a column that has to hold a value.
type filter struct{ column, value string }

// exactFilters are those members of a query that are set and that selectSQL does
// not walk along.
func exactFilters(q forward.Query) (set []filter) {
	all := []filter{{`connector`, q.Connector}, {`trigger`, q.Trigger}, {`connection`, q.Connection}}
	if q.Environment == "*" {
		all = append(all, filter{`account`, q.Account})
	}
	for _, f := range all {
		if f.value != "" {
			set = append(set, f)
		}
	}
	return set
}
