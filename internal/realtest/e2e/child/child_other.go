//go:build !linux

package child

import "os/exec"

// Start starts cmd; the channel is closed when the process has ended. Elsewhere than on Linux
// a test binary that is killed leaves it behind.
func Start(cmd *exec.Cmd) (<-chan struct{}, error) {
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
