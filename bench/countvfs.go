//go:build linux

package main

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// countingVFS is the system's file system, with its fsyncs counted where they are
// made: what the store says of itself is no evidence.
type countingVFS struct {
	vfs.VFS

	wal, main atomic.Int64

	mu      sync.Mutex
	pragmas map[string]string // as the store has set them on its first connection
}

const countingName = "counting"

func newCountingVFS() *countingVFS {
	v := &countingVFS{VFS: vfs.Find("os"), pragmas: make(map[string]string)}
	vfs.Register(countingName, v)
	return v
}

var _ vfs.VFSFilename = (*countingVFS)(nil)

// OpenFilename implements vfs.VFSFilename.
func (v *countingVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(v.VFS, name, flags)
	if err != nil {
		return nil, flags, err
	}
	count := &v.main
	if flags&vfs.OPEN_WAL != 0 {
		count = &v.wal
	}
	return &countingFile{File: f, v: v, count: count}, flags, nil
}

type countingFile struct {
	vfs.File

	v     *countingVFS
	count *atomic.Int64
}

var (
	_ vfs.FileSharedMemory = (*countingFile)(nil)
	_ vfs.FilePragma       = (*countingFile)(nil)
)

// Pragma implements vfs.FilePragma: it notes what is set and leaves the rest to SQLite.
func (f *countingFile) Pragma(name, value string) (string, error) {
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	if _, known := f.v.pragmas[name]; !known && value != "" && name != "quick_check" { // which sets nothing
		f.v.pragmas[name] = value
	}
	return "", sqlite3.NOTFOUND
}

func (v *countingVFS) settings() map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.pragmas)
}

// SharedMemory implements vfs.FileSharedMemory.
func (f *countingFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

// Unwrap implements vfs.FileUnwrap.
func (f *countingFile) Unwrap() vfs.File { return f.File }

// Sync implements vfs.File.
func (f *countingFile) Sync(flags vfs.SyncFlag) error {
	if err := f.File.Sync(flags); err != nil {
		return err
	}
	f.count.Add(1)
	return nil
}
