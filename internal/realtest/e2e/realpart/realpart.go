// Package realpart says what a test does when a third-party part that it needs (a Gitea binary,
// a browser, Node) is not on this machine.
//
// The helpers beside it (giteaserver, browser, nodeverify) call [Missing]; a test rarely does.
package realpart

import (
	"os"
	"strconv"
	"testing"
)

// Missing ends the test t because part is not on this machine; remedy says how to get it.
// On a contributor's machine the test is skipped with a line that says so. With CI=true it fails:
// there a real part that is missing would mean that nothing was proved.
func Missing(t testing.TB, part, remedy string) {
	t.Helper()
	if inCI() {
		t.Fatalf("REAL PART MISSING: %s: %s", part, remedy)
	}
	t.Skipf("REAL PART MISSING, NOTHING PROVED: %s: %s", part, remedy)
}

func inCI() bool {
	ci, err := strconv.ParseBool(os.Getenv("CI"))
	return err == nil && ci
}
