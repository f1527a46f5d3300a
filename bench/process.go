//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// parent is how a process talks with the one that started it: lines of JSON.
type parent struct {
	in    *json.Decoder
	out   *json.Encoder
	board *board // nil where the process needs none
}

func (p *parent) read(v any) error  { return p.in.Decode(v) }
func (p *parent) write(v any) error { return p.out.Encode(v) }

// ended turns the end of the parent's orders into nil.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// boardFD is the board's file in a child.
const boardFD = 3

// runRole is main of a child.
func runRole(ctx context.Context, role string) error {
	p := &parent{in: json.NewDecoder(bufio.NewReader(os.Stdin)), out: json.NewEncoder(os.Stdout)}
	if role != roleServer {
		b, err := mapBoard(os.NewFile(boardFD, "board"))
		if err != nil {
			return err
		}
		p.board = b
	}
	switch role {
	case roleGenerator:
		return runGenerator(ctx, p)
	case roleReceiver:
		return runReceiver(ctx, p)
	case roleServer:
		return runServer(ctx, p)
	}
	return fmt.Errorf("no role %q", role)
}

// Roles of a process; the one without starts the others.
const (
	roleGenerator = "generator"
	roleReceiver  = "receiver"
	roleServer    = "server"
)

// child is a process that this one started.
type child struct {
	role    string
	cmd     *exec.Cmd
	to      io.WriteCloser
	in      *json.Decoder
	out     *json.Encoder
	started time.Time // just before exec
}

// childOptions of start.
type childOptions struct {
	role   string
	board  *board
	env    []string
	stderr *os.File
}

// start runs this program once more.
func start(ctx context.Context, o childOptions) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self) //nolint:gosec // this program
	cmd.Env = append(append(os.Environ(), o.env...), roleVariable+"="+o.role)
	cmd.Stderr = os.Stderr
	if o.stderr != nil {
		cmd.Stderr = o.stderr
	}
	if o.board != nil {
		cmd.ExtraFiles = []*os.File{o.board.file}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	to, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{
		role: o.role, cmd: cmd, to: to, in: json.NewDecoder(bufio.NewReader(from)), out: json.NewEncoder(to), started: started,
	}, nil
}

// ask sends an order and reads the answer.
func (c *child) ask(order, answer any) error {
	if err := c.out.Encode(order); err != nil {
		return fmt.Errorf("%s: %w", c.role, err)
	}
	if err := c.in.Decode(answer); err != nil {
		return fmt.Errorf("%s: %w", c.role, err)
	}
	return nil
}

// stop lets the process end and waits for it.
func (c *child) stop() error {
	_ = c.to.Close() // its next read ends
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", c.role, err)
	}
	return nil
}

// kill ends it without warning.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it was killed
}

// processCPU is what this process has used, user and system.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processPeak reads what a process held at most, in bytes.
func processPeak(pid int) int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// forgetPeak makes the peak of a process count anew.
func forgetPeak(pid int) {
	_ = os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0) // else the peak since its start shows
}
