// Package sqlite keeps everything in one SQLite file: pure Go, no cgo, one
// process at a time. Every acknowledged write is on disk (WAL, synchronous=FULL).
//
// Programs import it to [Open] a [Store] and hand that to interactor.New or
// forward.New. Writers that come at the same time share one transaction and one
// fsync, so that throughput does not end where the disk's fsync rate does.
//
// # Files
//
// Beside the file of [Config].Path stand "-wal" and "-shm" while it is open,
// and ".lock", which says which process has it open. All have mode 0600. To copy
// a store that is in use, call [Store.Backup]; copying the files does not do. The
// file may be read with the sqlite3 tool at any time.
//
// # Failure
//
// After an input/output error nobody knows what the disk holds, and trying
// fsync again would only hide it. The Store then fails for good: each call
// returns [ErrFailed], nothing more is written, and what was acknowledged is
// found again when the file is opened anew. A full disk is no such error: calls
// return [ErrFull] until there is room.
package sqlite
