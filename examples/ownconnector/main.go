// Command ownconnector runs a connector of one's own, package acme, in an
// Interactor: connect the account in a browser, then see its tickets come in.
//
//	go run ./examples/ownconnector
//
// Acme is an invented product, so its stand-in, package acmetest, plays it. It
// consents at once and opens a ticket every few seconds (-every).
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
	"syscall"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/examples/ownconnector/acme"
	"github.com/interactorhq/interactor/examples/ownconnector/acme/acmetest"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
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
	flags := flag.NewFlagSet("ownconnector", flag.ContinueOnError)
	every := flags.Duration("every", 5*time.Second, "pause between two tickets")
	if err := flags.Parse(args); err != nil {
		return err
	}
	help := acmetest.NewServer()
	defer help.Close()
	dir, err := os.MkdirTemp("", "ownconnector-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "interactor.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()

	in, err := interactor.New(interactor.Config{
		PublicURL:   "http://" + listener.Addr().String(),
		Store:       db,
		SealingKeys: []string{seal.NewKey()}, // kept in a secret manager by a program that keeps its file
		Connectors:  []interactor.Connector{acme.New(help.Config())},
		Forwarding:  interactor.Forwarding{Triggers: trigger.List("acme.*")},
		OnEvent: func(_ context.Context, ev trigger.Event) error {
			ticket, err := trigger.Decode[acme.Ticket](ev)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "%s %s: %s (%s)\n", ev.Account, ev.Trigger, ticket.Subject, ticket.Priority)
			return err
		},
		AllowPrivateNetworks: true, // Acme is on loopback here
	})
	if err != nil {
		return err
	}
	link, err := in.AuthURL(ctx, interactor.ConnectRequest{Connector: acme.Name, Account: "user-42"})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "connect user-42:", link)

	running, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{Handler: in.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { defer cancel(); _ = server.Serve(listener) }() // ends with Shutdown
	go openTickets(running, help, *every)
	err = in.Run(running)
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	return errors.Join(err, server.Shutdown(drain))
}

// openTickets lets a customer of Acme complain until ctx ends. Before somebody
// has connected, nobody listens.
func openTickets(ctx context.Context, help *acmetest.Server, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ticket := acme.Ticket{ID: fmt.Sprint("T-", n), Subject: "The printer is on fire", Priority: "high", OpenedAt: time.Now().UTC()}
			if err := help.Tell(ctx, "ticket.opened", ticket); err != nil && ctx.Err() == nil {
				log.Print(err)
			}
		}
	}
}
