package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/interactorhq/interactor/seal"
)

var _ seal.Store = (*Store)(nil)

// pageBytes is about how much SealedAfter returns at a time.
const pageBytes = 4 << 20

// sealedColumn is where values of a kind are. after selects place, record and
// value; swap takes the new value, the place and the former value.
type sealedColumn struct {
	numbered    bool // the place is a number
	after, swap string
}

// sealedColumns lists every column of the schema that holds sealed values.
func sealedColumns(kind seal.Kind) (sealedColumn, bool) {
	byID := func(table, column, version string) sealedColumn {
		return sealedColumn{
			after: `SELECT id, id AS record, ` + column + ` FROM ` + table + ` WHERE id > ? AND length(` + column + `) > 0 ORDER BY id LIMIT ?`,
			swap:  `UPDATE ` + table + ` SET ` + column + ` = ?` + version + ` WHERE id = ? AND ` + column + ` = ?`,
		}
	}
	ofEvent := func(column string) sealedColumn {
		return sealedColumn{
			numbered: true,
			after: `SELECT e.n, e.id, p.` + column + ` FROM event e JOIN payload p ON p.n = e.payload
				WHERE e.n > ? AND length(p.` + column + `) > 0 ORDER BY e.n LIMIT ?`,
			swap: `UPDATE payload SET ` + column + ` = ? WHERE n = (SELECT payload FROM event WHERE n = ?) AND ` + column + ` = ?`,
		}
	}
	const changed = `, version = version + 1`
	switch kind {
	case seal.KindToken:
		return byID("connection", "token", changed), true
	case seal.KindFields:
		return byID("connection", "secrets", changed), true
	case seal.KindApp:
		return byID("app", "sealed", changed), true
	case seal.KindWatch:
		return byID("subscription", "sealed", changed), true
	case seal.KindConsent:
		return byID("consent", "sealed", ""), true
	case seal.KindRequest:
		return byID("inbound", "request", ""), true
	case seal.KindThin:
		return byID("task", "thin", ""), true
	case seal.KindForwarding:
		return sealedColumn{
			after: `SELECT owner, owner AS record, sealed FROM forwarding WHERE owner > ? AND length(sealed) > 0 ORDER BY owner LIMIT ?`,
			swap:  `UPDATE forwarding SET sealed = ? WHERE owner = ? AND sealed = ?`,
		}, true
	case seal.KindPayload:
		return ofEvent("payload"), true
	case seal.KindRaw:
		return ofEvent("raw"), true
	case seal.KindResponse:
		return sealedColumn{
			numbered: true,
			after:    `SELECT n, task, response FROM attempt WHERE n > ? AND length(response) > 0 ORDER BY n LIMIT ?`,
			swap:     `UPDATE attempt SET response = ? WHERE n = ? AND response = ?`,
		}, true
	}
	return sealedColumn{}, false
}

// bind gives a statement the place.
func (col sealedColumn) bind(st *stmt, place string) *stmt {
	if !col.numbered {
		return st.text(place)
	}
	n, err := strconv.ParseInt(place, 10, 64)
	if err != nil {
		n = 0 // "" is before the first one
	}
	return st.int(n)
}

func (col sealedColumn) place(r row) string {
	if col.numbered {
		return strconv.FormatInt(r.int(0), 10)
	}
	return r.text(0)
}

// SealedAfter implements [seal.Store].
func (s *Store) SealedAfter(ctx context.Context, kind seal.Kind, after string, limit int) (values []seal.Stored, next string, err error) {
	col, ok := sealedColumns(kind)
	if !ok {
		return nil, "", fmt.Errorf("sqlite: there are no sealed values of kind %q", kind)
	}
	enough := errors.New("sqlite: enough")
	err = s.read(ctx, func(c *conn) error {
		values, next = nil, ""
		size := 0
		return col.bind(c.sql(col.after), after).int(int64(limit)).each(func(r row) error {
			v := seal.Stored{Kind: kind, Record: r.text(1), Place: col.place(r), Sealed: r.blob(2)}
			values = append(values, v)
			if size += len(v.Sealed); len(values) == limit || size >= pageBytes {
				next = v.Place
				return enough
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, enough) {
		return nil, "", err
	}
	return values, next, nil
}

// SwapSealed implements [seal.Store].
func (s *Store) SwapSealed(ctx context.Context, swaps []seal.Swap) (changed int, err error) {
	size := 0
	for _, swap := range swaps {
		if _, ok := sealedColumns(swap.Kind); !ok {
			return 0, fmt.Errorf("sqlite: there are no sealed values of kind %q", swap.Kind)
		}
		size += 2*len(swap.Anew) + 256
	}
	err = s.writePatient(ctx, size, func(c *conn) error {
		changed = 0
		for _, swap := range swaps {
			col, _ := sealedColumns(swap.Kind)
			n, err := col.bind(c.sql(col.swap).blob(swap.Anew), swap.Place).blob(swap.Sealed).exec()
			if err != nil {
				return err
			}
			if n == 0 {
				changed++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}
