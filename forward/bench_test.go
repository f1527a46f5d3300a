package forward_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// BenchmarkForward takes requests of 1 KiB by ServeHTTP and delivers them over
// loopback. The receiver's work is included.
func BenchmarkForward(b *testing.B) {
	inMemory := func(*testing.B) forward.Config { return forward.Config{Store: newMemory()} }
	for _, row := range []struct {
		name string
		cfg  func(b *testing.B) forward.Config
	}{
		{"memory", inMemory},
		{"memory with metrics", func(b *testing.B) forward.Config {
			cfg := inMemory(b)
			_, cfg.MeterProvider = meters()
			return cfg
		}},
		{"memory with metrics and spans", func(b *testing.B) forward.Config {
			cfg := inMemory(b)
			_, cfg.MeterProvider = meters()
			cfg.TracerProvider = sdktrace.NewTracerProvider() // sampled, for nobody
			return cfg
		}},
		{"sqlite", func(b *testing.B) forward.Config { return forward.Config{Store: open(b, file(b))} }},
	} {
		b.Run(row.name, func(b *testing.B) {
			var arrived atomic.Int64
			all := make(chan struct{})
			n := int64(b.N)
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusNoContent)
				if arrived.Add(1) == n {
					close(all)
				}
			}))
			defer receiver.Close()
			cfg := row.cfg(b)
			cfg.Settings = forward.Settings{URL: receiver.URL, Triggers: trigger.List("*"), Secrets: []string{webhook.NewSecret()}}
			f := build(b, cfg)
			start(b, f)
			text := strings.Repeat("x", 1000)
			var id atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					body := fmt.Appendf(nil, `{"items":[{"key":"k%d","text":"%s"}]}`, id.Add(1), text)
					req := httptest.NewRequest(http.MethodPost, hook, bytes.NewReader(body))
					req.Header.Set("X-Acme-Signature", acmeSign("default-key", body))
					w := httptest.NewRecorder()
					f.ServeHTTP(w, req)
					if w.Code != http.StatusAccepted {
						b.Errorf("status %d", w.Code)
					}
				}
			})
			<-all
		})
	}
}
