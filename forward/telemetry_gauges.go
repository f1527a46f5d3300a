package forward

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const (
	// surveyEvery is how old what the gauges say about the queue may be.
	surveyEvery = 15 * time.Second

	// surveyShare: counting a large backlog takes time, and it is done so seldom
	// that it takes at most one part in so many of one processor.
	surveyShare = 200

	// surveyLimit ends a survey that takes too long; the gauges are silent then.
	surveyLimit = 10 * time.Second
)

// laneState is what a lane in memory is doing, for the gauge interactor.lanes.
type laneState int

const (
	laneIdle     laneState = iota // holds nothing
	laneBusy                      // holds tasks and works on them
	laneFull                      // has more to do than it may hold or run at a time
	laneStarving                  // could do more, but all memory is taken
	laneResting                   // starts nothing for a while
	laneOpen                      // its destination is down: one try at a time finds out whether it is back
	lanePaused                    // its destination is paused
	laneStates                    // how many there are
)

func (s laneState) String() string {
	return [laneStates]string{"idle", "busy", "full", "starving", "resting", "open", "paused"}[s]
}

// state says what l is doing. engine.mu is held.
func (l *lane) state() laneState {
	switch {
	case l.gate.paused:
		return lanePaused
	case l.gate.open:
		return laneOpen
	case !l.gate.rest.IsZero():
		return laneResting
	case l.starving:
		return laneStarving
	case l.blocked:
		return laneFull
	case l.held > 0:
		return laneBusy
	}
	return laneIdle
}

// queue says which of a Backlog's parts a lane belongs to.
func queueOf(lane string) int {
	switch {
	case strings.HasPrefix(lane, "dest:"):
		return queueDeliveries
	case strings.HasPrefix(lane, "bulk:"):
		return queueReplays
	}
	return queueCalls
}

// Parts of a Backlog.
const (
	queueDeliveries = iota
	queueReplays
	queueCalls
	queues
)

// survey is what the gauges say about the queue; it is made now and then, and
// never for a reader of metrics, who may come as often as he likes.
type survey struct {
	backlog *Backlog // nil: the store did not say
	held    [queues]int64
	lanes   [laneStates]int64
	oldest  time.Duration // how long what has waited longest has been due
}

// gauges are read when the reader of metrics asks, while Run runs.
type gauges struct {
	depth, lanes, tasks, memory, inbound, trying, calling metric.Int64ObservableGauge
	oldest                                                metric.Float64ObservableGauge

	depths [queues][4][]metric.ObserveOption // due, scheduled, paused, held
	states [laneStates][]metric.ObserveOption
}

func (g *gauges) init(meter metric.Meter) error {
	var errs []error
	gauge := func(name, unit, description string) metric.Int64ObservableGauge {
		i, err := meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return i
	}
	g.depth = gauge("interactor.queue.depth", "{task}", "Tasks that are not finished")
	g.lanes = gauge("interactor.lanes", "{lane}", "Lanes, by what they are doing")
	g.tasks = gauge("interactor.memory.tasks", "{task}", "Tasks held in memory")
	g.memory = gauge("interactor.memory.usage", "By", "Size of the tasks held in memory")
	g.inbound = gauge("interactor.inbound.usage", "By", "Size of provider requests that are not answered yet")
	g.trying = gauge("interactor.attempts.active", "{attempt}", "Tries in flight")
	g.calling = gauge("interactor.calls.active", "{call}", "Connections whose provider is being asked")
	var err error
	g.oldest, err = meter.Float64ObservableGauge("interactor.queue.oldest", metric.WithUnit("s"),
		metric.WithDescription("How long the task has been due that waits longest; 0: nothing is late"))
	one := func(kv ...attribute.KeyValue) []metric.ObserveOption {
		return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(kv...))}
	}
	for q, queue := range [queues]string{"deliveries", "replays", "calls"} {
		for s, state := range [4]string{"due", "scheduled", "paused", "held"} {
			g.depths[q][s] = one(keyQueue.String(queue), keyState.String(state))
		}
	}
	for s := range g.states {
		g.states[s] = one(keyState.String(laneState(s).String()))
	}
	return errors.Join(append(errs, err)...)
}

