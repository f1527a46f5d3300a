package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	// maxReaders bounds memory: each reader has a cache of its own.
	maxReaders = 4

	// readLimit ends a read that takes too long: the WAL cannot be emptied
	// beyond what the oldest reader still sees.
	readLimit = 30 * time.Second
)

// read runs f with a connection that sees one state of the store from begin to
// end and cannot write. It is interrupted when ctx ends. What it sees contains
// every write that was durable when read was called.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	return s.readFor(ctx, readLimit, f)
}

func (s *Store) readFor(ctx context.Context, limit time.Duration, f func(*conn) error) (err error) {
	if err := s.failure(); err != nil {
		return err
	}
	var c *conn
	select {
	case c = <-s.readers:
	default:
		select {
		case c = <-s.readers:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing.Done():
			return ErrClosed
		}
	}
	defer func() { s.readers <- c }()
	if s.closing.Err() != nil {
		return ErrClosed
	}

	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)() //nolint:contextcheck // Close ends it, too

	if c == nil { // opened when first needed
		fresh, err := openConn(limited, s.uri(), true)
		if err != nil {
			return s.readError(ctx, err)
		}
		c = fresh
	}
	c.db.SetInterrupt(limited)
	err = snapshot(c, f)
	c.db.SetInterrupt(context.Background())
	if err == nil {
		return nil
	}
	// Whatever state the connection is in, the next read wants none of it.
	c.reset()
	if !c.db.GetAutocommit() {
		_ = c.script(`ROLLBACK`)
	}
	if !c.db.GetAutocommit() {
		_ = c.close()
		c = nil
	}
	return s.readError(ctx, err)
}

func snapshot(c *conn, f func(*conn) error) error {
	if _, err := c.sql(`BEGIN`).exec(); err != nil {
		return err
	}
	if err := call(f, c); err != nil {
		return err
	}
	_, err := c.sql(`COMMIT`).exec()
	return err
}

// readError says why a read ended. ctx is the caller's.
func (s *Store) readError(ctx context.Context, err error) error {
	if errors.Is(err, sqlite3.INTERRUPT) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.closing.Err() != nil:
			return ErrClosed
		}
		return fmt.Errorf("sqlite: a read took longer than %v; ask for less: %w", readLimit, err)
	}
	return s.judge(err)
}
