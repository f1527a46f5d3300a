package sqlite

import (
	"context"

	"github.com/interactorhq/interactor/trigger"
)

// insertNews puts news beside a commit.
func insertNews(c *conn, news []trigger.Event) error {
	for i := range news {
		e := &news[i]
		_, err := c.sql(`INSERT INTO news (id, trigger, environment, account, connection, time, payload) VALUES (?, ?, ?, ?, ?, ?, ?)`).
			text(e.ID).text(e.Trigger).text(e.Environment).text(e.Account).text(e.Connection).time(e.Time).blob(notNil(e.Payload)).exec()
		if err != nil {
			return err
		}
	}
	return nil
}

// WaitingNews implements [forward.Outbox].
func (s *Store) WaitingNews(ctx context.Context, limit int) (list []trigger.Event, err error) {
	err = s.read(ctx, func(c *conn) error {
		list = nil
		return c.sql(`SELECT id, trigger, environment, account, connection, time, payload FROM news ORDER BY id LIMIT ?`).
			int(int64(limit)).each(func(r row) error {
			list = append(list, trigger.Event{
				ID: r.text(0), Trigger: r.text(1), Environment: r.text(2), Account: r.text(3), Connection: r.text(4),
				Time: r.time(5), Payload: r.blob(6),
			})
			return nil
		})
	})
	return list, err
}

// ForgetNews implements [forward.Outbox].
func (s *Store) ForgetNews(ctx context.Context, ids []string) error {
	return s.write(ctx, func(c *conn) error {
		for _, id := range ids {
			if _, err := c.sql(`DELETE FROM news WHERE id = ?`).text(id).exec(); err != nil {
				return err
			}
		}
		return nil
	})
}