// watch observes the engine until ctx ends. It returns when nothing is observed
// any longer.
func (m *metering) watch(ctx context.Context, e *engine) {
	if m == nil {
		return
	}
	m.lost.Add(ctx, 0) // so that it is there before there is one
	var last atomic.Pointer[survey]
	g := &m.gauges
	registration, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		e.observe(g, o)
		if s := last.Load(); s != nil {
			s.observe(g, o)
		}
		return nil
	}, g.depth, g.lanes, g.tasks, g.memory, g.inbound, g.trying, g.calling, g.oldest)
	if err != nil {
		e.f.log.ErrorContext(ctx, "metrics of the queue are not to be had", "error", err)
		return
	}
	defer func() {
		if err := registration.Unregister(); err != nil {
			e.f.log.ErrorContext(ctx, "metrics of the queue could not be ended", "error", err)
		}
	}()
	for {
		began := time.Now()
		last.Store(e.survey(ctx))
		if !sleep(ctx, max(surveyEvery, surveyShare*time.Since(began))) {
			return
		}
	}
}

// observe tells what is known at once.
func (e *engine) observe(g *gauges, o metric.Observer) {
	e.mu.Lock()
	bytes, trying, calling := e.bytes, e.sends.running, e.calls.running
	e.mu.Unlock()
	o.ObserveInt64(g.memory, bytes)
	o.ObserveInt64(g.trying, int64(trying))
	o.ObserveInt64(g.calling, int64(calling))
	o.ObserveInt64(g.inbound, e.f.inbound.Load())
}

// observe tells what the last survey found.
func (s *survey) observe(g *gauges, o metric.Observer) {
	tasks := int64(0)
	for q, held := range s.held {
		tasks += held
		o.ObserveInt64(g.depth, held, g.depths[q][3]...)
	}
	o.ObserveInt64(g.tasks, tasks)
	for state, n := range s.lanes {
		if laneState(state) == lanePaused && s.backlog == nil {
			continue
		}
		o.ObserveInt64(g.lanes, n, g.states[state]...)
	}
	if s.backlog == nil {
		return
	}
	o.ObserveFloat64(g.oldest, s.oldest.Seconds())
	for q, w := range [queues]Waiting{s.backlog.Deliveries, s.backlog.Replays, s.backlog.Calls} {
		for i, n := range [3]int64{w.Due, w.Scheduled, w.Paused} {
			o.ObserveInt64(g.depth, n, g.depths[q][i]...)
		}
	}
}

// survey looks at all lanes in memory and asks the store for what waits there.
func (e *engine) survey(ctx context.Context) *survey {
	s := &survey{}
	now := e.f.now()
	oldest := now
	e.mu.Lock()
	for name, l := range e.lanes {
		s.lanes[l.state()]++
		s.held[queueOf(name)] += int64(l.held)
		if l.queued() > 0 && l.queue[l.head].Due.Before(oldest) {
			oldest = l.queue[l.head].Due
		}
	}
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, surveyLimit)
	defer cancel()
	backlog, err := e.f.store.Backlog(ctx, now)
	if err == nil {
		var due time.Time
		if due, err = e.f.store.OldestDue(ctx); !due.IsZero() && due.Before(oldest) {
			oldest = due
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			e.f.log.WarnContext(ctx, "the queue could not be counted; its metrics pause", "error", err)
		}
		return s
	}
	// The store knows of all paused lanes, memory of those that were used.
	s.lanes[lanePaused] = int64(backlog.PausedLanes)
	s.backlog, s.oldest = &backlog, now.Sub(oldest)
	return s
}
