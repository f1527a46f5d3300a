package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// binDir is where the programs under test are built, once.
var binDir string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interactor-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binDir = dir
	return m.Run()
}

// serverBinary builds examples/server with the product's own go.mod, as a user would.
var serverBinary = sync.OnceValues(func() (string, error) {
	file := filepath.Join(binDir, "server")
	cmd := exec.Command("go", "build", "-o", file, "./examples/server")
	cmd.Dir = filepath.Join("..", "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./examples/server: %w\n%s", err, out)
	}
	return file, nil
})

// waitUntil polls until a condition holds, which what says in words.
func waitUntil(t *testing.T, deadline time.Duration, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(deadline)
	for !reached() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}
