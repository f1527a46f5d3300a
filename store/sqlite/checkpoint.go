package sqlite

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

const (
	// walPages is how far the WAL grows before it is copied into the file: 16 MiB.
	// The longer, the more changes of a page are copied as one.
	walPages = 4096

	// maxWAL is how far it may grow while it is being copied: 48 MiB.
	maxWAL = 3 * walPages

	// walRest is what is left to the writer to copy, 2 MiB: it takes a moment, in
	// which nothing is added, and so the WAL can begin anew.
	walRest = 512
)

// copier copies the WAL into the file beside the writer, over a connection of
// its own: most of the work, and the fsync of the file, which on many disks
// takes longer than a hundred commits. SQLite allows that; what it cannot do is
// to come to an end while others add, so the writer copies the rest.
type copier struct {
	conn   *conn
	start  chan struct{}
	copied chan int // pages from the beginning of the WAL; has room for one
	ended  chan struct{}

	// The writer's.
	busy   bool // something is to come out of copied
	rounds int  // that came to no end
}

const maxRounds = 3

func newCopier(c *conn) *copier {
	return &copier{conn: c, start: make(chan struct{}, 1), copied: make(chan int, 1), ended: make(chan struct{})}
}

// runCopier copies whenever it is asked to, until start is closed.
func (s *Store) runCopier() {
	defer close(s.copier.ended)
	for range s.copier.start {
		if s.failure() != nil { // nothing more is written once anything has failed
			return
		}
		_, pages, err := s.copier.conn.db.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
		if err != nil && !isLocked(err) {
			s.fail(fmt.Errorf("checkpoint: %w", err))
			return
		}
		s.copier.copied <- max(0, pages)
	}
}

// checkpoint sees to it that the WAL is copied into the file when it has grown,
// after the callers were answered. SQLite's own would do it inside of COMMIT and
// keep its errors to itself. It runs on the writer's goroutine.
func (s *Store) checkpoint() {
	if s.failure() != nil || s.wal < s.walNext && !s.copier.busy {
		return
	}
	k := s.copier
	if k.busy {
		var pages int
		if s.wal < maxWAL {
			select {
			case pages = <-k.copied:
			default:
				return
			}
		} else { // who adds faster than the disk can copy has to wait for it
			select {
			case pages = <-k.copied:
			case <-k.ended: // it has failed
				return
			}
		}
		k.busy = false
		if k.rounds++; s.wal-pages <= walRest || k.rounds == maxRounds || s.wal >= maxWAL {
			k.rounds = 0
			s.finishCheckpoint()
			return
		}
	}
	k.busy = true
	k.start <- struct{}{}
}

// finishCheckpoint copies what is left. The next commit then begins the WAL anew.
func (s *Store) finishCheckpoint() {
	mode := sqlite3.CHECKPOINT_PASSIVE
	if s.wal >= 8*walPages {
		// Somebody always reads, so that the WAL is never done with: wait for a
		// moment without readers, which hold on for readLimit at most.
		mode = sqlite3.CHECKPOINT_RESTART
	}
	log, done, err := s.writer.db.WALCheckpoint("main", mode)
	switch {
	case err == nil && log == done:
		s.walNext = walPages
	case err == nil || isLocked(err):
		s.walNext = s.wal + walPages/4 // try again soon, not at every commit
	default:
		s.fail(fmt.Errorf("checkpoint: %w", err))
	}
}

// isLocked says whether a checkpoint only has to wait: for a reader, for another
// checkpoint, or for room on the disk.
func isLocked(err error) bool {
	return errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.LOCKED) || isFull(err)
}
