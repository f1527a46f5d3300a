//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/webhook"
)

// roleVariable tells a process that this one started what it is.
const roleVariable = "INTERACTOR_BENCH_ROLE"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if role := os.Getenv(roleVariable); role != "" {
		err = runRole(ctx, role)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// session is one call of the program.
type session struct {
	dir      string // where stores are made
	runs     int
	conns    int
	window   int
	size     int
	events   int           // of a backlog
	warm     time.Duration // before each run
	closed   time.Duration // at full load
	open     time.Duration // at each fixed rate
	profiles string        // directory
	what     []string      // cpu, mem, trace
	who      []string      // contenders
	phase    string        // that is profiled
	of       string        // contender that is profiled

	secret, signing, sealingKey string
	cert, key                   string // PEM files of the receiver
	progress                    io.Writer
}

// scenario measures one situation and adds what it found to the report.
type scenario struct {
	name string
	run  func(*session, context.Context, *report) error
}

func scenarios() []scenario {
	return []scenario{
		{"steady", (*session).steady},
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s := &session{progress: stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var names []string
	for _, sc := range scenarios() {
		names = append(names, sc.name)
	}
	which := flags.String("scenario", strings.Join(names, ","), "what to measure")
	who := flags.String("who", strings.Join(contenders(), ","), "contenders of the steady scenario; budgets need all")
	flags.StringVar(&s.dir, "dir", ".", "directory for stores, on the disk that is meant: tmpfs is refused")
	flags.IntVar(&s.runs, "runs", 5, "how often each contender runs; the median counts")
	flags.IntVar(&s.conns, "conns", 256, "connections of the load generator: so many that more of them would not raise its rate at full load")
	flags.IntVar(&s.window, "window", 512, "events sent and not yet delivered, at full load; 0: any number")
	flags.IntVar(&s.size, "size", 1024, "bytes of a body")
	flags.IntVar(&s.events, "events", 1_000_000, "events of a backlog")
	flags.DurationVar(&s.warm, "warm", 2*time.Second, "load before each run that does not count")
	flags.DurationVar(&s.closed, "closed", 8*time.Second, "time of a run at full load")
	flags.DurationVar(&s.open, "open", 6*time.Second, "time of a run at a fixed rate")
	quick := flags.Bool("quick", false, "one short run of everything: shows that it works, not how fast it is")
	jsonFile := flags.String("json", "", "file for all measurements")
	markdown := flags.Bool("markdown", false, "print the tables of docs/performance.md")
	check := flags.Bool("check", false, "exit with status 1 when a budget is exceeded")
	flags.StringVar(&s.profiles, "profiles", "", "directory for the profiles that -profile names")
	what := flags.String("profile", "cpu", "what to profile of the server: cpu, mem, trace")
	flags.StringVar(&s.phase, "profile-phase", "full", "load under which it is profiled: full, 50%, 20%, 200/s")
	flags.StringVar(&s.of, "profile-of", ours, "who is profiled: raw, relay, ours")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag; see -help", flags.Arg(0))
	}
	if *quick {
		s.runs, s.warm, s.closed, s.open = 1, 500*time.Millisecond, 2*time.Second, 2*time.Second
		s.events = min(s.events, 20_000)
	}
	s.what, s.who = strings.Split(*what, ","), strings.Split(*who, ",")
	if s.size < 64 {
		return errors.New("-size: at least 64")
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	machine, err := describe(s.dir)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if s.cert, s.key, err = makeCertificate(work); err != nil {
		return err
	}
	s.secret, s.signing, s.sealingKey = webhook.NewSecret(), webhook.NewSecret(), seal.NewKey()

	r := &report{Machine: machine, Started: time.Now().UTC().Truncate(time.Second), Options: s.options()}
	chosen := strings.Split(*which, ",")
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-scenario: there is no %q, only %s", name, strings.Join(names, ", "))
		}
	}
	for _, sc := range scenarios() {
		if slices.Contains(chosen, sc.name) {
			if err := sc.run(s, ctx, r); err != nil {
				return fmt.Errorf("%s: %w", sc.name, err)
			}
		}
	}
	if *jsonFile != "" {
		if err := r.writeJSON(*jsonFile); err != nil {
			return err
		}
	}
	if *markdown {
		r.markdown(stdout)
	} else {
		r.print(stdout)
	}
	if over := r.over(); *check && len(over) > 0 {
		return fmt.Errorf("over budget: %s", strings.Join(over, "; "))
	}
	return nil
}

// options are what a reader has to know beside the machine.
func (s *session) options() map[string]string {
	return map[string]string{
		"runs": fmt.Sprint(s.runs), "connections": fmt.Sprint(s.conns), "window": fmt.Sprint(s.window),
		"body": fmt.Sprint(s.size), "warm": s.warm.String(), "closed": s.closed.String(), "open": s.open.String(),
	}
}

// profile is the file for a profile of a contender; empty: it is not wanted.
func (s *session) profile(kind, what string) string {
	if s.profiles == "" || kind != s.of || !slices.Contains(s.what, what) {
		return ""
	}
	name := strings.NewReplacer("/", "-", "%", "").Replace(kind + "-" + s.phase)
	return filepath.Join(s.profiles, name+"."+what)
}

func (s *session) say(format string, args ...any) { fmt.Fprintf(s.progress, format+"\n", args...) }
