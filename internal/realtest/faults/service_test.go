package faults_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"
	"go.uber.org/goleak"

	"github.com/interactorhq/interactor/connector"
	connectorwebhook "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/realtest/faults/disk"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

// How the service ends, beside 0 for a polite end.
const (
	exitOpen   = 3 // the store could not be opened
	exitCheck  = 4 // the store contradicts itself
	exitLeak   = 5 // goroutines are left
	exitFailed = 6 // the store has failed: to be started anew
	exitOther  = 7
)

// service is the service under test, with what hurts it.
type service struct {
	serviceSpec
	disk    *disk.Disk
	db      *sqlite.Store
	f       *forward.Forwarder
	random  *rand.Rand
	full    atomic.Bool
	armed   atomic.Bool  // the service is ready
	offset  atomic.Int64 // of the wall clock
	refused atomic.Int64 // requests that were answered 503
	asked   atomic.Int64
	syncs   atomic.Int64
	late    sync.WaitGroup

	mu     sync.Mutex
	counts map[string]int
	border int // borders of fsyncs that were passed
	writes int // since the border at which power is lost; -1 before
}

// runService serves until it is ended, one way or another.
func runService(spec serviceSpec) int {
	before := goleak.IgnoreCurrent()
	s := &service{serviceSpec: spec, random: rand.New(rand.NewPCG(spec.Seed, 2)), counts: make(map[string]int), writes: -1}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	lose := make(chan os.Signal, 1)
	signal.Notify(lose, syscall.SIGUSR1)
	go func() {
		for range lose {
			s.losePower()
		}
	}()
	code := s.run(terminated)
	signal.Stop(terminated)
	signal.Stop(lose)
	close(lose)
	if code == 0 || code == exitFailed {
		if err := goleak.Find(before); err != nil {
			fmt.Fprintln(os.Stdout, "LEAK:", err)
			return exitLeak
		}
	}
	return code
}

