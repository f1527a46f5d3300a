package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// meters measure commits, which many writes share: nothing is measured for a
// single one. nil measures nothing. They are the writer's.
type meters struct {
	duration metric.Float64Histogram
	writes   metric.Int64Histogram
}

func newMeters(p metric.MeterProvider) (*meters, error) {
	if p == nil {
		return nil, nil
	}
	meter := p.Meter("github.com/interactorhq/interactor/store/sqlite")
	duration, err := meter.Float64Histogram("interactor.store.commit.duration", metric.WithUnit("s"),
		metric.WithDescription("Time that a transaction took, its fsync included; its count is the number of commits"),
		metric.WithExplicitBucketBoundaries(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	writes, err2 := meter.Int64Histogram("interactor.store.commit.writes", metric.WithUnit("{write}"),
		metric.WithDescription("Writes that shared a transaction"),
		metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024))
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("sqlite: Config.MeterProvider: %w", err)
	}
	return &meters{duration, writes}, nil
}

// begin returns when a commit began.
func (m *meters) begin() (at time.Time) {
	if m != nil {
		at = time.Now()
	}
	return at
}

// committed measures a commit that changed something.
func (m *meters) committed(began time.Time, writes int) {
	if m != nil {
		m.duration.Record(context.Background(), time.Since(began).Seconds())
		m.writes.Record(context.Background(), int64(writes))
	}
}
