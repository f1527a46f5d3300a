package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

func TestACommitIsFewWrites(t *testing.T) {
	t.Parallel()
	v, name := faulty(t)
	s := openFaulty(t, filepath.Join(t.TempDir(), "store.db"), name)
	var writes, syncs atomic.Int64
	v.set(func(op, file string) error {
		switch {
		case op == "write" && file == "wal":
			writes.Add(1)
		case op == "sync" && file == "wal":
			syncs.Add(1)
		}
		return nil
	})
	err := s.write(t.Context(), func(c *conn) error {
		for i := range 200 { // some 60 pages
			if _, err := c.sql(`INSERT INTO payload (payload) VALUES (zeroblob(1000 + ?))`).int(int64(i)).exec(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The head of a new WAL is synced by itself.
	if w, n := writes.Load(), syncs.Load(); w > 4 || n < 1 || n > 2 {
		t.Errorf("%d writes and %d syncs, want a few writes and one or two syncs", w, n)
	}
}

func TestAReaderSeesACommitThatWasGathered(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	for i := range 50 {
		if err := s.write(t.Context(), mark(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		var n int64
		err := s.read(t.Context(), func(c *conn) error { return scanInt(c, `SELECT count(*) FROM pause`, &n) })
		if err != nil || n != int64(i+1) {
			t.Fatalf("after %d writes a reader sees %d, %v", i+1, n, err)
		}
	}
}

// flat is a file in memory that notes what is done to it.
type flat struct {
	vfs.File
	bytes []byte
	ops   []string
	fail  error
}

func (f *flat) WriteAt(p []byte, off int64) (int, error) {
	f.ops = append(f.ops, fmt.Sprintf("write %d at %d", len(p), off))
	if f.fail != nil {
		return 0, f.fail
	}
	if need := int(off) + len(p); need > len(f.bytes) {
		f.bytes = append(f.bytes, make([]byte, need-len(f.bytes))...)
	}
	return copy(f.bytes[off:], p), nil
}

func (f *flat) ReadAt(p []byte, off int64) (int, error) {
	f.ops = append(f.ops, "read")
	return copy(p, f.bytes[off:]), nil
}

func (f *flat) Sync(vfs.SyncFlag) error { f.ops = append(f.ops, "sync"); return nil }

func (f *flat) Size() (int64, error) { f.ops = append(f.ops, "size"); return int64(len(f.bytes)), nil }

func (f *flat) Truncate(n int64) error {
	f.ops = append(f.ops, "truncate")
	f.bytes = f.bytes[:n]
	return nil
}

func (f *flat) Close() error { f.ops = append(f.ops, "close"); return nil }

func TestWALFile(t *testing.T) {
	t.Parallel()
	write := func(p string, off int64) func(f *walFile) error {
		return func(f *walFile) error { _, err := f.WriteAt([]byte(p), off); return err }
	}
	sync := func(f *walFile) error { return f.Sync(vfs.SYNC_FULL) }
	read := func(f *walFile) error { _, err := f.ReadAt(make([]byte, 2), 0); return err }
	size := func(f *walFile) error { _, err := f.Size(); return err }
	truncate := func(f *walFile) error { return f.Truncate(1) }
	shut := func(f *walFile) error { return f.Close() }
	for _, row := range []struct {
		name  string
		calls []func(*walFile) error
		ops   []string
		bytes string
	}{
		{"what follows is one write", []func(*walFile) error{write("ab", 0), write("cd", 2), sync}, []string{"write 4 at 0", "sync"}, "abcd"},
		{"what lies elsewhere is another", []func(*walFile) error{write("ab", 0), write("cd", 4), sync}, []string{"write 2 at 0", "write 2 at 4", "sync"}, "ab\x00\x00cd"},
		{"what is written over comes after", []func(*walFile) error{write("ab", 0), write("c", 1), sync}, []string{"write 2 at 0", "write 1 at 1", "sync"}, "ac"},
		{"a read sees it", []func(*walFile) error{write("ab", 0), read}, []string{"write 2 at 0", "read"}, "ab"},
		{"the size counts it", []func(*walFile) error{write("ab", 0), size}, []string{"write 2 at 0", "size"}, "ab"},
		{"it is cut after", []func(*walFile) error{write("ab", 0), truncate}, []string{"write 2 at 0", "truncate"}, "a"},
		{"twice synced is written once", []func(*walFile) error{write("ab", 0), sync, sync}, []string{"write 2 at 0", "sync", "sync"}, "ab"},
		{"closing drops what nobody committed", []func(*walFile) error{write("ab", 0), shut}, []string{"close"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			under := &flat{}
			f := &walFile{File: under}
			for _, call := range row.calls {
				if err := call(f); err != nil {
					t.Fatal(err)
				}
			}
			if fmt.Sprint(under.ops) != fmt.Sprint(row.ops) || string(under.bytes) != row.bytes {
				t.Errorf("%q, holding %q; want %q, %q", under.ops, under.bytes, row.ops, row.bytes)
			}
		})
	}
	t.Run("a failed write fails the sync, and is not repeated", func(t *testing.T) {
		t.Parallel()
		under := &flat{fail: sqlite3.IOERR_WRITE}
		f := &walFile{File: under}
		if err := write("ab", 0)(f); err != nil {
			t.Fatal(err)
		}
		if err := sync(f); !errors.Is(err, sqlite3.IOERR_WRITE) {
			t.Errorf("sync = %v, want the error of the write", err)
		}
		if got := fmt.Sprint(under.ops); got != "[write 2 at 0]" {
			t.Errorf("%s, want no sync of what was not written", got)
		}
	})
	t.Run("memory is bounded", func(t *testing.T) {
		t.Parallel()
		under := &flat{}
		f := &walFile{File: under}
		page := bytes.Repeat([]byte("x"), 64<<10)
		for i := range 40 {
			if _, err := f.WriteAt(page, int64(i*len(page))); err != nil {
				t.Fatal(err)
			}
			if len(f.held) > maxGathered {
				t.Fatalf("%d bytes are held back", len(f.held))
			}
		}
	})
}
