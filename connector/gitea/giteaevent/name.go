// Package giteaevent holds the names and payloads of Gitea's triggers. It
// imports the standard library only, so a receiver can use it without the
// connector. Start with the constants; each payload type says in Triggers
// which of them it belongs to:
//
//	issue, err := trigger.Decode[giteaevent.Issue](ev)
//
// The members are Gitea's own, by its names (API of v1.26, modules/structs);
// members that are about one server's settings are left out and are in the raw
// payload.
package giteaevent

// Names of the triggers.
const (
	Push = "gitea.push"

	BranchCreated = "gitea.branch.created"
	BranchDeleted = "gitea.branch.deleted"
	TagCreated    = "gitea.tag.created"
	TagDeleted    = "gitea.tag.deleted"

	IssueOpened       = "gitea.issue.opened"
	IssueClosed       = "gitea.issue.closed"
	IssueReopened     = "gitea.issue.reopened"
	IssueEdited       = "gitea.issue.edited"
	IssueDeleted      = "gitea.issue.deleted"
	IssueAssigned     = "gitea.issue.assigned"
	IssueUnassigned   = "gitea.issue.unassigned"
	IssueLabeled      = "gitea.issue.labeled" // labels added, removed or all cleared
	IssueMilestoned   = "gitea.issue.milestoned"
	IssueDemilestoned = "gitea.issue.demilestoned"

	CommentCreated = "gitea.comment.created" // on an issue or a pull request
	CommentEdited  = "gitea.comment.edited"
	CommentDeleted = "gitea.comment.deleted"

	PullRequestOpened               = "gitea.pull_request.opened"
	PullRequestClosed               = "gitea.pull_request.closed" // without being merged
	PullRequestMerged               = "gitea.pull_request.merged"
	PullRequestReopened             = "gitea.pull_request.reopened"
	PullRequestEdited               = "gitea.pull_request.edited"
	PullRequestDeleted              = "gitea.pull_request.deleted"
	PullRequestSynchronized         = "gitea.pull_request.synchronized" // new commits
	PullRequestAssigned             = "gitea.pull_request.assigned"
	PullRequestUnassigned           = "gitea.pull_request.unassigned"
	PullRequestLabeled              = "gitea.pull_request.labeled" // labels added, removed or all cleared
	PullRequestMilestoned           = "gitea.pull_request.milestoned"
	PullRequestDemilestoned         = "gitea.pull_request.demilestoned"
	PullRequestReviewRequested      = "gitea.pull_request.review_requested"
	PullRequestReviewRequestRemoved = "gitea.pull_request.review_request_removed"
	PullRequestApproved             = "gitea.pull_request.approved"
	PullRequestRejected             = "gitea.pull_request.rejected" // a review asks for changes
	PullRequestReviewed             = "gitea.pull_request.reviewed" // a review that only comments

	ReleasePublished = "gitea.release.published"
	ReleaseUpdated   = "gitea.release.updated"
	ReleaseDeleted   = "gitea.release.deleted"

	RepositoryCreated = "gitea.repository.created"
	RepositoryDeleted = "gitea.repository.deleted"
	RepositoryForked  = "gitea.repository.forked"

	WikiPageCreated = "gitea.wiki_page.created"
	WikiPageEdited  = "gitea.wiki_page.edited"
	WikiPageDeleted = "gitea.wiki_page.deleted"
)
