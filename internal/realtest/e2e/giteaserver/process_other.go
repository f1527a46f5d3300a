//go:build !linux

package giteaserver

import "os/exec"

// startBound starts cmd; the channel is closed when the process has ended. Elsewhere than on Linux
// a test binary that is killed leaves it behind.
func startBound(cmd *exec.Cmd) (<-chan struct{}, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	return exited, nil
}
