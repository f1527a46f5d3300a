package sqlite

import (
	"testing"
)

func TestOpenClose(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, Config{Path: t.TempDir() + "/x.db"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.write(ctx, func(c *conn) error {
		_, err := c.sql(`INSERT INTO dirty (connection, due) VALUES (?, ?)`).text("a").int(1).exec()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.read(ctx, func(c *conn) error {
		_, err := c.sql(`SELECT due FROM dirty WHERE connection = ?`).text("a").one(func(r row) { t.Log(r.int(0)) })
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(ctx, t.TempDir()+"/b.db"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
