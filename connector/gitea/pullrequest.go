package gitea

import (
	"strings"

	"github.com/interactorhq/interactor/connector/gitea/giteaevent"
)

func decodePullRequest(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.PullRequest](event, body)
	if err != nil {
		return happened{}, err
	}
	h := happened{repo: p.Repository, payload: p}
	switch p.Action {
	case "opened":
		h.trigger, h.at = giteaevent.PullRequestOpened, at(p.PullRequest.CreatedAt)
	case "closed":
		h.trigger, h.at = giteaevent.PullRequestClosed, at(p.PullRequest.ClosedAt)
		if p.PullRequest.Merged {
			h.trigger, h.at = giteaevent.PullRequestMerged, at(p.PullRequest.MergedAt)
		}
	case "reopened":
		h.trigger = giteaevent.PullRequestReopened
	case "edited":
		h.trigger = giteaevent.PullRequestEdited
	case "deleted":
		h.trigger = giteaevent.PullRequestDeleted
	case "synchronized":
		h.trigger = giteaevent.PullRequestSynchronized
	case "assigned":
		h.trigger = giteaevent.PullRequestAssigned
	case "unassigned":
		h.trigger = giteaevent.PullRequestUnassigned
	case "label_updated", "label_cleared":
		h.trigger = giteaevent.PullRequestLabeled
	case "milestoned":
		h.trigger = giteaevent.PullRequestMilestoned
	case "demilestoned":
		h.trigger = giteaevent.PullRequestDemilestoned
	case "review_requested":
		h.trigger = giteaevent.PullRequestReviewRequested
	case "review_request_removed":
		h.trigger = giteaevent.PullRequestReviewRequestRemoved
	case "reviewed":
		h.trigger, err = reviewed(event, p.Review)
	default:
		err = unknown(event, p.Action)
	}
	return h, err
}

// reviewed tells reviews apart. The type is "pull_request_review_approved" from
// newer servers and "pull_request_approved" from older ones.
func reviewed(event string, r *giteaevent.Review) (string, error) {
	kind := ""
	if r != nil {
		kind = r.Type[strings.LastIndexByte(r.Type, '_')+1:]
	}
	switch kind {
	case "approved":
		return giteaevent.PullRequestApproved, nil
	case "rejected":
		return giteaevent.PullRequestRejected, nil
	case "comment":
		return giteaevent.PullRequestReviewed, nil
	}
	return "", unknown(event, "reviewed "+kind)
}
