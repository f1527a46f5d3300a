package forward_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/interactorhq/interactor/forward"
)

func (m *memory) Delivery(ctx context.Context, id string) (forward.Delivery, error) {
	if err := m.enter(ctx, "Delivery"); err != nil {
		return forward.Delivery{}, err
	}
	defer m.mu.Unlock()
	if d := m.history[id]; d != nil && m.events[d.Event] != nil {
		for _, have := range m.record(m.events[d.Event]).Deliveries {
			if have.ID == id {
				return have, nil
			}
		}
	}
	return forward.Delivery{}, forward.ErrNotFound
}

func (m *memory) Select(ctx context.Context, q forward.Query, from forward.Mark, limit int) (forward.Selection, error) {
	if err := m.enter(ctx, "Select"); err != nil {
		return forward.Selection{}, err
	}
	defer m.mu.Unlock()
	var found []forward.Selected
	for id, e := range m.events {
		rec := m.record(e)
		_, undecoded := m.dead[id]
		mark := forward.Mark(fmt.Sprintf("%020d %s", rec.ReceivedAt.UnixMilli(), id))
		s := forward.Selected{ID: id, Mark: mark, Environment: rec.Environment, Undecoded: undecoded}
		if rec.Status != forward.Dead && (rec.Status != forward.Delivered || undecoded) {
			continue
		}
		if fits(q, rec) && mark > from {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b forward.Selected) int { return cmp.Compare(a.Mark, b.Mark) })
	if len(found) <= limit {
		return forward.Selection{Events: found, Next: from, Last: true}, nil
	}
	return forward.Selection{Events: found[:limit], Next: found[limit-1].Mark}, nil
}

// queued returns how many deliveries of a replay are not finished.
func (m *memory) queued(replay string) (n int) {
	for _, t := range m.tasks {
		if t.Job == replay {
			n++
		}
	}
	return n
}

func (m *memory) job(j *forward.ReplayJob) forward.ReplayJob {
	full := *j
	full.Queued = m.queued(j.ID)
	return full
}

func (m *memory) AddReplay(ctx context.Context, j forward.ReplayJob, atMost int) error {
	if err := m.enter(ctx, "AddReplay"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	n := 0
	for _, have := range m.replays {
		if have.State == forward.ReplayRunning && have.Query.Environment == j.Query.Environment {
			n++
		}
	}
	if n >= atMost {
		return forward.ErrTooManyReplays
	}
	m.replays[j.ID] = &j
	m.replayDue[j.ID] = j.Created
	return nil
}

func (m *memory) ReplayJob(ctx context.Context, id string) (forward.ReplayJob, error) {
	if err := m.enter(ctx, "ReplayJob"); err != nil {
		return forward.ReplayJob{}, err
	}
	defer m.mu.Unlock()
	if j := m.replays[id]; j != nil {
		return m.job(j), nil
	}
	return forward.ReplayJob{}, forward.ErrNotFound
}

func (m *memory) ReplayJobs(ctx context.Context, q forward.ReplaysQuery, limit int) ([]forward.ReplayJob, error) {
	if err := m.enter(ctx, "ReplayJobs"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var list []forward.ReplayJob
	for _, j := range m.replays {
		if (q.Environment == "*" || q.Environment == j.Query.Environment) && (q.After == "" || j.ID < q.After) {
			list = append(list, m.job(j))
		}
	}
	slices.SortFunc(list, func(a, b forward.ReplayJob) int { return cmp.Compare(b.ID, a.ID) })
	return list[:min(limit, len(list))], nil
}

func (m *memory) ReadyReplays(ctx context.Context, room, limit int) ([]forward.ReplayJob, error) {
	if err := m.enter(ctx, "ReadyReplays"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var list []forward.ReplayJob
	for _, j := range m.replays {
		most := room
		if j.All {
			most = 1
		}
		if j.State == forward.ReplayRunning && m.queued(j.ID) < most {
			list = append(list, m.job(j))
		}
	}
	slices.SortFunc(list, func(a, b forward.ReplayJob) int {
		return cmp.Or(m.replayDue[a.ID].Compare(m.replayDue[b.ID]), cmp.Compare(a.ID, b.ID))
	})
	return list[:min(limit, len(list))], nil
}

// there reports whether a replay is running where a step starts.
func (m *memory) there(step *forward.ReplayStep) bool {
	j := m.replays[step.Replay]
	return j != nil && j.State == forward.ReplayRunning && j.Mark == step.From
}

func (m *memory) move(step *forward.ReplayStep) {
	j := m.replays[step.Replay]
	m.replayDue[j.ID] = step.At
	j.Mark, j.All = step.To, step.Last
	j.Selected += step.Selected
	j.Undecodable += step.Undecodable
	if j.All && m.queued(j.ID) == 0 {
		j.State, j.Ended = forward.ReplayDone, step.At
	}
}

func (m *memory) CancelReplay(ctx context.Context, id, reason string, at time.Time) error {
	if err := m.enter(ctx, "CancelReplay"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	j := m.replays[id]
	if j == nil {
		return forward.ErrNotFound
	}
	if j.State == forward.ReplayRunning {
		j.State, j.Reason, j.Ended = forward.ReplayCancelled, reason, at
		m.endCancelled(id)
	}
	return nil
}

// endCancelled ends those deliveries of a cancelled replay that wait.
func (m *memory) endCancelled(replay string) {
	j := m.replays[replay]
	if j == nil || j.State != forward.ReplayCancelled {
		return
	}
	for id, t := range m.tasks {
		if t.Job == replay && t.Lease == 0 {
			d := m.history[id]
			d.Status, d.NextAt, d.Reason = forward.Cancelled, time.Time{}, "replay "+j.ID+": "+j.Reason
			j.Cancelled++
			delete(m.tasks, id)
		}
	}
}

// count counts what became of a delivery of a replay, and says what that is.
func (m *memory) count(t *memoryTask, o forward.Outcome) forward.Outcome {
	j := m.replays[t.Job]
	switch {
	case j == nil:
	case o.Status == forward.Delivered:
		j.Delivered++
	case o.Status == forward.Dead:
		j.Dead++
	case j.State == forward.ReplayCancelled:
		o.Status, o.Reason = forward.Cancelled, "replay "+j.ID+": "+j.Reason
		j.Cancelled++
	}
	return o
}

func (m *memory) PurgeReplays(ctx context.Context, before time.Time, limit int) (n int, err error) {
	if err := m.enter(ctx, "PurgeReplays"); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	for id, j := range m.replays {
		if n < limit && !j.Ended.IsZero() && j.Ended.Before(before) && m.queued(id) == 0 {
			delete(m.replays, id)
			n++
		}
	}
	return n, nil
}

// statusOf is that of an event with deliveries: waiting as long as one of them
// is, then the least finished of the newest one to each destination. Those that
// were cancelled do not count, unless there is no other.
func (m *memory) statusOf(deliveries []forward.Delivery) (status forward.Status, reason string) {
	counts := map[string]forward.Delivery{}
	for _, wanted := range []forward.Status{forward.Pending, forward.Paused} {
		for _, d := range deliveries {
			if d.Status == wanted {
				return d.Status, d.Reason
			}
		}
	}
	for _, d := range deliveries {
		to := mainLane(m.laneOf[d.ID])
		if have, ok := counts[to]; ok && d.Status == forward.Cancelled && have.Status != forward.Cancelled {
			continue
		}
		counts[to] = d
	}
	status = forward.Delivered
	for _, d := range counts {
		if d.Status != forward.Delivered {
			status, reason = forward.Dead, d.Reason
		}
	}
	return status, reason
}
