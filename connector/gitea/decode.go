package gitea

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gitea/giteaevent"
)

// maxDelivery bounds the id of a delivery, a UUID, in bytes.
const maxDelivery = 200

// happened is a decoded request before it becomes an Occurrence.
type happened struct {
	trigger string
	at      time.Time // zero: time of receipt
	repo    giteaevent.Repository
	branch  string
	payload any
}

// Decode implements connector.Decoder.
func (c *Connector) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	event := in.Header.Get("X-Gitea-Event")
	if event == "" {
		return nil, fmt.Errorf("gitea: header X-Gitea-Event is missing")
	}
	decode, ok := decoders(event)
	if !ok {
		return nil, fmt.Errorf("gitea: event %.60q is not known", event)
	}
	h, err := decode(event, in.Body)
	if err != nil {
		return nil, err
	}
	if h.repo.FullName == "" {
		return nil, fmt.Errorf("gitea: event %q names no repository", event)
	}
	attributes := map[string][]string{paramRepo: {h.repo.FullName}}
	if h.branch != "" {
		attributes[paramBranch] = []string{h.branch}
	}
	key, err := deliveryKey(in)
	if err != nil {
		return nil, err
	}
	return &connector.Decoded{Notices: []connector.Notice{{Occurrences: []connector.Occurrence{{
		Trigger: h.trigger, Key: key, OccurredAt: h.at.UTC(), Attributes: attributes, Payload: h.payload, Raw: in.Body,
	}}}}}, nil
}

// deliveryKey is Gitea's id of the delivery. It cannot be told from the content
// that two are one: a label that is set, removed and set again within a second
// gives equal bodies.
func deliveryKey(in *connector.Inbound) (string, error) {
	id := in.Header.Get("X-Gitea-Delivery")
	switch {
	case len(id) > maxDelivery:
		return "", fmt.Errorf("gitea: header X-Gitea-Delivery has more than %d bytes", maxDelivery)
	case id == "":
		sum := sha256.Sum256(in.Body)
		return "sha256:" + hex.EncodeToString(sum[:]), nil
	}
	return id, nil
}

type decoder = func(event string, body []byte) (happened, error)

// decoders finds what reads an event, by X-Gitea-Event: the coarse names, with
// those that older servers sent.
func decoders(event string) (decoder, bool) {
	switch event {
	case "push":
		return decodePush, true
	case "create", "delete":
		return decodeRef, true
	case "issues", "issue_assign", "issue_label", "issue_milestone":
		return decodeIssue, true
	case "issue_comment":
		return decodeComment, true
	case "pull_request_comment": // a review that comments; from older servers a comment too
		return decodePullRequestComment, true
	case "pull_request", "pull_request_assign", "pull_request_label", "pull_request_milestone", "pull_request_sync",
		"pull_request_review_request", "pull_request_approved", "pull_request_rejected", "pull_request_review":
		return decodePullRequest, true
	case "release":
		return decodeRelease, true
	case "repository":
		return decodeRepository, true
	case "fork":
		return decodeFork, true
	case "wiki":
		return decodeWiki, true
	}
	return nil, false
}

func read[P any](event string, body []byte) (P, error) {
	var p P
	if err := json.Unmarshal(body, &p); err != nil {
		return p, fmt.Errorf("gitea: event %q: %w", event, err)
	}
	return p, nil
}

// unknown refuses an action that no trigger is about, by name: it is kept and
// can be decoded by a later version.
func unknown(event, action string) error {
	return fmt.Errorf("gitea: event %q has the action %.60q, which is not known", event, action)
}

func decodePush(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.PushPayload](event, body)
	if err == nil && p.Ref == "" {
		err = fmt.Errorf("gitea: event %q names no ref", event)
	}
	p.Branch, _ = strings.CutPrefix(p.Ref, "refs/heads/")
	if p.Branch == p.Ref {
		p.Branch = ""
	}
	p.Tag, _ = strings.CutPrefix(p.Ref, "refs/tags/")
	if p.Tag == p.Ref {
		p.Tag = ""
	}
	if p.TotalCommits < len(p.Commits) {
		p.TotalCommits = len(p.Commits) // older servers do not count
	}
	return happened{trigger: giteaevent.Push, repo: p.Repository, branch: p.Branch, payload: p}, err
}

