//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// head is what the load generator and the receiver need of an HTTP/1.1 message.
type head struct {
	first  []byte // start line; valid until the next read
	length int    // of the body
}

var errChunked = errors.New("a message without Content-Length")

const nameLength = "content-length:"

// readHead reads a start line and headers.
func readHead(r *bufio.Reader, start []byte) (h head, err error) {
	h.first, h.length = start[:0], -1
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case n == 0:
			h.first = append(h.first, line...)
		case len(line) == 0:
			return h, nil
		case len(line) > len(nameLength) && strings.EqualFold(string(line[:len(nameLength)]), nameLength):
			if h.length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(nameLength):]))); err != nil {
				return h, fmt.Errorf("content-length: %w", err)
			}
		}
	}
}

// readStatus reads a whole response and returns its status.
func readStatus(r *bufio.Reader, start []byte) (int, error) {
	h, err := readHead(r, start)
	if err != nil {
		return 0, err
	}
	if len(h.first) < 12 {
		return 0, fmt.Errorf("bad status line %q", h.first)
	}
	status, err := strconv.Atoi(string(h.first[9:12]))
	if err != nil {
		return 0, fmt.Errorf("bad status line %q", h.first)
	}
	if h.length < 0 && status != 204 {
		return status, errChunked
	}
	if h.length > 0 {
		_, err = r.Discard(h.length)
	}
	return status, err
}

// readBody reads a body into buf, which grows.
func readBody(r *bufio.Reader, buf []byte, length int) ([]byte, error) {
	if length < 0 {
		return nil, errChunked
	}
	if cap(buf) < length {
		buf = make([]byte, length)
	}
	_, err := io.ReadFull(r, buf[:length])
	return buf[:length], err
}
