package forward

import (
	"container/heap"
	"time"
)

// Bounds of what one lane holds in memory.
const (
	laneTasks   = 1024
	laneFew     = 64 // as many may always wait, however few are tried at a time
	laneAhead   = 32 // tasks held for each try that may be made at a time
	laneSeconds = 30 // of a rate limit are held
	laneShare   = 4  // of Limits.InMemory: a quarter
	laneSpare   = 16 // room in the queue that a lane without work keeps
	taskSize    = 512
	idleLane    = 5 * time.Minute // a lane without work is forgotten after this
	connTasks   = 1               // of a Connection: later ones wait in the store, where notices merge
	claimTasks  = 256
	leaseFor    = 5 * time.Minute
	starvedTake = 1
	keepResting = 2 * time.Second  // a lane that rests for longer holds nothing in memory
	keepTurn    = 30 * time.Second // what a lane's queue has room for is let go when unused for this
)

// lane is a queue of deliveries to one destination, or of work on one
// Connection. What it holds in memory is leased; the rest is in the store.
// Guarded by engine.mu.
type lane struct {
	name string
	gate *gate

	queue []Task // from head on
	head  int
	held  int   // queued, in flight, or waiting to be recorded
	bytes int64 // their size

	behind   bool // the store may hold due tasks: new ones queue up behind them
	blocked  bool // wants to claim, but is full
	starving bool // wants to claim, but memory is full: in engine.starved
	later    bool // the store may hold tasks that become due
	spilling int  // appends under way that leave their tasks in the store
	spills   int  // counts them, to notice one that came while claiming

	next time.Time // when to claim; zero: not in engine.due
	at   int       // index in engine.due
	used time.Time
}

func (l *lane) queued() int { return len(l.queue) - l.head }

func (l *lane) push(t Task) { l.queue = append(l.queue, t) }

func (l *lane) pop() Task {
	t := l.queue[l.head]
	l.queue[l.head] = Task{} // lets the payload go
	l.head++
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
	} else if l.head >= 64 && l.head*2 >= len(l.queue) {
		n := copy(l.queue, l.queue[l.head:])
		clear(l.queue[n:])
		l.queue, l.head = l.queue[:n], 0
	}
	return t
}

// drain takes everything that no try was made of yet.
func (l *lane) drain() []Task {
	tasks := append([]Task(nil), l.queue[l.head:]...)
	l.queue, l.head = nil, 0
	return tasks
}

// idle reports whether nothing would be lost by forgetting the lane.
func (l *lane) idle(now time.Time) bool {
	return l.held == 0 && l.spilling == 0 && !l.behind && l.next.IsZero() && now.Sub(l.used) > idleLane
}

// dueLanes is a heap of the lanes that are to claim, soonest first.
type dueLanes []*lane

var _ heap.Interface = (*dueLanes)(nil)

func (h *dueLanes) Len() int           { return len(*h) }
func (h *dueLanes) Less(i, j int) bool { return (*h)[i].next.Before((*h)[j].next) }
func (h *dueLanes) Swap(i, j int) {
	l := *h
	l[i], l[j] = l[j], l[i]
	l[i].at, l[j].at = i, j
}

// Push is for package heap.
func (h *dueLanes) Push(x any) {
	l := x.(*lane) //nolint:errcheck // it holds nothing else
	l.at = len(*h)
	*h = append(*h, l)
}

// Pop is for package heap.
func (h *dueLanes) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return l
}

// size is what a task counts for in memory.
func size(t *Task) int64 {
	return taskSize + int64(len(t.Event.Payload)+len(t.Event.Raw)+len(t.Thin))
}
