package sqlite

import (
	"strings"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// faultyVFS is the system's file system with faults. on decides about each call.
type faultyVFS struct {
	vfs.VFS
	mu    sync.Mutex
	on    func(op, file string) error
	syncs map[string]int // by file: "main", "wal"
}

// faulty registers a file system of the test's own and returns its name.
func faulty(t *testing.T) (*faultyVFS, string) {
	v := &faultyVFS{VFS: vfs.Find("os"), syncs: map[string]int{}}
	name := strings.ReplaceAll(t.Name(), "/", "_")
	vfs.Register(name, v)
	t.Cleanup(func() { vfs.Unregister(name) })
	return v, name
}

// fail makes every call of op ("sync", "write") on a file ("main", "wal") fail.
func (v *faultyVFS) fail(op, file string, err error) {
	v.set(func(o, f string) error {
		if o == op && f == file {
			return err
		}
		return nil
	})
}

func (v *faultyVFS) set(on func(op, file string) error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.on = on
}

func (v *faultyVFS) call(op, file string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if op == "sync" {
		v.syncs[file]++
	}
	if v.on == nil {
		return nil
	}
	return v.on(op, file)
}

func (v *faultyVFS) synced(file string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.syncs[file]
}

func (v *faultyVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(v.VFS, name, flags)
	if err != nil {
		return nil, flags, err
	}
	kind := "main"
	if flags&vfs.OPEN_WAL != 0 {
		kind = "wal"
	}
	return &faultyFile{File: f, v: v, kind: kind}, flags, nil
}

type faultyFile struct {
	vfs.File
	v    *faultyVFS
	kind string
}

func (f *faultyFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

func (f *faultyFile) Sync(flags vfs.SyncFlag) error {
	if err := f.v.call("sync", f.kind); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.v.call("write", f.kind); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

var (
	errSync  = error(sqlite3.IOERR_FSYNC)
	errWrite = error(sqlite3.IOERR_WRITE)
	errFull  = error(sqlite3.FULL)
)
