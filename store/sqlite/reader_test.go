package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

const endless = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n`

func TestReadIsInterrupted(t *testing.T) {
	t.Parallel()
	run := func(started chan struct{}) func(c *conn) error {
		return func(c *conn) error {
			close(started)
			_, err := c.sql(endless).one(func(row) {})
			return err
		}
	}
	t.Run("when its context ends", func(t *testing.T) {
		t.Parallel()
		s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
		ctx, cancel := context.WithCancel(t.Context())
		started := make(chan struct{})
		go func() { <-started; cancel() }()
		if err := s.read(ctx, run(started)); !errors.Is(err, context.Canceled) {
			t.Errorf("it returned %v", err)
		}
		for range 2 * maxReaders { // every connection is as good as before
			marked(t, s)
		}
	})
	t.Run("when the store is closed", func(t *testing.T) {
		t.Parallel()
		s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
		started, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- s.read(t.Context(), run(started)) }()
		<-started
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("it returned %v", err)
		}
	})
	t.Run("when it takes too long", func(t *testing.T) {
		t.Parallel()
		s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
		err := s.readFor(t.Context(), 10*time.Millisecond, run(make(chan struct{})))
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it returned %v", err)
		}
	})
}

func TestReadSeesOneState(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	err := s.read(t.Context(), func(c *conn) error {
		for range 2 {
			var n int64
			if err := scanInt(c, `SELECT count(*) FROM pause`, &n); err != nil {
				return err
			}
			if n != 0 {
				t.Error("a read saw what was written while it ran")
			}
			if n == 0 {
				_ = s.write(t.Context(), mark("meanwhile")) // the second time it is there already
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := marked(t, s); got != "meanwhile" {
		t.Errorf("the next read sees %q", got)
	}
}

func TestReadCannotWrite(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	if err := s.read(t.Context(), mark("x")); err == nil {
		t.Error("a read wrote")
	}
}

func TestReadPanics(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	for range maxReaders + 1 {
		if err := s.read(t.Context(), func(*conn) error { panic("on purpose") }); err == nil {
			t.Error("a panic is no error")
		}
	}
	if got := marked(t, s); got != "" {
		t.Error(got)
	}
}
