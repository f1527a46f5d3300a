package sqlite

import (
	"errors"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// fullVFS is a file system that tells SQLite when there is no room. The system's
// own, up to v0.37.0 of the package, looks for a bare errno where the os package
// has wrapped it, so that SQLite takes a full disk for a broken one.
type fullVFS struct{ vfs.VFS }

var _ vfs.VFSFilename = fullVFS{}

// OpenFilename implements vfs.VFSFilename.
func (v fullVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(v.VFS, name, flags)
	if err != nil {
		return nil, flags, noRoom(err)
	}
	return fullFile{f}, flags, nil
}

// noRoom gives errors that mean a full disk SQLite's code for that. What fsync
// returns stays as it is: by then the system may have given pages up.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return vfs.SystemError(err, sqlite3.FULL)
	}
	return err
}

// fullFile is a file of a fullVFS. It has all that SQLite may ask of the system's.
type fullFile struct{ vfs.File }

var (
	_ vfs.FileUnwrap             = fullFile{}
	_ vfs.FileLockState          = fullFile{}
	_ vfs.FilePersistWAL         = fullFile{}
	_ vfs.FilePowersafeOverwrite = fullFile{}
	_ vfs.FileChunkSize          = fullFile{}
	_ vfs.FileSizeHint           = fullFile{}
	_ vfs.FileHasMoved           = fullFile{}
	_ vfs.FileOverwrite          = fullFile{}
	_ vfs.FileSync               = fullFile{}
	_ vfs.FileCommitPhaseTwo     = fullFile{}
	_ vfs.FileBatchAtomicWrite   = fullFile{}
	_ vfs.FileCheckpoint         = fullFile{}
	_ vfs.FilePragma             = fullFile{}
	_ vfs.FileBusyHandler        = fullFile{}
	_ vfs.FileSharedMemory       = fullFile{}
	_ vfs.FileMemoryMapper       = fullFile{}
)

// WriteAt implements [vfs.File].
func (f fullFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if err != nil {
		err = noRoom(err)
	}
	return n, err
}

// Truncate implements [vfs.File].
func (f fullFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return noRoom(err)
	}
	return nil
}

// Unwrap implements [vfs.FileUnwrap].
func (f fullFile) Unwrap() vfs.File { return f.File }

// LockState implements [vfs.FileLockState].
func (f fullFile) LockState() vfs.LockLevel { return vfsutil.WrapLockState(f.File) }

// PersistWAL implements [vfs.FilePersistWAL].
func (f fullFile) PersistWAL() bool { return vfsutil.WrapPersistWAL(f.File) }

// SetPersistWAL implements [vfs.FilePersistWAL].
func (f fullFile) SetPersistWAL(keep bool) { vfsutil.WrapSetPersistWAL(f.File, keep) }

// PowersafeOverwrite implements [vfs.FilePowersafeOverwrite].
func (f fullFile) PowersafeOverwrite() bool { return vfsutil.WrapPowersafeOverwrite(f.File) }

// SetPowersafeOverwrite implements [vfs.FilePowersafeOverwrite].
func (f fullFile) SetPowersafeOverwrite(on bool) { vfsutil.WrapSetPowersafeOverwrite(f.File, on) }

// ChunkSize implements [vfs.FileChunkSize].
func (f fullFile) ChunkSize(size int) { vfsutil.WrapChunkSize(f.File, size) }

// SizeHint implements [vfs.FileSizeHint].
func (f fullFile) SizeHint(size int64) error { return vfsutil.WrapSizeHint(f.File, size) }

// HasMoved implements [vfs.FileHasMoved].
func (f fullFile) HasMoved() (bool, error) { return vfsutil.WrapHasMoved(f.File) }

// Overwrite implements [vfs.FileOverwrite].
func (f fullFile) Overwrite() error { return vfsutil.WrapOverwrite(f.File) }

// SyncSuper implements [vfs.FileSync].
func (f fullFile) SyncSuper(super string) error { return vfsutil.WrapSyncSuper(f.File, super) }

// CommitPhaseTwo implements [vfs.FileCommitPhaseTwo].
func (f fullFile) CommitPhaseTwo() error { return vfsutil.WrapCommitPhaseTwo(f.File) }

// BeginAtomicWrite implements [vfs.FileBatchAtomicWrite].
func (f fullFile) BeginAtomicWrite() error { return vfsutil.WrapBeginAtomicWrite(f.File) }

// CommitAtomicWrite implements [vfs.FileBatchAtomicWrite].
func (f fullFile) CommitAtomicWrite() error { return vfsutil.WrapCommitAtomicWrite(f.File) }

// RollbackAtomicWrite implements [vfs.FileBatchAtomicWrite].
func (f fullFile) RollbackAtomicWrite() error { return vfsutil.WrapRollbackAtomicWrite(f.File) }

// CheckpointStart implements [vfs.FileCheckpoint].
func (f fullFile) CheckpointStart() { vfsutil.WrapCheckpointStart(f.File) }

// CheckpointDone implements [vfs.FileCheckpoint].
func (f fullFile) CheckpointDone() { vfsutil.WrapCheckpointDone(f.File) }

// BusyHandler implements [vfs.FileBusyHandler].
func (f fullFile) BusyHandler(busy func() bool) { vfsutil.WrapBusyHandler(f.File, busy) }

// SharedMemory implements [vfs.FileSharedMemory].
func (f fullFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

// MemoryMapper implements [vfs.FileMemoryMapper].
func (f fullFile) MemoryMapper() vfs.MemoryMapper { return vfsutil.WrapMemoryMapper(f.File) }

// SetDB is what some file systems ask for beside their interfaces.
func (f fullFile) SetDB(db any) {
	if with, ok := f.File.(interface{ SetDB(db any) }); ok {
		with.SetDB(db)
	}
}

// Pragma implements [vfs.FilePragma].
func (f fullFile) Pragma(name, v string) (string, error) {
	return vfsutil.WrapPragma(f.File, name, v)
}
