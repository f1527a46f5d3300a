package faults_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/store/sqlite"
)

// store is the Store that the service is given: the real one, with a hook before and after each
// commit, and with the planted bugs.
type store struct {
	*sqlite.Store
	point   func(name string) // may not return
	planted planted
	wake    func()
	asked   *atomic.Int64 // calls of Lanes and Claim
	late    *sync.WaitGroup
}

var _ forward.Store = (*store)(nil)

// Append implements forward.Queue.
func (s *store) Append(ctx context.Context, b forward.Batch) ([]forward.Task, error) {
	if s.planted == plantedEarly {
		return nil, s.appendLater(ctx, b)
	}
	s.point("append:before")
	tasks, err := s.Store.Append(ctx, b)
	s.point("append:after")
	if err == nil {
		s.recorded(ctx, tasks)
	}
	return tasks, err
}

// appendLater is the bug "2xx before the commit".
func (s *store) appendLater(ctx context.Context, b forward.Batch) error {
	tasks := make([]forward.Task, len(b.Tasks))
	for i, t := range b.Tasks {
		t.Lease = 0
		tasks[i] = t
	}
	b.Tasks = tasks
	s.late.Go(func() {
		if _, err := s.Store.Append(ctx, b); err == nil {
			s.wake()
		}
	})
	return nil
}

// recorded is the bug "outcome recorded before the send".
func (s *store) recorded(ctx context.Context, tasks []forward.Task) {
	if s.planted != plantedRecorded {
		return
	}
	var outcomes []forward.Outcome
	for _, t := range tasks {
		if t.Kind == forward.Deliver && t.Lease != 0 {
			outcomes = append(outcomes, forward.Outcome{Task: t, Status: forward.Delivered, Attempt: forward.Attempt{At: time.Now(), StatusCode: 204}})
		}
	}
	if len(outcomes) > 0 {
		_, _ = s.Finish(ctx, outcomes)
	}
}

// Lanes implements forward.Queue.
func (s *store) Lanes(ctx context.Context, until time.Time, limit int) ([]forward.LaneDue, error) {
	s.asked.Add(1)
	return s.Store.Lanes(ctx, until, limit)
}

// Claim implements forward.Queue.
func (s *store) Claim(ctx context.Context, r forward.ClaimRequest) ([]forward.Task, error) {
	s.asked.Add(1)
	s.point("claim:before")
	tasks, err := s.Store.Claim(ctx, r)
	s.point("claim:after")
	if err == nil {
		s.recorded(ctx, tasks)
	}
	return tasks, err
}

// Finish implements forward.Queue.
func (s *store) Finish(ctx context.Context, outcomes []forward.Outcome) ([]int, error) {
	s.point("finish:before")
	lost, err := s.Store.Finish(ctx, outcomes)
	s.point("finish:after")
	return lost, err
}

// Release implements forward.Queue.
func (s *store) Release(ctx context.Context, tasks []forward.Task) error {
	s.point("release:before")
	err := s.Store.Release(ctx, tasks)
	s.point("release:after")
	return err
}

// Purge implements forward.Retention.
func (s *store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	s.point("purge:before")
	n, err := s.Store.Purge(ctx, before, limit)
	s.point("purge:after")
	return n, err
}
