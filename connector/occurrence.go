package connector

import (
	"encoding/json"
	"time"
)

// An Occurrence is what a connector says happened. The engine turns it into one
// trigger.Event for each Connection that it concerns and that wants it.
type Occurrence struct {
	Trigger    string              // Definition.Name
	Key        string              // equal for the same occurrence however often it is told; unique within Connection + Trigger
	OccurredAt time.Time           // the provider's time; zero: time of receipt
	Attributes map[string][]string // values that Filter.Params are compared with: "label": {"Label_12", "INBOX"}
	Payload    any                 // the Definition's payload type
	Raw        json.RawMessage     // what the provider said about this occurrence
}
