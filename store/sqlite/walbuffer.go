package sqlite

import (
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// gathering is a file system of SQLite's that writes what one transaction
// appends to the WAL in one go: SQLite itself makes two system calls for each
// page, which were a seventh of all that storing an event cost.
//
// Nothing is put off beyond the fsync that makes the transaction durable, and
// nobody reads what was not written before: other connections look only at
// pages that a commit has published, which it does after its fsync
// (synchronous=FULL; https://sqlite.org/fileformat2.html#walread), and this
// one's own reads write first.
type gathering struct{ vfs.VFS }

var _ vfs.VFSFilename = gathering{}

// gatheringOver registers the file system over the one of that name ("" is the
// system's), if that was not done before, and returns its name.
func gatheringOver(base string) (string, error) {
	under := vfs.Find(base)
	if under == nil {
		return "", errNoVFS(base)
	}
	name := "interactor"
	if base != "" {
		name += "-" + base
	}
	// It holds nothing, so that another one in its place is the same.
	vfs.Register(name, gathering{fullVFS{under}})
	return name, nil
}

// OpenFilename implements [vfs.VFSFilename].
func (g gathering) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(g.VFS, name, flags)
	if err == nil && flags&vfs.OPEN_WAL != 0 {
		f = &walFile{File: f}
	}
	return f, flags, err
}

// Open implements [vfs.VFS].
func (g gathering) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return vfsutil.WrapOpen(g.VFS, name, flags)
}

// maxGathered bounds what one connection holds back; a transaction mostly has less.
const maxGathered = 1 << 20

// walFile gathers writes that follow each other. Used by one connection, and so
// by one goroutine at a time.
type walFile struct {
	vfs.File
	at   int64 // where held belongs
	held []byte
}

// flush writes what is held back. What could not be written is not tried again:
// SQLite takes the transaction back.
func (f *walFile) flush() error {
	if len(f.held) == 0 {
		return nil
	}
	_, err := f.File.WriteAt(f.held, f.at)
	f.held = f.held[:0]
	return err
}

// WriteAt implements [vfs.File].
func (f *walFile) WriteAt(p []byte, off int64) (int, error) {
	if len(f.held) > 0 && (off != f.at+int64(len(f.held)) || len(f.held)+len(p) > maxGathered) {
		if err := f.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) > maxGathered {
		return f.File.WriteAt(p, off)
	}
	if len(f.held) == 0 {
		f.at = off
	}
	f.held = append(f.held, p...)
	return len(p), nil
}

// ReadAt implements [vfs.File].
func (f *walFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Sync implements [vfs.File].
func (f *walFile) Sync(flags vfs.SyncFlag) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

// Size implements [vfs.File].
func (f *walFile) Size() (int64, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.Size()
}

// Truncate implements [vfs.File].
func (f *walFile) Truncate(size int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Close implements [vfs.File]. What is still held belongs to no transaction
// that was committed.
func (f *walFile) Close() error {
	f.held = nil
	return f.File.Close()
}
