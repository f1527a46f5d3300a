package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Store is what this room keeps: answers to requests that carried an
// Idempotency-Key. Package store/storetest states its rules in words.
type Store interface {
	// ClaimAnswer stores a as being worked on, if there is none with its ID or
	// only one whose Until has passed at now; claimed says so. Else it returns the
	// one there is. It removes some Answers that have passed along the way.
	ClaimAnswer(ctx context.Context, a Answer, now time.Time) (there Answer, claimed bool, err error)

	// PutAnswer completes the claimed Answer with a.ID; without one it does nothing.
	PutAnswer(ctx context.Context, a Answer) error

	// DropAnswer removes a claimed Answer that is not complete.
	DropAnswer(ctx context.Context, id []byte) error

	// OldestDue returns the due time of the Task that has waited longest, zero when
	// nothing is waiting. It is that of forward.Store.
	OldestDue(ctx context.Context) (time.Time, error)
}

// Answer is what a repeated request gets again.
type Answer struct {
	ID      []byte // hash of Environment and Idempotency-Key
	Request []byte // hash of what was asked
	Status  int    // 0: it is being worked on
	Body    []byte
	Until   time.Time
}

const (
	keepAnswer = 24 * time.Hour
	// keepClaim is how long a request may be worked on. After a crash, a repeated
	// one is done again when it has passed.
	keepClaim = time.Minute

	maxIdempotencyKey = 255
)

// serveOnce gives a repeated request the first answer. Errors are not kept: what
// was refused or failed may be asked again.
func (a *api) serveOnce(c *call, found route) (answer, error) {
	keys := c.r.Header.Values("Idempotency-Key")
	switch {
	case len(keys) == 0:
		ans, err := found.serve(a, c)
		return ans, translate(err)
	case len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxIdempotencyKey:
		return answer{}, invalid("Idempotency-Key", "must be one text of 1 to %d characters", maxIdempotencyKey)
	}
	body, err := c.body()
	if err != nil {
		return answer{}, err
	}
	c.r.Body = replayBody(body)
	now := a.cfg.Now()
	claim := Answer{
		ID:      digest(c.environment, keys[0]),
		Request: digest(c.r.Method, c.r.URL.EscapedPath(), c.r.URL.RawQuery, string(body)),
		Until:   now.Add(keepClaim),
	}
	there, claimed, err := a.cfg.Store.ClaimAnswer(c.r.Context(), claim, now)
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("claiming an answer: %w", err)
	case !claimed && string(there.Request) != string(claim.Request):
		return answer{}, fail(http.StatusConflict, CodeIdempotencyConflict, "Idempotency-Key", "this Idempotency-Key was used for another request: use a fresh one")
	case !claimed && there.Status == 0:
		f := fail(http.StatusConflict, CodeIdempotencyConflict, "Idempotency-Key", "the first request with this Idempotency-Key is still being worked on: try again")
		f.header = http.Header{"Retry-After": {"1"}}
		return answer{}, f
	case !claimed:
		return answer{status: there.Status, body: there.Body, header: http.Header{"Idempotent-Replayed": {"true"}}}, nil
	}

	// What follows is recorded also when the client goes away.
	kept := context.WithoutCancel(c.r.Context())
	done := false
	defer func() {
		if !done {
			if err := a.cfg.Store.DropAnswer(kept, claim.ID); err != nil {
				a.cfg.Logger.WarnContext(kept, "api: an Idempotency-Key stays taken for a minute", "error", err)
			}
		}
	}()
	ans, err := found.serve(a, c)
	if err != nil {
		return answer{}, translate(err)
	}
	encoded, ok := ans.body.([]byte)
	if !ok {
		return answer{}, errors.New("an endpoint that takes an Idempotency-Key answers JSON")
	}
	claim.Status, claim.Body, claim.Until = ans.status, encoded, now.Add(keepAnswer)
	if err := a.cfg.Store.PutAnswer(kept, claim); err != nil {
		// It was done. A repeated request may do it again, which at-least-once allows.
		a.cfg.Logger.WarnContext(kept, "api: an answer could not be kept for its Idempotency-Key", "error", err)
		return ans, nil
	}
	done = true
	return ans, nil
}

// digest hashes parts so that different parts never give the same text.
func digest(parts ...string) []byte {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return h.Sum(nil)
}
