package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/realtest/e2e/child"
	"github.com/interactorhq/interactor/seal"
)

const (
	startDeadline = 30 * time.Second // usual: 0.1 s; CI may be compiling beside it
	stopDeadline  = 30 * time.Second // of SIGTERM
)

// object is a JSON object.
type object = map[string]any

// service is examples/server as a process: its config file, its database, its key, and how often it
// was started.
type service struct {
	client
	dir     string
	address string
	config  object

	cmd    *exec.Cmd
	exited <-chan struct{}
	log    *logBuffer
}

// newService makes the config file's content for a service that is not started yet: one Deployment
// with a fixed API key, that forwards triggers to where settings say. More members can be set before start.
func newService(t *testing.T, connectors object, settings object) *service {
	t.Helper()
	address := "127.0.0.1:" + fmt.Sprint(stablePort(t))
	s := &service{
		dir: t.TempDir(), address: address, log: new(logBuffer),
		client: client{base: "http://" + address, key: newKey()},
	}
	deployment := object{"environments": object{"Production": object{"api_key": s.key}}}
	if settings != nil {
		deployment["forwarding"] = settings
	}
	s.config = object{
		"address": address, "public_url": s.base,
		"store":                  object{"sqlite": "interactor.db"},
		"sealing_keys":           []string{seal.NewKey()},
		"connectors":             connectors,
		"deployments":            []object{deployment},
		"allow_private_networks": true,
	}
	t.Cleanup(func() {
		if s.cmd != nil && !child.Stop(t, s.cmd, s.exited, stopDeadline) {
			t.Errorf("the service did not end after SIGTERM")
		}
		if t.Failed() {
			t.Logf("the service's log:\n%s", s.log.tail(6000))
		}
	})
	return s
}

// start runs the service and returns when it has printed that it is ready.
func (s *service) start(t *testing.T) {
	t.Helper()
	ready := s.launch(t)
	select {
	case line := <-ready:
		if want := "interactor: listening on " + s.base; !strings.HasPrefix(line, want) {
			t.Fatalf("the service printed %q, want %q…\n%s", line, want, s.log.tail(6000))
		}
	case <-time.After(startDeadline):
		t.Fatalf("the service printed nothing within %v\n%s", startDeadline, s.log.tail(6000))
	}
}

// launch runs the service without waiting; the channel gets the first line that it prints.
func (s *service) launch(t *testing.T) (ready <-chan string) {
	t.Helper()
	binary, err := serverBinary()
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.MarshalIndent(s.config, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "server.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-config", file) // not CommandContext: it outlives t.Context, for the cleanups
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = s.log
	exited, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s.cmd, s.exited = cmd, exited
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		first <- line
		_, _ = io.Copy(io.Discard, stdout)
	}()
	return first
}

// stop ends the service by SIGTERM, which has to drain and exit 0.
func (s *service) stop(t *testing.T) {
	t.Helper()
	if !child.Stop(t, s.cmd, s.exited, stopDeadline) || s.cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("after SIGTERM the service ended with %v, want exit status 0\n%s", s.cmd.ProcessState, s.log.tail(6000))
	}
}

// kill ends the service by SIGKILL.
func (s *service) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatalf("the service had ended before it was killed: %v\n%s", err, s.log.tail(6000))
	}
	<-s.exited
}

func (s *service) database() string { return filepath.Join(s.dir, "interactor.db") }

func newKey() string {
	return strings.ReplaceAll(strings.TrimRight(seal.NewKey(), "="), "/", "_")
}

// stablePort finds a free port outside the range that outgoing connections take theirs from, so that
// nobody can have it while the service is down for a moment.
func stablePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 12000 + rand.IntN(18000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port between 12000 and 30000")
	return 0
}

// logBuffer keeps what processes print, one after another.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) tail(n int) string {
	s := b.String()
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
