//go:build linux

package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// board is memory that all processes of a run share: what the load generator and
// the receiver note about each event costs them one store, so that they take
// little of the processors that the server under test runs on.
//
// Times are UnixNano of this machine's one clock; 0: it has not happened.
type board struct {
	file *os.File
	mem  []byte

	cell     []atomic.Int64 // see cellSent and so on
	intended []atomic.Int64 // when an event was to be sent
	acked    []atomic.Int64 // when its 2xx had come
	received []atomic.Int64 // when the first byte of its delivery had come
}

// Cells of a board, each in a cache line of its own.
const (
	cellSent       = 8 * iota // requests that the generator has begun
	cellAcked                 // that were answered 2xx
	cellRefused               // that were not
	cellReceived              // events whose first delivery has come
	cellDuplicates            // deliveries of an event that had come before
	cellTries                 // requests that the receiver has got
	cellFirst                 // when the first of them came, since the cell was set to 0
	cellUnknown               // requests that name no event
	cellAside                 // requests that the generator has begun for a destination that is dead; not among cellSent
	cells
)

// newBoard makes a board for events 0 to size-1.
func newBoard(size int) (*board, error) {
	fd, err := unix.MemfdCreate("bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "board")
	if err := f.Truncate(int64(8 * (cells + 3*size))); err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	return mapBoard(f)
}

// mapBoard maps a board that newBoard made, in this process or in its parent.
func mapBoard(f *os.File) (*board, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	words := unsafe.Slice((*atomic.Int64)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/8) //nolint:gosec // mapped memory begins at a page
	size := (len(words) - cells) / 3
	b := &board{file: f, mem: mem, cell: words[:cells]}
	words = words[cells:]
	b.intended, b.acked, b.received = words[:size], words[size:2*size], words[2*size:]
	return b, nil
}

func (b *board) close() error {
	err := syscall.Munmap(b.mem)
	if e := b.file.Close(); err == nil {
		err = e
	}
	return err
}

func (b *board) size() int { return len(b.intended) }
