// Package child runs programs that cannot outlive the test that started them.
//
// [Start] starts one, [Stop] ends it politely. Killing it is the test's own affair.
package child

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Stop ends cmd by its process id: with SIGTERM, and with SIGKILL when it has not ended after the
// deadline. It reports whether the first was enough. Calling it after the end is fine.
func Stop(t testing.TB, cmd *exec.Cmd, exited <-chan struct{}, deadline time.Duration) bool {
	t.Helper()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-exited:
		return true
	case <-timer.C:
	}
	t.Logf("%s (pid %d) did not end %v after SIGTERM: killing it", cmd.Path, cmd.Process.Pid, deadline)
	_ = cmd.Process.Kill()
	<-exited
	return false
}
