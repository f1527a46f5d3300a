package forward_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

func meters() (*sdkmetric.ManualReader, *sdkmetric.MeterProvider) {
	r := sdkmetric.NewManualReader()
	return r, sdkmetric.NewMeterProvider(sdkmetric.WithReader(r))
}

// point is one time series: its value, or count and sum of a histogram.
type point struct {
	value float64
	sum   float64
}

// collect returns all time series, each named as in "interactor.lanes idle":
// the metric and the values of its attributes, in the order of their keys.
func collect(t testing.TB, r sdkmetric.Reader) map[string]point {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	got := map[string]point{}
	put := func(name string, set attribute.Set, p point) {
		for _, kv := range set.ToSlice() {
			name += " " + kv.Value.String()
		}
		got[name] = p
	}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					put(m.Name, p.Attributes, point{value: float64(p.Value)})
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					put(m.Name, p.Attributes, point{value: float64(p.Value)})
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					put(m.Name, p.Attributes, point{value: p.Value})
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					put(m.Name, p.Attributes, point{value: float64(p.Count), sum: p.Sum})
				}
			default:
				t.Fatalf("%s is a %T", m.Name, m.Data)
			}
		}
	}
	return got
}

// counted picks the counts of the series that begin with one of the names.
func counted(got map[string]point, names ...string) map[string]float64 {
	picked := map[string]float64{}
	for series, p := range got {
		name, _, _ := strings.Cut(series, " ")
		if slices.Contains(names, name) {
			picked[series] = p.value
		}
	}
	return picked
}

func wantCounted(t *testing.T, got, want map[string]float64) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if got[name] != want[name] {
			t.Errorf("%s: %v, want %v", name, got[name], want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, ok := got[name]; !ok {
			t.Errorf("%s: nothing, want %v", name, want[name])
		}
	}
}

