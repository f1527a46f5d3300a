package forward

import (
	"net/http"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// Status of an event or a delivery.
type Status string

// An event has the least finished status of its deliveries; of those to one
// destination that are finished the newest counts, so that a replay can make good.
// One that was cancelled does not count.
const (
	Pending   Status = "pending"   // waiting for its first or next try
	Delivered Status = "delivered" // answered 2xx, or OnEvent returned nil
	Dead      Status = "dead"      // out of tries, Permanent, or could not be decoded; replay it when fixed
	Paused    Status = "paused"    // kept until its destination is resumed
	Cancelled Status = "cancelled" // of a delivery: its replay was cancelled before it arrived
)

// Record is an event as the log keeps it.
type Record struct {
	trigger.Event
	Status     Status
	ReceivedAt time.Time
	Reason     string     // why it is dead or paused
	Deliveries []Delivery // oldest first; nil from Events
}

// Delivery is an event on its way to one destination.
type Delivery struct {
	ID       string // "dlv_…"
	Event    string // "evt_…"
	URL      string // of the last try; "" is OnEvent, or not tried yet
	Status   Status
	NextAt   time.Time // of the next try, while Pending
	Reason   string    // why it is Dead, Paused or Cancelled
	Replay   bool
	Attempts []Attempt // oldest first
}

// Attempt is one try. Secrets in RequestHeader are redacted, and those of them
// that the receiver sends back.
type Attempt struct {
	At             time.Time
	Took           time.Duration
	Timing         Timing // zero for OnEvent
	URL            string // empty: OnEvent
	StatusCode     int    // 0 when no response came
	Class          ErrorClass
	Error          string // what failed, in words
	RequestHeader  http.Header
	ResponseHeader http.Header
	Response       []byte // first 16 KiB
}

// Query selects from the event log. The zero value selects all of the default environment.
type Query struct {
	Environment string // "" is the default one, "*" is all
	Connector   string
	Trigger     string
	Account     string
	Connection  string
	Status      Status
	Since       time.Time // received at or after
	Until       time.Time // received before
	After       string    // id of the last event already seen: continue behind it
}
