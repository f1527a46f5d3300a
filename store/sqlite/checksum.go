package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ncruces/go-sqlite3"
)

// Where things stand in the head of a file, and how pages with a checksum end
// (https://sqlite.org/fileformat.html, https://sqlite.org/cksumvfs.html).
const (
	headSize     = 100
	headPageSize = 16 // two bytes, big-endian; 1 means 65536
	headReserved = 20 // bytes at the end of each page that are not SQLite's
	checksumSize = 8
)

// enableChecksums gives the pages of a file checksums unless they have them. It
// rewrites the file in one transaction.
func enableChecksums(c *conn) error {
	reserved, err := c.db.FileControl("main", sqlite3.FCNTL_RESERVE_BYTES)
	if err != nil {
		return err
	}
	if reserved == checksumSize {
		return nil
	}
	// What is rewritten goes through a temporary file: it may be larger than memory.
	if err := c.script(`PRAGMA temp_store = FILE`); err != nil {
		return err
	}
	err = c.db.EnableChecksums("main")
	if err != nil {
		err = fmt.Errorf("Config.Checksums: %w", err)
	}
	return errors.Join(err, c.script(`PRAGMA temp_store = MEMORY`))
}

// headIsSound looks at the one byte that no checksum protects: it says whether
// the pages have any.
func headIsSound(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, reserved := pageSize(f)
	if size == 0 || reserved == checksumSize {
		return nil
	}
	page := make([]byte, size)
	if _, err := f.ReadAt(page, 0); err != nil {
		return nil // half a page: SQLite says what that means
	}
	page[headReserved] = checksumSize
	if pageIsSound(page) {
		return fmt.Errorf("%w: %s: byte %d was changed: restore a backup", ErrDamaged, path, headReserved)
	}
	return nil
}

// pageSize reads from a file's head how large its pages are, 0 where that is no
// size, and how many bytes at their end are reserved.
func pageSize(f io.ReaderAt) (size int64, reserved byte) {
	head := make([]byte, headSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return 0, 0
	}
	size = int64(binary.BigEndian.Uint16(head[headPageSize:]))
	if size == 1 {
		size = 1 << 16
	}
	if size < 512 || size&(size-1) != 0 {
		return 0, 0
	}
	return size, head[headReserved]
}

// unsoundPages reads all pages of the file, also those that are free and that
// nothing else would ever look at, and says which are not what was written; at
// most some. A file without checksums has none.
func (s *Store) unsoundPages(ctx context.Context) (found []string, err error) {
	if s.base != "" { // who knows how it keeps its pages
		return nil, nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, reserved := pageSize(f)
	if size == 0 || reserved != checksumSize {
		return nil, nil
	}
	chunk := make([]byte, 1<<20/size*size)
	for off := int64(0); len(found) < mostFound; off += int64(len(chunk)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := f.ReadAt(chunk, off)
		for i := int64(0); i+size <= int64(n); i += size {
			if pageIsSound(chunk[i : i+size]) {
				continue
			}
			sound, err := s.soundNow(ctx, f, off+i, size)
			if err != nil {
				return nil, err
			}
			if !sound {
				found = append(found, fmt.Sprintf("page %d is not what was written", (off+i)/size+1))
			}
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// soundNow looks once more at a page that may have been read while it was
// written: each time when others have come in between, so that whoever wrote it
// then is done with it.
func (s *Store) soundNow(ctx context.Context, f io.ReaderAt, off, size int64) (sound bool, err error) {
	page := make([]byte, size)
	for range 3 {
		if err := s.write(ctx, func(*conn) error { return nil }); err != nil {
			return false, err
		}
		if _, err := f.ReadAt(page, off); err != nil {
			return false, err
		}
		if pageIsSound(page) {
			return true, nil
		}
	}
	return false, nil
}

// pageIsSound says whether a page ends with its own checksum.
func pageIsSound(page []byte) bool {
	end := len(page) - checksumSize
	return checksum(page[:end]) == [checksumSize]byte(page[end:])
}

// checksum is that of SQLite's checksum VFS; len(page) is a multiple of 8.
func checksum(page []byte) (sum [checksumSize]byte) {
	var a, b uint32
	for ; len(page) >= checksumSize; page = page[checksumSize:] {
		a += binary.LittleEndian.Uint32(page) + b
		b += binary.LittleEndian.Uint32(page[4:]) + a
	}
	binary.LittleEndian.PutUint32(sum[:], a)
	binary.LittleEndian.PutUint32(sum[4:], b)
	return sum
}
