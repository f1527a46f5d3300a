package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mark writes a row of its own.
func mark(name string) func(*conn) error {
	return func(c *conn) error {
		_, err := c.sql(`INSERT INTO pause (lane, reason, since) VALUES (?, '', 0)`).text(name).exec()
		return err
	}
}

// marked returns the names of the rows that mark wrote.
func marked(t *testing.T, s *Store) string {
	t.Helper()
	var names []string
	err := s.read(t.Context(), func(c *conn) error {
		names = nil
		return c.sql(`SELECT lane FROM pause ORDER BY lane`).each(func(r row) error {
			names = append(names, r.text(0))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// hold keeps the writer busy until the returned function is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	started, stop, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.write(t.Context(), func(*conn) error {
			close(started)
			<-stop
			return nil
		})
	}()
	select {
	case <-started:
	case err := <-done:
		t.Fatalf("the write that is to hold the writer: %v", err)
	}
	return func() {
		close(stop)
		if err := <-done; err != nil {
			t.Errorf("the write that held the writer: %v", err)
		}
	}
}

// queued waits until n writes wait.
func queued(t *testing.T, s *Store, n int) {
	t.Helper()
	eventually(t, func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		got := 0
		for _, l := range []writes{s.queue.hurried, s.queue.patient} {
			for p := l.head; p != nil; p = p.next {
				got++
			}
		}
		return got == n
	})
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 10 s")
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // it polls, with a deadline
	}
}

// writeTogether runs writes in one transaction and returns their errors.
func writeTogether(t *testing.T, s *Store, writes ...func(*conn) error) []error {
	t.Helper()
	release := hold(t, s)
	errs := make([]error, len(writes))
	var wg sync.WaitGroup
	for i, f := range writes {
		wg.Go(func() { errs[i] = s.write(t.Context(), f) })
		queued(t, s, i+1) // in this order
	}
	release()
	wg.Wait()
	return errs
}

