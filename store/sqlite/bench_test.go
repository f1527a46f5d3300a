package sqlite

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// BenchmarkEvent stores an event of 1 KiB, leased, and records its delivery, as
// the Forwarder does when nothing is in its way. CPU per event is ns/op times
// what the machine's cores were in use; with -cpuprofile it shows where it goes.
func BenchmarkEvent(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := openTest(b, filepath.Join(b.TempDir(), "store.db"))
			payload := make([]byte, 1024)
			for i := range payload {
				payload[i] = 'a' + byte(i%26)
			}
			var next = make(chan struct{}, callers)
			before, used := s.Stats(), cpuTime()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range next {
						if err := oneEvent(b, s, payload); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			for range b.N {
				next <- struct{}{}
			}
			close(next)
			wg.Wait()
			b.StopTimer()
			after := s.Stats()
			b.ReportMetric(float64((cpuTime()-used).Microseconds())/float64(b.N), "cpu-µs/event")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(after.Writes-before.Writes)/float64(max(1, after.Commits-before.Commits)), "writes/commit")
		})
	}
}

func oneEvent(b *testing.B, s *Store, payload []byte) error {
	now := time.Now()
	e := trigger.Event{
		ID: id.New("evt", now), Trigger: "gitea.issue.opened", Time: now, Connector: "gitea", Account: "user-42",
		Connection: "conn_01K8ZC0ZJ5M7Q3X9V2B4N6D8F0", Deployment: "dep_01K8ZC0ZJ5M7Q3X9V2B4N6D8F0",
		Environment: "env_01K8ZC0ZJ5M7Q3X9V2B4N6D8F0", Payload: payload, DedupeKey: id.New("key", now),
	}
	tasks, err := s.Append(b.Context(), forward.Batch{
		Events: []forward.NewEvent{{Event: e, ReceivedAt: now}},
		Tasks: []forward.Task{{
			ID: id.New("dlv", now), Kind: forward.Deliver, Lane: "dest:" + e.Environment, Due: now, Lease: 1, Event: e,
		}},
	})
	if err != nil {
		return err
	}
	_, err = s.Finish(b.Context(), []forward.Outcome{{
		Task: tasks[0], Status: forward.Delivered,
		Attempt: forward.Attempt{At: now, Took: time.Millisecond, URL: "https://app.example.com/events", StatusCode: 200, Response: []byte("ok"),
			RequestHeader: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"interactor/1.0 (+https://github.com/interactorhq/interactor)"}, "Webhook-Id": {"evt_01KATF3V5C8Q2M7XN4R0ZJ6H9D"}, "Webhook-Timestamp": {"1795446247"}, "Webhook-Signature": {"v1,cjNli2p7Qyn7HTsqQVGPaYsfZZObGRrpQM2aLGH0CAM="}, "X-Acme-Token": {"[redacted]"}}, ResponseHeader: http.Header{"Date": {"Mon, 23 Nov 2026 15:04:07 GMT"}, "Content-Length": {"2"}}},
	}})
	return err
}

// BenchmarkClaim leases 256 of a backlog of 100,000 events of 1 KiB.
func BenchmarkClaim(b *testing.B) {
	s := openTest(b, filepath.Join(b.TempDir(), "store.db"))
	now := time.Now()
	payload := make([]byte, 1024)
	for range 100 {
		var batch forward.Batch
		for range 1000 {
			e := trigger.Event{ID: id.New("evt", now), Trigger: "a.b", Connector: "a", Environment: "env_a", Payload: payload}
			batch.Events = append(batch.Events, forward.NewEvent{Event: e, ReceivedAt: now})
			batch.Tasks = append(batch.Tasks, forward.Task{ID: id.New("dlv", now), Kind: forward.Deliver, Lane: "dest:env_a", Due: now, Event: e})
		}
		if _, err := s.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		tasks, err := s.Claim(b.Context(), forward.ClaimRequest{Lane: "dest:env_a", Now: now, Limit: 256, Bytes: 1 << 20})
		if err != nil || len(tasks) != 256 {
			b.Fatal(len(tasks), err)
		}
		b.StopTimer()
		if err := s.Release(b.Context(), tasks); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
