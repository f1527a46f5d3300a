// Command quickstart is the whole story on one laptop: a service that embeds
// interactor, a stand-in for Google, and a receiver that prints what arrives.
//
//	go run ./examples/quickstart          by hand: it prints a page to open
//	go run ./examples/quickstart -auto    plays the story and exits 0
//	go run ./examples/quickstart -data D  keeps its SQLite file in D instead of a temporary directory
//
// With GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET set it connects your real
// mailbox, in polling mode: no public address is needed. Register the redirect
// address that it prints with the OAuth client.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// autoDeadline fails -auto: a story that hangs is a story that failed.
const autoDeadline = 30 * time.Second

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	auto := flags.Bool("auto", false, "play the story without a browser, then exit")
	data := flags.String("data", "", "directory for the SQLite file and its key. Defaults to a temporary one")
	addr := flags.String("addr", "127.0.0.1:0", "address of the service; port 0 takes a free one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *auto {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, autoDeadline, fmt.Errorf("the story did not end within %s", autoDeadline))
		defer cancel()
	}
	dir := *data
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "interactor-quickstart-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	d, err := newDemo(ctx, dir, *addr, getenv, out)
	if err != nil {
		return err
	}
	defer d.close()
	if *auto {
		if d.google == nil {
			return errors.New("-auto plays with the stand-in for Google: unset GOOGLE_CLIENT_ID")
		}
		err := d.play(ctx)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	return d.serveByHand(ctx)
}

// demo is everything that runs.
type demo struct {
	out      io.Writer
	db       *sqlite.Store
	in       *interactor.Interactor
	google   *gmailtest.Server // nil with the real Google
	receiver *receiver
	url      string // of the service
	apiKey   string
	stop     []func()
	ran      chan error
}

// The Forwarding Header of the demo's settings.
const (
	headerKey   = "X-Acme-Token"
	headerValue = "acme-demo-token"
)

func newDemo(ctx context.Context, dir, addr string, getenv func(string) string, out io.Writer) (_ *demo, err error) {
	d := &demo{out: out, ran: make(chan error, 1)}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	key, secret, err := keys(dir)
	if err != nil {
		return nil, err
	}

	// Your server: where events arrive.
	d.receiver = newReceiver(webhook.Verifier{Secrets: []string{secret}}, out)
	receiverURL, err := d.serve(ctx, "127.0.0.1:0", d.receiver.handler())
	if err != nil {
		return nil, err
	}

	// The provider.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	d.url = "http://" + listener.Addr().String()
	google := gmail.Config{
		ClientID: getenv("GOOGLE_CLIENT_ID"), ClientSecret: getenv("GOOGLE_CLIENT_SECRET"),
		Mode: gmail.Poll, PollInterval: 10 * time.Second,
	}
	if google.ClientID == "" {
		d.google = gmailtest.NewServer() //nolint:contextcheck // it lives until Close
		d.stop = append(d.stop, d.google.Close)
		d.google.AddMailbox("alice@example.com")
		d.google.AddMailbox("bob@example.com")
		if err := d.google.SetPush(d.url + "/webhooks/gmail"); err != nil {
			return nil, err
		}
		google = d.google.Config()
	}

	// interactor, inside your service.
	if d.db, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "interactor.db")}); err != nil {
		return nil, err
	}
	d.in, err = interactor.New(interactor.Config{
		PublicURL:   d.url,
		Store:       d.db,
		SealingKeys: []string{key},
		Connectors:  []interactor.Connector{gmail.New(google)},
		ProductName: "Acme",
		Forwarding: interactor.Forwarding{
			URL:       receiverURL + "/events",
			HeaderKey: headerKey, HeaderValue: headerValue,
			Triggers: trigger.List(gmail.EmailSent, gmail.EmailReceived),
			Secrets:  []string{secret},
		},
		AllowPrivateNetworks: true, // everything is on this laptop
		Logger:               slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/webhooks/", d.in.Handler())
	mux.Handle("/connect/", d.in.Handler())
	mux.Handle("/oauth/", d.in.Handler())
	mux.Handle("/api/v1/", d.in.Handler())
	mux.Handle("/", d.page())
	d.serveOn(ctx, listener, mux)
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() { d.ran <- d.in.Run(runCtx) }()
	d.stop = append(d.stop, func() {
		cancel()
		if err := <-d.ran; err != nil {
			fmt.Fprintln(out, "Run:", err)
		}
	})

	if d.apiKey, err = d.in.Deployments.IssueKey(ctx, deployment.KeyRequest{}); err != nil {
		return nil, err
	}
	return d, nil
}

// keys are kept beside the SQLite file, so that -data can be used again. A real
// service has them in its secret manager.
func keys(dir string) (sealing, signing string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", err
	}
	path := filepath.Join(dir, "keys")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		b = []byte(seal.NewKey() + "\n" + webhook.NewSecret() + "\n")
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return "", "", err
	}
	lines := strings.Fields(string(b))
	if len(lines) != 2 {
		return "", "", fmt.Errorf("%s: want a sealing key and a signing secret, a line each", path)
	}
	return lines[0], lines[1], nil
}

// serve listens on addr and returns the address as a URL.
func (d *demo) serve(ctx context.Context, addr string, h http.Handler) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	d.serveOn(ctx, listener, h)
	return "http://" + listener.Addr().String(), nil
}

func (d *demo) serveOn(ctx context.Context, listener net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(d.out, "serving:", err)
		}
	}()
	d.stop = append(d.stop, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			_ = server.Close() // connections that do not end by themselves
		}
	})
}

func (d *demo) close() {
	for _, stop := range slices.Backward(d.stop) {
		stop()
	}
	d.stop = nil
	if d.db != nil {
		if err := d.db.Close(); err != nil {
			fmt.Fprintln(d.out, "closing the store:", err)
		}
	}
}

func (d *demo) serveByHand(ctx context.Context) error {
	fmt.Fprintf(d.out, "Open %s in a browser.\n\n", d.url)
	fmt.Fprintf(d.out, "Or ask for a consent address the way your backend would:\n\n")
	fmt.Fprintf(d.out, "  curl -H 'x-api-key: %s' '%s/api/v1/connector/interactor/gmail/auth-url?account=user-42'\n\n", d.apiKey, d.url)
	if d.google == nil {
		fmt.Fprintf(d.out, "Register %s/oauth/callback as a redirect address of your OAuth client.\n\n", d.url)
	}
	fmt.Fprintln(d.out, "What arrives at the Forwarding URL is printed here. End with Ctrl-C.")
	<-ctx.Done()
	return nil
}

// randomText is for values that a page hides in its forms.
func randomText() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}