func (s *service) run(terminated <-chan os.Signal) int {
	ctx := context.Background()
	l, err := inherited()
	if err != nil {
		return s.end(exitOther, err)
	}
	defer l.Close()
	if err := s.insertDisk(); err != nil {
		return s.end(exitOther, err)
	}
	path := filepath.Join(s.Dir, "store.db")
	name := ""
	if s.disk != nil {
		name = "faults"
		vfs.Register(name, s.disk)
	}
	s.db, err = sqlite.Open(ctx, sqlite.Config{Path: path, VFS: name, Checksums: s.Checksums})
	if err != nil {
		return s.end(exitOpen, err)
	}
	if !s.SkipCheck {
		if err := s.db.Check(ctx); err != nil {
			return s.end(exitCheck, err)
		}
	}
	if s.f, err = forward.New(s.config()); err != nil {
		return s.end(exitOther, err)
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	run, stop := context.WithCancel(ctx)
	defer stop()
	helpers, stopHelpers := context.WithCancel(ctx)
	var helping sync.WaitGroup
	helping.Go(func() { s.watch(helpers) })
	ended := make(chan error, 1)
	go func() { ended <- s.f.Run(run) }()
	s.armed.Store(true)
	fmt.Fprintln(os.Stdout, "ready")

	code := 0
	select {
	case <-terminated:
		stop()
		err = <-ended
	case err = <-ended:
	}
	if err != nil {
		code = exitFailed
		s.refuse(err)
	}
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := server.Shutdown(limited); err != nil {
		code = s.end(exitOther, err)
	}
	stopHelpers()
	helping.Wait()
	s.late.Wait()
	if err := s.db.Close(); err != nil && code == 0 {
		code = s.end(exitOther, err)
	}
	if s.disk != nil {
		fmt.Fprintln(os.Stdout, "retried", s.disk.Retried())
		vfs.Unregister(name)
	}
	fmt.Fprintln(os.Stdout, "asked", s.asked.Load())
	if code == exitFailed && s.Platter != "" { // the machine goes on; this is what of its files is durable
		if _, err := s.disk.Platter.Lose(s.Left, disk.Drop, s.random); err != nil {
			return s.end(exitOther, err)
		}
	}
	return code
}

// refuse stays while the store has failed, until providers have been told to come again.
func (s *service) refuse(err error) {
	fmt.Fprintln(os.Stdout, "failed", errors.Is(err, forward.ErrStoreFailed), err)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin := s.refused.Load()
	for late := time.After(5 * time.Second); s.refused.Load() < begin+3; {
		select {
		case <-tick.C:
		case <-late:
			return
		}
	}
	fmt.Fprintln(os.Stdout, "refused", s.refused.Load())
}

// end says why the service ends.
func (s *service) end(code int, err error) int {
	fmt.Fprintln(os.Stdout, "ends:", err)
	return code
}

func (s *service) config() forward.Config {
	scheme := ""
	if s.Bearer {
		scheme = connectorwebhook.Bearer
	}
	var c connector.Connector = connectorwebhook.New(connectorwebhook.Config{Scheme: scheme, Secret: s.Incoming})
	if s.Broken {
		c = &panicky{Connector: connectorwebhook.New(connectorwebhook.Config{Scheme: scheme, Secret: s.Incoming}), random: s.random}
	}
	settings := forward.Settings{
		URL: s.Receiver, Triggers: trigger.List("*"), Timeout: s.Timeout,
		Secrets: []string{s.Outgoing}, Retry: retries(),
	}
	cfg := forward.Config{
		Store: &store{
			Store: s.db, point: s.point, planted: s.Planted, asked: &s.asked, late: &s.late,
			wake: func() { s.f.Wake() },
		},
		Connectors: []connector.Connector{c}, Settings: settings, AllowPrivateNetworks: true,
		Limits: forward.Limits{InFlight: 256, PerLane: 32, DrainTimeout: s.Drain},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if s.KillAt == "send:before" || s.KillAt == "send:after" {
		cfg.Transport = &transport{Transport: http.DefaultTransport.(*http.Transport).Clone(), point: s.point}
	}
	if s.Clock {
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }
	}
	if s.Tenants > 0 {
		cfg.Settings = forward.Settings{}
		cfg.Directory = &tenants{settings: settings, n: s.Tenants, secret: s.Incoming, scheme: scheme}
	}
	if s.Handler {
		cfg.Settings.URL, cfg.Settings.Secrets = "", nil
		cfg.OnEvent = newCourier(s.Receiver, s.Outgoing, s.random).carry
	}
	return cfg
}

// retries are short, and many enough for every fault.
func retries() []time.Duration {
	list := make([]time.Duration, 50)
	for i := range list {
		list[i] = min(time.Duration(i+1)*50*time.Millisecond, 2*time.Second)
	}
	return list
}

// handler is the Forwarder, and addresses by which the test changes what is wrong.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/webhooks/", func(w http.ResponseWriter, r *http.Request) {
		s.f.ServeHTTP(&counted{ResponseWriter: w, s: s}, r)
	})
	mux.HandleFunc("POST /full", func(_ http.ResponseWriter, r *http.Request) { s.full.Store(r.FormValue("on") == "true") })
	mux.HandleFunc("POST /clock", func(_ http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.FormValue("offset"))
		if err != nil {
			panic(err)
		}
		s.offset.Store(int64(d))
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%+v", s.f.Stats()) })
	mux.HandleFunc("GET /asked", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.asked.Load()) })
	mux.HandleFunc("GET /failed", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.f.Stats().Failed) })
	mux.HandleFunc("GET /delivered", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.f.Stats().Delivered) })
	mux.HandleFunc("GET /unavailable", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.f.Stats().Unavailable) })
	mux.HandleFunc("POST /wake", func(http.ResponseWriter, *http.Request) { s.f.Wake() })
	mux.HandleFunc("POST /revive", s.revive)
	return mux
}

// revive replays what could not be decoded, and says how many there were.
func (s *service) revive(w http.ResponseWriter, r *http.Request) {
	var ids []string
	var failed error
	for rec, err := range s.f.Events(r.Context(), forward.Query{Status: forward.Dead}) {
		ids, failed = append(ids, rec.ID), errors.Join(failed, err)
	}
	for _, id := range ids {
		_, err := s.f.Replay(r.Context(), id)
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		http.Error(w, failed.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, len(ids))
}

// counted counts what was refused.
type counted struct {
	http.ResponseWriter
	s *service
}

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(status int) {
	if status == http.StatusServiceUnavailable {
		c.s.refused.Add(1)
	}
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// watch writes down how much was in memory at most, and removes what is finished.
func (s *service) watch(ctx context.Context) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	most := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if held := s.f.Stats().Held; held > most {
			most = held
			_ = os.WriteFile(s.Held, []byte(strconv.Itoa(most)), 0o600)
		}
		if s.Purge {
			st := &store{Store: s.db, point: s.point}
			_, _ = st.Purge(ctx, time.Now().Add(-300*time.Millisecond), 50)
		}
	}
}

// point is a place in the course of things; at one of them the process ends.
func (s *service) point(name string) {
	if s.KillAt == "" {
		return
	}
	s.mu.Lock()
	s.counts[name]++
	now := name == s.KillAt && s.counts[name] == s.KillNth
	s.mu.Unlock()
	if now {
		killSelf()
	}
}

// killSelf is kill -9.
func killSelf() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
