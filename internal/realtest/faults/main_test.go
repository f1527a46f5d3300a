package faults_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// amount says how much of each fault a run has.
type amount struct {
	full bool
	seed uint64
}

// options are the flags of this test binary.
var options amount

func TestMain(m *testing.M) {
	if s, ok := role(); ok {
		switch s.Role {
		case "service":
			os.Exit(runService(s.Service))
		case "sender":
			os.Exit(runSender(s.Sender))
		default:
			os.Exit(runInbox(s.Inbox))
		}
	}
	flag.BoolVar(&options.full, "full", false, "the amounts that a release is judged by")
	flag.Uint64Var(&options.seed, "seed", uint64(time.Now().UnixNano()), "of all choices")
	flag.Parse()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy's
	fmt.Fprintf(os.Stderr, "seed %d\n", options.seed)
	os.Exit(m.Run())
}

// of is how many faults of a kind there are to be.
func (a amount) of(usual, full int) int {
	if a.full {
		return full
	}
	return usual
}
