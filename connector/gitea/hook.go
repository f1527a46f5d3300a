package gitea

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

const (
	watchHook = "hook"

	// heldKey in Held.Values tells which secret a webhook was made with: Gitea
	// shows secrets to nobody and its API cannot change them.
	heldKey = "key"

	pageSize = 50  // Gitea's MAX_RESPONSE_ITEMS
	maxPages = 100 // of a list
)

// hook is a webhook as Gitea's API writes it.
type hook struct {
	ID     int64             `json:"id,omitempty"`
	Type   string            `json:"type,omitempty"`
	Config map[string]string `json:"config,omitempty"`
	Events []string          `json:"events"`
	Active bool              `json:"active"`
}

// Subscribe implements connector.Subscriber: POST /user/hooks or
// /repos/{owner}/{repo}/hooks, PATCH for one that is there.
func (c *Connector) Subscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	key := fingerprint(sub.Secret)
	had := sub.Held.Values[heldKey]
	if sub.Held.ID != "" && (had == "" || had == key) {
		edit := hook{Config: map[string]string{"url": sub.Address, "content_type": "json"}, Events: events(sub.Topics), Active: true}
		err := s.JSON(ctx, http.MethodPatch, hooks(sub)+"/"+sub.Held.ID, edit, nil)
		switch {
		case err == nil:
			held := sub.Held
			held.Values = map[string]string{heldKey: key}
			return &held, nil
		case !errors.Is(err, connector.ErrGone):
			return nil, explain(err, sub)
		}
	}
	var made hook
	create := hook{
		Type: "gitea", Events: events(sub.Topics), Active: true,
		Config: map[string]string{"url": sub.Address, "content_type": "json", "secret": sub.Secret},
	}
	err := s.JSON(ctx, http.MethodPost, hooks(sub), create, &made)
	switch {
	case errors.Is(err, connector.ErrGone):
		// Not "the watch is gone, make it again": that is what just failed.
		return nil, fmt.Errorf("gitea: %w: there is no %s that this account can see", connector.ErrRefused, sub.Resource)
	case err != nil:
		return nil, explain(err, sub)
	case made.ID == 0:
		return nil, fmt.Errorf("gitea: POST /%s answered without an id", hooks(sub))
	}
	return &connector.Held{ID: strconv.FormatInt(made.ID, 10), Values: map[string]string{heldKey: key}}, nil
}

// Unsubscribe implements connector.Subscriber.
func (c *Connector) Unsubscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) error {
	if sub.Held.ID == "" {
		return nil
	}
	err := s.JSON(ctx, http.MethodDelete, hooks(sub)+"/"+sub.Held.ID, nil, nil)
	if errors.Is(err, connector.ErrGone) { // the webhook, or the repository with it
		return nil
	}
	return err
}

// List implements connector.Lister: all webhooks of the user or the repository.
func (c *Connector) List(ctx context.Context, s *connector.Session, sub *connector.Subscription) ([]connector.Held, error) {
	var all []connector.Held
	for page := 1; page <= maxPages; page++ {
		var some []hook
		path := fmt.Sprintf("%s?limit=%d&page=%d", hooks(sub), pageSize, page)
		if err := s.JSON(ctx, http.MethodGet, path, nil, &some); err != nil {
			return nil, explain(err, sub)
		}
		if len(some) == 0 { // a short page is no end: the server may allow less than pageSize
			return all, nil
		}
		for _, h := range some {
			all = append(all, connector.Held{ID: strconv.FormatInt(h.ID, 10), Address: h.Config["url"]})
		}
	}
	return nil, fmt.Errorf("gitea: %w: %s has more than %d webhooks", connector.ErrRefused, sub.Resource, len(all))
}

// hooks is the path of the webhooks of a Resource, "user" or "repos/{owner}/{repo}".
func hooks(sub *connector.Subscription) string { return sub.Resource + "/hooks" }

// events are never empty: Gitea would take that for ["push"].
func events(topics []string) []string {
	if len(topics) == 0 {
		return []string{topicNone}
	}
	return slices.Clone(topics)
}

// topicNone is no event of Gitea, which ignores what it does not know.
const topicNone = "none"

// explain tells a missing scope from a missing right: Gitea answers 403 to both.
func explain(err error, sub *connector.Subscription) error {
	var status *connector.StatusError
	if errors.Is(err, connector.ErrScope) && errors.As(err, &status) && !strings.Contains(status.Body, "required scope") {
		return fmt.Errorf("gitea: %w: the account may not change the webhooks of %s (it must administrate it, and the server must allow webhooks): %s",
			connector.ErrRefused, sub.Resource, status.Body)
	}
	return err
}

// fingerprint recognises a secret of 43 random characters and tells nothing of it.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:8])
}
