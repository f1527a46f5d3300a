package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// copyLimit ends a Backup or Check that hangs; a big file takes minutes.
const copyLimit = 6 * time.Hour

// Backup writes a consistent copy to path, which must not exist, while the store
// is in use. The copy holds every write that had returned when Backup was called.
// It is a store of its own: open it, or put it in the place of the original.
func (s *Store) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sqlite: backup: %s exists: choose another name or remove it", path)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	defer f.Close()
	defer os.Remove(part) // no longer there after the rename
	err = s.readFor(ctx, copyLimit, func(c *conn) error {
		// read has begun a transaction, VACUUM wants none.
		if err := c.script(`COMMIT; PRAGMA query_only = OFF`); err != nil {
			return err
		}
		_, err := c.sql(`VACUUM INTO ?`).text(part).exec()
		return errors.Join(err, c.script(`PRAGMA query_only = ON; BEGIN`))
	})
	if err != nil {
		return fmt.Errorf("sqlite: backup to %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// mostFound is how many things that are wrong Check names of a kind.
const mostFound = 20

// Check reads the whole file and returns [ErrDamaged], with what is wrong, when
// pages, indexes or records contradict each other or their checksums, or when
// something is stored that has neither an owner nor a due time. The store stays in use meanwhile; a
// big file takes minutes.
func (s *Store) Check(ctx context.Context) error {
	var found []string
	err := s.readFor(ctx, copyLimit, func(c *conn) error {
		found = nil
		for _, sql := range [...]string{`PRAGMA integrity_check(20)`, forwardContradictions, watchContradictions} {
			err := c.sql(sql).each(func(r row) error {
				if line := r.text(0); line != "ok" {
					found = append(found, line)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	pages, err := s.unsoundPages(ctx)
	if err != nil {
		return err
	}
	if found = append(found, pages...); len(found) > 0 {
		return fmt.Errorf("%w: %s: restore a backup:\n  %s", ErrDamaged, s.path, strings.Join(found, "\n  "))
	}
	return nil
}

// syncDir makes a new name in a directory durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // has no such call
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
