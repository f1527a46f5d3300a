// Package disk is a file system for SQLite that has faults. It stands over the system's own, which
// keeps the files; hooks decide about each call before it happens, and a [Platter] beside it knows
// what of them would outlive a loss of power.
//
// Register a [Disk] under a name and give that to sqlite.Config.VFS.
package disk

import (
	"path/filepath"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// Op is what SQLite asks of the disk.
type Op string

// The operations that change something, and reading.
const (
	Open     Op = "open"
	Read     Op = "read"
	Write    Op = "write"
	Truncate Op = "truncate"
	Sync     Op = "sync"
	Synced   Op = "synced" // a Sync that has taken effect and has not returned yet
	Delete   Op = "delete"
)

// Kind of a file.
type Kind string

// The files of a store. The memory that connections share ("-shm") is mapped, not written.
const (
	Main    Kind = "main"
	WAL     Kind = "wal"
	Journal Kind = "journal"
	Other   Kind = "other"
)

// Errors for hooks to return: what SQLite makes of the system's.
var (
	ErrFull  = error(sqlite3.FULL)
	ErrWrite = error(sqlite3.IOERR_WRITE)
	ErrRead  = error(sqlite3.IOERR_READ)
	ErrSync  = error(sqlite3.IOERR_FSYNC)
)

// Disk is a file system with faults. Set its fields before it is registered.
type Disk struct {
	vfs.VFS

	// Hook is called before each operation, from several goroutines. Its error is the operation's.
	// Defaults to none.
	Hook func(op Op, kind Kind) error

	// Platter follows what is written and synced. Defaults to none.
	Platter *Platter

	// Unsynced makes Sync do nothing, as with synchronous=OFF.
	Unsynced bool

	// Fast leaves the system's own fsync out, where a Platter says what is durable.
	Fast bool

	failed  atomic.Int64 // syncs that failed
	retried atomic.Int64 // see Retried
}

// New returns a Disk over the system's.
func New() *Disk { return &Disk{VFS: vfs.Find("os")} }

// Retried is how many syncs were asked for on a file handle after one on it had failed. It has to
// stay 0: the system may have thrown away what the first one could not write.
func (d *Disk) Retried() int64 { return d.retried.Load() }

// Failed is how many syncs have failed.
func (d *Disk) Failed() int64 { return d.failed.Load() }

// hook asks about an operation.
func (d *Disk) hook(op Op, kind Kind) error {
	if d.Hook == nil {
		return nil
	}
	return d.Hook(op, kind)
}

// OpenFilename implements vfs.VFSFilename.
func (d *Disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	kind := kindOf(flags)
	if err := d.hook(Open, kind); err != nil {
		return nil, flags, err
	}
	f, out, err := vfsutil.WrapOpenFilename(d.VFS, name, flags)
	if err != nil {
		return nil, out, err
	}
	opened := &file{File: f, disk: d, kind: kind}
	if d.Platter != nil && kind != Other {
		// SQLite's own syncs the directory with the first fsync of a file that may be new.
		opened.entry = flags&vfs.OPEN_CREATE != 0 && flags&(vfs.OPEN_WAL|vfs.OPEN_MAIN_JOURNAL) != 0
		opened.inode = d.Platter.open(filepath.Base(name.String()))
	}
	return opened, out, nil
}

// Delete implements vfs.VFS.
func (d *Disk) Delete(name string, syncDir bool) error {
	if err := d.hook(Delete, Other); err != nil {
		return err
	}
	if err := d.VFS.Delete(name, syncDir); err != nil {
		return err
	}
	if d.Platter != nil {
		d.Platter.remove(filepath.Base(name), syncDir && !d.Unsynced)
	}
	return nil
}

func kindOf(flags vfs.OpenFlag) Kind {
	switch {
	case flags&vfs.OPEN_MAIN_DB != 0:
		return Main
	case flags&vfs.OPEN_WAL != 0:
		return WAL
	case flags&vfs.OPEN_MAIN_JOURNAL != 0:
		return Journal
	}
	return Other
}

// file is an open file.
type file struct {
	vfs.File
	disk   *Disk
	kind   Kind
	inode  *inode
	entry  bool // its first sync makes the directory durable, too
	failed bool // a sync on this handle has failed
}

var _ vfs.FileSharedMemory = (*file)(nil)

// SharedMemory implements vfs.FileSharedMemory.
func (f *file) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

// ReadAt implements vfs.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.disk.hook(Read, f.kind); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// WriteAt implements vfs.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.disk.hook(Write, f.kind); err != nil {
		return 0, err
	}
	n, err := f.File.WriteAt(p, off)
	if f.inode != nil && n > 0 {
		f.disk.Platter.change(f.inode, change{off: off, data: append([]byte(nil), p[:n]...)})
	}
	return n, err
}

// Truncate implements vfs.File.
func (f *file) Truncate(size int64) error {
	if err := f.disk.hook(Truncate, f.kind); err != nil {
		return err
	}
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	if f.inode != nil {
		f.disk.Platter.change(f.inode, change{off: size, truncate: true})
	}
	return nil
}

// Sync implements vfs.File.
func (f *file) Sync(flags vfs.SyncFlag) error {
	if f.failed {
		f.disk.retried.Add(1)
	}
	if err := f.disk.hook(Sync, f.kind); err != nil {
		f.failed = true
		f.disk.failed.Add(1)
		if f.inode != nil {
			f.disk.Platter.forget(f.inode)
		}
		return err
	}
	if f.disk.Unsynced {
		return nil
	}
	if !f.disk.Fast {
		if err := f.File.Sync(flags); err != nil {
			return err
		}
	}
	if f.inode != nil {
		if err := f.disk.Platter.sync(f.inode, f.entry); err != nil {
			return err
		}
		f.entry = false
	}
	return f.disk.hook(Synced, f.kind)
}
