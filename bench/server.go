//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/gitea"
	"github.com/interactorhq/interactor/connector/gmail"
	hook "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

// Contenders.
const (
	raw   = "raw"   // bare net/http in and out
	relay = "relay" // the whole pipeline over a store that keeps nothing
	ours  = "ours"  // the pipeline over SQLite with full fsync
)

// serverConfig is what the parent says first.
type serverConfig struct {
	Kind       string   `json:"kind"`
	Listen     string   `json:"listen"` // address
	Dir        string   `json:"dir"`    // of the store's file
	SealingKey string   `json:"sealing_key"`
	Secret     string   `json:"secret"`  // of senders
	Signing    string   `json:"signing"` // of deliveries
	URLs       []string `json:"urls"`    // of destinations; several: each with an Environment of its own
	Paths      []string `json:"paths"`   // of webhook addresses made by a former process on the same file

	Retry []time.Duration `json:"retry"` // waits before further tries; none: as Settings.Retry has it

	CPUProfile string `json:"cpu_profile"` // files
	MemProfile string `json:"mem_profile"`
	Trace      string `json:"trace"`
}

// serverReady is its answer.
type serverReady struct {
	Address string   `json:"address"`
	Paths   []string `json:"paths"` // webhook address of each destination
}

// Orders to a server.
const (
	orderStats   = "stats"
	orderProfile = "profile" // begin to write what the configuration names
	orderProfEnd = "profile end"
)

// serverOrder is one of them.
type serverOrder struct {
	Order string `json:"order"`
}

// serverStats is the answer to each.
type serverStats struct {
	CPU        time.Duration `json:"cpu"`
	Delivered  int64         `json:"delivered"` // outcomes recorded
	Failed     int64         `json:"failed"`    // tries
	Refused    int64         `json:"refused"`   // requests
	Held       int           `json:"held"`      // tasks in memory
	Commits    uint64        `json:"commits"`   // that the store says to have made
	Writes     uint64        `json:"writes"`    // that were part of them
	WALFirst   int64         `json:"wal_first"` // fsyncs of the WAL, counted below SQLite, before Commits was read
	WALSyncs   int64         `json:"wal_syncs"` // and after that
	MainSyncs  int64         `json:"main_syncs"`
	Mallocs    uint64        `json:"mallocs"`
	Allocated  uint64        `json:"allocated"` // bytes, ever
	Heap       uint64        `json:"heap"`      // bytes in use
	GCs        uint32        `json:"gcs"`
	Goroutines int           `json:"goroutines"`
	Error      string        `json:"error"`

	Pragmas map[string]string `json:"pragmas"` // that the store has set
	GOGC    int               `json:"gogc"`
	Procs   int               `json:"procs"`
}

// underTest is one contender, serving.
type underTest struct {
	handler http.Handler
	run     func(context.Context) error
	paths   func() []string
	stats   func(*serverStats)
	close   func() error
}

func runServer(ctx context.Context, p *parent) (err error) {
	var cfg serverConfig
	if err := p.read(&cfg); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	var t *underTest
	if cfg.Kind == raw {
		t = newRaw(cfg)
	} else if t, err = newPipeline(ctx, cfg, "http://"+listener.Addr().String()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	// As examples/server has it.
	server := &http.Server{
		Handler:           t.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
	}
	runCtx, stopRun := context.WithCancel(ctx)
	defer stopRun()
	ran := make(chan error, 1)
	go func() { ran <- t.run(runCtx) }()
	go func() { _ = server.Serve(listener) }() // ends with Shutdown
	if err := p.write(serverReady{Address: listener.Addr().String(), Paths: t.paths()}); err != nil {
		return err
	}
	err = obey(p, cfg, t)
	drain, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(drain))
	stopRun()
	return errors.Join(err, <-ran)
}

// obey answers the parent until it says no more.
func obey(p *parent, cfg serverConfig, t *underTest) error {
	prof := &profiler{cfg: cfg}
	for {
		var order serverOrder
		if err := p.read(&order); err != nil {
			return ended(err)
		}
		var s serverStats
		switch order.Order {
		case orderProfile:
			s.Error = text(prof.start())
		case orderProfEnd:
			s.Error = text(prof.stop())
		}
		s.CPU = processCPU()
		s.Goroutines, s.Procs, s.GOGC = runtime.NumGoroutine(), runtime.GOMAXPROCS(0), gogc()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s.Mallocs, s.Allocated, s.Heap, s.GCs = m.Mallocs, m.TotalAlloc, m.HeapAlloc, m.NumGC
		t.stats(&s)
		if err := p.write(s); err != nil {
			return err
		}
	}
}

