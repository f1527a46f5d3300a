package sqlite

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// lockFile takes the lock that says who has path open, or fails at once. The
// system gives it up when the process ends, however it ends. The file stays: who
// removes it could remove one that another process has just locked.
func lockFile(path string) (*flock.Flock, error) {
	name := path + ".lock"
	lock := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("sqlite: cannot lock %s: %w", name, err)
	}
	if !got {
		return nil, fmt.Errorf("%w: %s is open in another process%s: stop that one first, or use store/postgres for several",
			ErrInUse, path, owner(name))
	}
	// For people only. Windows lets nobody write to what is locked; so be it.
	_ = os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return lock, nil
}

// owner names the process that holds the lock, if it can be known.
func owner(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		return ""
	case pid == os.Getpid():
		return fmt.Sprintf(" (pid %d, this one)", pid)
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
