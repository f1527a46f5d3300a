package sqlite

import (
	"time"

	"github.com/interactorhq/interactor/forward"
)

func claimAll(lane string, now time.Time) forward.ClaimRequest {
	return forward.ClaimRequest{Lane: lane, Now: now, Limit: 10, Lease: time.Minute}
}

// finished is a batch that ends a task and lets it wait for due.
func finished(task forward.Task, due time.Time) forward.Batch {
	return forward.Batch{Finished: []forward.Finished{{Task: task, Due: due}}}
}
