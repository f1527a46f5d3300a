package forward

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
)

// other is the value of an attribute that is not among the known ones, so that
// no stranger makes a time series.
const other = "_OTHER"

// metering holds a Forwarder's instruments; nil measures nothing. Attributes are
// few and known beforehand: connectors of the Config, outcomes, classes of
// errors; never an account, a URL or an Environment. The sets of what happens with
// every event are made here, once.
type metering struct {
	meter metric.Meter

	requests   metric.Float64Histogram
	attempts   metric.Float64Histogram
	latency    metric.Float64Histogram
	deliveries metric.Int64Counter
	events     metric.Int64Counter
	lost       metric.Int64Counter

	gauges gauges
	sets   map[string]*connectorSets // by connector
	others *connectorSets            // of any other
}

// connectorSets are the attributes of one connector, ready for use.
type connectorSets struct {
	name       string
	answers    [answers][]metric.RecordOption
	delivered  []metric.RecordOption // a try
	latency    []metric.RecordOption
	deliveries [2][]metric.AddOption // delivered, dead
	events     [eventResults][]metric.AddOption
}

// What became of an occurrence, for the counter interactor.events.
const (
	eventStored = iota
	eventDuplicate
	eventUnwanted
	eventNobody
	eventResults
)

func newMetering(p metric.MeterProvider, registry *connector.Registry) (*metering, error) {
	if p == nil {
		return nil, nil
	}
	m := &metering{meter: p.Meter(scopeName), sets: make(map[string]*connectorSets)}
	// Seconds: half a millisecond is a local receiver, a day a long outage.
	short := metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
	long := metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 36000, 86400)
	var errs [7]error
	m.requests, errs[0] = m.meter.Float64Histogram("interactor.request.duration", metric.WithUnit("s"), short,
		metric.WithDescription("Time until a provider's request was answered; its count is the number of requests"))
	m.attempts, errs[1] = m.meter.Float64Histogram("interactor.attempt.duration", metric.WithUnit("s"), short,
		metric.WithDescription("Time that one try of a delivery took; its count is the number of tries"))
	m.latency, errs[2] = m.meter.Float64Histogram("interactor.delivery.latency", metric.WithUnit("s"), long,
		metric.WithDescription("Time from accepting an event until the receiver had taken it, retries included"))
	m.deliveries, errs[3] = m.meter.Int64Counter("interactor.deliveries", metric.WithUnit("{delivery}"),
		metric.WithDescription("Deliveries that ended, by outcome"))
	m.events, errs[4] = m.meter.Int64Counter("interactor.events", metric.WithUnit("{event}"),
		metric.WithDescription("Occurrences that providers told of, by what became of them"))
	m.lost, errs[5] = m.meter.Int64Counter("interactor.leases.lost", metric.WithUnit("{lease}"),
		metric.WithDescription("Outcomes that came too late: another worker had taken the task over"))
	errs[6] = m.gauges.init(m.meter)
	for e := range registry.All() {
		m.sets[e.Name] = newConnectorSets(e.Name)
	}
	m.sets[newsConnector] = newConnectorSets(newsConnector)
	m.others = newConnectorSets(other)
	return m, errors.Join(errs[:]...)
}

func newConnectorSets(name string) *connectorSets {
	of := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(more, keyConnector.String(name))...))
	}
	s := &connectorSets{
		name:      name,
		delivered: []metric.RecordOption{of(keyOutcome.String("delivered"))},
		latency:   []metric.RecordOption{of()},
	}
	for a := range s.answers {
		s.answers[a] = []metric.RecordOption{of(keyAnswer.String(answer(a).String()))}
	}
	for i, outcome := range []string{"delivered", "dead"} {
		s.deliveries[i] = []metric.AddOption{of(keyOutcome.String(outcome))}
	}
	for i, outcome := range [eventResults]string{"stored", "duplicate", "unwanted", "nobody"} {
		s.events[i] = []metric.AddOption{of(keyOutcome.String(outcome))}
	}
	return s
}

// of returns a connector's sets. Publish lets the caller name any connector.
func (m *metering) of(name string) *connectorSets {
	if s, ok := m.sets[name]; ok {
		return s
	}
	return m.others
}

// request measures one that was answered.
func (m *metering) request(ctx context.Context, name string, v conclusion, took time.Duration) {
	if m != nil {
		m.requests.Record(ctx, max(0, took.Seconds()), m.of(name).answers[v.answer]...)
	}
}

// attempt measures one try.
func (m *metering) attempt(ctx context.Context, o *Outcome) {
	if m == nil {
		return
	}
	sets := m.of(o.Task.Event.Connector)
	seconds := max(0, o.Attempt.Took.Seconds())
	if o.Status == Delivered {
		m.attempts.Record(ctx, seconds, sets.delivered...)
		return
	}
	m.attempts.Record(ctx, seconds, metric.WithAttributeSet(attribute.NewSet(
		keyConnector.String(sets.name), keyOutcome.String(outcomeName(o)), keyErrorType.String(errorType(&o.Attempt)),
	)))
}

// ended measures a delivery whose last outcome is durable.
func (m *metering) ended(ctx context.Context, o *Outcome) {
	if m == nil {
		return
	}
	sets := m.of(o.Task.Event.Connector)
	switch o.Status {
	case Delivered:
		m.deliveries.Add(ctx, 1, sets.deliveries[0]...)
		taken := o.Attempt.At.Add(o.Attempt.Took)
		m.latency.Record(ctx, max(0, taken.Sub(acceptedAt(&o.Task)).Seconds()), sets.latency...)
	case Dead:
		m.deliveries.Add(ctx, 1, sets.deliveries[1]...)
	default: // it goes on
	}
}

// acceptedAt is when a delivery began to wait: its id says so in milliseconds,
// and before the first try its due time says it exactly.
func acceptedAt(t *Task) time.Time {
	at, ok := id.Time(t.ID)
	if !ok || (t.Tries == 0 && t.Due.Sub(at).Abs() < 2*time.Millisecond) {
		return t.Due
	}
	return at
}

// stored counts the events of a batch that were stored, and those that were known.
func (m *metering) stored(ctx context.Context, b *Batch, duplicates int) {
	if m == nil || len(b.Events) == 0 {
		return
	}
	// A batch is one connector's, but for what Publish was given.
	sets := m.of(b.Events[0].Event.Connector)
	if n := len(b.Events) - duplicates; n > 0 {
		m.events.Add(ctx, int64(n), sets.events[eventStored]...)
	}
	if duplicates > 0 {
		m.events.Add(ctx, int64(duplicates), sets.events[eventDuplicate]...)
	}
}

// dropped counts an occurrence or a notice of which no event comes.
func (m *metering) dropped(ctx context.Context, name string, result int) {
	if m != nil {
		m.events.Add(ctx, 1, m.of(name).events[result]...)
	}
}

func (m *metering) leasesLost(ctx context.Context, n int) {
	if m != nil && n > 0 {
		m.lost.Add(ctx, int64(n))
	}
}

// errorType is what a try failed with: the status of an answer, or the class of
// why there was none.
func errorType(a *Attempt) string {
	switch {
	case a.StatusCode >= 100 && a.StatusCode <= 599:
		return strconv.Itoa(a.StatusCode)
	case a.StatusCode != 0 || a.Class == "":
		return other
	}
	return string(a.Class)
}
