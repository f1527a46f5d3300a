package sqlite

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/ncruces/go-sqlite3"
)

// farFuture is later than everything in a file.
var farFuture = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// TestSQLiteVersion: before 3.51.3 two connections that reset the WAL at the same
// time could damage the file (https://sqlite.org/wal.html#walresetbug).
func TestSQLiteVersion(t *testing.T) {
	t.Parallel()
	db, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c := newConn(db)
	defer c.close()
	var version string
	if _, err := c.sql(`SELECT sqlite_version()`).one(func(r row) { version = r.text(0) }); err != nil {
		t.Fatal(err)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatal(err)
	}
	if (major*1000+minor)*1000+patch < 3_051_003 {
		t.Errorf("SQLite is %s, want at least 3.51.3", version)
	}
}

// version1 returns a file that was written by schema version 1: 104 events of
// which 40 are delivered, 4 dead and 60 pending, 10 of them leased by a process
// that was ended.
func version1(t *testing.T) (path string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "version1.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(unzip)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantVersion1 demands that all of version1's events are there, in the present schema.
func wantVersion1(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	var version int64
	if err := s.read(t.Context(), func(c *conn) error { return scanInt(c, `PRAGMA user_version`, &version) }); err != nil {
		t.Fatal(err)
	}
	if version != int64(len(migrations())) {
		t.Errorf("the schema is version %d, want %d", version, len(migrations()))
	}
	records, err := s.Records(t.Context(), forward.Query{}, 200)
	if err != nil {
		t.Fatal(err)
	}
	count := map[forward.Status]int{}
	for _, r := range records {
		count[r.Status]++
	}
	if count[forward.Delivered] != 40 || count[forward.Dead] != 4 || count[forward.Pending] != 60 {
		t.Errorf("it has %v, want 40 delivered, 4 dead, 60 pending", count)
	}
	tasks, err := s.Claim(t.Context(), forward.ClaimRequest{Lane: "dest:", Now: farFuture, Limit: 100, Bytes: 1 << 20, Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if len(tasks) != 60 {
		t.Errorf("%d tasks are due, want 60: leases of before do not count", len(tasks))
	}
	for _, task := range tasks {
		if !strings.Contains(string(task.Event.Payload), "v1v1v1") {
			t.Errorf("%s has the payload %s", task.ID, task.Event.Payload)
		}
	}
	if err := s.Release(t.Context(), tasks); err != nil {
		t.Error(err)
	}
}

func TestMigration(t *testing.T) {
	t.Parallel()
	path := version1(t)
	for range 2 {
		s, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		wantVersion1(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMigrationIsKilled kills a process that brings a file up to date before each
// write and each fsync in turn; whoever opens the file next goes on.
func TestMigrationIsKilled(t *testing.T) { //nolint:tparallel // the points come one after another
	t.Parallel()
	const variable = "INTERACTOR_TEST_KILLED"
	if text := os.Getenv(variable); text != "" { // the process that is killed
		fields := strings.SplitN(text, " ", 3)
		point, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		v, name := faulty(t)
		calls := 0
		v.set(func(string, string) error {
			if calls++; calls == point {
				if self, err := os.FindProcess(os.Getpid()); err == nil {
					_ = self.Kill()
				}
				select {}
			}
			return nil
		})
		s, err := Open(t.Context(), Config{Path: fields[2], VFS: name, Checksums: fields[1] == "true"})
		if err != nil {
			t.Fatal(err)
		}
		v.set(nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, checksums := range []bool{false, true} {
		t.Run(fmt.Sprintf("checksums=%t", checksums), func(t *testing.T) {
			points, step := 0, 1
			if checksums { // rewrites every page: some of the points
				step = 13
			}
			for point := 1; ; point += step {
				path := version1(t)
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMigrationIsKilled$")
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %t %s", variable, point, checksums, path))
				out, err := cmd.CombinedOutput()
				if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.Exited()) {
					t.Fatalf("point %d: %v\n%s", point, err, out)
				}
				s, openErr := Open(t.Context(), Config{Path: path, Checksums: checksums})
				if openErr != nil {
					t.Fatalf("killed at point %d: %v", point, openErr)
				}
				wantVersion1(t, s)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if t.Failed() {
					t.Fatalf("killed at point %d", point)
				}
				if err == nil { // it had ended before it came to this point
					break
				}
				points++
			}
			if points < 5 {
				t.Errorf("only %d points", points)
			}
			t.Logf("killed at %d points", points)
		})
	}
}
