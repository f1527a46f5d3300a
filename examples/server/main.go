// Command server is what a team would deploy that does not embed interactor in a
// Go service of its own: every connector, one JSON config file, one SQLite file.
//
//	server -config server.json
//	server -config server.json -reseal     (once, after a new sealing key)
//
// It prints one line with its address when it is ready. SIGTERM and SIGINT make
// it finish what is under way and exit 0. The JSON API is described by
// /api/v1/openapi.json.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gitea"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/store/sqlite"
)

// products are the connectors that a config file can name.
func products() map[string]product {
	return map[string]product{
		gmail.Name:   of(func(c gmail.Config) interactor.Connector { return gmail.New(c) }),
		gitea.Name:   of(func(c gitea.Config) interactor.Connector { return gitea.New(c) }),
		jira.Name:    of(func(c jira.Config) interactor.Connector { return jira.New(c) }),
		webhook.Name: of(func(c webhook.Config) interactor.Connector { return webhook.New(c) }),
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, lookup func(string) (string, bool), stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "JSON config file. Required")
	reseal := flags.Bool("reseal", false, "seal everything in the store under the first of sealing_keys, say what was done, and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *file == "" {
		return errors.New("say where the config file is: server -config server.json")
	}
	cfg, err := readConfig(*file, lookup)
	if err != nil {
		return err
	}
	connectors, err := cfg.connectors()
	if err != nil {
		return err
	}
	proxy, err := cfg.proxy()
	if err != nil {
		return err
	}
	rootCAs, err := cfg.rootCAs()
	if err != nil {
		return err
	}
	logger := cfg.Log.logger(stderr)

	db, err := sqlite.Open(ctx, sqlite.Config{Path: cfg.Store.SQLite})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	in, err := interactor.New(interactor.Config{
		PublicURL:            cfg.PublicURL,
		Store:                db,
		Connectors:           connectors,
		SealingKeys:          cfg.SealingKeys,
		SealPayloads:         cfg.SealPayloads,
		MultiTenant:          cfg.multiTenant(),
		ProductName:          cfg.ProductName,
		RedirectOrigins:      cfg.RedirectOrigins,
		AllowPrivateNetworks: cfg.AllowPrivateNetworks,
		Proxy:                proxy,
		RootCAs:              rootCAs,
		Limits:               cfg.Limits.limits(),
		Logger:               logger,
	})
	if err != nil {
		return err
	}
	if *reseal {
		return resealAll(ctx, in, stdout)
	}
	for i, d := range cfg.Deployments {
		if err := d.apply(ctx, in); err != nil {
			return fmt.Errorf("deployments[%d] (%s/%s): %w", i, d.Organization, d.Name, err)
		}
	}
	if !cfg.hasKey() {
		logger.WarnContext(ctx, "nobody can use the JSON API: give an environment an api_key, such as deployments[0].environments.Production.api_key")
	}
	return serve(ctx, cfg, in, stdout)
}

// serve listens, runs, and at the end of ctx finishes what is under way: first
// requests, so that what they acknowledge is stored, then deliveries.
func serve(ctx context.Context, cfg config, in *interactor.Interactor, stdout io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           in.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
	}
	runCtx, stopRun := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRun()
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	go func() { ran <- in.Run(runCtx) }()
	fmt.Fprintf(stdout, "interactor: listening on http://%s (public %s)\n", listener.Addr(), cfg.PublicURL)

	var first error
	running := true
	select {
	case first = <-served:
	case first = <-ran: // the store failed for good
		running = false
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err = server.Shutdown(drain)
	stopRun()
	if running {
		err = errors.Join(err, <-ran)
	}
	return errors.Join(first, err)
}

// connectors makes those that the file lists.
func (c *config) connectors() ([]interactor.Connector, error) {
	var out []interactor.Connector
	var problems []error
	known := products()
	for name, raw := range c.Connectors {
		create, ok := known[name]
		if !ok {
			problems = append(problems, fmt.Errorf("connectors.%s: no such connector; there are %s", name, names(known)))
			continue
		}
		one, err := create(raw)
		if err != nil {
			problems = append(problems, fmt.Errorf("connectors.%s: %w", name, err))
			continue
		}
		out = append(out, one)
	}
	return out, errors.Join(problems...)
}

func names(m map[string]product) string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// apply makes a deployment what the file says. Its settings then belong to the
// file: API and console show them and cannot change them.
func (d deploymentConfig) apply(ctx context.Context, in *interactor.Interactor) error {
	spec := deployment.Spec{
		Organization: d.Organization, Deployment: d.Name,
		Environments: []string{deployment.Development, deployment.Testing, deployment.Production},
	}
	for name, e := range d.Environments {
		if !slices.Contains(spec.Environments, name) {
			spec.Environments = append(spec.Environments, name)
		}
		if e.Forwarding != nil {
			if spec.OwnForwarding == nil {
				spec.OwnForwarding = make(map[string]forward.Settings)
			}
			spec.OwnForwarding[name] = *e.Forwarding
		}
	}
	if d.Forwarding != nil {
		spec.Forwarding = *d.Forwarding
	}
	spec.Managed = d.Forwarding != nil || spec.OwnForwarding != nil
	dep, err := in.Deployments.Ensure(ctx, spec)
	if err != nil {
		return err
	}
	for name, e := range d.Environments {
		env, err := dep.Environment(name)
		if err != nil {
			return err
		}
		if e.APIKey != "" {
			if _, err := in.Deployments.IssueKey(ctx, deployment.KeyRequest{Environment: env.ID, Key: e.APIKey, Managed: true}); err != nil {
				return fmt.Errorf("environments.%s.api_key: %w", name, err)
			}
		}
		for name, app := range e.Apps {
			if err := setApp(ctx, in.Auth, env.ID, name, app); err != nil {
				return fmt.Errorf("environments.%s.apps.%s: %w", env.Name, name, err)
			}
		}
	}
	return nil
}

// setApp writes an App only when it differs from what is stored.
func setApp(ctx context.Context, a *auth.Authorizer, environment, name string, app connector.App) error {
	own, err := a.App(ctx, environment, name)
	if err == nil && same(own.App, app) {
		return nil
	}
	if err != nil && !errors.Is(err, auth.ErrNoApp) {
		return err
	}
	return a.SetApp(ctx, environment, name, app)
}

func same(a, b connector.App) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func (l logConfig) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if l.Level != "" {
		_ = level.UnmarshalText([]byte(l.Level)) // check has seen it
	}
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
