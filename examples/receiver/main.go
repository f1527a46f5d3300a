// Command receiver is the server at the Forwarding URL: it verifies every
// request and prints the event. It needs the packages webhook and trigger and
// nothing else of the module.
//
//	SIGNING_SECRET=whsec_… go run ./examples/receiver -addr 127.0.0.1:9000
//
// Several secrets, separated by white space, are accepted while one is rotated.
// It prints "receiver ready on http://…" when it listens, and ends on SIGINT or
// SIGTERM.
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
	"sync"
	"syscall"
	"time"

	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("receiver", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:9000", "address to listen on; port 0 takes a free one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	hook := webhook.Verifier{Secrets: strings.Fields(getenv("SIGNING_SECRET"))}
	if err := hook.Validate(); err != nil {
		return fmt.Errorf("SIGNING_SECRET: %w: set it to the signing secret of the forwarding settings, whsec_… or whpk_…", err)
	}

	mux := http.NewServeMux()
	mux.Handle("POST /events", hook.Handler(newPrinter(out).show))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "receiver ready on http://%s/events\n", listener.Addr())

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// What has been accepted is finished first: the sender would send it again.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(drain)
}

// remember is how many ids are kept to recognise what was delivered before. A
// program that acts on events keeps them in its database, for four days.
const remember = 10_000

// printer prints each event once: delivery is at least once, and a retry or a
// replay carries the same id.
type printer struct {
	mu   sync.Mutex
	out  io.Writer
	seen map[string]bool
	ring []string // the ids in seen, oldest at next
	next int
}

func newPrinter(out io.Writer) *printer {
	return &printer{out: out, seen: make(map[string]bool), ring: make([]string, remember)}
}

// show is what a receiver does with an event. Returning an error answers 500,
// and the event comes again.
func (p *printer) show(_ context.Context, ev trigger.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[ev.ID] {
		return nil
	}
	_, err := fmt.Fprintf(p.out, "%s %s account=%q %s\n", ev.ID, ev.Trigger, ev.Account, ev.Payload)
	if err != nil {
		return err
	}
	delete(p.seen, p.ring[p.next])
	p.seen[ev.ID], p.ring[p.next] = true, ev.ID
	p.next = (p.next + 1) % len(p.ring)
	return nil
}