func decodeRef(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.Ref](event, body)
	if err != nil {
		return happened{}, err
	}
	h := happened{repo: p.Repository, payload: p}
	switch event + " " + p.RefType {
	case "create branch":
		h.trigger = giteaevent.BranchCreated
	case "delete branch":
		h.trigger = giteaevent.BranchDeleted
	case "create tag":
		h.trigger = giteaevent.TagCreated
	case "delete tag":
		h.trigger = giteaevent.TagDeleted
	default:
		return happened{}, unknown(event, p.RefType)
	}
	return h, nil
}

func decodeIssue(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.Issue](event, body)
	if err != nil {
		return happened{}, err
	}
	h := happened{repo: p.Repository, payload: p}
	switch p.Action {
	case "opened":
		h.trigger, h.at = giteaevent.IssueOpened, p.Issue.CreatedAt
	case "closed":
		h.trigger, h.at = giteaevent.IssueClosed, at(p.Issue.ClosedAt)
	case "reopened":
		h.trigger = giteaevent.IssueReopened
	case "edited":
		h.trigger = giteaevent.IssueEdited
	case "deleted":
		h.trigger = giteaevent.IssueDeleted
	case "assigned":
		h.trigger = giteaevent.IssueAssigned
	case "unassigned":
		h.trigger = giteaevent.IssueUnassigned
	case "label_updated", "label_cleared":
		h.trigger = giteaevent.IssueLabeled
	case "milestoned":
		h.trigger = giteaevent.IssueMilestoned
	case "demilestoned":
		h.trigger = giteaevent.IssueDemilestoned
	default:
		return happened{}, unknown(event, p.Action)
	}
	return h, nil
}

func decodeComment(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.Comment](event, body)
	if err != nil {
		return happened{}, err
	}
	h := happened{repo: p.Repository, payload: p}
	switch p.Action {
	case "created":
		h.trigger, h.at = giteaevent.CommentCreated, p.Comment.CreatedAt
	case "edited":
		h.trigger = giteaevent.CommentEdited
	case "deleted":
		h.trigger = giteaevent.CommentDeleted
	default:
		return happened{}, unknown(event, p.Action)
	}
	return h, nil
}

func decodePullRequestComment(event string, body []byte) (happened, error) {
	shape, err := read[struct {
		Comment json.RawMessage `json:"comment"`
	}](event, body)
	if err != nil {
		return happened{}, err
	}
	if shape.Comment != nil {
		return decodeComment(event, body)
	}
	return decodePullRequest(event, body)
}

func decodeRelease(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.Release](event, body)
	if err != nil {
		return happened{}, err
	}
	h := happened{repo: p.Repository, payload: p}
	switch p.Action {
	case "published":
		h.trigger, h.at = giteaevent.ReleasePublished, p.Release.PublishedAt
	case "updated":
		h.trigger = giteaevent.ReleaseUpdated
	case "deleted":
		h.trigger = giteaevent.ReleaseDeleted
	default:
		return happened{}, unknown(event, p.Action)
	}
	return h, nil
}

func decodeRepository(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.RepositoryPayload](event, body)
	if err != nil {
		return happened{}, err
	}
	h := happened{repo: p.Repository, payload: p}
	switch p.Action {
	case "created":
		h.trigger, h.at = giteaevent.RepositoryCreated, p.Repository.CreatedAt
	case "deleted":
		h.trigger = giteaevent.RepositoryDeleted
	default:
		return happened{}, unknown(event, p.Action)
	}
	return h, nil
}

func decodeFork(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.Fork](event, body)
	if err == nil && p.Forkee.FullName == "" {
		err = fmt.Errorf("gitea: event %q names no new repository", event)
	}
	return happened{trigger: giteaevent.RepositoryForked, at: p.Forkee.CreatedAt, repo: p.Repository, payload: p}, err
}

func decodeWiki(event string, body []byte) (happened, error) {
	p, err := read[giteaevent.WikiPage](event, body)
	if err != nil {
		return happened{}, err
	}
	h := happened{repo: p.Repository, payload: p}
	switch p.Action {
	case "created":
		h.trigger = giteaevent.WikiPageCreated
	case "edited":
		h.trigger = giteaevent.WikiPageEdited
	case "deleted":
		h.trigger = giteaevent.WikiPageDeleted
	default:
		return happened{}, unknown(event, p.Action)
	}
	return h, nil
}

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
