package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Bounds of one transaction: large enough that the fsync is shared by all who
// wait, small enough that the first of them does not wait for long.
const (
	maxBatchWrites = 1024
	maxBatchBytes  = 8 << 20
)

// linger is how long a patient write waits for others to share its commit with.
const linger = 5 * time.Millisecond

// A transaction of many writes is followed by a moment in which more gather: who
// shares the store with so many waits for them anyway, and what a commit costs by
// itself is shared by more. With few writes there is no such moment.
const (
	manyWrites = 12
	eachWrite  = 200 * time.Microsecond
	mostMoment = 2500 * time.Microsecond
)

// moment is how long more may gather after a transaction of n writes.
func moment(n int) time.Duration {
	return min(mostMoment, time.Duration(max(0, n-manyWrites)*int(eachWrite)))
}

// write runs f in a transaction and returns when that is durable. Writes that
// wait together share the transaction; one that returns an error is undone
// alone. f
//
//   - runs on the writer's goroutine: it prepares nothing that could have been
//     prepared before, and waits for nothing;
//   - may run a second time, when a write beside it failed: it sets what it
//     returns anew each time.
//
// When ctx ends, write stops waiting and returns its error. The write may become
// durable all the same, so whatever f uses must stay as it is.
func (s *Store) write(ctx context.Context, f func(*conn) error) error {
	return s.writeSized(ctx, 0, f)
}

// writePatient is write for something of about that many bytes that nobody waits
// for: it is part of no transaction before linger has passed.
func (s *Store) writePatient(ctx context.Context, bytes int, f func(*conn) error) error {
	return s.enqueue(ctx, pendingWrite{run: f, bytes: bytes, patient: true}, nil)
}

// writeSized is write for something of about that many bytes.
func (s *Store) writeSized(ctx context.Context, bytes int, f func(*conn) error) error {
	return s.writeOwned(ctx, bytes, f, nil)
}

// writeOwned is writeSized for what the caller owns from then on, such as leases:
// when it becomes durable after the caller has stopped waiting, disown is called.
func (s *Store) writeOwned(ctx context.Context, bytes int, f func(*conn) error, disown func()) error {
	return s.enqueue(ctx, pendingWrite{run: f, bytes: bytes}, disown)
}

func (s *Store) enqueue(ctx context.Context, w pendingWrite, disown func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, _ := s.pendings.Get().(*pendingWrite)
	if p == nil {
		p = &pendingWrite{done: make(chan error, 1)}
	}
	p.run, p.bytes, p.patient, p.err = w.run, w.bytes, w.patient, nil
	if err := s.queue.push(p); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		p.run = nil
		s.pendings.Put(p)
		return err
	case <-ctx.Done():
		if s.queue.remove(p) {
			return ctx.Err()
		}
		if disown != nil {
			go func() { // ends with the transaction
				if <-p.done == nil {
					disown()
				}
			}()
		}
		return fmt.Errorf("sqlite: stopped waiting for a write that may become durable yet: %w", ctx.Err())
	}
}

// pendingWrite is a write that waits for its transaction.
type pendingWrite struct {
	run        func(*conn) error
	bytes      int
	patient    bool
	err        error
	done       chan error
	prev, next *pendingWrite
	in         *writes // nil: it does not wait any more
}

// writes is a list, oldest first.
type writes struct{ head, tail *pendingWrite }

func (l *writes) push(p *pendingWrite) {
	p.prev, p.next, p.in = l.tail, nil, l
	if l.tail == nil {
		l.head = p
	} else {
		l.tail.next = p
	}
	l.tail = p
}

func (l *writes) remove(p *pendingWrite) {
	if p.prev == nil {
		l.head = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.tail = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next, p.in = nil, nil, nil
}

// queue holds the writes that wait. It is as long as there are callers waiting.
type queue struct {
	mu      sync.Mutex
	filled  sync.Cond
	hurried writes
	patient writes
	ripe    bool        // the patient ones have waited for long enough
	timer   *time.Timer // makes them ripe; nil before the first of them
	armed   bool        // it runs: so it does, or they are ripe, while one waits
	resting bool        // more is to gather first
	rested  *time.Timer // ends that; nil before the first time
	closed  error       // why no more are taken
}

func (q *queue) push(p *pendingWrite) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return q.closed
	}
	if !p.patient {
		q.hurried.push(p)
		q.filled.Signal()
		return nil
	}
	q.patient.push(p)
	switch {
	case q.armed || q.ripe:
	case q.timer == nil:
		q.timer, q.armed = time.AfterFunc(linger, q.ripen), true
	default:
		q.timer.Reset(linger)
		q.armed = true
	}
	return nil
}

// ripen lets patient writes wait no longer. Those that came after the one that it
// was meant for wait for less: that is all.
func (q *queue) ripen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.armed = false; q.patient.head != nil {
		q.ripe = true
		q.filled.Signal()
	}
}

// remove takes p out and says whether it was still there.
func (q *queue) remove(p *pendingWrite) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.in == nil {
		return false
	}
	p.in.remove(p)
	q.ripe = q.ripe && q.patient.head != nil
	return true
}

// rest makes take wait for that long, so that more gathers.
func (q *queue) rest(d time.Duration) {
	if d <= 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resting = true
	if q.rested == nil {
		q.rested = time.AfterFunc(d, q.wake)
	} else {
		q.rested.Reset(d)
	}
}

