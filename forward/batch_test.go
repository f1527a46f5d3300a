package forward

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// An event is delivered out of memory first and out of the store later: the
// bytes must be the same. Stores keep milliseconds.
func TestEventIsTheSameOutOfMemoryAndStore(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 19, 46, 3, 485_244_991, time.FixedZone("CET", 3600))
	var b Batch
	b.add(trigger.Event{ID: "evt_1", Trigger: "acme.done", Time: at, Payload: json.RawMessage(`{}`)}, at, "", false)
	first := b.Tasks[0].Event
	stored := b.Events[0].Event
	stored.Time = time.UnixMilli(stored.Time.UnixMilli()).UTC()
	one, err := first.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := stored.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, two) {
		t.Errorf("out of memory: %s\nout of the store: %s", one, two)
	}
}
