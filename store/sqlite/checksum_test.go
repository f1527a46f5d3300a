package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/forward"
)

// openChecked opens or creates a store with checksums.
func openChecked(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path, Checksums: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reserved is how many bytes at the end of a file's pages are for checksums.
func reserved(t *testing.T, path string) byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[headReserved]
}

func TestChecksumsOfANewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := openChecked(t, path)
	if err := errors.Join(s.write(t.Context(), mark("x")), s.Check(t.Context())); err != nil {
		t.Fatal(err)
	}
	copied := path + ".copy"
	if err := errors.Join(s.Backup(t.Context(), copied), s.Close()); err != nil {
		t.Fatal(err)
	}
	if reserved(t, path) != checksumSize || reserved(t, copied) != checksumSize {
		t.Error("the file, or its backup, has no checksums")
	}
	s = openTest(t, path) // without asking for them
	if got := marked(t, s); got != "x" {
		t.Errorf("it has %q", got)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestChecksumsForAFileThatHasNone(t *testing.T) {
	t.Parallel()
	path := version1(t)
	if reserved(t, path) != 0 {
		t.Fatal("it has checksums")
	}
	s := openChecked(t, path)
	wantVersion1(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if reserved(t, path) != checksumSize {
		t.Error("it has no checksums")
	}
	wantVersion1(t, openTest(t, path))
}

// TestFlippedByte changes a byte in each page, one at a time. Nothing that was
// not written is ever read from such a file.
func TestFlippedByte(t *testing.T) {
	t.Parallel()
	path := version1(t)
	s := openChecked(t, path)
	for range 4 { // and pages that are free
		if _, err := s.Purge(t.Context(), farFuture, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const size = 4096
	if len(sound)%size != 0 || len(sound)/size < 50 {
		t.Fatalf("the file has %d bytes", len(sound))
	}
	flip := func(off int) {
		b := append([]byte(nil), sound...)
		b[off] ^= 1 << (off % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), Config{Path: path})
		if err == nil {
			err = s.Check(t.Context())
			_ = s.Close()
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), path) && !errors.Is(err, ErrFailed) {
			t.Errorf("byte %d of page %d: %v", off%size, off/size+1, err)
		}
	}
	for page := range len(sound) / size {
		flip(page*size + (page*977+131)%size)
	}
	for off := range headSize { // of the head, all
		flip(off)
	}
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openTest(t, path).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFlippedByteWhileOpen changes a page of a store that is in use.
func TestFlippedByteWhileOpen(t *testing.T) {
	t.Parallel()
	path := version1(t)
	s := openChecked(t, path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openChecked(t, path)
	t.Cleanup(func() { _ = s.Close() })
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for off := int64(4096); off < info.Size(); off += 4096 { // all but the first
		if _, err := f.WriteAt([]byte{0xa5}, off+2000); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Records(t.Context(), forward.Query{}, 200)
	if !errors.Is(err, ErrDamaged) || !errors.Is(err, forward.ErrStoreFailed) {
		t.Errorf("reading returned %v, want ErrDamaged, and that the store has failed", err)
	}
}

func TestVFSIsRegistered(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{VFS: "no such"})
	if err == nil || !strings.Contains(err.Error(), "Config.Path is missing") || !strings.Contains(err.Error(), `"no such"`) {
		t.Errorf("got %v, want both mistakes", err)
	}
}
