package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
	"go.opentelemetry.io/otel/metric"
)

// Config of a [Store].
type Config struct {
	// Path of the file, created with mode 0600 when it does not exist. Its
	// directory must exist and be on a local disk: network file systems keep
	// neither locks nor fsync. Required.
	Path string

	// Checksums gives every page of the file eight bytes that say whether it is
	// still what was written, so that a flipped bit is [ErrDamaged] and never an
	// event. A file that has none yet is rewritten once by Open, which takes about
	// as long as copying it and needs room for it twice more. One that has them
	// keeps them, and they are looked at whether or not this is set.
	Checksums bool

	// VFS names a file system that was registered with
	// github.com/ncruces/go-sqlite3/vfs, for tools that watch or disturb what is
	// written. It must keep its files where Path says, and share memory for the WAL
	// as the system's does. Defaults to the system's.
	VFS string

	// MeterProvider takes metrics of commits: how long they take, fsync included,
	// and how many writes share one. Defaults to none.
	MeterProvider metric.MeterProvider
}

// Store implements interactor.Store. It is safe for concurrent use.
type Store struct {
	path string // absolute, symbolic links resolved
	base string // VFS that keeps the files; "" is the system's
	vfs  string // of SQLite, over it
	lock *flock.Flock

	writer     *conn // used by runWriter alone until writerDone
	queue      queue
	pendings   sync.Pool
	writerDone chan struct{}
	copier     *copier
	wal        int   // pages in the WAL after the last commit; the writer's
	walNext    int   // that many make it time to copy them into the file
	lease      int64 // last token given out; the writer's

	meters  *meters         // nil: no metrics
	readers chan *conn      // nil where not opened yet
	closing context.Context //nolint:containedctx // ends with Close
	cancel  context.CancelFunc
	once    sync.Once

	failed          atomic.Pointer[error]
	writes, commits atomic.Uint64
	forwarding      atomic.Int64 // changes of forwarding settings; see writeForwarding
	routing         atomic.Int64 // changes of what requests are routed by; see writeRouting
	locks           locks        // of the room "auth"
}

// Open opens or creates the file and brings its schema up to date. It refuses a
// file of a newer version ([ErrNewer]), a damaged one ([ErrDamaged]), one that is
// no store ([ErrForeign]) and one that is open already ([ErrInUse]), and says
// which. What was being worked on when the file was last closed is due at once.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	meters, err := newMeters(cfg.MeterProvider)
	if err != nil {
		return nil, err
	}
	path, created, err := prepareFile(cfg.Path)
	if err != nil {
		return nil, err
	}
	s := &Store{
		path: path, base: cfg.VFS, meters: meters,
		readers:    make(chan *conn, maxReaders),
		writerDone: make(chan struct{}),
		walNext:    walPages,
	}
	if s.vfs, err = gatheringOver(cfg.VFS); err != nil {
		return nil, err
	}
	s.queue.filled.L = &s.queue.mu
	if s.lock, err = lockFile(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			if s.copier != nil {
				err = errors.Join(err, s.copier.conn.close())
			}
			if s.writer != nil {
				err = errors.Join(err, s.writer.close())
			}
			err = errors.Join(err, s.lock.Unlock())
		}
	}()
	if err := s.start(ctx, created, cfg.Checksums); err != nil {
		return nil, s.openError(ctx, err)
	}
	s.closing, s.cancel = context.WithCancel(context.Background())
	for range maxReaders {
		s.readers <- nil
	}
	go s.runCopier()
	go s.runWriter() //nolint:contextcheck // it works for all who write
	return s, nil
}

// check reports everything that is missing or wrong at once.
func (c Config) check() error {
	var problems []error
	if c.Path == "" {
		problems = append(problems, errors.New(`sqlite: Config.Path is missing: name a file, such as "interactor.db"`))
	}
	if vfs.Find(c.VFS) == nil {
		problems = append(problems, errNoVFS(c.VFS))
	}
	return errors.Join(problems...)
}

// start opens the writer's connection and makes the file ready for work.
func (s *Store) start(ctx context.Context, created, checksums bool) error {
	if err := headIsSound(s.path); err != nil {
		return err
	}
	if err := s.enableWAL(ctx); err != nil {
		return err
	}
	// SQLite would make these with the mode that the umask leaves.
	for _, name := range []string{s.path, s.path + "-wal", s.path + "-shm"} {
		if err := private(name); err != nil {
			return err
		}
	}
	c, err := openConn(ctx, s.uri(), false)
	if err != nil {
		return err
	}
	s.writer = c
	c.db.SetInterrupt(ctx)
	if err := ours(c, s.path); err != nil {
		return err
	}
	if checksums {
		if err := enableChecksums(c); err != nil {
			return err
		}
	}
	if err := migrate(c, s.path); err != nil {
		return err
	}
	if err := errors.Join(s.startLeases(c), voidWatchLeases(c)); err != nil {
		return err
	}
	c.db.SetInterrupt(context.Background())

	// After a failed fsync, the WAL may hold what the system believes to have
	// written and did not. Copied into the file it is written once more, and the
	// WAL starts anew.
	if _, _, err := c.db.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE); err != nil {
		return err
	}
	second, err := openConn(ctx, s.uri(), false)
	if err != nil {
		return err
	}
	s.copier = newCopier(second)
	c.db.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		s.wal = pages
		return nil
	})
	if created {
		return syncDir(filepath.Dir(s.path))
	}
	return nil
}

