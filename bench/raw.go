//go:build linux

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interactorhq/interactor/internal/dialguard"
)

// Bounds of raw, which are the pipeline's.
const (
	rawBody    = 1 << 20
	rawWorkers = 32   // Limits.PerLane
	rawQueue   = 1024 // what one lane holds in memory
	rawTimeout = 15 * time.Second
	rawPath    = "/webhooks/webhook/raw"
)

// newRaw is the least that net/http can do: read, answer, and send on by a pool
// of goroutines and the transport that the pipeline has. Nothing is verified,
// decoded, wrapped, signed or kept.
func newRaw(cfg serverConfig) *underTest {
	r := &rawServer{url: cfg.URLs[0], queue: make(chan []byte, rawQueue), transport: dialguard.New(dialguard.Config{AllowPrivate: true})}
	return &underTest{
		handler: r,
		run:     r.run,
		paths:   func() []string { return []string{rawPath} },
		stats:   func(s *serverStats) { s.Delivered, s.Failed = r.delivered.Load(), r.failed.Load() },
		close:   func() error { return nil },
	}
}

type rawServer struct {
	url       string
	queue     chan []byte
	transport http.RoundTripper

	delivered, failed atomic.Int64
}

func (r *rawServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, rawBody))
	if err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	r.queue <- body
	w.WriteHeader(http.StatusOK)
}

func (r *rawServer) run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range rawWorkers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case body := <-r.queue:
					if r.post(ctx, body) {
						r.delivered.Add(1)
					} else {
						r.failed.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func (r *rawServer) post(ctx context.Context, body []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, rawTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := r.transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.StatusCode/100 == 2
}
