package giteaevent

import "time"

// PushPayload is the payload of Push.
type PushPayload struct {
	Repository   Repository `json:"repository"`
	Ref          string     `json:"ref" jsonschema:"full name, such as refs/heads/main"`
	Branch       string     `json:"branch,omitempty" jsonschema:"name of the branch, if the ref is one"`
	Tag          string     `json:"tag,omitempty" jsonschema:"name of the tag, if the ref is one"`
	Before       string     `json:"before" jsonschema:"commit before the push; zeros for a new ref"`
	After        string     `json:"after" jsonschema:"commit after the push"`
	CompareURL   string     `json:"compare_url"`
	Commits      []Commit   `json:"commits" jsonschema:"the newest ones; the server limits their number"`
	TotalCommits int        `json:"total_commits" jsonschema:"number of all commits pushed"`
	HeadCommit   *Commit    `json:"head_commit"`
	Pusher       User       `json:"pusher"`
	Sender       User       `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (PushPayload) Triggers() []string { return []string{Push} }

// Ref is the payload of BranchCreated, BranchDeleted, TagCreated and TagDeleted.
type Ref struct {
	Repository Repository `json:"repository"`
	Ref        string     `json:"ref" jsonschema:"short name of the branch or tag"`
	RefType    string     `json:"ref_type" jsonschema:"branch or tag"`
	SHA        string     `json:"sha,omitempty" jsonschema:"commit that it was created at"`
	Sender     User       `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (Ref) Triggers() []string {
	return []string{BranchCreated, BranchDeleted, TagCreated, TagDeleted}
}

// Issue is the payload of the Issue… triggers.
type Issue struct {
	Action     string       `json:"action" jsonschema:"what happened, by Gitea's word: opened, closed, label_updated …"`
	Issue      IssueDetails `json:"issue"`
	Changes    *Changes     `json:"changes,omitempty"`
	Repository Repository   `json:"repository"`
	Sender     User         `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (Issue) Triggers() []string {
	return []string{IssueOpened, IssueClosed, IssueReopened, IssueEdited, IssueDeleted, IssueAssigned, IssueUnassigned,
		IssueLabeled, IssueMilestoned, IssueDemilestoned}
}

// Comment is the payload of the Comment… triggers.
type Comment struct {
	Action     string         `json:"action" jsonschema:"created, edited or deleted"`
	Comment    CommentDetails `json:"comment"`
	Issue      IssueDetails   `json:"issue" jsonschema:"the issue, or what a pull request has of one"`
	IsPull     bool           `json:"is_pull" jsonschema:"the comment is on a pull request"`
	Changes    *Changes       `json:"changes,omitempty"`
	Repository Repository     `json:"repository"`
	Sender     User           `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (Comment) Triggers() []string { return []string{CommentCreated, CommentEdited, CommentDeleted} }

// PullRequest is the payload of the PullRequest… triggers.
type PullRequest struct {
	Action            string             `json:"action" jsonschema:"what happened, by Gitea's word: opened, closed, reviewed …"`
	PullRequest       PullRequestDetails `json:"pull_request"`
	Changes           *Changes           `json:"changes,omitempty"`
	Review            *Review            `json:"review,omitempty"`
	RequestedReviewer *User              `json:"requested_reviewer,omitempty"`
	Repository        Repository         `json:"repository"`
	Sender            User               `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (PullRequest) Triggers() []string {
	return []string{PullRequestOpened, PullRequestClosed, PullRequestMerged, PullRequestReopened, PullRequestEdited,
		PullRequestDeleted, PullRequestSynchronized, PullRequestAssigned, PullRequestUnassigned, PullRequestLabeled,
		PullRequestMilestoned, PullRequestDemilestoned, PullRequestReviewRequested, PullRequestReviewRequestRemoved,
		PullRequestApproved, PullRequestRejected, PullRequestReviewed}
}

// Release is the payload of the Release… triggers.
type Release struct {
	Action     string         `json:"action" jsonschema:"published, updated or deleted"`
	Release    ReleaseDetails `json:"release"`
	Repository Repository     `json:"repository"`
	Sender     User           `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (Release) Triggers() []string { return []string{ReleasePublished, ReleaseUpdated, ReleaseDeleted} }

// RepositoryPayload is the payload of RepositoryCreated and RepositoryDeleted.
type RepositoryPayload struct {
	Action     string     `json:"action" jsonschema:"created or deleted"`
	Repository Repository `json:"repository"`
	Sender     User       `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (RepositoryPayload) Triggers() []string { return []string{RepositoryCreated, RepositoryDeleted} }

// Fork is the payload of RepositoryForked.
type Fork struct {
	Forkee     Repository `json:"forkee" jsonschema:"the new repository"`
	Repository Repository `json:"repository" jsonschema:"the one it was forked from"`
	Sender     User       `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (Fork) Triggers() []string { return []string{RepositoryForked} }

// WikiPage is the payload of the WikiPage… triggers.
type WikiPage struct {
	Action     string     `json:"action" jsonschema:"created, edited or deleted"`
	Page       string     `json:"page"`
	Comment    string     `json:"comment,omitempty" jsonschema:"message of the change"`
	Repository Repository `json:"repository"`
	Sender     User       `json:"sender"`
}

// Triggers names the triggers that the type belongs to.
func (WikiPage) Triggers() []string {
	return []string{WikiPageCreated, WikiPageEdited, WikiPageDeleted}
}

// User is a user or an organization.
type User struct {
	ID        int64  `json:"id"`
	Login     string `json:"login"`
	FullName  string `json:"full_name"`
	Email     string `json:"email"`
	AvatarURL string `json:"avatar_url"`
	HTMLURL   string `json:"html_url,omitempty"`
}

// Repository is a repository.
type Repository struct {
	ID            int64     `json:"id"`
	FullName      string    `json:"full_name" jsonschema:"owner/name"`
	Name          string    `json:"name"`
	Owner         User      `json:"owner"`
	Description   string    `json:"description"`
	Private       bool      `json:"private"`
	Fork          bool      `json:"fork"`
	Archived      bool      `json:"archived"`
	HTMLURL       string    `json:"html_url"`
	CloneURL      string    `json:"clone_url"`
	SSHURL        string    `json:"ssh_url"`
	DefaultBranch string    `json:"default_branch"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

// Commit is a commit of a push.
type Commit struct {
	ID        string    `json:"id"`
	Message   string    `json:"message"`
	URL       string    `json:"url"`
	Author    Signature `json:"author"`
	Committer Signature `json:"committer"`
	Timestamp time.Time `json:"timestamp"`
	Added     []string  `json:"added"`
	Removed   []string  `json:"removed"`
	Modified  []string  `json:"modified"`
}

// Signature is who wrote or made a commit.
type Signature struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Username string `json:"username" jsonschema:"login, if the address belongs to a user"`
}

// IssueDetails is an issue.
type IssueDetails struct {
	ID        int64      `json:"id"`
	Number    int64      `json:"number"`
	Title     string     `json:"title"`
	Body      string     `json:"body"`
	State     string     `json:"state" jsonschema:"open or closed"`
	HTMLURL   string     `json:"html_url,omitempty"`
	User      User       `json:"user"`
	Labels    []Label    `json:"labels"`
	Milestone *Milestone `json:"milestone"`
	Assignees []User     `json:"assignees"`
	Comments  int        `json:"comments"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	ClosedAt  *time.Time `json:"closed_at"`
	DueDate   *time.Time `json:"due_date"`
}

// PullRequestDetails is a pull request.
type PullRequestDetails struct {
	ID                 int64      `json:"id"`
	Number             int64      `json:"number"`
	Title              string     `json:"title"`
	Body               string     `json:"body"`
	State              string     `json:"state" jsonschema:"open or closed"`
	Draft              bool       `json:"draft,omitempty"`
	HTMLURL            string     `json:"html_url"`
	DiffURL            string     `json:"diff_url"`
	PatchURL           string     `json:"patch_url"`
	User               User       `json:"user"`
	Labels             []Label    `json:"labels"`
	Milestone          *Milestone `json:"milestone"`
	Assignees          []User     `json:"assignees"`
	RequestedReviewers []User     `json:"requested_reviewers,omitempty"`
	Mergeable          bool       `json:"mergeable"`
	Merged             bool       `json:"merged"`
	MergedAt           *time.Time `json:"merged_at"`
	MergeCommitSHA     *string    `json:"merge_commit_sha"`
	MergedBy           *User      `json:"merged_by"`
	Base               Branch     `json:"base" jsonschema:"where to"`
	Head               Branch     `json:"head" jsonschema:"where from"`
	MergeBase          string     `json:"merge_base"`
	CreatedAt          *time.Time `json:"created_at"`
	UpdatedAt          *time.Time `json:"updated_at"`
	ClosedAt           *time.Time `json:"closed_at"`
	DueDate            *time.Time `json:"due_date"`
}

// Branch is one end of a pull request.
type Branch struct {
	Label string      `json:"label"`
	Ref   string      `json:"ref"`
	SHA   string      `json:"sha"`
	Repo  *Repository `json:"repo" jsonschema:"null when the fork is gone"`
}

// Review is what a reviewer said.
type Review struct {
	Type    string `json:"type" jsonschema:"Gitea's word, such as pull_request_review_approved"`
	Content string `json:"content"`
}

// CommentDetails is a comment.
type CommentDetails struct {
	ID        int64     `json:"id"`
	Body      string    `json:"body"`
	HTMLURL   string    `json:"html_url"`
	User      User      `json:"user"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ReleaseDetails is a release.
type ReleaseDetails struct {
	ID          int64     `json:"id"`
	TagName     string    `json:"tag_name"`
	Target      string    `json:"target_commitish"`
	Name        string    `json:"name"`
	Body        string    `json:"body"`
	Draft       bool      `json:"draft"`
	Prerelease  bool      `json:"prerelease"`
	HTMLURL     string    `json:"html_url"`
	TarballURL  string    `json:"tarball_url"`
	ZipballURL  string    `json:"zipball_url"`
	Author      User      `json:"author"`
	Assets      []Asset   `json:"assets"`
	CreatedAt   time.Time `json:"created_at"`
	PublishedAt time.Time `json:"published_at"`
}

// Asset is a file of a release.
type Asset struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Size        int64  `json:"size" jsonschema:"bytes"`
	DownloadURL string `json:"browser_download_url"`
}

// Label is a label of an issue or pull request.
type Label struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Color       string `json:"color"`
	Description string `json:"description"`
}

// Milestone is a milestone.
type Milestone struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	State string `json:"state"`
}

// Changes says what an edit changed. Members that it did not touch are absent.
type Changes struct {
	Title         *From   `json:"title,omitempty"`
	Body          *From   `json:"body,omitempty"`
	Ref           *From   `json:"ref,omitempty"`
	AddedLabels   []Label `json:"added_labels,omitempty"`
	RemovedLabels []Label `json:"removed_labels,omitempty"`
}

// From is the value before an edit.
type From struct {
	From string `json:"from"`
}