func TestMetricsOfWhatHappens(t *testing.T) {
	t.Parallel()
	reader, provider := meters()
	r := &receiver{answer: func(n int, ev trigger.Event) (int, http.Header) {
		switch {
		case strings.Contains(string(ev.Payload), "slow") && n < 3: // once
			return http.StatusBadGateway, nil
		case strings.Contains(string(ev.Payload), "never"):
			return http.StatusTeapot, nil
		}
		return http.StatusOK, nil
	}}
	s := settings("acme.*")
	s.Triggers = trigger.List(noteAdded)
	s.Retry = []time.Duration{10 * time.Second}
	d := two(s, settings("gone.away"))
	bubble(t, r, forward.Config{MeterProvider: provider, Directory: d}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		mustPost(t, f, hook, "default-key", one("k"))
		mustPost(t, f, hook, "default-key", one("k")) // known
		synctest.Wait()
		mustPost(t, f, hook, "default-key", one("slow"))
		pass(time.Minute)
		mustPost(t, f, hook, "default-key", one("never"))
		pass(time.Minute)
		mustPost(t, f, hook, "default-key", request{Team: "T1", Items: []item{{Kind: noteRemoved, Key: "x"}}}) // nobody wants it
		mustPost(t, f, hook, "default-key", request{Team: "T7", Items: []item{{Key: "x"}}})                    // nobody has it
		mustPost(t, f, hook, "default-key", request{Do: "confuse"})
		post(t, f, hook, "wrong-key", one("k"))
		post(t, f, hook+"/sub_gone", "default-key", one("k"))
		post(t, f, hook+"/sub_x", "default-key", one("k"))
		post(t, f, "/webhooks/acne", "default-key", one("k"))
		post(t, f, hook, "default-key", request{Do: "panic in Verify"})
		head, _ := http.NewRequest(http.MethodHead, hook, nil)
		f.ServeHTTP(discard{http.Header{}}, head)
		put, _ := http.NewRequest(http.MethodPut, hook, nil)
		f.ServeHTTP(discard{http.Header{}}, put)
		shake, _ := http.NewRequest(http.MethodGet, hook, nil)
		shake.Header.Set("X-Acme-Challenge", "hello")
		f.ServeHTTP(discard{http.Header{}}, shake)
		large, _ := http.NewRequest(http.MethodPost, hook, strings.NewReader(strings.Repeat("x", 2<<20)))
		f.ServeHTTP(discard{http.Header{}}, large)
		if err := f.Publish(t.Context(), trigger.Event{Trigger: "a.b", Environment: "env_A", Connector: "whatever-the-caller-says"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		d.breaks(errors.New("away"))
		post(t, f, hook, "default-key", one("k"))

		got := collect(t, reader)
		wantCounted(t, counted(got, "interactor.request.duration", "interactor.attempt.duration", "interactor.delivery.latency",
			"interactor.deliveries", "interactor.events", "interactor.leases.lost"), map[string]float64{
			"interactor.request.duration accepted acme":    6,
			"interactor.request.duration undecodable acme": 1,
			"interactor.request.duration refused acme":     1,
			"interactor.request.duration gone acme":        1,
			"interactor.request.duration not_found acme":   1,
			"interactor.request.duration not_found _OTHER": 1,
			"interactor.request.duration failed acme":      1,
			"interactor.request.duration probe acme":       1,
			"interactor.request.duration not_allowed acme": 1,
			"interactor.request.duration handshake acme":   1,
			"interactor.request.duration unreadable acme":  1,
			"interactor.request.duration unavailable acme": 1,

			"interactor.attempt.duration acme delivered":   2,
			"interactor.attempt.duration _OTHER delivered": 1,
			"interactor.attempt.duration 502 acme retry":   1,
			"interactor.attempt.duration 418 acme retry":   1,
			"interactor.attempt.duration 418 acme dead":    1,
			"interactor.leases.lost":                       0,
			"interactor.delivery.latency acme":             2,
			"interactor.delivery.latency _OTHER":           1,
			"interactor.deliveries acme delivered":         2,
			"interactor.deliveries _OTHER delivered":       1,
			"interactor.deliveries acme dead":              1,
			"interactor.events acme stored":                3,
			"interactor.events _OTHER stored":              1,
			"interactor.events acme duplicate":             1,
			"interactor.events acme unwanted":              1,
			"interactor.events acme nobody":                1,
		})
		// One delivery took no time, the other waited for its second try.
		if sum := got["interactor.delivery.latency acme"].sum; sum < 8 || sum > 12 {
			t.Errorf("latencies add up to %v s, want that of one retry", sum)
		}
		stats := f.Stats()
		if stats.Delivered != 3 || stats.Dead != 1 || stats.Failed != 3 || stats.Accepted != 7 || stats.Refused != 1 {
			t.Errorf("metrics and Stats should agree: %+v", stats)
		}
	})
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// Whatever happens, attributes are few and say nothing about anybody.
func TestMetricsNameNobody(t *testing.T) {
	t.Parallel()
	reader, provider := meters()
	var n atomic.Int64
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
		return 100 + int(n.Add(1)), nil // every status, also those that there are not
	}}
	s := settings("*")
	s.URL = "https://receiver.example/events"
	bubble(t, r, forward.Config{MeterProvider: provider, Directory: two(s, s)}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		for i := range 50 {
			mustPost(t, f, hook, "default-key", one(fmt.Sprint(i)))
			post(t, f, fmt.Sprintf("/webhooks/made-up-%d", i), "x", one("k"))
		}
		pass(time.Minute)
		var data metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &data); err != nil {
			t.Fatal(err)
		}
		known := map[string][]string{
			"interactor.connector": {"acme", "interactor", "_OTHER"},
			"interactor.answer":    {"accepted", "not_found"},
			"interactor.outcome":   {"delivered", "retry", "dead", "paused", "stored", "duplicate", "unwanted", "nobody"},
			"interactor.queue":     {"deliveries", "replays", "calls"},
			"interactor.state":     {"due", "scheduled", "paused", "held", "idle", "busy", "full", "starving", "resting", "open"},
		}
		check := func(name string, set attribute.Set) {
			for _, kv := range set.ToSlice() {
				value := kv.Value.String()
				if kv.Key == "error.type" {
					if len(value) != 3 && value != "_OTHER" {
						t.Errorf("%s: error.type %q", name, value)
					}
					continue
				}
				if !slices.Contains(known[string(kv.Key)], value) {
					t.Errorf("%s: attribute %s=%s", name, kv.Key, value)
				}
			}
		}
		for _, scope := range data.ScopeMetrics {
			for _, m := range scope.Metrics {
				switch d := m.Data.(type) {
				case metricdata.Sum[int64]:
					for _, p := range d.DataPoints {
						check(m.Name, p.Attributes)
					}
				case metricdata.Gauge[int64]:
					for _, p := range d.DataPoints {
						check(m.Name, p.Attributes)
					}
				case metricdata.Gauge[float64]:
					for _, p := range d.DataPoints {
						check(m.Name, p.Attributes)
					}
				case metricdata.Histogram[float64]:
					for _, p := range d.DataPoints {
						check(m.Name, p.Attributes)
					}
				default:
					t.Fatalf("%s is a %T", m.Name, m.Data)
				}
			}
		}
	})
}