func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resting = false
	q.filled.Signal()
}

// take waits for writes and moves them to batch. It returns none when the queue
// was closed and is empty.
//
// Patient ones come along only when they are ripe, although each of them could
// share the next commit: then it would be a larger one, for which those wait who
// are in a hurry.
func (q *queue) take(batch []*pendingWrite) []*pendingWrite {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.closed == nil && (q.resting || q.hurried.head == nil && !q.ripe) {
		q.filled.Wait()
	}
	bytes := 0
	from := func(l *writes) {
		for l.head != nil && len(batch) < maxBatchWrites {
			p := l.head
			if bytes += p.bytes; bytes > maxBatchBytes && len(batch) > 0 {
				return
			}
			l.remove(p)
			batch = append(batch, p)
		}
	}
	if q.ripe || q.closed != nil {
		from(&q.patient)
	}
	from(&q.hurried)
	q.ripe = q.ripe && q.patient.head != nil
	return batch
}

// close refuses further writes with err; the first reason stays.
func (q *queue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = err
	}
	q.filled.Broadcast()
}

// Stats counts what a [Store] has done since Open.
type Stats struct {
	Writes  uint64 // that were part of a commit
	Commits uint64 // transactions that changed something: each is one fsync
}

// Stats returns the counts so far. Writes/Commits is how many writes share an fsync.
func (s *Store) Stats() Stats {
	return Stats{Writes: s.writes.Load(), Commits: s.commits.Load()}
}

// runWriter commits what the queue holds until it is closed.
func (s *Store) runWriter() {
	defer close(s.writerDone)
	var batch []*pendingWrite
	for {
		batch = s.queue.take(batch[:0])
		if len(batch) == 0 {
			return
		}
		err := s.failure()
		if err == nil {
			err = s.commit(batch, false)
			if errors.Is(err, errAgain) {
				err = s.commit(batch, true)
			}
			if err != nil {
				err = s.judge(err)
			}
		}
		for i, p := range batch {
			if err != nil {
				p.err = err
			}
			p.done <- p.err // has room for one
			batch[i] = nil
		}
		// Those who were just told are to go on before the next transaction keeps a
		// processor busy.
		runtime.Gosched()
		s.checkpoint()
		s.queue.rest(moment(len(batch)))
	}
}

// errAgain asks for the batch to be run with a savepoint around each write.
var errAgain = errors.New("sqlite: a write failed halfway")

// commit runs a batch in one transaction. Its error is everybody's; that of a
// single write is left in its err.
//
// Without savepoints a write that fails after it has changed something makes the
// whole batch start again with them. Failing writes are rare and mostly fail
// before their first change, and a savepoint around each write makes SQLite copy
// every page that it touches.
func (s *Store) commit(batch []*pendingWrite, savepoints bool) error {
	c := s.writer
	began := s.meters.begin()
	if _, err := c.sql(`BEGIN IMMEDIATE`).exec(); err != nil {
		return err
	}
	start := c.db.TotalChanges()
	for _, p := range batch {
		if savepoints {
			if _, err := c.sql(`SAVEPOINT one`).exec(); err != nil {
				return s.rollback(err)
			}
		}
		before := c.db.TotalChanges()
		p.err = call(p.run, c)
		if c.db.GetAutocommit() { // SQLite itself gave the transaction up: disk full, out of memory
			return s.rollback(cmpErr(p.err, errors.New("sqlite: transaction lost")))
		}
		if p.err == nil {
			if savepoints {
				if _, err := c.sql(`RELEASE one`).exec(); err != nil {
					return s.rollback(err)
				}
			}
			continue
		}
		c.reset()
		switch {
		case isFatal(p.err):
			return s.rollback(p.err)
		case savepoints:
			if err := c.script(`ROLLBACK TO one; RELEASE one`); err != nil {
				return s.rollback(err)
			}
		case c.db.TotalChanges() != before:
			return s.rollback(errAgain)
		}
	}
	if _, err := c.sql(`COMMIT`).exec(); err != nil {
		return s.rollback(err)
	}
	s.writes.Add(uint64(len(batch)))
	if c.db.TotalChanges() != start {
		s.commits.Add(1)
		s.meters.committed(began, len(batch))
	}
	return nil
}

// rollback ends the transaction because of err, which it returns.
func (s *Store) rollback(err error) error {
	s.writer.reset()
	if s.writer.db.GetAutocommit() {
		return err
	}
	if _, e := s.writer.sql(`ROLLBACK`).exec(); e != nil {
		s.fail(fmt.Errorf("rollback: %w", e))
	}
	return err
}

// call runs f and turns a panic into an error: it must not end the writer,
// whom everybody waits for.
func call(f func(*conn) error, c *conn) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("sqlite: panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f(c)
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// judge decides whether err ends the Store, and returns what to tell callers.
func (s *Store) judge(err error) error {
	if isFatal(err) {
		s.fail(err)
		return s.failure()
	}
	return explain(err)
}

// fail ends the Store: the first reason stays.
func (s *Store) fail(err error) {
	reason := fmt.Errorf("%w: %w", ErrFailed, explain(err))
	if s.failed.CompareAndSwap(nil, &reason) {
		s.queue.close(reason)
	}
}

// failure returns why the Store has failed, nil while it works.
func (s *Store) failure() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}
