package giteaserver

import (
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/internal/realtest/e2e/realpart"
)

// findBinary returns the directory that internal/realtest/gitea/build filled.
func findBinary(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), buildScript(t), "--find").Output()
	if err != nil {
		detail := err.Error()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			detail = strings.TrimSpace(string(exit.Stderr))
		}
		realpart.Missing(t, "Gitea", detail)
	}
	return strings.TrimSpace(string(out))
}

func missingGit(t testing.TB) {
	t.Helper()
	realpart.Missing(t, "git", "Gitea needs the git command: install git")
}

// buildScript finds the script beside this source file, wherever the test runs.
func buildScript(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("giteaserver: the test binary has no source positions: do not build it with -trimpath")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "gitea", "build")
}
