// Command nethttp embeds a Forwarder, and nothing else of interactor, in its own
// mux: signed webhooks come in at /webhooks/webhook, are on disk before they are
// answered, and go on to FORWARD_URL, or to a function in this process.
//
//	WEBHOOK_SECRET=whsec_… go run ./examples/nethttp
//	WEBHOOK_SECRET=whsec_… FORWARD_URL=https://… SIGNING_SECRET=whsec_… go run ./examples/nethttp
//
// What comes in is signed with WEBHOOK_SECRET and what goes out with
// SIGNING_SECRET, both by Standard Webhooks.
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
	"strings"
	"syscall"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("nethttp", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	path := flags.String("db", "hooks.db", "SQLite file")
	private := flags.Bool("allow-private-networks", false, "let FORWARD_URL be a private or loopback address")
	if err := flags.Parse(args); err != nil {
		return err
	}

	db, err := sqlite.Open(ctx, sqlite.Config{Path: *path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	fwd, err := forward.New(forward.Config{
		Store:      db,
		Connectors: []connector.Connector{webhook.New(webhook.Config{Secret: getenv("WEBHOOK_SECRET")})},
		Settings: forward.Settings{
			URL:      getenv("FORWARD_URL"),
			Secrets:  strings.Fields(getenv("SIGNING_SECRET")),
			Triggers: trigger.List("*"),
		},
		OnEvent: func(_ context.Context, ev trigger.Event) error { // where FORWARD_URL is empty
			_, err := fmt.Fprintln(out, ev.ID, ev.Trigger, string(ev.Payload))
			return err // an error brings the event again
		},
		AllowPrivateNetworks: *private,
	})
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("/webhooks/", fwd) // without http.StripPrefix: it sees whole paths
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "my own page") })

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	fmt.Fprintf(out, "ready: send webhooks to http://%s/webhooks/webhook\n", listener.Addr())

	running, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { defer cancel(); served <- server.Serve(listener) }()
	err = fwd.Run(running) // delivers until running ends, then lets tries in flight finish

	// What still comes in meanwhile is kept; it is delivered after the next start.
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	err = errors.Join(err, server.Shutdown(drain))
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}
