package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/interactorhq/interactor/forward"
)

// eraseLimit is how long an answer waits for an account to be erased. Mostly that
// takes a moment; a try in flight may take as long as its receiver is given.
const eraseLimit = 10 * time.Second

// eraseAccount serves DELETE /accounts/{account}. An account that nobody knows is
// erased already.
func (a *api) eraseAccount(c *call) (answer, error) {
	if err := parseQuery(c.r).end(); err != nil {
		return answer{}, err
	}
	account := c.params["account"]
	switch {
	case len(account) > maxAccount:
		return answer{}, invalid("account", "has more than %d bytes", maxAccount)
	case strings.ContainsFunc(account, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		return answer{}, invalid("account", "holds control characters or is not UTF-8")
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), eraseLimit)
	defer cancel()
	_, err := a.cfg.Forwarder.EraseAccount(ctx, c.environment, account)
	if errors.Is(err, forward.ErrErasing) {
		return answer{status: http.StatusAccepted}, nil
	}
	return answer{status: http.StatusNoContent}, err
}
