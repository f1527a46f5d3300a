package giteaserver

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startBound starts cmd so that it cannot outlive this test binary, not even when that is killed or
// ends by its timeout. The channel is closed when the process has ended.
func startBound(cmd *exec.Cmd) (<-chan struct{}, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread that started the process ends (prctl(2)),
		// so this thread has to stay until the process has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return exited, <-started
}
