package sqlite

import (
	"path/filepath"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestMetricsOfCommits(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	s, err := Open(t.Context(), Config{
		Path:          filepath.Join(t.TempDir(), "store.db"),
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		mustWrite(t, s, `UPDATE lease SET token = token + 1`)
	}
	if err := s.write(t.Context(), func(*conn) error { return nil }); err != nil { // changes nothing: no commit
		t.Fatal(err)
	}
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	stats := s.Stats()
	seen := 0
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Histogram[float64]:
				seen++
				if p := d.DataPoints[0]; m.Name != "interactor.store.commit.duration" || m.Unit != "s" || p.Count != stats.Commits || p.Sum <= 0 {
					t.Errorf("%s: %d commits in %v %s, want %d", m.Name, p.Count, p.Sum, m.Unit, stats.Commits)
				}
			case metricdata.Histogram[int64]:
				seen++
				if p := d.DataPoints[0]; m.Name != "interactor.store.commit.writes" || p.Count != stats.Commits || p.Sum != 3 {
					t.Errorf("%s: %d commits of %d writes, want %d of 3", m.Name, p.Count, p.Sum, stats.Commits)
				}
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d metrics, want 2", seen)
	}
}
