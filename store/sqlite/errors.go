package sqlite

import (
	"errors"
	"fmt"

	"github.com/interactorhq/interactor/forward"
	"github.com/ncruces/go-sqlite3"
)

// Errors of a [Store]. Those of Open say which file and what to do.
var (
	// ErrInUse: another Store, in this process or another one, has the file open.
	ErrInUse = errors.New("sqlite: the file is open already")

	// ErrNewer: the file was written by a newer version of this package.
	ErrNewer = errors.New("sqlite: the file belongs to a newer version")

	// ErrForeign: the file is no SQLite database, or one of another program.
	ErrForeign = errors.New("sqlite: the file is not a store of interactor")

	// ErrDamaged: what the file holds contradicts itself.
	ErrDamaged = errors.New("sqlite: the file is damaged")

	// ErrFailed: an input/output error came before. The Store does nothing any
	// more; close it and open it anew.
	ErrFailed = forward.ErrStoreFailed

	// ErrFull: there is no room on the disk. Nothing of the call was kept.
	ErrFull = errors.New("sqlite: the disk is full")

	// ErrClosed: the Store was closed.
	ErrClosed = errors.New("sqlite: the store is closed")
)

// isFatal says whether nothing that happens on this file handle can be trusted
// from now on.
func isFatal(err error) bool {
	if isFull(err) {
		return false
	}
	for _, code := range [...]sqlite3.ErrorCode{
		sqlite3.IOERR, sqlite3.CORRUPT, sqlite3.NOTADB,
		sqlite3.CANTOPEN, sqlite3.READONLY, sqlite3.PROTOCOL,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// isFull says whether a write failed because there is no room. The memory that
// connections share is a file as well, which holds nothing that has to last.
func isFull(err error) bool {
	return errors.Is(err, sqlite3.FULL) || errors.Is(err, sqlite3.IOERR_SHMSIZE)
}

// explain turns what SQLite says into one of our sentinels where there is one.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case isFull(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, sqlite3.NOTADB):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case errors.Is(err, sqlite3.IOERR_DATA):
		return fmt.Errorf("%w: a page contradicts its checksum: %w", ErrDamaged, err)
	case errors.Is(err, sqlite3.CORRUPT):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// isUnique says whether err tells of a row that is there already.
func isUnique(err error) bool {
	return errors.Is(err, sqlite3.CONSTRAINT_UNIQUE) || errors.Is(err, sqlite3.CONSTRAINT_PRIMARYKEY)
}

func errNoVFS(name string) error {
	return fmt.Errorf("sqlite: Config.VFS: there is no VFS %q: register it with vfs.Register before Open, or leave it out", name)
}
