// Command observability shows what interactor tells of itself: a Forwarder with a
// sender and a receiver that fails now and then, Prometheus metrics at /metrics,
// and spans on standard output when asked. dashboard.json beside it is the Grafana
// dashboard of these metrics.
//
//	go run .                    metrics at http://127.0.0.1:9464/metrics
//	go run . -traces stdout     and every span as JSON
//
// In a service of yours the exporters are what you use already: hand their
// providers to interactor.Config (or forward.Config) and sqlite.Config, as here.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/interactorhq/interactor/connector"
	hooks "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("observability", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:9464", "address of webhooks and metrics; port 0 takes a free one")
	data := flags.String("data", "", "directory of the SQLite file. Defaults to a temporary one")
	every := flags.Duration("every", 100*time.Millisecond, "pause between two events")
	traces := flags.String("traces", "none", "where spans go: none or stdout")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir := *data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "interactor-observability-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}

	// Metrics: Prometheus asks for them.
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry))
	if err != nil {
		return err
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	defer func() { err = errors.Join(err, meters.Shutdown(context.WithoutCancel(ctx))) }()

	// Traces: OTLP in earnest, standard output here.
	tracers, err := tracing(*traces, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracers.Shutdown(context.WithoutCancel(ctx))) }()

	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "observability.db"), MeterProvider: meters})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	incoming, outgoing := webhook.NewSecret(), webhook.NewSecret()
	fwd, err := forward.New(forward.Config{
		Store:          db,
		Connectors:     []connector.Connector{hooks.New(hooks.Config{Secret: incoming})},
		TracerProvider: tracers,
		MeterProvider:  meters,
		Settings: forward.Settings{
			URL: url + "/receiver", Secrets: []string{outgoing}, Triggers: trigger.List("*"),
			Retry: []time.Duration{2 * time.Second, 5 * time.Second},
		},
		AllowPrivateNetworks: true, // the receiver is in this process
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	mux := http.NewServeMux()
	mux.Handle("/webhooks/", fwd)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("POST /receiver", moody(webhook.Verifier{Secrets: []string{outgoing}}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(out, "ready: metrics at %s/metrics\n", url)

	running, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	var served, sent error
	others.Go(func() {
		defer cancel()
		if served = server.Serve(listener); errors.Is(served, http.ErrServerClosed) {
			served = nil
		}
	})
	others.Go(func() {
		defer cancel()
		sent = send(running, url+"/webhooks/webhook", incoming, *every)
	})
	err = fwd.Run(running)
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	err = errors.Join(err, server.Shutdown(drain))
	others.Wait()
	return errors.Join(err, served, sent)
}

// tracing returns a provider whose spans go where that says.
func tracing(where string, out io.Writer) (*sdktrace.TracerProvider, error) {
	switch where {
	case "none":
		return sdktrace.NewTracerProvider(), nil
	case "stdout":
		exporter, err := stdouttrace.New(stdouttrace.WithWriter(out))
		if err != nil {
			return nil, err
		}
		return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter)), nil
	}
	return nil, fmt.Errorf("-traces is %q: none or stdout", where)
}
