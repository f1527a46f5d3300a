package forward

import (
	"time"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// add puts an event and its delivery into the batch.
func (b *Batch) add(ev trigger.Event, now time.Time, inbound string) {
	b.Events = append(b.Events, NewEvent{Event: ev, ReceivedAt: now, Inbound: inbound})
	b.Tasks = append(b.Tasks, Task{
		ID: id.New("dlv", now), Kind: Deliver, Lane: destLane(ev.Environment), Due: now, Event: ev,
	})
}
