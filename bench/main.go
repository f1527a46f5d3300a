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
	var status int
	var err error
	if role := os.Getenv(roleVariable); role != "" {
		err = runRole(ctx, role)
	} else {
		status, err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		status = 1
	}
	os.Exit(status)
}

// session is one call of the program.
type session struct {
	dir    string // where stores are made
	runs   int
	conns  int
	window int
	size   int
	events int           // of a backlog
	warm   time.Duration // before each run
	closed time.Duration // at full load
	open   time.Duration // at each fixed rate
	again  time.Duration // wait before another try, where a receiver fails on purpose
	full   float64       // events/s of ours, once it was measured
	names  []string      // of the scenarios that are measured

	destinations int // of which one is dead

	profiles string   // directory
	what     []string // cpu, mem, trace
	who      []string // contenders
	phase    string   // that is profiled
	of       string   // contender that is profiled

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
		{"backlog", (*session).backlog},
		{"restart", (*session).restart},
		{"dead", (*session).dead},
		{"retry-storm", (*session).storm},
		{"sizes", (*session).sizes},
		{"tls", (*session).tls},
	}
}

// invocation is what the command line says beside the session.
type invocation struct {
	json            string
	markdown, check bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int, err error) {
	s := &session{progress: stderr, secret: webhook.NewSecret(), signing: webhook.NewSecret(), sealingKey: seal.NewKey()}
	want, err := s.parse(args, stderr)
	if err != nil {
		return 0, err
	}
	machine, err := describe(s.dir)
	if err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if s.cert, s.key, err = makeCertificate(work); err != nil {
		return 0, err
	}
	r := &report{Machine: machine, Started: time.Now().UTC().Truncate(time.Second), Options: s.options()}
	for _, sc := range scenarios() {
		if !s.chosen(sc.name) {
			continue
		}
		if e := sc.run(s, ctx, r); e != nil { // what was measured before is shown
			err = fmt.Errorf("%s: %w", sc.name, e)
			break
		}
	}
	r.Took = time.Since(r.Started).Round(time.Second).String()
	if want.json != "" {
		err = errors.Join(err, r.writeJSON(want.json))
	}
	if want.markdown {
		r.markdown(stdout)
	} else {
		r.print(stdout)
	}
	if want.check && err == nil {
		line, found := r.verdict()
		fmt.Fprintln(stdout, line)
		status = found
	}
	return status, err
}

func (s *session) parse(args []string, stderr io.Writer) (want invocation, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var known []string
	for _, sc := range scenarios() {
		known = append(known, sc.name)
	}
	which := flags.String("scenario", strings.Join(known, ","), "what to measure")
	who := flags.String("who", strings.Join(contenders(), ","), "contenders of the steady scenario; budgets need all")
	flags.StringVar(&s.dir, "dir", ".", "directory for stores, on the disk that is meant: tmpfs is refused")
	flags.IntVar(&s.runs, "runs", 5, "how often each contender runs; the median counts")
	flags.IntVar(&s.conns, "conns", 256, "connections of the load generator: so many that more of them would not raise its rate at full load")
	flags.IntVar(&s.window, "window", 512, "events sent and not yet delivered, at full load; 0: any number")
	flags.IntVar(&s.size, "size", 1024, "bytes of a body")
	flags.IntVar(&s.events, "events", 1_000_000, "events of a backlog")
	flags.IntVar(&s.destinations, "destinations", 1000, "of which one is dead in that scenario")
	flags.DurationVar(&s.warm, "warm", time.Second, "load before each run that does not count")
	flags.DurationVar(&s.closed, "closed", 5*time.Second, "time of a run at full load; half of it where many are compared")
	flags.DurationVar(&s.open, "open", 3*time.Second, "time of a run at a fixed rate")
	flags.DurationVar(&s.again, "again", 10*time.Second, "wait before another try of what was sent to a receiver that was down; a fifth of it in a storm")
	quick := flags.Bool("quick", false, "one short run of everything: shows that it works, not how fast it is")
	flags.StringVar(&want.json, "json", "", "file for all measurements")
	flags.BoolVar(&want.markdown, "markdown", false, "print the tables of docs/performance.md")
	flags.BoolVar(&want.check, "check", false, "say in a last line whether budgets are kept; exit with status 1 if one is exceeded, 2 if one could not be judged")
	flags.StringVar(&s.profiles, "profiles", "", "directory for the profiles that -profile names")
	what := flags.String("profile", "cpu", "what to profile of the server in the steady scenario: cpu, mem, trace")
	flags.StringVar(&s.phase, "profile-phase", fullLoad, "load under which it is profiled: full, 50%, 20%, 200/s")
	flags.StringVar(&s.of, "profile-of", ours, "who is profiled: raw, relay, ours")
	if err := flags.Parse(args); err != nil {
		return want, err
	}
	if *quick {
		s.quick(flags)
	}
	s.what, s.who, s.names = strings.Split(*what, ","), strings.Split(*who, ","), strings.Split(*which, ",")
	errs := []error{oneOf("scenario", s.names, known), oneOf("who", s.who, contenders()), oneOf("profile", s.what, []string{"cpu", "mem", "trace"})}
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("%q is no flag; see -help", flags.Arg(0)))
	}
	if s.size < 64 || s.size > rawBody {
		errs = append(errs, fmt.Errorf("-size: at least 64, at most %d", rawBody))
	}
	if s.runs < 1 || s.conns < 1 || s.window < 0 || s.events < 1 || s.destinations < 2 || s.destinations > maxDestinations {
		errs = append(errs, fmt.Errorf("-runs, -conns and -events: at least 1; -window: at least 0; -destinations: 2 to %d", maxDestinations))
	}
	if s.warm <= 0 || s.closed <= 0 || s.open <= 0 || s.again <= 0 {
		errs = append(errs, errors.New("-warm, -closed, -open and -again: more than 0s"))
	}
	s.dir, err = filepath.Abs(s.dir)
	return want, errors.Join(append(errs, err)...)
}

// maxDestinations is what the receiver has addresses for.
const maxDestinations = 10_000

// quick makes short what was not set.
func (s *session) quick(flags *flag.FlagSet) {
	short := map[string]string{
		"runs": "1", "warm": "500ms", "closed": "2s", "open": "2s", "again": "5s", "events": "20000", "destinations": "50",
	}
	flags.Visit(func(f *flag.Flag) { delete(short, f.Name) })
	for name, value := range short {
		_ = flags.Set(name, value) // they are constants
	}
}

func oneOf(name string, values, known []string) error {
	for _, v := range values {
		if !slices.Contains(known, v) {
			return fmt.Errorf("-%s: there is no %q, only %s", name, v, strings.Join(known, ", "))
		}
	}
	return nil
}

func (s *session) chosen(name string) bool { return slices.Contains(s.names, name) }

// options are what a reader has to know beside the machine.
func (s *session) options() map[string]string {
	return map[string]string{
		"runs": fmt.Sprint(s.runs), "connections": fmt.Sprint(s.conns), "window": fmt.Sprint(s.window),
		"body": fmt.Sprint(s.size), "warm": s.warm.String(), "closed": s.closed.String(), "open": s.open.String(),
		"events": fmt.Sprint(s.events), "destinations": fmt.Sprint(s.destinations), "again": s.again.String(),
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
