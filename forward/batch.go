package forward

import (
	"time"

	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
)

// add puts an event and its delivery into the batch. The event's time is cut to
// what the store keeps: what is delivered out of memory, and what is sent again
// under the same id after it was read back, must be the same bytes.
// With ordered it waits for those of its account that were stored before.
func (b *Batch) add(ev trigger.Event, now time.Time, inbound string, ordered bool) {
	ev.Time = ev.Time.UTC().Truncate(time.Millisecond)
	b.Events = append(b.Events, NewEvent{Event: ev, ReceivedAt: now, Inbound: inbound})
	t := Task{ID: id.New("dlv", now), Kind: Deliver, Lane: destLane(ev.Environment), Due: now, Event: ev}
	if ordered {
		t.Series = accountSeries(ev.Account)
	}
	b.Tasks = append(b.Tasks, t)
}

// accountSeries names the Series of an account's deliveries; events without
// account have one, too.
func accountSeries(account string) string { return "account:" + account }