// enableWAL turns a new file into one with a WAL, by a connection of its own:
// the next one finds the WAL that was made for it.
func (s *Store) enableWAL(ctx context.Context) error {
	db, err := sqlite3.OpenContext(ctx, s.uri())
	if err != nil {
		return err
	}
	c := newConn(db)
	var mode string
	_, err = c.sql(`PRAGMA journal_mode = WAL`).one(func(r row) { mode = r.text(0) })
	if err == nil && mode != "wal" {
		err = fmt.Errorf("sqlite: the file system of %s has no shared memory for SQLite's WAL: use a local disk", s.path)
	}
	return errors.Join(err, c.close())
}

// openConn opens a connection to a file that has a WAL.
func openConn(ctx context.Context, uri string, readOnly bool) (*conn, error) {
	flags := sqlite3.OPEN_READWRITE
	// Pages stay at 4096 bytes, what disks and the page cache write at once. The
	// writer's cache holds the inner pages of every index, its hot leaves, and
	// what a batch changes; behind it is the system's page cache.
	cache := `PRAGMA cache_size = -16384;`
	if readOnly {
		flags, cache = sqlite3.OPEN_READONLY, `PRAGMA cache_size = -4096; PRAGMA query_only = ON;`
	}
	db, err := sqlite3.OpenFlags(uri, flags|sqlite3.OPEN_URI)
	if err != nil {
		return nil, err
	}
	db.SetInterrupt(ctx)
	err = db.Exec(cache + `
		PRAGMA busy_timeout = 10000;      -- somebody may look into the file with the sqlite3 tool
		PRAGMA synchronous = FULL;        -- fsync at every commit
		PRAGMA foreign_keys = ON;
		PRAGMA temp_store = MEMORY;       -- sorted rows are private, too
		PRAGMA wal_autocheckpoint = 0;    -- see Store.checkpoint
		PRAGMA journal_size_limit = 67108864;
		PRAGMA secure_delete = FAST;      -- what is removed does not linger where overwriting it is free
		PRAGMA cell_size_check = ON;`)
	db.SetInterrupt(context.Background())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return newConn(db), nil
}

// openError says what is wrong with the file.
func (s *Store) openError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, sqlite3.NOTADB):
		return fmt.Errorf("%w: %s is no SQLite database, or its first page was overwritten: choose another Path, or restore a backup: %w", ErrForeign, s.path, err)
	case errors.Is(err, sqlite3.IOERR_DATA):
		return fmt.Errorf("%w: %s: a page contradicts its checksum: restore a backup: %w", ErrDamaged, s.path, err)
	case errors.Is(err, sqlite3.CORRUPT):
		return fmt.Errorf("%w: %s: restore a backup: %w", ErrDamaged, s.path, err)
	case errors.Is(err, ErrForeign), errors.Is(err, ErrNewer), errors.Is(err, ErrDamaged):
		return err
	}
	return fmt.Errorf("sqlite: opening %s: %w", s.path, explain(err))
}

// Close finishes what is being written, copies the WAL into the file and closes
// it. Call it after Run has returned. Later calls of any method return
// [ErrClosed]; closing again does nothing.
func (s *Store) Close() error {
	var err error
	s.once.Do(func() { err = s.close() })
	return err
}

func (s *Store) close() error {
	s.queue.close(ErrClosed)
	<-s.writerDone
	close(s.copier.start)
	<-s.copier.ended
	s.cancel()
	var errs []error
	for range maxReaders { // waits for those in use, which were just interrupted
		if c := <-s.readers; c != nil {
			errs = append(errs, c.close())
		}
	}
	if s.failure() != nil {
		// Nothing more is written through a handle that has failed once.
		for _, c := range []*conn{s.copier.conn, s.writer} {
			_, err := c.db.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true)
			errs = append(errs, err)
		}
	}
	errs = append(errs, s.copier.conn.close(), s.writer.close(), s.lock.Unlock())
	return errors.Join(errs...)
}

func (s *Store) uri() string {
	path := filepath.ToSlash(s.path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: "vfs=" + url.QueryEscape(s.vfs)}).String()
}

// prepareFile creates the file if it does not exist and returns its one name:
// the lock would mean nothing if a link led around it.
func prepareFile(name string) (path string, created bool, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		created = true
		err = f.Close()
	case errors.Is(err, fs.ErrExist):
		err = nil
	}
	if err != nil {
		return "", false, fmt.Errorf("sqlite: cannot create Config.Path: %w", err)
	}
	if path, err = filepath.EvalSymlinks(name); err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", false, fmt.Errorf("sqlite: Config.Path: %w", err)
	}
	if info, err := os.Stat(path); err != nil {
		return "", false, fmt.Errorf("sqlite: Config.Path: %w", err)
	} else if !info.Mode().IsRegular() {
		return "", false, fmt.Errorf("sqlite: Config.Path %s is not a regular file", path)
	}
	return path, created, nil
}

// private creates a file, or makes sure that nobody else may read it.
func private(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}
