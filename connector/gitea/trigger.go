package gitea

import (
	"github.com/interactorhq/interactor/connector/gitea/giteaevent"
	"github.com/interactorhq/interactor/trigger"
)

const (
	paramRepo   = "repo"
	paramBranch = "branch"
)

// repoPattern is owner/name as Gitea allows it.
const repoPattern = `[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+`

// definitions is the catalogue. The topics are Gitea's fine names, so that a
// webhook reports what is wanted and nothing else: "issues" and "pull_request"
// would switch on all of their kind.
func definitions() []trigger.Definition {
	e := examples()
	define := func(name, label string, payload, example any, topics ...string) trigger.Definition {
		return trigger.Definition{
			Name: name, Label: label, Payload: payload, Example: example, Topics: topics, Watch: watchHook,
			Help:   "In the named repository; without one, in all that the account owns.",
			Params: []trigger.Param{{Name: paramRepo, Label: "Repository (owner/name)", Pattern: repoPattern}},
		}
	}
	ref := func(name, label, kind, topic string) trigger.Definition {
		return define(name, label, giteaevent.Ref{}, e.ref(kind, topic), topic)
	}
	issue := func(name, label, action, topic string) trigger.Definition {
		return define(name, label, giteaevent.Issue{}, e.issue(action), topic)
	}
	comment := func(name, label, action string) trigger.Definition {
		return define(name, label, giteaevent.Comment{}, e.comment(action), "issue_comment", "pull_request_comment")
	}
	pull := func(name, label, action, topic string) trigger.Definition {
		return define(name, label, giteaevent.PullRequest{}, e.pull(action), topic)
	}
	review := func(name, label, kind string) trigger.Definition {
		p := e.pull("reviewed")
		p.Review = &giteaevent.Review{Type: "pull_request_review_" + kind, Content: "Looks good to me."}
		return define(name, label, giteaevent.PullRequest{}, p, "pull_request_review")
	}
	release := func(name, label, action string) trigger.Definition {
		return define(name, label, giteaevent.Release{}, e.release(action), "release")
	}
	repository := func(name, label, action string) trigger.Definition {
		p := giteaevent.RepositoryPayload{Action: action, Repository: e.repo, Sender: e.user}
		return define(name, label, giteaevent.RepositoryPayload{}, p, "repository")
	}
	wiki := func(name, label, action string) trigger.Definition {
		p := giteaevent.WikiPage{Action: action, Page: "Home", Comment: "Say hello", Repository: e.repo, Sender: e.user}
		return define(name, label, giteaevent.WikiPage{}, p, "wiki")
	}
	push := define(giteaevent.Push, "Commits are Pushed", giteaevent.PushPayload{}, e.push(), "push")
	push.Params = append(push.Params, trigger.Param{Name: paramBranch, Label: "Branch"})
	created := repository(giteaevent.RepositoryCreated, "A Repository is Created", "created")
	created.Help = "Among those that the account owns. Not with a repository named: there is no webhook in it yet."

	return []trigger.Definition{
		push,
		ref(giteaevent.BranchCreated, "A Branch is Created", "branch", "create"),
		ref(giteaevent.BranchDeleted, "A Branch is Deleted", "branch", "delete"),
		ref(giteaevent.TagCreated, "A Tag is Created", "tag", "create"),
		ref(giteaevent.TagDeleted, "A Tag is Deleted", "tag", "delete"),

		issue(giteaevent.IssueOpened, "An Issue is Opened", "opened", "issues_only"),
		issue(giteaevent.IssueClosed, "An Issue is Closed", "closed", "issues_only"),
		issue(giteaevent.IssueReopened, "An Issue is Reopened", "reopened", "issues_only"),
		issue(giteaevent.IssueEdited, "An Issue is Edited", "edited", "issues_only"),
		issue(giteaevent.IssueDeleted, "An Issue is Deleted", "deleted", "issues_only"),
		issue(giteaevent.IssueAssigned, "An Issue is Assigned", "assigned", "issue_assign"),
		issue(giteaevent.IssueUnassigned, "An Issue is Unassigned", "unassigned", "issue_assign"),
		issue(giteaevent.IssueLabeled, "An Issue's Labels are Changed", "label_updated", "issue_label"),
		issue(giteaevent.IssueMilestoned, "An Issue is Added to a Milestone", "milestoned", "issue_milestone"),
		issue(giteaevent.IssueDemilestoned, "An Issue is Removed from a Milestone", "demilestoned", "issue_milestone"),

		comment(giteaevent.CommentCreated, "A Comment is Made on an Issue or Pull Request", "created"),
		comment(giteaevent.CommentEdited, "A Comment is Edited", "edited"),
		comment(giteaevent.CommentDeleted, "A Comment is Deleted", "deleted"),

		pull(giteaevent.PullRequestOpened, "A Pull Request is Opened", "opened", "pull_request_only"),
		pull(giteaevent.PullRequestClosed, "A Pull Request is Closed without being Merged", "closed", "pull_request_only"),
		define(giteaevent.PullRequestMerged, "A Pull Request is Merged", giteaevent.PullRequest{}, e.merged(), "pull_request_only"),
		pull(giteaevent.PullRequestReopened, "A Pull Request is Reopened", "reopened", "pull_request_only"),
		pull(giteaevent.PullRequestEdited, "A Pull Request is Edited", "edited", "pull_request_only"),
		pull(giteaevent.PullRequestDeleted, "A Pull Request is Deleted", "deleted", "pull_request_only"),
		pull(giteaevent.PullRequestSynchronized, "A Pull Request gets New Commits", "synchronized", "pull_request_sync"),
		pull(giteaevent.PullRequestAssigned, "A Pull Request is Assigned", "assigned", "pull_request_assign"),
		pull(giteaevent.PullRequestUnassigned, "A Pull Request is Unassigned", "unassigned", "pull_request_assign"),
		pull(giteaevent.PullRequestLabeled, "A Pull Request's Labels are Changed", "label_updated", "pull_request_label"),
		pull(giteaevent.PullRequestMilestoned, "A Pull Request is Added to a Milestone", "milestoned", "pull_request_milestone"),
		pull(giteaevent.PullRequestDemilestoned, "A Pull Request is Removed from a Milestone", "demilestoned", "pull_request_milestone"),
		pull(giteaevent.PullRequestReviewRequested, "A Review is Requested", "review_requested", "pull_request_review_request"),
		pull(giteaevent.PullRequestReviewRequestRemoved, "A Review Request is Withdrawn", "review_request_removed", "pull_request_review_request"),
		review(giteaevent.PullRequestApproved, "A Pull Request is Approved", "approved"),
		review(giteaevent.PullRequestRejected, "A Review Asks for Changes", "rejected"),
		review(giteaevent.PullRequestReviewed, "A Review Comments", "comment"),

		release(giteaevent.ReleasePublished, "A Release is Published", "published"),
		release(giteaevent.ReleaseUpdated, "A Release is Updated", "updated"),
		release(giteaevent.ReleaseDeleted, "A Release is Deleted", "deleted"),

		created,
		repository(giteaevent.RepositoryDeleted, "A Repository is Deleted", "deleted"),
		define(giteaevent.RepositoryForked, "A Repository is Forked", giteaevent.Fork{}, e.fork(), "fork"),

		wiki(giteaevent.WikiPageCreated, "A Wiki Page is Created", "created"),
		wiki(giteaevent.WikiPageEdited, "A Wiki Page is Edited", "edited"),
		wiki(giteaevent.WikiPageDeleted, "A Wiki Page is Deleted", "deleted"),
	}
}
