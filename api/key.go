package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/interactorhq/interactor/deployment"
)

// rotateKey serves POST /api-key. It takes no Idempotency-Key: an answer that may
// be shown once cannot be kept.
func (a *api) rotateKey(c *call) (answer, error) {
	body, err := c.body()
	if err != nil {
		return answer{}, err
	}
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	var grace time.Duration
	if len(strings.TrimSpace(string(body))) > 0 {
		o := parseObject(body)
		o.duration("grace", &grace)
		if err := o.end(); err != nil {
			return answer{}, err
		}
	}
	if grace < 0 || grace > deployment.MaxGrace {
		return answer{}, badBody("grace", "grace must be between 0s and %s", deployment.MaxGrace)
	}
	switch err := a.cfg.Deployments.Current(c.r.Context(), c.r.Header.Get("X-Api-Key")); {
	case errors.Is(err, deployment.ErrBadKey):
		return answer{}, unauthorized()
	case err != nil:
		return answer{}, err
	}
	now := a.cfg.Now()
	key, err := a.cfg.Deployments.IssueKey(c.r.Context(), deployment.KeyRequest{Environment: c.environment, Grace: grace})
	if err != nil {
		return answer{}, err
	}
	out := APIKey{Key: key}
	if grace > 0 {
		out.OldKeyValidUntil = when(now.Add(grace).Truncate(time.Second))
	}
	return reply(http.StatusCreated, out)
}