func TestWritesShareAnFsync(t *testing.T) {
	t.Parallel()
	v, name := faulty(t)
	s := openFaulty(t, filepath.Join(t.TempDir(), "store.db"), name)
	if err := s.write(t.Context(), mark("first")); err != nil { // syncs the head of the WAL, too
		t.Fatal(err)
	}
	var writes []func(*conn) error
	for i := range 64 {
		writes = append(writes, mark(fmt.Sprint(i)))
	}
	before, syncs := s.Stats(), v.synced("wal")
	for i, err := range writeTogether(t, s, writes...) {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	after := s.Stats()
	if n := after.Writes - before.Writes; n != 65 {
		t.Errorf("%d writes, want 65", n)
	}
	if n := after.Commits - before.Commits; n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
	if n := v.synced("wal") - syncs; n != 1 {
		t.Errorf("%d fsyncs, want 1", n)
	}
}

func TestEveryCommitIsSynced(t *testing.T) {
	t.Parallel()
	v, name := faulty(t)
	s := openFaulty(t, filepath.Join(t.TempDir(), "store.db"), name)
	if err := s.write(t.Context(), mark("first")); err != nil { // syncs the head of the WAL, too
		t.Fatal(err)
	}
	for i := range 5 {
		before := v.synced("wal")
		if err := s.write(t.Context(), mark(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if n := v.synced("wal") - before; n != 1 {
			t.Errorf("%d fsyncs before the write returned, want 1", n)
		}
	}
}

func TestConcurrentWritersShareCommits(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	before := s.Stats()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 10 {
				if err := s.write(t.Context(), mark(fmt.Sprintf("%d/%d", i, j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	after := s.Stats()
	writes, commits := after.Writes-before.Writes, after.Commits-before.Commits
	if writes != 640 || commits >= writes/2 {
		t.Errorf("%d writes in %d commits, want 640 in far fewer", writes, commits)
	}
	t.Logf("%d writes in %d commits", writes, commits)
}

func TestFailedWriteIsUndoneAlone(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	for _, row := range []struct {
		name string
		bad  func(*conn) error
		want error
	}{
		{"before its first change", func(*conn) error { return mine }, mine},
		{"after it", func(c *conn) error { return errors.Join(mark("bad")(c), mine) }, mine},
		{"a statement that fails, after it", func(c *conn) error { return errors.Join(mark("bad")(c), mark("a")(c)) }, nil},
		{"a panic", func(c *conn) error {
			_ = mark("bad")(c)
			panic("on purpose")
		}, nil},
		{"a panic while rows are read", func(c *conn) error {
			_ = mark("bad")(c)
			return c.sql(`SELECT lane FROM pause`).each(func(row) error { panic("on purpose") })
		}, nil},
		{"unbound leftovers", func(c *conn) error {
			_ = mark("bad")(c)
			_ = c.sql(`INSERT INTO pause (lane, reason, since) VALUES (?, '', 0)`).text("x") // never run
			return mine
		}, mine},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
			errs := writeTogether(t, s, mark("a"), row.bad, mark("b"))
			if errs[0] != nil || errs[2] != nil {
				t.Errorf("its neighbours failed: %v, %v", errs[0], errs[2])
			}
			if errs[1] == nil || row.want != nil && !errors.Is(errs[1], row.want) {
				t.Errorf("it returned %v", errs[1])
			}
			if got := marked(t, s); got != "a b" {
				t.Errorf("stored %q, want a b", got)
			}
			if err := s.write(t.Context(), mark("c")); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestWriteWithEndedContext(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.write(ctx, mark("waiting")) }()
	queued(t, s, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a waiting write returned %v", err)
	}
	queued(t, s, 0)
	release()
	if got := marked(t, s); got != "" {
		t.Errorf("%q was stored although it had not begun", got)
	}

	ctx, cancel = context.WithCancel(t.Context())
	started, stop := make(chan struct{}), make(chan struct{})
	go func() {
		done <- s.write(ctx, func(c *conn) error {
			close(started)
			<-stop
			return mark("begun")(c)
		})
	}()
	<-started
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a write that had begun returned %v", err)
	}
	close(stop)
	if err := s.write(t.Context(), mark("next")); err != nil {
		t.Fatal(err)
	}
	if got := marked(t, s); got != "begun next" {
		t.Errorf("stored %q", got)
	}
}

// openFaulty opens a store over a faulty file system; it may fail to close.
func openFaulty(t *testing.T, path, vfs string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path, VFS: vfs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestFailureIsForGood(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, op, file string
		err            error
		checkpoint     bool
	}{
		{"fsync of the WAL", "sync", "wal", errSync, false},
		{"write to the WAL", "write", "wal", errWrite, false},
		{"fsync of the WAL that finds no room", "sync", "wal", &fs.PathError{Op: "sync", Path: "store.db-wal", Err: syscall.ENOSPC}, false},
		{"fsync of the file", "sync", "main", errSync, true},
		{"write to the file", "write", "main", errWrite, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v, name := faulty(t)
			path := filepath.Join(t.TempDir(), "store.db")
			s := openFaulty(t, path, name)
			if err := s.write(t.Context(), mark("before")); err != nil {
				t.Fatal(err)
			}
			v.fail(row.op, row.file, row.err)
			errs := writeTogether(t, s, mark("during 1"), func(c *conn) error {
				if row.checkpoint { // this commit is followed by copying the WAL into the file
					s.walNext = 0
				}
				return mark("during 2")(c)
			})
			for i, err := range errs {
				if row.checkpoint != (err == nil) {
					t.Errorf("write %d during the fault: %v", i, err)
				}
				if err != nil && !errors.Is(err, ErrFailed) {
					t.Errorf("write %d: %v, want ErrFailed", i, err)
				}
			}
			eventually(t, func() bool { return s.failure() != nil })
			v.set(nil) // a disk that is well again must not be believed
			syncs := v.synced("wal") + v.synced("main")
			if err := s.write(t.Context(), mark("after")); !errors.Is(err, ErrFailed) {
				t.Errorf("a later write returned %v, want ErrFailed", err)
			}
			if err := s.read(t.Context(), func(*conn) error { return nil }); !errors.Is(err, ErrFailed) {
				t.Errorf("a later read returned %v, want ErrFailed", err)
			}
			_ = s.Close()
			if n := v.synced("wal") + v.synced("main") - syncs; n != 0 {
				t.Errorf("%d fsyncs on a file handle that had failed", n)
			}
			again := openFaulty(t, path, "")
			got := marked(t, again)
			if !strings.Contains(got, "before") || strings.Contains(got, "after") || row.checkpoint && got != "before during 1 during 2" {
				t.Errorf("opened anew it has %q", got)
			}
			if err := again.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// writerSet changes what belongs to the writer's goroutine on it.
func (s *Store) writerSet(t *testing.T, f func()) {
	t.Helper()
	if err := s.write(t.Context(), func(*conn) error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	for name, full := range map[string]error{
		"as SQLite says it": errFull,
		"as os says it":     &fs.PathError{Op: "write", Path: "store.db-wal", Err: syscall.ENOSPC},
		"a quota":           &fs.PathError{Op: "write", Path: "store.db-wal", Err: syscall.EDQUOT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, name := faulty(t)
			path := filepath.Join(t.TempDir(), "store.db")
			s := openFaulty(t, path, name)
			if err := s.write(t.Context(), mark("before")); err != nil {
				t.Fatal(err)
			}
			v.fail("write", "wal", full)
			for i, err := range writeTogether(t, s, mark("during 1"), mark("during 2")) {
				if !errors.Is(err, ErrFull) || errors.Is(err, ErrFailed) {
					t.Errorf("write %d: %v, want ErrFull", i, err)
				}
			}
			if got := marked(t, s); got != "before" {
				t.Errorf("it has %q", got)
			}
			v.set(nil)
			if err := s.write(t.Context(), mark("after")); err != nil {
				t.Fatalf("with room again: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := marked(t, openTest(t, path)); got != "after before" {
				t.Errorf("opened anew it has %q", got)
			}
		})
	}
}

func TestWALIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path)
	fill := func(mib int) {
		for range mib {
			err := s.write(t.Context(), func(c *conn) error {
				_, err := c.sql(`INSERT INTO payload (payload) VALUES (zeroblob(1048576))`).exec()
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	fill(160)
	if n := size(); n > 56<<20 {
		t.Errorf("the WAL has %d MiB after 160 MiB of writes, want at most 48", n>>20)
	}
	err := s.read(t.Context(), func(c *conn) error { // sees what it saw, so nothing can be overwritten
		if _, err := c.sql(`SELECT count(*) FROM payload`).one(func(row) {}); err != nil {
			return err
		}
		fill(40)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fill(20)
	if n := size(); n > 112<<20 {
		t.Errorf("the WAL has %d MiB after a long reader and 60 MiB of writes", n>>20)
	}
	s.writerSet(t, func() {})
	eventually(t, func() (ok bool) {
		s.writerSet(t, func() { ok = s.wal < walPages+walPages/2 })
		return ok
	})
}

// patient is mark for somebody who can wait.
func patient(t *testing.T, s *Store, name string) error {
	t.Helper()
	return s.writePatient(t.Context(), 0, mark(name))
}

func TestPatientWritesShareACommit(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	release := hold(t, s)
	before := s.Stats()
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			if err := patient(t, s, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	queued(t, s, 5)
	release()
	wg.Wait()
	if got := s.Stats(); got.Commits != before.Commits+1 {
		t.Errorf("they took %d commits", got.Commits-before.Commits)
	}
}

// Who is in a hurry does not wait for a larger commit than needed; who was patient
// for long enough comes before those.
func TestQueueOfPatientWrites(t *testing.T) {
	t.Parallel()
	q := &queue{armed: true} // no timer: the test calls ripen
	q.filled.L = &q.mu
	add := func(name string, patient bool) {
		t.Helper()
		if err := q.push(&pendingWrite{err: errors.New(name), patient: patient}); err != nil {
			t.Fatal(err)
		}
	}
	take := func() string {
		var names []string
		for _, p := range q.take(nil) {
			names = append(names, p.err.Error())
		}
		return strings.Join(names, " ")
	}
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Fatalf("%q was taken, want %q", got, want)
		}
	}
	add("p1", true)
	add("h1", false)
	add("p2", true)
	want(take(), "h1")
	q.ripen()
	add("h2", false)
	add("p3", true)
	want(take(), "p1 p2 p3 h2")
	q.armed = true
	add("p4", true)
	add("h3", false)
	want(take(), "h3")
	q.close(ErrClosed)
	want(take(), "p4")
	want(take(), "")
}

func TestAPatientWriteDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	for i := range 5 { // each arms the timer anew
		if err := patient(t, s, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := marked(t, s); got != "0 1 2 3 4" {
		t.Errorf("%q was written", got)
	}
}

// What it waited behind is gone: it must not wait for somebody else to come.
func TestAPatientWriteBehindOneThatIsTakenBack(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.write(ctx, mark("gone")); !errors.Is(err, context.Canceled) {
			t.Errorf("write = %v", err)
		}
	})
	queued(t, s, 1)
	wg.Go(func() {
		if err := patient(t, s, "patient"); err != nil {
			t.Error(err)
		}
	})
	queued(t, s, 2)
	cancel()
	queued(t, s, 1)
	release()
	wg.Wait()
	if got := marked(t, s); got != "patient" {
		t.Errorf("%q was written", got)
	}
}

func TestCloseWritesWhatIsPatient(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	done := make(chan error, 1)
	go func() { done <- patient(t, s, "patient") }()
	queued(t, s, 1)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	release()
	if err := errors.Join(<-done, <-closed); err != nil {
		t.Fatal(err)
	}
	if got := marked(t, openTest(t, path)); got != "patient" {
		t.Errorf("%q was written", got)
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{
		0: 0, 1: 0, manyWrites: 0, manyWrites + 1: eachWrite, manyWrites + 5: 5 * eachWrite, 1000: mostMoment,
	} {
		if got := moment(n); got != want {
			t.Errorf("after %d writes: %v, want %v", n, got, want)
		}
	}
}

// After many writes a few more gather, nobody waits for ever, and closing waits
// for nobody.
func TestMoreGathersAfterManyWrites(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	var many []func(*conn) error
	for i := range 3 * manyWrites {
		many = append(many, mark(fmt.Sprint("many ", i)))
	}
	shared := false
	for try := 0; try < 20 && !shared; try++ { // a busy machine may let some of them go alone
		for _, err := range writeTogether(t, s, many...) {
			if err != nil && try == 0 { // later they are there already
				t.Fatal(err)
			}
		}
		before := s.Stats()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if err := s.write(t.Context(), mark(fmt.Sprint(try, " after ", i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		shared = s.Stats().Commits == before.Commits+1
	}
	if !shared {
		t.Error("what came after many writes never shared a commit")
	}
	s.queue.rest(time.Hour)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
