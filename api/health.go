package api

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// pulse keeps what /healthz found, so that those who ask without a key cannot
// keep the store busy.
type pulse struct {
	mu     sync.Mutex
	at     time.Time
	health Health
	ok     bool
}

const (
	pulseLife  = time.Second
	probeLimit = 5 * time.Second
)

// health serves GET /healthz.
func (a *api) health(c *call) (answer, error) {
	health, ok := a.examine(c.r.Context())
	if !ok {
		ans, err := reply(http.StatusServiceUnavailable, health)
		ans.header = http.Header{"Retry-After": {"5"}}
		return ans, err
	}
	return reply(http.StatusOK, health)
}

func (a *api) examine(ctx context.Context) (Health, bool) {
	p := &a.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	now := a.cfg.Now()
	if !p.at.IsZero() && now.Sub(p.at) < pulseLife && !now.Before(p.at) {
		return p.health, p.ok
	}
	// Not the caller's context: others take what this finds.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
	defer cancel()
	due, err := a.cfg.Store.OldestDue(ctx)
	// From when it was found: those who waited for a slow store meanwhile take
	// this answer instead of asking it again, one after another.
	p.at, p.ok = a.cfg.Now(), err == nil
	p.health = Health{Status: "ok", Running: a.cfg.Forwarder.Stats().Running}
	if err != nil {
		a.cfg.Logger.WarnContext(ctx, "api: health: the store does not answer", "error", err)
		p.health.Status = "store unavailable"
		return p.health, false
	}
	waited := time.Duration(0)
	if !due.IsZero() {
		waited = max(0, now.Sub(due)).Truncate(time.Millisecond)
	}
	p.health.OldestDue = waited.String()
	return p.health, true
}
