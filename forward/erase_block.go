package forward

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// person is an account of an Environment.
type person struct{ environment, account string }

// erasures stops what concerns accounts that are being erased. While there are
// none it costs no more than a few atomic operations.
type erasures struct {
	wake chan struct{} // has room for one
	work chan struct{} // has room for one: the erasure that is at work

	// gate is held for reading by what moves tasks or events between store and
	// memory: settle waits for those that began before.
	gate sync.RWMutex

	blocks, ends atomic.Int64 // how many there are in the maps
	turn         atomic.Int64 // grows with each erasure that is done

	mu      sync.Mutex
	blocked map[person]*block
	ended   map[person]end
}

// block is an account that is being erased, or is to be.
type block struct{ connections []string }

// end is when an account was erased.
type end struct {
	turn int64
	at   time.Time
}

func (b *erasures) init() {
	b.wake, b.work = make(chan struct{}, 1), make(chan struct{}, 1)
	b.blocked, b.ended = make(map[person]*block), make(map[person]end)
}

// enter waits until no other erasure is at work.
func (b *erasures) enter(ctx context.Context) error {
	select {
	case b.work <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *erasures) leave() { <-b.work }

// block stops an account until it is done.
func (b *erasures) block(who person) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blocked[who] == nil {
		b.blocked[who] = &block{}
		b.blocks.Add(1)
	}
}

// name tells the Connections of an account that is stopped.
func (b *erasures) name(who person, connections []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if have := b.blocked[who]; have != nil {
		have.connections = connections
	}
}

// settle waits until whatever did not see the last block has ended.
func (b *erasures) settle() {
	b.gate.Lock()
	b.gate.Unlock() //nolint:staticcheck // SA2001: having passed is the point
}

// done lets an account that was erased go on, but for what had begun before.
func (b *erasures) done(who person, now time.Time) {
	b.settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	for other, e := range b.ended {
		if age := now.Sub(e.at); age > eraseMemory || age < -eraseMemory {
			delete(b.ended, other)
		}
	}
	b.ended[who] = end{b.turn.Add(1), now}
	b.ends.Store(int64(len(b.ended)))
	if b.blocked[who] != nil {
		delete(b.blocked, who)
		b.blocks.Add(-1)
	}
}

// stops reports whether a task is of an account that is being erased: it is
// neither tried nor recorded.
func (b *erasures) stops(t *Task) bool {
	if b.blocks.Load() == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.Kind == Deliver && b.blocked[person{t.Event.Environment, t.Event.Account}] != nil {
		return true
	}
	for _, have := range b.blocked {
		if have.has(t) {
			return true
		}
	}
	return false
}

// is reports whether a task is of an account that is stopped.
func (b *erasures) is(t *Task, who person) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	have := b.blocked[who]
	return have != nil && (t.Kind == Deliver && who == person{t.Event.Environment, t.Event.Account} || have.has(t))
}

// has reports whether a task is of one of the Connections.
func (b *block) has(t *Task) bool {
	connection := t.Event.Connection
	if t.Kind != Deliver {
		connection = strings.TrimPrefix(t.Lane, "conn:")
	}
	return connection != "" && slices.Contains(b.connections, connection)
}

// refuses reports whether something about an account must not be stored that
// began at that turn: the account is being erased, or was since.
func (b *erasures) refuses(environment, account, connection string, turn int64) bool {
	if account == "" && connection == "" {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	who := person{environment, account}
	if b.blocked[who] != nil {
		return true
	}
	if have, ok := b.ended[who]; ok && have.turn > turn {
		return true
	}
	for _, have := range b.blocked {
		if connection != "" && slices.Contains(have.connections, connection) {
			return true
		}
	}
	return false
}

// sift returns a batch without what must not be stored. gate is held for reading.
func (b *erasures) sift(batch Batch, turn int64) Batch {
	if b.blocks.Load() == 0 && (b.ends.Load() == 0 || b.turn.Load() == turn) {
		return batch
	}
	refused := make(map[string]bool)
	keep := func(id, environment, account, connection string) bool {
		refused[id] = b.refuses(environment, account, connection, turn)
		return !refused[id]
	}
	var events []NewEvent
	for _, n := range batch.Events {
		if keep(n.Event.ID, n.Event.Environment, n.Event.Account, n.Event.Connection) {
			events = append(events, n)
		}
	}
	var dead []DeadInbound
	for _, d := range batch.Dead {
		if keep(d.ID, d.Environment, d.Account, d.Connection) {
			dead = append(dead, d)
		}
	}
	var tasks []Task
	for _, t := range batch.Tasks {
		switch {
		case t.Kind == Deliver && refused[t.Event.ID]:
		case t.Kind != Deliver && b.stops(&t):
		default:
			tasks = append(tasks, t)
		}
	}
	batch.Events, batch.Dead, batch.Tasks = events, dead, tasks
	return batch
}
