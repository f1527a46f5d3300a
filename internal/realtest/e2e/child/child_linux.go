package child

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts cmd so that it cannot outlive this test binary, not even when that is killed or ends
// by its timeout. The channel is closed when the process has ended and been waited for.
func Start(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread that started the process ends (prctl(2)),
		// so this thread has to stay until the process has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return ended, <-started
}
