//go:build linux

package main

import (
	"container/heap"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/store/sqlite"
)

// forgetful is a store that keeps nothing of events: what is on its way is in
// memory, what has arrived is forgotten. It shows what the pipeline costs without
// durability. Everything else (tenants, connections, settings) is SQLite's.
type forgetful struct {
	*sqlite.Store

	mu    sync.Mutex
	lease int64
	next  int64
	lanes map[string]*waiting
}

var _ interactor.Store = (*forgetful)(nil)

func newForgetful(db *sqlite.Store) *forgetful {
	return &forgetful{Store: db, lanes: make(map[string]*waiting)}
}

// Append implements forward.Queue. Only deliveries of new events are in its care.
func (f *forgetful) Append(ctx context.Context, b forward.Batch) ([]forward.Task, error) {
	if len(b.Events) == 0 || len(b.Dead) > 0 || b.Cursor != nil || len(b.Finished) > 0 {
		return f.Store.Append(ctx, b)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	tasks := append([]forward.Task(nil), b.Tasks...)
	for i := range tasks {
		if tasks[i].Lease != 0 {
			f.lease++
			tasks[i].Lease = f.lease
			continue
		}
		f.wait(tasks[i])
	}
	return tasks, nil
}

// wait takes a task in that is not leased. f.mu is held.
func (f *forgetful) wait(t forward.Task) {
	t.Lease = 0
	w := f.lanes[t.Lane]
	if w == nil {
		w = &waiting{}
		f.lanes[t.Lane] = w
	}
	f.next++
	heap.Push(w, entry{t, f.next})
}

// Lanes implements forward.Queue.
func (f *forgetful) Lanes(ctx context.Context, until time.Time, limit int) ([]forward.LaneDue, error) {
	out, err := f.Store.Lanes(ctx, until, limit)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, w := range f.lanes {
		if len(out) < limit && w.Len() > 0 && !(*w)[0].task.Due.After(until) {
			out = append(out, forward.LaneDue{Lane: name, Due: (*w)[0].task.Due})
		}
	}
	return out, nil
}

// Claim implements forward.Queue.
func (f *forgetful) Claim(ctx context.Context, r forward.ClaimRequest) ([]forward.Task, error) {
	if strings.HasPrefix(r.Lane, "conn:") {
		return f.Store.Claim(ctx, r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.lanes[r.Lane]
	var tasks []forward.Task
	var bytes int64
	for w != nil && w.Len() > 0 && len(tasks) < r.Limit && !(*w)[0].task.Due.After(r.Now) {
		t := (*w)[0].task
		if bytes += int64(len(t.Event.Payload) + len(t.Event.Raw)); bytes > r.Bytes && r.Bytes > 0 && len(tasks) > 0 {
			break
		}
		heap.Pop(w)
		f.lease++
		t.Lease = f.lease
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// Finish implements forward.Queue: what is to be tried again waits, the rest is
// forgotten.
func (f *forgetful) Finish(_ context.Context, outcomes []forward.Outcome) ([]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range outcomes {
		if o := &outcomes[i]; o.Status == forward.Pending {
			t := o.Task
			t.Due = o.Due
			t.Tries++
			f.wait(t)
		}
	}
	return nil, nil
}

// Release implements forward.Queue.
func (f *forgetful) Release(ctx context.Context, tasks []forward.Task) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range tasks {
		if tasks[i].Kind != forward.Deliver {
			return f.Store.Release(ctx, tasks)
		}
		f.wait(tasks[i])
	}
	return nil
}

// waiting is a heap of the tasks of one lane, those due first in front.
type waiting []entry

type entry struct {
	task forward.Task
	seq  int64
}

var _ heap.Interface = (*waiting)(nil)

func (w *waiting) Len() int { return len(*w) }
func (w *waiting) Less(i, j int) bool {
	a, b := &(*w)[i], &(*w)[j]
	if c := a.task.Due.Compare(b.task.Due); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}
func (w *waiting) Swap(i, j int) { (*w)[i], (*w)[j] = (*w)[j], (*w)[i] }

// Push is for package heap.
func (w *waiting) Push(x any) {
	*w = append(*w, x.(entry)) //nolint:errcheck // it holds nothing else
}

// Pop is for package heap.
func (w *waiting) Pop() any {
	old := *w
	e := old[len(old)-1]
	old[len(old)-1] = entry{}
	*w = old[:len(old)-1]
	return e
}
