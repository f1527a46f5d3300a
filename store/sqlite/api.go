package sqlite

import (
	"context"
	"time"

	"github.com/interactorhq/interactor/api"
)

const apiSchema = `
-- What requests with an Idempotency-Key were answered.
CREATE TABLE answer (
	id      BLOB NOT NULL PRIMARY KEY, -- hash of environment and key
	request BLOB NOT NULL,             -- hash of what was asked
	status  INTEGER NOT NULL,          -- 0: being worked on
	body    BLOB,
	until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_until ON answer (until);
`

var _ api.Store = (*Store)(nil)

// forgetAnswers is how many that have passed a claim removes along the way: more
// than it adds, so that they do not pile up.
const forgetAnswers = 10

// ClaimAnswer implements [api.Store].
func (s *Store) ClaimAnswer(ctx context.Context, a api.Answer, now time.Time) (there api.Answer, claimed bool, err error) {
	err = s.write(ctx, func(c *conn) error {
		there, claimed = api.Answer{}, false
		if _, err := c.sql(`DELETE FROM answer WHERE id IN (SELECT id FROM answer WHERE until <= ? ORDER BY until LIMIT ?)`).
			time(now).int(forgetAnswers).exec(); err != nil {
			return err
		}
		found, err := c.sql(`SELECT id, request, status, body, until FROM answer WHERE id = ? AND until > ?`).blob(a.ID).time(now).one(func(r row) {
			there = api.Answer{ID: r.blob(0), Request: r.blob(1), Status: int(r.int(2)), Body: r.blob(3), Until: r.time(4)}
		})
		if err != nil || found {
			return err
		}
		claimed = true
		_, err = c.sql(`INSERT OR REPLACE INTO answer (id, request, status, until) VALUES (?, ?, 0, ?)`).
			blob(a.ID).blob(a.Request).time(a.Until).exec()
		return err
	})
	return there, claimed && err == nil, err
}

// PutAnswer implements [api.Store].
func (s *Store) PutAnswer(ctx context.Context, a api.Answer) error {
	return s.writeSized(ctx, len(a.Body), func(c *conn) error {
		_, err := c.sql(`UPDATE answer SET status = ?, body = ?, until = ? WHERE id = ? AND request = ? AND status = 0`).
			int(int64(a.Status)).blob(a.Body).time(a.Until).blob(a.ID).blob(a.Request).exec()
		return err
	})
}

// DropAnswer implements [api.Store].
func (s *Store) DropAnswer(ctx context.Context, id []byte) error {
	return s.write(ctx, func(c *conn) error {
		_, err := c.sql(`DELETE FROM answer WHERE id = ? AND status = 0`).blob(id).exec()
		return err
	})
}
