package gitea

import "github.com/interactorhq/interactor/connector/gitea/giteaevent"

// Names of the triggers; package giteaevent says more about each.
const (
	Push = giteaevent.Push

	BranchCreated = giteaevent.BranchCreated
	BranchDeleted = giteaevent.BranchDeleted
	TagCreated    = giteaevent.TagCreated
	TagDeleted    = giteaevent.TagDeleted

	IssueOpened       = giteaevent.IssueOpened
	IssueClosed       = giteaevent.IssueClosed
	IssueReopened     = giteaevent.IssueReopened
	IssueEdited       = giteaevent.IssueEdited
	IssueDeleted      = giteaevent.IssueDeleted
	IssueAssigned     = giteaevent.IssueAssigned
	IssueUnassigned   = giteaevent.IssueUnassigned
	IssueLabeled      = giteaevent.IssueLabeled
	IssueMilestoned   = giteaevent.IssueMilestoned
	IssueDemilestoned = giteaevent.IssueDemilestoned

	CommentCreated = giteaevent.CommentCreated
	CommentEdited  = giteaevent.CommentEdited
	CommentDeleted = giteaevent.CommentDeleted

	PullRequestOpened               = giteaevent.PullRequestOpened
	PullRequestClosed               = giteaevent.PullRequestClosed
	PullRequestMerged               = giteaevent.PullRequestMerged
	PullRequestReopened             = giteaevent.PullRequestReopened
	PullRequestEdited               = giteaevent.PullRequestEdited
	PullRequestDeleted              = giteaevent.PullRequestDeleted
	PullRequestSynchronized         = giteaevent.PullRequestSynchronized
	PullRequestAssigned             = giteaevent.PullRequestAssigned
	PullRequestUnassigned           = giteaevent.PullRequestUnassigned
	PullRequestLabeled              = giteaevent.PullRequestLabeled
	PullRequestMilestoned           = giteaevent.PullRequestMilestoned
	PullRequestDemilestoned         = giteaevent.PullRequestDemilestoned
	PullRequestReviewRequested      = giteaevent.PullRequestReviewRequested
	PullRequestReviewRequestRemoved = giteaevent.PullRequestReviewRequestRemoved
	PullRequestApproved             = giteaevent.PullRequestApproved
	PullRequestRejected             = giteaevent.PullRequestRejected
	PullRequestReviewed             = giteaevent.PullRequestReviewed

	ReleasePublished = giteaevent.ReleasePublished
	ReleaseUpdated   = giteaevent.ReleaseUpdated
	ReleaseDeleted   = giteaevent.ReleaseDeleted

	RepositoryCreated = giteaevent.RepositoryCreated
	RepositoryDeleted = giteaevent.RepositoryDeleted
	RepositoryForked  = giteaevent.RepositoryForked

	WikiPageCreated = giteaevent.WikiPageCreated
	WikiPageEdited  = giteaevent.WikiPageEdited
	WikiPageDeleted = giteaevent.WikiPageDeleted
)

// PushPayload and those after it are the payloads and what they are made of;
// package giteaevent says more about each.
type (
	PushPayload        = giteaevent.PushPayload
	Ref                = giteaevent.Ref
	Issue              = giteaevent.Issue
	Comment            = giteaevent.Comment
	PullRequest        = giteaevent.PullRequest
	Release            = giteaevent.Release
	RepositoryPayload  = giteaevent.RepositoryPayload
	Fork               = giteaevent.Fork
	WikiPage           = giteaevent.WikiPage
	User               = giteaevent.User
	Repository         = giteaevent.Repository
	Commit             = giteaevent.Commit
	Signature          = giteaevent.Signature
	IssueDetails       = giteaevent.IssueDetails
	PullRequestDetails = giteaevent.PullRequestDetails
	Branch             = giteaevent.Branch
	Review             = giteaevent.Review
	CommentDetails     = giteaevent.CommentDetails
	ReleaseDetails     = giteaevent.ReleaseDetails
	Asset              = giteaevent.Asset
	Label              = giteaevent.Label
	Milestone          = giteaevent.Milestone
	Changes            = giteaevent.Changes
	From               = giteaevent.From
)