func TestMetricsOfTheQueue(t *testing.T) {
	t.Parallel()
	reader, provider := meters()
	status := http.StatusServiceUnavailable
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) { return status, nil }}
	b := settings(noteAdded)
	b.Retry = []time.Duration{time.Hour}
	a := settings(noteAdded)
	a.Retry = []time.Duration{time.Hour}
	m := newMemory()
	bubble(t, r, forward.Config{MeterProvider: provider, Directory: two(a, b), Store: m}, func(t *testing.T, f *forward.Forwarder) {
		if got := collect(t, reader); len(got) != 0 {
			t.Errorf("before Run: %v", got)
		}
		stop := running(t, f)
		gauges := []string{
			"interactor.queue.depth", "interactor.queue.oldest", "interactor.lanes", "interactor.memory.tasks", "interactor.memory.usage",
			"interactor.inbound.usage", "interactor.attempts.active", "interactor.calls.active",
		}
		want := map[string]float64{
			"interactor.queue.oldest": 0, "interactor.memory.tasks": 0, "interactor.memory.usage": 0,
			"interactor.inbound.usage": 0, "interactor.attempts.active": 0, "interactor.calls.active": 0,
			"interactor.lanes idle": 0, "interactor.lanes busy": 0, "interactor.lanes full": 0, "interactor.lanes starving": 0,
			"interactor.lanes resting": 0, "interactor.lanes open": 0, "interactor.lanes paused": 0,
		}
		for _, queue := range []string{"deliveries", "replays", "calls"} {
			for _, state := range []string{"due", "scheduled", "paused", "held"} {
				want["interactor.queue.depth "+queue+" "+state] = 0
			}
		}
		wantCounted(t, counted(collect(t, reader), gauges...), want)

		// Both wait for their second try.
		mustPost(t, f, hook, "default-key", one("k"))
		pass(20 * time.Second)
		want["interactor.queue.depth deliveries scheduled"] = 2
		want["interactor.lanes idle"] = 2
		wantCounted(t, counted(collect(t, reader), gauges...), want)

		// One is paused with what waits there.
		status = http.StatusGone
		if err := f.Publish(t.Context(), trigger.Event{Trigger: "a.b", Environment: "env_B"}); err != nil {
			t.Fatal(err)
		}
		pass(20 * time.Second)
		want["interactor.queue.depth deliveries scheduled"] = 1
		want["interactor.queue.depth deliveries paused"] = 2
		want["interactor.lanes idle"] = 1
		want["interactor.lanes paused"] = 1
		wantCounted(t, counted(collect(t, reader), gauges...), want)

		// One try takes its time.
		status = http.StatusOK
		hang := make(chan struct{})
		r.wait = func(context.Context, int) { <-hang }
		mustPost(t, f, hook, "default-key", request{Team: "T1", Items: []item{{Key: "hangs"}}})
		pass(20 * time.Second)
		got := counted(collect(t, reader), gauges...)
		want["interactor.queue.depth deliveries held"] = 1
		want["interactor.queue.depth deliveries paused"] = 3
		want["interactor.lanes idle"] = 0
		want["interactor.lanes busy"] = 1
		want["interactor.memory.tasks"] = 1
		want["interactor.attempts.active"] = 1
		want["interactor.memory.usage"] = got["interactor.memory.usage"]
		if got["interactor.memory.usage"] < 100 {
			t.Errorf("%v bytes are held", got["interactor.memory.usage"])
		}
		wantCounted(t, got, want)
		close(hang)
		synctest.Wait()

		// A store that does not answer is not guessed at.
		m.failing(func(method string) error {
			if method == "Backlog" {
				return errors.New("away")
			}
			return nil
		})
		pass(20 * time.Second)
		for series := range counted(collect(t, reader), "interactor.queue.oldest", "interactor.queue.depth") {
			if !strings.HasSuffix(series, " held") {
				t.Errorf("%s is told although the store did not say", series)
			}
		}
		stop()
		if got := counted(collect(t, reader), gauges...); len(got) != 0 {
			t.Errorf("after Run: %v", got)
		}
	})
}

// What waits longest is told, be it in the store or in memory.
func TestMetricsOldestDue(t *testing.T) {
	t.Parallel()
	reader, provider := meters()
	r := &receiver{}
	s := settings(noteAdded)
	s.Timeout = time.Hour
	bubble(t, r, forward.Config{MeterProvider: provider, Directory: two(s, settings("gone.away")), Limits: forward.Limits{PerLane: 1}}, func(t *testing.T, f *forward.Forwarder) {
		hang := make(chan struct{})
		r.wait = func(context.Context, int) { <-hang }
		running(t, f)
		mustPost(t, f, hook, "default-key", one("in flight"))
		mustPost(t, f, hook, "default-key", one("behind it"))
		pass(10 * time.Minute)
		if got := collect(t, reader)["interactor.queue.oldest"].value; got < 585 || got > 600 {
			t.Errorf("%v s, want some 10 minutes", got)
		}
		close(hang)
		pass(20 * time.Second)
		if got := collect(t, reader)["interactor.queue.oldest"].value; got != 0 {
			t.Errorf("%v s although nothing waits", got)
		}
	})
}
