package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/interactorhq/interactor/connector"
)

const (
	streamLook    = 30 * time.Second // between two looks at which Apps there are
	streamRest    = time.Second      // after a stream that broke; doubled while it breaks at once
	streamMaxRest = 5 * time.Minute
	streamSteady  = time.Minute // a stream that held as long begins anew without delay
)

// Streams is implemented by a [Directory] that knows the Apps of connectors which
// read from a stream of each App (connector.FromAppStream). Without it none is read.
type Streams interface {
	// Streams returns what belongs to the Apps of a connector, as Address does
	// for those whose requests come in.
	Streams(ctx context.Context, connector string) ([]Address, error)
}

// streams reads the streams of Apps until life ends, one for each App. Which
// Apps there are, and what is in them, is looked at again and again.
func (f *Forwarder) streams(life context.Context) {
	source, ok := f.directory.(Streams)
	var entries []*connector.Entry
	for e := range f.registry.All() {
		if streams(e) {
			entries = append(entries, e)
		}
	}
	if !ok || len(entries) == 0 {
		return
	}
	var open sync.WaitGroup
	defer open.Wait()
	running := make(map[string]*stream)
	again := time.NewTimer(streamLook)
	defer again.Stop()
	for {
		for _, e := range entries {
			found, err := source.Streams(life, e.Name)
			if err != nil {
				if life.Err() == nil {
					f.seldom(life, &f.failures, "finding streams", slog.LevelError, "streams not looked at", "connector", e.Name, "error", err)
				}
				continue // those that are open stay open
			}
			f.follow(life, &open, running, e, found)
		}
		// An App is new when an account was connected with it, and that wakes.
		again.Reset(streamLook)
		select {
		case <-life.Done():
			return
		case <-again.C:
		case <-f.streamsWake:
			if !sleep(life, streamRest) { // once for many
				return
			}
		}
	}
}

// wakeStreams makes the streams be looked at soon.
func (f *Forwarder) wakeStreams() {
	select {
	case f.streamsWake <- struct{}{}:
	default:
	}
}

// streams reports whether a connector reads from a stream of each App.
func streams(e *connector.Entry) bool {
	return e.Streamer != nil && e.Decoder != nil &&
		slices.ContainsFunc(e.Watches, func(w connector.Watch) bool { return w.Intake == connector.FromAppStream })
}

// streamAddress is what belongs to the App whose stream brought a message.
// Error: [ErrNoAddress] when it is not among those that are read.
func (f *Forwarder) streamAddress(ctx context.Context, e *connector.Entry, endpoint string) (Address, error) {
	source, ok := f.directory.(Streams)
	if !ok || !streams(e) {
		return Address{}, ErrNoAddress
	}
	turn := f.erasing.turn.Load()
	found, err := source.Streams(ctx, e.Name)
	if err != nil {
		return Address{}, err
	}
	for _, a := range found {
		if a.Endpoint == endpoint {
			a.turn = turn
			return a, nil
		}
	}
	return Address{}, ErrNoAddress
}

// stream is one that is being read.
type stream struct {
	connector string
	fields    map[string]string
	stop      context.CancelFunc
}

// follow ends the streams of Apps that have gone or changed, and begins new ones.
func (f *Forwarder) follow(life context.Context, open *sync.WaitGroup, running map[string]*stream, e *connector.Entry, found []Address) {
	wanted := make(map[string]Address, len(found))
	for _, a := range found {
		// An App that was replaced is read on while Connections live on it.
		wanted[e.Name+" "+a.App+" "+a.AppFields["client_id"]] = a
	}
	for key, s := range running {
		a, ok := wanted[key]
		if s.connector == e.Name && (!ok || !maps.Equal(s.fields, a.AppFields)) {
			s.stop()
			delete(running, key)
		}
	}
	for key, a := range wanted {
		if running[key] != nil {
			continue
		}
		ctx, stop := context.WithCancel(life)
		running[key] = &stream{e.Name, a.AppFields, stop}
		open.Go(func() {
			defer stop()
			f.read(ctx, e, a)
		})
	}
}

// read reads one stream until ctx ends.
func (f *Forwarder) read(ctx context.Context, e *connector.Entry, a Address) {
	wait := streamRest
	for ctx.Err() == nil {
		began := f.now()
		err := f.stream(ctx, e, a)
		if ctx.Err() != nil {
			return
		}
		f.seldom(ctx, &f.failures, "stream "+e.Name+" "+a.App, slog.LevelWarn, "a stream broke; it is opened again",
			"connector", e.Name, "app", a.App, "next", wait, "error", err)
		if f.now().Sub(began) >= streamSteady {
			wait = streamRest
		}
		next := wait
		if retry, ok := errors.AsType[*connector.RetryError](err); ok && retry.After > 0 {
			next = retry.After
		}
		if !sleep(ctx, jitter(next, 0.8, 1.2)) {
			return
		}
		wait = min(2*wait, streamMaxRest)
	}
}

// stream runs the connector's Stream once. A panic is a stream that broke.
func (f *Forwarder) stream(ctx context.Context, e *connector.Entry, a Address) (err error) {
	defer f.contain(ctx, e.Name, "Stream", func(p any) { err = fmt.Errorf("the connector panicked: %v", p) })
	sc := connector.StreamContext{App: maps.Clone(a.AppFields)}
	err = e.Streamer.Stream(ctx, sc, func(ctx context.Context, in *connector.Inbound) error { return f.takeIn(ctx, e, a, in) })
	if err == nil {
		err = errors.New("it ended")
	}
	return err
}

// takeIn is what receive is for a request: decode, find out whom it concerns,
// store. There is nothing to verify, because the connector has fetched it itself.
// It returns nil when everything is durable.
func (f *Forwarder) takeIn(ctx context.Context, e *connector.Entry, a Address, in *connector.Inbound) error {
	if in == nil {
		return errors.New("forward: a stream delivered nothing")
	}
	if n := int64(len(in.Body)); n > f.limits.MaxBody {
		return fmt.Errorf("forward: a message of %d bytes came in by stream: at most %d are taken", n, f.limits.MaxBody)
	}
	one := *in
	one.ReceivedAt, one.Secrets, one.App = f.now().UTC(), nil, maps.Clone(a.AppFields)
	if one.Method == "" {
		one.Method = http.MethodPost
	}
	if one.Header == nil {
		one.Header = http.Header{}
	}
	a.turn = f.erasing.turn.Load()
	decoded, err := f.decode(ctx, e, &one)
	b := f.newIntake(e, a, one.ReceivedAt)
	if err == nil {
		err = b.notices(ctx, decoded.Notices, nil)
	}
	if wrong, ok := errors.AsType[*undecodableError](err); ok {
		b, err = f.keepDead(ctx, e, a, &one, wrong)
	}
	if err != nil {
		return fmt.Errorf("forward: what came in by stream: %w", err)
	}
	if err := b.commit(ctx); err != nil {
		return fmt.Errorf("forward: what came in by stream: %w", err)
	}
	f.count.accepted.Add(1)
	return nil
}