// gogc reads what the garbage collector was told; it can only be read by setting it.
func gogc() int {
	percent := debug.SetGCPercent(-1)
	debug.SetGCPercent(percent)
	return percent
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// newPipeline makes what examples/server makes of its config file, over the
// store that the kind asks for. Only loopback addresses are allowed beside, where
// the receiver is.
func newPipeline(ctx context.Context, cfg serverConfig, public string) (_ *underTest, err error) {
	syncs := newCountingVFS()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(cfg.Dir, "interactor.db"), VFS: countingName})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	var store interactor.Store = db
	if cfg.Kind == relay {
		store = newForgetful(db)
	}
	in, err := interactor.New(interactor.Config{
		PublicURL:            public,
		Store:                store,
		Connectors:           []interactor.Connector{gmail.New(gmail.Config{}), gitea.New(gitea.Config{}), hook.New(hook.Config{})},
		SealingKeys:          []string{cfg.SealingKey},
		MultiTenant:          len(cfg.URLs) > 1,
		AllowPrivateNetworks: true,
		Logger:               slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, err
	}
	paths, err := connect(ctx, in, cfg)
	if err != nil {
		return nil, err
	}
	return &underTest{
		handler: in.Handler(),
		run:     in.Run,
		paths:   func() []string { return paths },
		stats: func(s *serverStats) {
			s.WALFirst = syncs.wal.Load()
			f, d := in.Forwarder.Stats(), db.Stats()
			s.Delivered, s.Failed, s.Held = f.Delivered, f.Failed, f.Held
			s.Refused = f.Refused + f.Undecodable + f.Unavailable + f.Nobody + f.Unwanted + f.Duplicates
			s.Commits, s.Writes = d.Commits, d.Writes
			s.WALSyncs, s.MainSyncs, s.Pragmas = syncs.wal.Load(), syncs.main.Load(), syncs.settings()
		},
		close: db.Close,
	}, nil
}

// perDeployment is how many Environments one Deployment gets.
const perDeployment = 50

// connect makes a Connection for each destination and returns the paths of the
// addresses that its senders use.
func connect(ctx context.Context, in *interactor.Interactor, cfg serverConfig) ([]string, error) {
	settings := func(address string) forward.Settings {
		return forward.Settings{URL: address, Secrets: []string{cfg.Signing}, Triggers: trigger.List("*"), Retry: cfg.Retry}
	}
	if len(cfg.URLs) == 1 {
		_, err := in.Deployments.Ensure(ctx, deployment.Spec{
			Organization: "Default", Deployment: "Default",
			Environments: []string{deployment.Development, deployment.Testing, deployment.Production},
			Forwarding:   settings(cfg.URLs[0]), Managed: true,
		})
		if err != nil {
			return nil, err
		}
		if cfg.Paths != nil {
			return cfg.Paths, nil
		}
		one, err := connectOne(ctx, in, cfg, "")
		return []string{one}, err
	}
	var paths []string
	n := 0
	for some := range slices.Chunk(cfg.URLs, perDeployment) {
		spec := deployment.Spec{
			Organization: "bench", Deployment: "app " + strconv.Itoa(n), Managed: true,
			OwnForwarding: make(map[string]forward.Settings, len(some)),
		}
		for i, address := range some {
			name := "env " + strconv.Itoa(i)
			spec.Environments = append(spec.Environments, name)
			spec.OwnForwarding[name] = settings(address)
		}
		spec.Forwarding = settings(some[0])
		d, err := in.Deployments.Ensure(ctx, spec)
		if err != nil {
			return nil, err
		}
		for i := range some {
			e, err := d.Environment("env " + strconv.Itoa(i))
			if err != nil {
				return nil, err
			}
			one, err := connectOne(ctx, in, cfg, e.ID)
			if err != nil {
				return nil, err
			}
			paths = append(paths, one)
		}
		n++
	}
	return paths, nil
}

func connectOne(ctx context.Context, in *interactor.Interactor, cfg serverConfig, environment string) (string, error) {
	c, err := in.Auth.Connect(ctx, interactor.ConnectRequest{
		Connector: hook.Name, Account: "user-42", Environment: environment, Input: map[string]string{"secret": cfg.Secret},
	})
	if err != nil {
		return "", err
	}
	if err := in.Subscriptions.Settle(ctx, c.ID); err != nil {
		return "", err
	}
	found, err := in.Subscriptions.Addresses(ctx, c.ID)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("connection %s has %d addresses", c.ID, len(found))
	}
	u, err := url.Parse(found[0])
	if err != nil {
		return "", err
	}
	return u.Path, nil
}
