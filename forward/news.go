package forward

import (
	"strings"

	"github.com/interactorhq/interactor/trigger"
)

// News about deliveries, as trigger names: in Config.Notify always, and
// forwarded like any other event when a trigger list names them.
const (
	DeliveryExhausted    = "delivery.exhausted"    // all tries failed; the event is dead until replayed
	DestinationPaused    = "destination.paused"    // the receiver answered 410: gone
	DestinationRecovered = "destination.recovered" // first success after failures were reported
)

// newsConnector is what stands for a connector in news.
const newsConnector = "interactor"

// newsFamilies are the first parts of the names of news, of this room and of
// others. A connector cannot have these names.
func isNews(f trigger.Filter) bool {
	family, rest, ok := strings.Cut(f.Trigger, ".")
	if !ok || rest == "" || len(f.Params) > 0 {
		return false
	}
	switch family {
	case "connection", "subscription", "delivery", "destination":
		return true
	}
	return false
}
