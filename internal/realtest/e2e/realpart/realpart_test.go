package realpart_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/internal/realtest/e2e/realpart"
)

// recorder is a testing.TB that remembers how its test ended.
type recorder struct {
	testing.TB

	verdict string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.verdict = "FAIL " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.verdict = "SKIP " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestMissing(t *testing.T) {
	for _, test := range []struct {
		name, ci, want string
	}{
		{"a contributor without CI", "", "SKIP "},
		{"CI switched off", "false", "SKIP "},
		{"CI", "true", "FAIL "},
		{"CI as a number", "1", "FAIL "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			r := &recorder{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				realpart.Missing(r, "a teapot", "buy one")
			}()
			<-done
			if !strings.HasPrefix(r.verdict, test.want) || !strings.HasSuffix(r.verdict, "a teapot: buy one") {
				t.Errorf("Missing ended the test with %q, want it to begin with %q and name the part and the remedy", r.verdict, test.want)
			}
		})
	}
}
