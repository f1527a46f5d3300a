package gitea

import (
	"time"

	"github.com/interactorhq/interactor/connector/gitea/giteaevent"
)

// exampleValues are what test events are made of.
type exampleValues struct {
	user giteaevent.User
	repo giteaevent.Repository
	day  time.Time
}

func examples() exampleValues {
	user := giteaevent.User{ID: 7, Login: "alice", FullName: "Alice Example", Email: "alice@example.com",
		AvatarURL: "https://git.example.com/avatars/7", HTMLURL: "https://git.example.com/alice"}
	day := time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	return exampleValues{user: user, day: day, repo: giteaevent.Repository{
		ID: 42, FullName: "alice/hello", Name: "hello", Owner: user, Description: "Says hello", DefaultBranch: "main",
		HTMLURL: "https://git.example.com/alice/hello", CloneURL: "https://git.example.com/alice/hello.git",
		SSHURL: "git@git.example.com:alice/hello.git", CreatedAt: day.AddDate(0, -1, 0), UpdatedAt: day,
	}}
}

func (e exampleValues) push() giteaevent.PushPayload {
	who := giteaevent.Signature{Name: "Alice Example", Email: "alice@example.com", Username: "alice"}
	c := giteaevent.Commit{
		ID: "67b56589a45103f891bdee7c0546e5d40bc02001", Message: "Say hello\n", Author: who, Committer: who, Timestamp: e.day,
		URL:   "https://git.example.com/alice/hello/commit/67b56589a45103f891bdee7c0546e5d40bc02001",
		Added: []string{"hello.go"}, Removed: []string{}, Modified: []string{"README.md"},
	}
	return giteaevent.PushPayload{
		Repository: e.repo, Ref: "refs/heads/main", Branch: "main", Before: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", After: c.ID,
		CompareURL: "https://git.example.com/alice/hello/compare/4b825dc6...67b56589", Commits: []giteaevent.Commit{c}, TotalCommits: 1,
		HeadCommit: &c, Pusher: e.user, Sender: e.user,
	}
}

func (e exampleValues) ref(kind, topic string) giteaevent.Ref {
	r := giteaevent.Ref{Repository: e.repo, Ref: "v1.0.0", RefType: kind, Sender: e.user}
	if kind == "branch" {
		r.Ref = "feature"
	}
	if topic == "create" {
		r.SHA = "67b56589a45103f891bdee7c0546e5d40bc02001"
	}
	return r
}

func (e exampleValues) issueDetails() giteaevent.IssueDetails {
	return giteaevent.IssueDetails{
		ID: 100, Number: 3, Title: "Hello is not said", Body: "It should be.", State: "open", User: e.user,
		HTMLURL: e.repo.HTMLURL + "/issues/3", CreatedAt: e.day, UpdatedAt: e.day, Assignees: []giteaevent.User{e.user},
		Labels: []giteaevent.Label{{ID: 1, Name: "bug", Color: "ee0701", Description: "Something is not working"}},
	}
}

func (e exampleValues) issue(action string) giteaevent.Issue {
	i := giteaevent.Issue{Action: action, Issue: e.issueDetails(), Repository: e.repo, Sender: e.user}
	switch action {
	case "closed":
		i.Issue.State, i.Issue.ClosedAt = "closed", &e.day
	case "edited":
		i.Changes = &giteaevent.Changes{Title: &giteaevent.From{From: "Hello"}}
	case "milestoned":
		i.Issue.Milestone = &giteaevent.Milestone{ID: 1, Title: "1.0", State: "open"}
	}
	return i
}

func (e exampleValues) comment(action string) giteaevent.Comment {
	return giteaevent.Comment{Action: action, Issue: e.issueDetails(), Repository: e.repo, Sender: e.user,
		Comment: giteaevent.CommentDetails{ID: 500, Body: "I can see it too.", User: e.user,
			HTMLURL: e.repo.HTMLURL + "/issues/3#issuecomment-500", CreatedAt: e.day, UpdatedAt: e.day}}
}

func (e exampleValues) pull(action string) giteaevent.PullRequest {
	url := e.repo.HTMLURL + "/pulls/4"
	p := giteaevent.PullRequest{Action: action, Repository: e.repo, Sender: e.user, PullRequest: giteaevent.PullRequestDetails{
		ID: 101, Number: 4, Title: "Say hello", Body: "Closes #3", State: "open", User: e.user, Mergeable: true,
		HTMLURL: url, DiffURL: url + ".diff", PatchURL: url + ".patch", CreatedAt: &e.day, UpdatedAt: &e.day,
		Base:      giteaevent.Branch{Label: "main", Ref: "main", SHA: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Repo: &e.repo},
		Head:      giteaevent.Branch{Label: "feature", Ref: "feature", SHA: "67b56589a45103f891bdee7c0546e5d40bc02001", Repo: &e.repo},
		MergeBase: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
	}}
	if action == "closed" {
		p.PullRequest.State, p.PullRequest.ClosedAt = "closed", &e.day
	}
	if action == "review_requested" || action == "review_request_removed" {
		p.RequestedReviewer = &e.user
	}
	return p
}

func (e exampleValues) merged() giteaevent.PullRequest {
	p := e.pull("closed")
	sha := "9e107d9d372bb6826bd81d3542a419d6e277d6a1"
	p.PullRequest.Merged, p.PullRequest.MergedAt, p.PullRequest.MergedBy, p.PullRequest.MergeCommitSHA = true, &e.day, &e.user, &sha
	return p
}

func (e exampleValues) release(action string) giteaevent.Release {
	url := e.repo.HTMLURL
	return giteaevent.Release{Action: action, Repository: e.repo, Sender: e.user, Release: giteaevent.ReleaseDetails{
		ID: 9, TagName: "v1.0.0", Target: "main", Name: "Hello 1.0", Body: "It says hello.", Author: e.user,
		HTMLURL: url + "/releases/tag/v1.0.0", TarballURL: url + "/archive/v1.0.0.tar.gz", ZipballURL: url + "/archive/v1.0.0.zip",
		Assets:    []giteaevent.Asset{{ID: 1, Name: "hello.zip", Size: 1024, DownloadURL: url + "/releases/download/v1.0.0/hello.zip"}},
		CreatedAt: e.day, PublishedAt: e.day,
	}}
}

func (e exampleValues) fork() giteaevent.Fork {
	bob := giteaevent.User{ID: 8, Login: "bob", FullName: "Bob Example", Email: "bob@example.com", AvatarURL: "https://git.example.com/avatars/8"}
	forkee := e.repo
	forkee.ID, forkee.FullName, forkee.Owner, forkee.Fork, forkee.CreatedAt = 43, "bob/hello", bob, true, e.day
	forkee.HTMLURL, forkee.CloneURL, forkee.SSHURL = "https://git.example.com/bob/hello", "https://git.example.com/bob/hello.git", "git@git.example.com:bob/hello.git"
	return giteaevent.Fork{Forkee: forkee, Repository: e.repo, Sender: bob}
}
