package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	foreign := func(sql string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := sqlite3.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Exec(sql), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	// ours makes a store and changes its bytes.
	ours := func(change func([]byte) []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			s, err := Open(t.Context(), Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.write(t.Context(), mark("x")), s.Close()); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, row := range []struct {
		name string
		make func(t *testing.T, path string)
		want error
		says string
	}{
		{"garbage", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrForeign, "no SQLite database"},
		{"a database of somebody else", foreign(`CREATE TABLE t (x)`), ErrForeign, "another program"},
		{"a database with another application id", foreign(`PRAGMA application_id = 7`), ErrForeign, "another program"},
		{
			"a newer schema", foreign(fmt.Sprintf(`CREATE TABLE t (x); PRAGMA application_id = %d; PRAGMA user_version = 99`, applicationID)),
			ErrNewer, "schema version 99",
		},
		{"an overwritten header", ours(func(b []byte) []byte { return append(make([]byte, 100), b[100:]...) }), ErrForeign, "first page"},
		{"a truncated file", ours(func(b []byte) []byte { return b[:len(b)/2] }), ErrDamaged, "restore a backup"},
		{"a damaged schema", ours(func(b []byte) []byte {
			copy(b[100:], make([]byte, 3900))
			return b
		}), ErrDamaged, "restore a backup"},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, nil, "not a regular file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "store.db")
			row.make(t, path)
			before, _ := os.ReadFile(path)
			s, err := Open(t.Context(), Config{Path: path})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if row.want != nil && !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v\nwant %v that names the file and says %q", err, row.want, row.says)
			}
			if errors.Is(row.want, ErrForeign) || errors.Is(row.want, ErrNewer) {
				if after, _ := os.ReadFile(path); len(after) != len(before) {
					t.Error("the file was changed")
				}
			}
			if row.want != nil { // the lock was given back: what is put right opens
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				openTest(t, path)
			}
		})
	}
	t.Run("no path", func(t *testing.T) {
		t.Parallel()
		if _, err := Open(t.Context(), Config{}); err == nil || !strings.Contains(err.Error(), "Config.Path is missing") {
			t.Error(err)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		if _, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "none", "x.db")}); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
}

// TestOpenInUse runs itself as a second process.
func TestOpenInUse(t *testing.T) { //nolint:tparallel // its steps come one after another
	t.Parallel()
	const variable = "INTERACTOR_TEST_STORE"
	if path := os.Getenv(variable); path != "" {
		_, err := Open(t.Context(), Config{Path: path})
		fmt.Printf("inuse=%t %v\n", errors.Is(err, ErrInUse), err)
		return
	}
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path)
	pid := fmt.Sprintf("(pid %d", os.Getpid())
	check := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), pid) {
			t.Errorf("got %v, want ErrInUse with %s", err, pid)
		}
	}
	t.Run("same process", func(t *testing.T) {
		_, err := Open(t.Context(), Config{Path: path})
		check(t, err)
	})
	t.Run("another name", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link.db")
		if err := os.Symlink(path, link); err != nil {
			t.Skip(err)
		}
		_, err := Open(t.Context(), Config{Path: link})
		check(t, err)
	})
	second := func(t *testing.T) string {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpenInUse$", "-test.v")
		cmd.Env = append(os.Environ(), variable+"="+path)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	t.Run("another process", func(t *testing.T) {
		if out := second(t); !strings.Contains(out, "inuse=true") || runtime.GOOS != "windows" && !strings.Contains(out, pid) {
			t.Errorf("it said %s", out)
		}
	})
	t.Run("after Close", func(t *testing.T) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if out := second(t); !strings.Contains(out, "inuse=false <nil>") {
			t.Errorf("it said %s", out)
		}
		openTest(t, path)
	})
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing here")
	}
	path := filepath.Join(t.TempDir(), "store.db")
	for range 2 {
		s, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.write(t.Context(), func(c *conn) error { return c.script(`DELETE FROM pause`) }); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", filepath.Base(path)+suffix, info.Mode())
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	waiting, closed := make(chan error, 1), make(chan error, 1)
	go func() { waiting <- s.write(t.Context(), mark("waiting")) }()
	queued(t, s, 1)
	go func() { closed <- s.Close() }()
	eventually(t, func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return s.queue.closed != nil
	})
	if err := s.write(t.Context(), mark("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("a write after Close has begun returned %v", err)
	}
	release()
	if err := errors.Join(<-waiting, <-closed, s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.read(t.Context(), func(*conn) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("a read of a closed store returned %v", err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the WAL was left behind: %v", err)
	}
	if got := marked(t, openTest(t, path)); got != "waiting" {
		t.Errorf("it has %q", got)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	if err := s.write(t.Context(), mark("before")); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.write(t.Context(), mark(fmt.Sprint("during ", i))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	path := filepath.Join(t.TempDir(), "backup.db")
	err := s.Backup(t.Context(), path)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := s.Backup(t.Context(), path); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("a second backup under the same name: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.part*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	b := openTest(t, path)
	if got := marked(t, b); !strings.Contains(got, "before") {
		t.Errorf("it has %q", got)
	}
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, path+"2"); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if _, err := os.Stat(path + "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a backup that failed was left behind")
	}
	marked(t, s) // its connection is back in use
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, sql, says string }{
		{"a delivery that is never due", `INSERT INTO task (id, kind, lane, event) VALUES ('dlv_x', 'deliver', 'l', 'evt_x')`, "dlv_x is pending and never due"},
		{"a delivery without event", `INSERT INTO task (id, kind, lane, event, due) VALUES ('dlv_x', 'deliver', 'l', 'evt_x', 1)`, "dlv_x has no event"},
		{"an expand task that is never due", `INSERT INTO task (id, kind, lane) VALUES ('tsk_x', 'expand', 'l')`, "tsk_x is never due"},
		{"a delivery that waits for no other", `INSERT INTO task (id, kind, lane, event, series, turn) VALUES ('dlv_x', 'deliver', 'l', 'evt_x', 'a', 1)`, "dlv_x waits for nothing"},
		{"a delivery that is due before its turn", `INSERT INTO task (id, kind, lane, event, series, turn, due) VALUES
			('dlv_x', 'deliver', 'l', 'evt_x', 'a', 1, 1), ('dlv_y', 'deliver', 'l', 'evt_x', 'a', 2, 1)`, "dlv_y is due before its turn"},
		{"a delivery that is leased before its turn", `INSERT INTO task (id, kind, lane, event, series, turn, due, lease) VALUES
			('dlv_x', 'deliver', 'l', 'evt_x', 'a', 1, 1, 0), ('dlv_y', 'deliver', 'l', 'evt_x', 'a', 2, NULL, 7)`, "dlv_y is due before its turn"},
		{"a lane about which there is nothing to know", `INSERT INTO lane (lane) VALUES ('dest:x')`, "lane dest:x is kept and says nothing"},
		{"replays that go on while their destination is paused", `INSERT INTO pause VALUES ('dest:x', '', 1)`, "lane dest:x is paused and its replays are not"},
		{"a payload of nothing", `INSERT INTO payload (n) VALUES (7)`, "payload 7 has no event"},
		{"a request of nothing", `INSERT INTO inbound VALUES ('evt_x', '', x'')`, "evt_x has no event"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, s, row.sql)
			if err := s.Check(t.Context()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v, want %q", err, row.says)
			}
		})
	}
}
